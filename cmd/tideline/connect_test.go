package main

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
)

// writeCertificate makes a certificate for 127.0.0.1 that signed itself, and
// returns the files of certificate and key.
func writeCertificate(t *testing.T) (certFile, keyFile string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage:    x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	write := func(name, kind string, content []byte) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: content}), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	return write("cert.pem", "CERTIFICATE", der), write("key.pem", "EC PRIVATE KEY", keyDER)
}

// The client commands log in over mutual TLS with every mechanism, and say so
// when they may not.
func TestTLSAndSASL(t *testing.T) {
	cert, key := writeCertificate(t)
	pair, err := tls.LoadX509KeyPair(cert, key)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	text, err := os.ReadFile(cert)
	if err != nil || !pool.AppendCertsFromPEM(text) {
		t.Fatal(err)
	}
	options := []kfake.Opt{
		kfake.NumBrokers(1), kfake.EnableSASL(), kfake.SeedTopics(1, "orders"),
		kfake.TLS(&tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{pair}, ClientCAs: pool, ClientAuth: tls.RequireAndVerifyClientCert}),
	}
	mechanisms := []string{"PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"}
	for _, m := range mechanisms {
		options = append(options, kfake.Superuser(m, "user-"+m, "secret"))
	}
	cluster, err := kfake.NewCluster(options...)
	if err != nil {
		t.Fatal(err)
	}
	defer cluster.Close()
	run := func(password string, args ...string) (int, string) {
		var stdout, stderr bytes.Buffer
		p := &program{stdout: &stdout, stderr: &stderr, environ: []string{"TIDELINE_SASL_PASSWORD=" + password}}
		args = append(args, "--brokers", strings.Join(cluster.ListenAddrs(), ","), "--timeout", "5s")
		return p.run(context.Background(), args), stdout.String() + stderr.String()
	}
	secure := []string{"topic", "list", "--tls-ca", cert, "--tls-cert", cert, "--tls-key", key}
	for _, m := range mechanisms {
		if status, out := run("secret", append(secure, "--sasl-mechanism", m, "--sasl-user", "user-"+m)...); status != 0 || !strings.Contains(out, "orders") {
			t.Errorf("%s: status %d: %s", m, status, out)
		}
		if status, out := run("wrong", append(secure, "--sasl-mechanism", m, "--sasl-user", "user-"+m)...); status != 1 || strings.Contains(out, "wrong") {
			t.Errorf("%s with a wrong password: status %d: %s", m, status, out)
		}
	}
	passwordFile := filepath.Join(t.TempDir(), "password")
	if err := os.WriteFile(passwordFile, []byte("secret\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if status, out := run("", append(secure, "--sasl-mechanism", "plain", "--sasl-user", "user-PLAIN", "--sasl-password-file", passwordFile)...); status != 0 {
		t.Errorf("password file: status %d: %s", status, out)
	}
	if status, out := run("", "topic", "list", "--tls"); status != 1 || !strings.Contains(out, "certificate") {
		t.Errorf("unknown authority: status %d: %s", status, out)
	}
}
