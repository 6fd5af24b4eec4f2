package transport

import (
	"crypto/x509"
	"encoding/pem"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func pemBlock(t testing.TB, name string) []byte {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", name+".pem"))
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(text)
	if block == nil {
		t.Fatalf("no PEM: %s", name)
	}
	return block.Bytes
}

// What openssl 3 wrote of one key, under the password changeit.
func TestEncryptedKeys(t *testing.T) {
	plain := pemBlock(t, "plain")
	for _, name := range []string{"aes-128-cbc-hmacWithSHA1", "aes-192-cbc-hmacWithSHA384", "aes-256-cbc-hmacWithSHA256", "aes-256-cbc-hmacWithSHA512"} {
		der, err := decryptPKCS8(pemBlock(t, name), "changeit")
		if err != nil || string(der) != string(plain) {
			t.Errorf("%s: %v", name, err)
		}
		if der, err := decryptPKCS8(pemBlock(t, name), "wrong"); err == nil {
			if _, err := x509.ParsePKCS8PrivateKey(der); err == nil {
				t.Errorf("%s: a wrong password opens it", name)
			}
		}
	}
	for name, want := range map[string]string{"des3": "not AES-CBC", "scrypt": "not derived by PBKDF2", "plain": "does not parse"} {
		if _, err := decryptPKCS8(pemBlock(t, name), "changeit"); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	text, err := os.ReadFile(filepath.Join("testdata", "aes-256-cbc-hmacWithSHA256.pem"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := privateKeyPEM(text, "changeit"); err != nil {
		t.Error(err)
	}
	if _, err := privateKeyPEM(text, "wrong"); err == nil || strings.Contains(err.Error(), "wrong,") {
		t.Errorf("a wrong password: %v", err)
	}
}

func FuzzEncryptedKey(f *testing.F) {
	for _, name := range []string{"aes-128-cbc-hmacWithSHA1", "aes-256-cbc-hmacWithSHA512", "des3", "scrypt", "plain"} {
		f.Add(pemBlock(f, name))
	}
	f.Fuzz(func(t *testing.T, der []byte) {
		if plain, err := decryptPKCS8(der, "changeit"); err == nil && len(plain) > len(der) {
			t.Errorf("%d bytes of %d", len(plain), len(der))
		}
	})
}

func FuzzPEM(f *testing.F) {
	text, err := os.ReadFile(filepath.Join("testdata", "plain.pem"))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(text)
	f.Add([]byte("-----BEGIN CERTIFICATE----- AAAA -----END CERTIFICATE-----"))
	f.Fuzz(func(t *testing.T, text []byte) {
		if len(text) > 64<<10 {
			return
		}
		if certs, err := certificatesPEM(text); err == nil && len(certs) == 0 {
			t.Error("no certificates and no error")
		}
		if key, err := privateKeyPEM(text, ""); err == nil && key == nil {
			t.Error("no key and no error")
		}
	})
}
