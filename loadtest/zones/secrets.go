//go:build linux

package main

import (
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/tidelinehq/tideline/internal/pki"
)

// imageSecrets is where a machine finds its secrets, in place of a cloud's store of secrets: user data refers to them there.
const imageSecrets = "/etc/zones-image/"

// Parts of what certify makes, by the name of their file; NODE is the machine's number.
const (
	authorityFile = "ca.pem"
	storeFile     = "keystore-NODE.pem"
	certFile      = "peer-NODE.pem"
	keyFile       = "peer-NODE.key"
)

func ofNode(file string, id int) string { return strings.ReplaceAll(file, "NODE", strconv.Itoa(id)) }

// reference is how user data names one; {node} is for the module to fill in.
func reference(file string) string {
	return "file:" + imageSecrets + strings.ReplaceAll(file, "NODE", "{node}")
}

// certificateReferences is the variable tls of the module: clients and brokers are spoken to by TLS alone.
func certificateReferences() map[string]any {
	return map[string]any{
		"keystore": reference(storeFile), "peer_certificate": reference(certFile), "peer_key": reference(keyFile), "peer_ca": reference(authorityFile),
	}
}

// environmentReferences is the variable secrets of the module: what the broker has in its environment.
func environmentReferences() map[string]any {
	out := map[string]any{}
	for _, v := range storeEnvironment {
		name, _, _ := strings.Cut(v, "=")
		out["env:"+name] = reference(name)
	}
	return out
}

func (o *options) certificates(file string) string { return filepath.Join(o.Dir, "certificates", file) }

// certify makes an authority for this run.
func certify(o *options) error {
	if err := os.MkdirAll(o.certificates(""), 0o700); err != nil {
		return err
	}
	ca, err := pki.NewAuthority("zones")
	if err != nil {
		return err
	}
	return ca.Write(o.certificates(""), "ca", "zones")
}

// issue has the authority vouch for a machine, with a key that is new, and returns the files for it.
func issue(o *options, p plan) (map[string]string, error) {
	ca, err := pki.ReadAuthority(o.certificates(""), "ca")
	if err != nil {
		return nil, err
	}
	issued, err := ca.Issue(pki.Subject{Name: pkix.Name{CommonName: p.host()}, Hosts: []string{p.host()}})
	if err != nil {
		return nil, err
	}
	return map[string]string{
		authorityFile:           string(ca.PEM()),
		ofNode(storeFile, p.id): string(issued.KeyPEM()) + string(issued.PEM()),
		ofNode(certFile, p.id):  string(issued.PEM()),
		ofNode(keyFile, p.id):   string(issued.KeyPEM()),
	}, nil
}

// secretsOf are all secrets of a machine.
func secretsOf(o *options, p plan) (map[string]string, error) {
	files, err := issue(o, p)
	if err != nil {
		return nil, err
	}
	for _, v := range storeEnvironment {
		name, value, _ := strings.Cut(v, "=")
		files[name] = value + "\n"
	}
	return files, nil
}

// trust is how clients in the region know a broker.
func trust(o *options) (*tls.Config, error) {
	text, err := os.ReadFile(o.certificates(authorityFile))
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(text) {
		return nil, fmt.Errorf("no certificate path=%s", o.certificates(authorityFile))
	}
	return &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}, nil
}
