package security

import (
	"crypto/hmac"
	"crypto/sha512"
)

// TokenProof returns what proves the possession of a delegation token, as Kafka computes
// it: HMAC-SHA-512 of the id under delegation.token.secret.key. Nothing keeps it; in base64
// it is the password with which a client authenticates by SCRAM, the id being the user.
func TokenProof(secretKey, id string) []byte {
	h := hmac.New(sha512.New, []byte(secretKey))
	h.Write([]byte(id))
	return h.Sum(nil)
}
