package broker

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"sync"
	"time"
)

// tlsFiles is the TLS of one of the broker's own ports, read from PEM files. It looks for new ones when a connection comes, which on these ports is
// seldom; what can not be read, or does not fit together, leaves the old in force.
type tlsFiles struct {
	certificate, key string
	ca               string // of the other side's certificates; "": none are asked for
	minVersion       uint16
	logger           *slog.Logger

	mu     sync.Mutex // guards what follows
	stamps [3]fileStamp
	config *tls.Config
}

// fileStamp tells one version of a file from another.
type fileStamp struct {
	size     int64
	modified time.Time
}

// maxPEMBytes bounds each of the files.
const maxPEMBytes = 1 << 20

// newTLSFiles reads the files for the first time.
func newTLSFiles(f *tlsFiles) (*tlsFiles, error) {
	f.stamps = f.look()
	var err error
	f.config, err = f.read()
	return f, err
}

// current is the TLS for one connection. It must not be changed.
func (f *tlsFiles) current() (*tls.Config, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	stamps := f.look()
	if stamps == f.stamps {
		return f.config, nil
	}
	f.stamps = stamps // one try for each version
	config, err := f.read()
	if err != nil {
		f.logger.Error("new TLS files are no good; the ones before stay in force", "certificate", f.certificate, "error", err)
		return f.config, nil
	}
	f.logger.Info("new TLS files are in force", "certificate", f.certificate)
	f.config = config
	return f.config, nil
}

func (f *tlsFiles) look() (stamps [3]fileStamp) {
	for i, path := range []string{f.certificate, f.key, f.ca} {
		if info, err := os.Stat(path); path != "" && err == nil {
			stamps[i] = fileStamp{info.Size(), info.ModTime()}
		}
	}
	return stamps
}

func (f *tlsFiles) read() (*tls.Config, error) {
	certificate, err := readPEM(f.certificate)
	if err != nil {
		return nil, err
	}
	key, err := readPEM(f.key)
	if err != nil {
		return nil, err
	}
	pair, err := tls.X509KeyPair(certificate, key)
	if err != nil {
		return nil, fmt.Errorf("certificate and key do not go together: %w certificate=%s key=%s", err, f.certificate, f.key)
	}
	config := &tls.Config{MinVersion: f.minVersion, Certificates: []tls.Certificate{pair}}
	if f.ca == "" {
		return config, nil
	}
	ca, err := readPEM(f.ca)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(ca) {
		return nil, fmt.Errorf("no certificates in PEM: file=%s", f.ca)
	}
	if err := vouched(&pair, pool); err != nil {
		return nil, fmt.Errorf("the others would refuse this certificate: %w certificate=%s ca=%s", err, f.certificate, f.ca)
	}
	config.RootCAs, config.ClientCAs, config.ClientAuth = pool, pool, tls.RequireAndVerifyClientCert
	return config, nil
}

// vouched proves that a certificate is good for both ends of a connection: better now than when the first broker connects.
func vouched(pair *tls.Certificate, pool *x509.CertPool) error {
	between := x509.NewCertPool()
	for _, der := range pair.Certificate[1:] {
		c, err := x509.ParseCertificate(der)
		if err != nil {
			return err
		}
		between.AddCert(c)
	}
	for _, usage := range []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth} {
		if _, err := pair.Leaf.Verify(x509.VerifyOptions{Roots: pool, Intermediates: between, KeyUsages: []x509.ExtKeyUsage{usage}}); err != nil {
			return err
		}
	}
	return nil
}

func readPEM(path string) ([]byte, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close() //nolint:errcheck // read only
	content, err := io.ReadAll(io.LimitReader(file, maxPEMBytes+1))
	switch {
	case err != nil:
		return nil, err
	case len(content) > maxPEMBytes:
		return nil, fmt.Errorf("file is larger than %d bytes: file=%s", maxPEMBytes, path)
	case !bytes.Contains(content, []byte("-----BEGIN ")):
		return nil, fmt.Errorf("%w: file=%s", errNoPEM, path)
	}
	return content, nil
}

var errNoPEM = errors.New("not a PEM file")
