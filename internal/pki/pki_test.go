package pki

import (
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"os"
	"path/filepath"
	"testing"

	"software.sslmate.com/src/go-pkcs12"
)

func TestWrite(t *testing.T) {
	dir := t.TempDir()
	a, err := NewAuthority("test authority")
	if err != nil {
		t.Fatal(err)
	}
	broker, err := a.Issue(Subject{Name: pkix.Name{CommonName: "broker"}, Hosts: []string{"localhost", "127.0.0.1"}})
	if err != nil {
		t.Fatal(err)
	}
	if err := a.Write(dir, "ca", "changeit"); err != nil {
		t.Fatal(err)
	}
	if err := broker.Write(dir, "broker", "changeit"); err != nil {
		t.Fatal(err)
	}
	pair, err := tls.LoadX509KeyPair(filepath.Join(dir, "broker.both.pem"), filepath.Join(dir, "broker.both.pem"))
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(a.Certificate)
	for _, host := range []string{"localhost", "127.0.0.1"} {
		if _, err := pair.Leaf.Verify(x509.VerifyOptions{Roots: roots, DNSName: host}); err != nil {
			t.Errorf("%s: %v", host, err)
		}
	}
	content, err := os.ReadFile(filepath.Join(dir, "broker.p12"))
	if err != nil {
		t.Fatal(err)
	}
	if _, cert, chain, err := pkcs12.DecodeChain(content, "changeit"); err != nil || !cert.Equal(broker.Certificate) || len(chain) != 1 {
		t.Errorf("PKCS12: %v, chain of %d", err, len(chain))
	}
	if content, err = os.ReadFile(filepath.Join(dir, "ca.p12")); err != nil {
		t.Fatal(err)
	}
	if certs, err := pkcs12.DecodeTrustStore(content, "changeit"); err != nil || len(certs) != 1 {
		t.Errorf("trust store: %v, certificates=%d", err, len(certs))
	}
}
