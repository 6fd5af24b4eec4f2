package transport

import (
	"log/slog"
	"os"
	"path/filepath"
	"testing"

	"github.com/tidelinehq/tideline/internal/pki"
)

// mountSecret lays files into a directory as Kubernetes does: in a directory of their own behind a link that
// is changed at once.
func mountSecret(t *testing.T, dir, version string, files map[string][]byte) {
	t.Helper()
	if err := os.MkdirAll(filepath.Join(dir, version), 0o700); err != nil {
		t.Fatal(err)
	}
	for name, content := range files {
		if err := os.WriteFile(filepath.Join(dir, version, name), content, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(filepath.Join("..data", name), filepath.Join(dir, name)); err != nil && !os.IsExist(err) {
			t.Fatal(err)
		}
	}
	next := filepath.Join(dir, "..data_tmp")
	if err := os.Symlink(version, next); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(next, filepath.Join(dir, "..data")); err != nil {
		t.Fatal(err)
	}
}

// TestDirectory takes key, certificate and authority from a directory, and new ones from it while it serves.
func TestDirectory(t *testing.T) {
	w := newWorld(t)
	w.issue("alice")
	dir := filepath.Join(w.dir, "secret")
	secret := func(i *pki.Issued) map[string][]byte {
		return map[string][]byte{"tls.crt": i.PEM(), "tls.key": i.KeyPEM(), "ca.crt": w.ca.PEM()}
	}
	mountSecret(t, dir, "..1", secret(w.broker))
	s := w.settings()
	s.Key, s.Trust = Store{Location: dir}, Store{Location: dir}
	l, err := NewListener("L", s, slog.New(slog.DiscardHandler), nil)
	if err != nil {
		t.Fatal(err)
	}
	subject := func() string {
		t.Helper()
		state, p, err := shake(t, l, w.client("alice"))
		if err != nil || p.String() != "User:ALICE" {
			t.Fatalf("%v %v", p, err)
		}
		return state.PeerCertificates[0].Subject.CommonName
	}
	if got := subject(); got != "broker" {
		t.Errorf("certificate of %s", got)
	}
	second := w.issue("second")
	half := secret(second)
	half["tls.crt"] = w.broker.PEM()
	mountSecret(t, dir, "..2", half)
	l.Poll()
	if got := subject(); got != "broker" {
		t.Errorf("a key without its certificate: that of %s", got)
	}
	mountSecret(t, dir, "..3", secret(second))
	l.Poll()
	if got := subject(); got != "second" {
		t.Errorf("certificate of %s", got)
	}
	if _, err := (Store{Location: w.dir}).KeyPair(); err == nil {
		t.Error("a directory without the files is a key store")
	}
	if _, err := (Store{Location: dir, Type: "PKCS12"}).KeyPair(); err == nil {
		t.Error("PEM passes for PKCS12")
	}
}
