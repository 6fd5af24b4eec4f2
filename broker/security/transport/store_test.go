package transport

import (
	"crypto/ecdsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"software.sslmate.com/src/go-pkcs12"

	"github.com/tidelinehq/tideline/internal/pki"
)

// world is an authority with what it signed, in a directory.
type world struct {
	t      *testing.T
	dir    string
	ca     *pki.Authority
	broker *pki.Issued
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{t: t, dir: t.TempDir()}
	var err error
	if w.ca, err = pki.NewAuthority("authority"); err != nil {
		t.Fatal(err)
	}
	if err := w.ca.Write(w.dir, "ca", "changeit"); err != nil {
		t.Fatal(err)
	}
	w.broker = w.issue("broker")
	return w
}

func (w *world) issue(name string) *pki.Issued {
	w.t.Helper()
	issued, err := w.ca.Issue(pki.Subject{Name: pkix.Name{CommonName: name, Organization: []string{"Tideline"}}, Hosts: []string{"127.0.0.1"}})
	if err != nil {
		w.t.Fatal(err)
	}
	if err := issued.Write(w.dir, name, "changeit"); err != nil {
		w.t.Fatal(err)
	}
	return issued
}

func (w *world) path(name string) string { return filepath.Join(w.dir, name) }

func (w *world) write(name string, content []byte) string {
	w.t.Helper()
	if err := os.WriteFile(w.path(name), content, 0o600); err != nil {
		w.t.Fatal(err)
	}
	return w.path(name)
}

func TestKeyPairs(t *testing.T) {
	w := newWorld(t)
	legacy, err := pkcs12.LegacyDES.Encode(w.broker.Key, w.broker.Certificate, []*x509.Certificate{w.ca.Certificate}, "changeit")
	if err != nil {
		t.Fatal(err)
	}
	squeeze := func(b []byte) string { return strings.ReplaceAll(string(b), "\n", " ") }
	ec, err := x509.MarshalECPrivateKey(w.broker.Key)
	if err != nil {
		t.Fatal(err)
	}
	old := pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: ec})
	for name, s := range map[string]Store{
		"PEM file":           {Location: w.path("broker.both.pem"), Type: "PEM"},
		"PEM file, untold":   {Location: w.path("broker.both.pem")},
		"PKCS12":             {Location: w.path("broker.p12"), Type: "PKCS12", Password: "changeit"},
		"PKCS12, untold":     {Location: w.path("broker.p12"), Password: "changeit"},
		"PKCS12 for JKS":     {Location: w.path("broker.p12"), Type: "JKS", Password: "changeit"},
		"old PKCS12":         {Location: w.write("legacy.p12", legacy), Password: "changeit"},
		"settings":           {Key: string(w.broker.KeyPEM()), Certificates: string(w.broker.PEM())},
		"settings in a line": {Key: squeeze(w.broker.KeyPEM()), Certificates: squeeze(w.broker.PEM())},
		"SEC 1":              {Key: string(old), Certificates: string(w.broker.PEM())},
	} {
		pair, err := s.KeyPair()
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if len(pair.Certificate) != 2 || !pair.Leaf.Equal(w.broker.Certificate) || !pair.PrivateKey.(*ecdsa.PrivateKey).Equal(w.broker.Key) {
			t.Errorf("%s: %d certificates, of %s", name, len(pair.Certificate), pair.Leaf.Subject)
		}
	}
	other := w.issue("other")
	for name, c := range map[string]struct {
		s    Store
		want string
	}{
		"no file":        {Store{Location: w.path("none")}, "no such file"},
		"JKS":            {Store{Location: w.write("jks", []byte{0xfe, 0xed, 0xfe, 0xed, 0, 0, 0, 2}), Type: "JKS"}, "keytool -importkeystore"},
		"wrong password": {Store{Location: w.path("broker.p12"), Password: "hunter2"}, errPassword.Error()},
		"no password":    {Store{Location: w.path("broker.p12")}, errPassword.Error()},
		"empty":          {Store{Location: w.write("empty", nil)}, "PKCS12 does not parse"},
		"no key":         {Store{Location: w.path("broker.pem")}, "no private key"},
		"no certificate": {Store{Location: w.path("broker.key")}, "no certificate"},
		"other key":      {Store{Key: string(other.KeyPEM()), Certificates: string(w.broker.PEM())}, "not that of the first certificate"},
		"half a key":     {Store{Key: "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", Certificates: string(w.broker.PEM())}, "does not parse"},
		"old encryption": {Store{Key: "-----BEGIN EC PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,00\n\nAAAA\n-----END EC PRIVATE KEY-----\n",
			Certificates: string(w.broker.PEM())}, "openssl pkcs8 -topk8"},
		"too large": {Store{Location: w.write("large", make([]byte, maxStoreBytes+1))}, "too large"},
	} {
		_, err := c.s.KeyPair()
		if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
}

func TestAuthorities(t *testing.T) {
	w := newWorld(t)
	for name, s := range map[string]Store{
		"PEM":                 {Location: w.path("ca.pem")},
		"trust store":         {Location: w.path("ca.p12"), Password: "changeit"},
		"beside a key":        {Location: w.path("broker.p12"), Password: "changeit"},
		"settings":            {Certificates: string(w.ca.PEM())},
		"trust store for JKS": {Location: w.path("ca.p12"), Type: "JKS", Password: "changeit"},
	} {
		certs, err := s.Authorities()
		if err != nil || len(certs) != 1 || !certs[0].Equal(w.ca.Certificate) {
			t.Errorf("%s: %d certificates, %v", name, len(certs), err)
		}
	}
	for name, s := range map[string]Store{
		"no file": {Location: w.path("none")}, "wrong password": {Location: w.path("ca.p12"), Password: "x"}, "a key": {Location: w.path("broker.key")},
		"JKS": {Location: w.write("jks", []byte{0xfe, 0xed, 0xfe, 0xed})},
	} {
		if certs, err := s.Authorities(); err == nil {
			t.Errorf("%s: %d certificates", name, len(certs))
		}
	}
	if s := (Store{Key: "hunter2", Password: "hunter2", KeyPassword: "hunter2"}); strings.Contains(s.String(), "hunter2") {
		t.Errorf("shows a secret: %s", s)
	}
}
