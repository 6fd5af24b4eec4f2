package open_test

import (
	"bytes"
	"crypto/tls"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/tidelinehq/tideline/tiering/objstore"
	"github.com/tidelinehq/tideline/tiering/objstore/objstoretest"
	"github.com/tidelinehq/tideline/tiering/objstore/open"
)

// TestTLS speaks with a real server over TLS by both drivers: with its authority, and without, which is refused at once.
func TestTLS(t *testing.T) {
	m := objstoretest.StartMinIOTLS(t)
	for _, driver := range []string{open.DriverMinIO, open.DriverAWS} {
		for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
			secure, err := open.ReadTLS(m.CAFile, version)
			if err != nil {
				t.Fatal(err)
			}
			s, err := open.Open(t.Context(), m.URL(driver, objstoretest.Prefix(t)), open.Options{TLS: secure})
			if err != nil {
				t.Fatal(err)
			}
			if err := open.Wait(t.Context(), s, nil); err != nil {
				t.Fatalf("%s: %v", driver, err)
			}
			content := []byte("over TLS")
			if _, err := s.Put(t.Context(), objstore.RootKey, objstore.BytesBody(content), objstore.Condition{}); err != nil {
				t.Errorf("%s: put: %v", driver, err)
			}
			got, _, err := objstore.ReadAll(t.Context(), s, objstore.RootKey, 1024)
			if err != nil || !bytes.Equal(got, content) {
				t.Errorf("%s: got %q: %v", driver, got, err)
			}
			if err := s.Close(); err != nil {
				t.Error(err)
			}
		}
		s, err := open.Open(t.Context(), m.URL(driver, "p"), open.Options{})
		if err != nil {
			t.Fatal(err)
		}
		if err := open.Wait(t.Context(), s, nil); !errors.Is(err, objstore.ErrDenied) {
			t.Errorf("%s: a server that nobody vouches for: %v", driver, err)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
}

func TestReadTLS(t *testing.T) {
	if c, err := open.ReadTLS("", tls.VersionTLS13); err != nil || c.RootCAs != nil || c.MinVersion != tls.VersionTLS13 {
		t.Errorf("without a file: %+v %v", c, err)
	}
	if _, err := open.ReadTLS(filepath.Join(t.TempDir(), "none"), tls.VersionTLS12); err == nil {
		t.Error("a file that is not there passes")
	}
	for name, content := range map[string][]byte{"empty": nil, "no PEM": []byte("hello"), "long": make([]byte, 4<<20+1)} {
		path := filepath.Join(t.TempDir(), "ca.pem")
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := open.ReadTLS(path, tls.VersionTLS12); err == nil {
			t.Errorf("%s passes", name)
		}
	}
}
