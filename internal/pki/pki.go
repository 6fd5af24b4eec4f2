package pki

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"

	"software.sslmate.com/src/go-pkcs12"
)

// Authority signs certificates.
type Authority struct {
	Certificate *x509.Certificate
	key         *ecdsa.PrivateKey
}

// Issued is a key with its certificate and that of the authority.
type Issued struct {
	Key         *ecdsa.PrivateKey
	Certificate *x509.Certificate
	authority   *Authority
}

// Lifetime is how long certificates last that do not say otherwise.
const Lifetime = 10 * 365 * 24 * time.Hour

// NewAuthority makes an authority.
func NewAuthority(name string) (*Authority, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("key of an authority: %w", err)
	}
	template := &x509.Certificate{
		SerialNumber: serial(), Subject: pkix.Name{CommonName: name}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(Lifetime),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
	}
	c, err := sign(template, template, key, key)
	if err != nil {
		return nil, err
	}
	return &Authority{c, key}, nil
}

// Subject is whom a certificate is for.
type Subject struct {
	Name pkix.Name
	// Hosts are names and addresses that a broker is reached by; none for a client.
	Hosts []string
	// Lifetime is Lifetime where it is 0.
	Lifetime time.Duration
}

// Issue makes a key and signs a certificate for it.
func (a *Authority) Issue(s Subject) (*Issued, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("key of a certificate: %w", err)
	}
	if s.Lifetime == 0 {
		s.Lifetime = Lifetime
	}
	template := &x509.Certificate{
		SerialNumber: serial(), Subject: s.Name, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(s.Lifetime),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	for _, host := range s.Hosts {
		if ip := net.ParseIP(host); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else {
			template.DNSNames = append(template.DNSNames, host)
		}
	}
	c, err := sign(template, a.Certificate, key, a.key)
	if err != nil {
		return nil, err
	}
	return &Issued{key, c, a}, nil
}

func sign(template, parent *x509.Certificate, key, by *ecdsa.PrivateKey) (*x509.Certificate, error) {
	der, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, by)
	if err != nil {
		return nil, fmt.Errorf("sign a certificate: %w", err)
	}
	c, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("read a certificate back: %w", err)
	}
	return c, nil
}

func serial() *big.Int {
	n, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		panic(err) // the system has no randomness
	}
	return n.Add(n, big.NewInt(1))
}

// PEM is the authority's certificate.
func (a *Authority) PEM() []byte { return certificatePEM(a.Certificate) }

// KeyPEM is the private key.
func (i *Issued) KeyPEM() []byte { return keyPEM(i.Key) }

// PEM is the certificate, and behind it that of the authority.
func (i *Issued) PEM() []byte {
	return append(certificatePEM(i.Certificate), i.authority.PEM()...)
}

// PKCS12 is key and certificates in one file, under a password.
func (i *Issued) PKCS12(password string) ([]byte, error) {
	b, err := pkcs12.Modern.Encode(i.Key, i.Certificate, []*x509.Certificate{i.authority.Certificate}, password)
	if err != nil {
		return nil, fmt.Errorf("write PKCS12: %w", err)
	}
	return b, nil
}

// TrustPKCS12 is the authority's certificate as Java has trust stores, under a password.
func (a *Authority) TrustPKCS12(password string) ([]byte, error) {
	b, err := pkcs12.Modern.EncodeTrustStore([]*x509.Certificate{a.Certificate}, password)
	if err != nil {
		return nil, fmt.Errorf("write PKCS12: %w", err)
	}
	return b, nil
}

func certificatePEM(c *x509.Certificate) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw})
}

func keyPEM(key *ecdsa.PrivateKey) []byte {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		panic(err) // a key of ours
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
}

// Write puts the forms of an issued certificate into a directory: <name>.pem has the
// certificates, <name>.key the key, <name>.both.pem all of them, <name>.p12 the same under
// the password. Files are replaced whole.
func (i *Issued) Write(dir, name, password string) error {
	store, err := i.PKCS12(password)
	if err != nil {
		return err
	}
	for file, content := range map[string][]byte{
		name + ".pem": i.PEM(), name + ".key": i.KeyPEM(), name + ".both.pem": append(i.KeyPEM(), i.PEM()...), name + ".p12": store,
	} {
		if err := replace(filepath.Join(dir, file), content); err != nil {
			return err
		}
	}
	return nil
}

// Write puts the authority into a directory: <name>.pem, <name>.p12 under the password,
// and <name>.key.
func (a *Authority) Write(dir, name, password string) error {
	store, err := a.TrustPKCS12(password)
	if err != nil {
		return err
	}
	for file, content := range map[string][]byte{name + ".pem": a.PEM(), name + ".p12": store, name + ".key": keyPEM(a.key)} {
		if err := replace(filepath.Join(dir, file), content); err != nil {
			return err
		}
	}
	return nil
}

// replace writes a file beside its place and moves it there, so that who reads it meets
// all of it.
func replace(path string, content []byte) error {
	if err := os.WriteFile(path+".new", content, 0o600); err != nil {
		return err
	}
	return os.Rename(path+".new", path)
}

// ReadAuthority reads what Write wrote.
func ReadAuthority(dir, name string) (*Authority, error) {
	certPEM, err := os.ReadFile(filepath.Join(dir, name+".pem"))
	if err != nil {
		return nil, err
	}
	secretPEM, err := os.ReadFile(filepath.Join(dir, name+".key"))
	if err != nil {
		return nil, err
	}
	certBlock, _ := pem.Decode(certPEM)
	secretBlock, _ := pem.Decode(secretPEM)
	if certBlock == nil || secretBlock == nil {
		return nil, fmt.Errorf("no PEM: dir=%s name=%s", dir, name)
	}
	c, err := x509.ParseCertificate(certBlock.Bytes)
	if err != nil {
		return nil, fmt.Errorf("authority: %w: dir=%s name=%s", err, dir, name)
	}
	key, err := x509.ParsePKCS8PrivateKey(secretBlock.Bytes)
	if err != nil {
		return nil, fmt.Errorf("key of an authority: %w: dir=%s name=%s", err, dir, name)
	}
	secret, ok := key.(*ecdsa.PrivateKey)
	if !ok {
		return nil, fmt.Errorf("key of an authority is of another kind: dir=%s name=%s", dir, name)
	}
	return &Authority{c, secret}, nil
}
