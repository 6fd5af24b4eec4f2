package open

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"os"

	"github.com/tidelinehq/tideline/tiering/objstore"
)

// maxCABytes bounds the file of authorities: the bundles of operating systems have a quarter of a MiB.
const maxCABytes = 4 << 20

// ReadTLS makes the TLS of stores from a PEM file with the authorities that vouch for them, "" for those of the system, and the lowest version that is
// spoken (tls.VersionTLS12 and so on).
func ReadTLS(caFile string, minVersion uint16) (*tls.Config, error) {
	c := &tls.Config{MinVersion: minVersion}
	if caFile == "" {
		return c, nil
	}
	f, err := os.Open(caFile)
	if err != nil {
		return nil, fmt.Errorf("authorities of the object store: %w", err)
	}
	pem, err := io.ReadAll(io.LimitReader(f, maxCABytes+1))
	_ = f.Close() // it was only read
	if err != nil {
		return nil, fmt.Errorf("authorities of the object store: %w", err)
	}
	c.RootCAs = x509.NewCertPool()
	if len(pem) > maxCABytes || !c.RootCAs.AppendCertsFromPEM(pem) {
		return nil, objstore.Errorf(objstore.ErrInvalid, "no certificates in PEM, or more than %d bytes file=%s", maxCABytes, caFile)
	}
	return c, nil
}
