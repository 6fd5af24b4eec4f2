package transport

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/pbkdf2"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"fmt"
	"hash"
)

// maxIterations bounds the work of deriving a key: a file that asks for more is hostile,
// or would stop the start of the broker for minutes.
const maxIterations = 10_000_000

var errPassword = errors.New("the password is missing or wrong")

var (
	oidPBES2      = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 5, 13}
	oidPBKDF2     = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 5, 12}
	oidHMACSHA1   = asn1.ObjectIdentifier{1, 2, 840, 113549, 2, 7}
	oidHMACSHA256 = asn1.ObjectIdentifier{1, 2, 840, 113549, 2, 9}
	oidHMACSHA384 = asn1.ObjectIdentifier{1, 2, 840, 113549, 2, 10}
	oidHMACSHA512 = asn1.ObjectIdentifier{1, 2, 840, 113549, 2, 11}
	oidAES128CBC  = asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 1, 2}
	oidAES192CBC  = asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 1, 22}
	oidAES256CBC  = asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 1, 42}
)

// The structures of RFC 8018.
type encryptedKey struct {
	Algorithm pkix.AlgorithmIdentifier
	Data      []byte
}

type pbes2 struct {
	Derivation pkix.AlgorithmIdentifier
	Encryption pkix.AlgorithmIdentifier
}

type pbkdf2Params struct {
	Salt       []byte
	Iterations int
	KeyLength  int                      `asn1:"optional"`
	PRF        pkix.AlgorithmIdentifier `asn1:"optional"`
}

// decryptPKCS8 opens an encrypted private key of PKCS #8: PBES2 with PBKDF2 and AES, which
// is what openssl and Java write.
func decryptPKCS8(der []byte, password string) ([]byte, error) {
	var k encryptedKey
	if rest, err := asn1.Unmarshal(der, &k); err != nil || len(rest) > 0 {
		return nil, errors.New("encrypted private key does not parse")
	}
	if !k.Algorithm.Algorithm.Equal(oidPBES2) {
		return nil, fmt.Errorf("private key is encrypted in a way that is not PBES2: algorithm=%s", k.Algorithm.Algorithm)
	}
	var p pbes2
	if rest, err := asn1.Unmarshal(k.Algorithm.Parameters.FullBytes, &p); err != nil || len(rest) > 0 {
		return nil, errors.New("encrypted private key has parameters that do not parse")
	}
	if !p.Derivation.Algorithm.Equal(oidPBKDF2) {
		return nil, fmt.Errorf("private key is encrypted by a key that is not derived by PBKDF2: algorithm=%s", p.Derivation.Algorithm)
	}
	var d pbkdf2Params
	if rest, err := asn1.Unmarshal(p.Derivation.Parameters.FullBytes, &d); err != nil || len(rest) > 0 {
		return nil, errors.New("encrypted private key has a derivation that does not parse")
	}
	if d.Iterations < 1 || d.Iterations > maxIterations {
		return nil, fmt.Errorf("encrypted private key asks for too much work: iterations=%d limit=%d", d.Iterations, maxIterations)
	}
	length := map[string]int{oidAES128CBC.String(): 16, oidAES192CBC.String(): 24, oidAES256CBC.String(): 32}[p.Encryption.Algorithm.String()]
	if length == 0 || d.KeyLength != 0 && d.KeyLength != length {
		return nil, fmt.Errorf("private key is encrypted by a cipher that is not AES-CBC: algorithm=%s", p.Encryption.Algorithm)
	}
	var iv []byte
	if rest, err := asn1.Unmarshal(p.Encryption.Parameters.FullBytes, &iv); err != nil || len(rest) > 0 || len(iv) != aes.BlockSize {
		return nil, errors.New("encrypted private key has no initial vector")
	}
	digest, err := digestOf(d.PRF.Algorithm)
	if err != nil {
		return nil, err
	}
	key, err := pbkdf2.Key(digest, password, d.Salt, d.Iterations, length)
	if err != nil {
		return nil, fmt.Errorf("derive the key of a private key: %w", err)
	}
	return decryptCBC(key, iv, k.Data)
}

// digestOf is the hash of a pseudo-random function; SHA-1 where none is named.
func digestOf(prf asn1.ObjectIdentifier) (func() hash.Hash, error) {
	switch {
	case len(prf) == 0, prf.Equal(oidHMACSHA1):
		return sha1.New, nil
	case prf.Equal(oidHMACSHA256):
		return sha256.New, nil
	case prf.Equal(oidHMACSHA384):
		return sha512.New384, nil
	case prf.Equal(oidHMACSHA512):
		return sha512.New, nil
	}
	return nil, fmt.Errorf("private key is encrypted by a key of an unknown function: algorithm=%s", prf)
}

func decryptCBC(key, iv, data []byte) ([]byte, error) {
	if len(data) == 0 || len(data)%aes.BlockSize != 0 {
		return nil, errors.New("encrypted private key is cut off")
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, fmt.Errorf("cipher of a private key: %w", err)
	}
	plain := make([]byte, len(data))
	cipher.NewCBCDecrypter(block, iv).CryptBlocks(plain, data)
	pad := int(plain[len(plain)-1])
	if pad < 1 || pad > aes.BlockSize {
		return nil, errPassword
	}
	for _, b := range plain[len(plain)-pad:] {
		if int(b) != pad {
			return nil, errPassword
		}
	}
	return plain[:len(plain)-pad], nil
}
