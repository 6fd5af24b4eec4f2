package transport

import (
	"bytes"
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"software.sslmate.com/src/go-pkcs12"
)

// Bounds of what is read.
const (
	maxStoreBytes   = 4 << 20
	maxCertificates = 10_000
)

// Store says where keys or certificates are.
type Store struct {
	Location string // a file, or a directory with files of PEM, see read
	Type     string // PEM, PKCS12 or JKS; empty: told by the file
	Password string // of a PKCS12 file
	// In place of a file.
	Key, Certificates string
	// KeyPassword opens a private key in PEM.
	KeyPassword string
}

// String leaves out what is secret.
func (s Store) String() string { return fmt.Sprintf("store{location=%q type=%q}", s.Location, s.Type) }

// errJKS is what to do about a JKS file.
var errJKS = errors.New("JKS files are not read: make a PKCS12 file of it with keytool -importkeystore -deststoretype pkcs12")

// Files of a directory, as Kubernetes and cert-manager name what they write.
const (
	certificateFile = "tls.crt"
	keyFile         = "tls.key"
	authorityFile   = "ca.crt"
)

// keyFiles and trustFiles are what the directory of a key store and that of a trust store have.
var (
	keyFiles   = []string{certificateFile, keyFile}
	trustFiles = []string{authorityFile}
)

// paths returns the files that the store is read from: its own, or those of its directory.
func (s Store) paths(inDirectory []string) []string {
	if info, err := os.Stat(s.Location); err != nil || !info.IsDir() {
		return []string{s.Location}
	}
	paths := make([]string, len(inDirectory))
	for i, name := range inDirectory {
		paths[i] = filepath.Join(s.Location, name)
	}
	return paths
}

// read returns the bytes of the file, or of the files of its directory one after the other,
// and the form that they have.
func (s Store) read(inDirectory []string) (content []byte, form string, err error) {
	for i, path := range s.paths(inDirectory) {
		if i > 0 {
			content = append(content, '\n') // the one before may have none at its end
		}
		if content, err = appendFile(content, path); err != nil {
			return nil, "", err
		}
	}
	switch {
	case bytes.HasPrefix(content, []byte{0xfe, 0xed, 0xfe, 0xed}), bytes.HasPrefix(content, []byte{0xce, 0xce, 0xce, 0xce}):
		return nil, "", errJKS
	case s.Type == "PEM", s.Type != "PKCS12" && bytes.Contains(content, []byte("-----BEGIN ")):
		return content, "PEM", nil
	}
	return content, "PKCS12", nil
}

// appendFile appends what is in a file.
func appendFile(content []byte, path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }() // it was read only
	more, err := io.ReadAll(io.LimitReader(f, maxStoreBytes+1))
	if err != nil {
		return nil, err
	}
	if len(content)+len(more) > maxStoreBytes {
		return nil, fmt.Errorf("store is too large: limit=%d", maxStoreBytes)
	}
	return append(content, more...), nil
}

// KeyPair returns the broker's certificate with its key.
func (s Store) KeyPair() (tls.Certificate, error) {
	if s.Location == "" {
		return keyPairPEM([]byte(s.Certificates), []byte(s.Key), s.KeyPassword)
	}
	content, form, err := s.read(keyFiles)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("key store: %w: path=%s", err, s.Location)
	}
	var pair tls.Certificate
	if form == "PEM" {
		pair, err = keyPairPEM(content, content, s.KeyPassword)
	} else {
		pair, err = keyPairPKCS12(content, s.Password)
	}
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("key store: %w: path=%s", err, s.Location)
	}
	return pair, nil
}

// Authorities returns the certificates of the store.
func (s Store) Authorities() ([]*x509.Certificate, error) {
	if s.Location == "" {
		return certificatesPEM([]byte(s.Certificates))
	}
	content, form, err := s.read(trustFiles)
	if err != nil {
		return nil, fmt.Errorf("trust store: %w: path=%s", err, s.Location)
	}
	var certs []*x509.Certificate
	if form == "PEM" {
		certs, err = certificatesPEM(content)
	} else {
		certs, err = authoritiesPKCS12(content, s.Password)
	}
	if err != nil {
		return nil, fmt.Errorf("trust store: %w: path=%s", err, s.Location)
	}
	return certs, nil
}

// given reports whether the store is named at all.
func (s Store) given() bool { return s.Location != "" || s.Certificates != "" || s.Key != "" }

// keyPairPEM reads the first private key and all certificates.
func keyPairPEM(chain, key []byte, password string) (tls.Certificate, error) {
	certs, err := certificatesPEM(chain)
	if err != nil {
		return tls.Certificate{}, err
	}
	private, err := privateKeyPEM(key, password)
	if err != nil {
		return tls.Certificate{}, err
	}
	return pairOf(private, certs)
}

// pairOf puts key and chain together, if the key is that of the first certificate.
func pairOf(private crypto.PrivateKey, certs []*x509.Certificate) (tls.Certificate, error) {
	signer, ok := private.(crypto.Signer)
	if !ok {
		return tls.Certificate{}, errors.New("private key can not sign")
	}
	public, ok := signer.Public().(interface{ Equal(crypto.PublicKey) bool })
	if !ok || !public.Equal(certs[0].PublicKey) {
		return tls.Certificate{}, errors.New("private key is not that of the first certificate")
	}
	pair := tls.Certificate{PrivateKey: private, Leaf: certs[0]}
	for _, c := range certs {
		pair.Certificate = append(pair.Certificate, c.Raw)
	}
	return pair, nil
}

// oneLine finds PEM that lost its line ends, as in a file of properties.
var oneLine = regexp.MustCompile(`[ \t]*-----BEGIN ([A-Z0-9 ]+)-----([A-Za-z0-9+/=\s]+)-----END ([A-Z0-9 ]+)-----`)

// lines gives PEM its line ends back.
func lines(text []byte) []byte {
	return oneLine.ReplaceAllFunc(text, func(block []byte) []byte {
		m := oneLine.FindSubmatch(block)
		body := strings.Join(strings.Fields(string(m[2])), "")
		return fmt.Appendf(nil, "-----BEGIN %s-----\n%s\n-----END %s-----\n", m[1], body, m[3])
	})
}

func certificatesPEM(text []byte) ([]*x509.Certificate, error) {
	var certs []*x509.Certificate
	for rest := lines(text); ; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			break
		}
		if block.Type != "CERTIFICATE" {
			continue
		}
		if len(certs) == maxCertificates {
			return nil, fmt.Errorf("too many certificates: limit=%d", maxCertificates)
		}
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("certificate does not parse: %w: number=%d", err, len(certs)+1)
		}
		certs = append(certs, c)
	}
	if len(certs) == 0 {
		return nil, errors.New("no certificate in PEM")
	}
	return certs, nil
}

// privateKeyPEM reads the first private key. Errors of the parsers are not passed on: they
// could show parts of it.
func privateKeyPEM(text []byte, password string) (crypto.PrivateKey, error) {
	for rest := lines(text); ; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			return nil, errors.New("no private key in PEM")
		}
		der := block.Bytes
		switch {
		case !strings.HasSuffix(block.Type, "PRIVATE KEY"):
			continue
		case block.Headers["DEK-Info"] != "":
			return nil, errors.New("private key is encrypted in the old way of PEM: make PKCS #8 of it with openssl pkcs8 -topk8")
		case block.Type == "ENCRYPTED PRIVATE KEY":
			var err error
			if der, err = decryptPKCS8(der, password); err != nil {
				return nil, err
			}
		}
		if key, err := x509.ParsePKCS8PrivateKey(der); err == nil {
			return key, nil
		}
		if key, err := x509.ParsePKCS1PrivateKey(der); err == nil {
			return key, nil
		}
		if key, err := x509.ParseECPrivateKey(der); err == nil {
			return key, nil
		}
		if block.Type == "ENCRYPTED PRIVATE KEY" {
			return nil, errPassword
		}
		return nil, errors.New("private key does not parse")
	}
}

func keyPairPKCS12(content []byte, password string) (tls.Certificate, error) {
	key, cert, chain, err := pkcs12.DecodeChain(content, password)
	if err != nil {
		return tls.Certificate{}, pkcs12Error(err)
	}
	return pairOf(key, append([]*x509.Certificate{cert}, chain...))
}

// authoritiesPKCS12 reads a trust store of Java, or else the authorities that lie beside a key.
func authoritiesPKCS12(content []byte, password string) ([]*x509.Certificate, error) {
	certs, err := pkcs12.DecodeTrustStore(content, password)
	if err != nil {
		var chain []*x509.Certificate
		if _, _, chain, err = pkcs12.DecodeChain(content, password); err != nil {
			return nil, pkcs12Error(err)
		}
		certs = chain
	}
	if len(certs) == 0 {
		return nil, errors.New("no certificate in PKCS12")
	}
	if len(certs) > maxCertificates {
		return nil, fmt.Errorf("too many certificates: limit=%d", maxCertificates)
	}
	return certs, nil
}

func pkcs12Error(err error) error {
	if errors.Is(err, pkcs12.ErrIncorrectPassword) {
		return errPassword
	}
	return fmt.Errorf("PKCS12 does not parse: %w", err)
}
