package objstoretest

import (
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"os"
	"path/filepath"

	"github.com/tidelinehq/tideline/internal/pki"
)

// makeCertificates makes an authority and a certificate for the server, as files where MinIO looks for them.
func (m *MinIO) makeCertificates(dir string) error {
	authority, err := pki.NewAuthority("object store")
	if err != nil {
		return err
	}
	issued, err := authority.Issue(pki.Subject{Name: pkix.Name{CommonName: "minio"}, Hosts: []string{"127.0.0.1"}})
	if err != nil {
		return err
	}
	m.certs, m.CAFile = filepath.Join(dir, "certs"), filepath.Join(dir, "ca.pem")
	m.secure = &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: x509.NewCertPool()}
	m.secure.RootCAs.AddCert(authority.Certificate)
	return errors.Join(
		os.MkdirAll(m.certs, 0o700),
		os.WriteFile(filepath.Join(m.certs, "public.crt"), issued.PEM(), 0o600),
		os.WriteFile(filepath.Join(m.certs, "private.key"), issued.KeyPEM(), 0o600),
		os.WriteFile(m.CAFile, authority.PEM(), 0o600),
	)
}
