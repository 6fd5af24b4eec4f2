package sasl

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/pbkdf2"
	"crypto/rand"
	"encoding/json"
	"hash"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"

	"github.com/tidelinehq/tideline/broker/security"
)

var now = time.Unix(1_700_000_000, 0)

// credentialOf is what is kept of a password.
func credentialOf(t testing.TB, h func() hash.Hash, password string) Credential {
	t.Helper()
	salted, err := pbkdf2.Key(h, password, []byte("salt"), minIterations, h().Size())
	if err != nil {
		t.Fatal(err)
	}
	stored := h()
	stored.Write(mac(h, salted, "Client Key"))
	return Credential{Salt: []byte("salt"), StoredKey: stored.Sum(nil), ServerKey: mac(h, salted, "Server Key"), Iterations: minIterations}
}

// issuer signs tokens.
type issuer struct {
	key  *ecdsa.PrivateKey
	path string // of its keys
}

func newIssuer(t testing.TB) *issuer {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	i := &issuer{key: key, path: filepath.Join(t.TempDir(), "jwks.json")}
	i.publish(t, "k1")
	return i
}

// publish writes the public key under a name.
func (i *issuer) publish(t testing.TB, id string) {
	t.Helper()
	text, err := json.Marshal(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: i.key.Public(), KeyID: id, Use: "sig", Algorithm: "ES256"}}})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(i.path, text, 0o600); err != nil {
		t.Fatal(err)
	}
}

// claims are those of a good token; more replaces some, nil takes one away.
func claims(more map[string]any) map[string]any {
	c := map[string]any{"iss": "issuer", "aud": "kafka", "sub": "alice", "iat": now.Unix() - 10, "exp": now.Unix() + 600}
	for k, v := range more {
		if c[k] = v; v == nil {
			delete(c, k)
		}
	}
	return c
}

func (i *issuer) sign(t testing.TB, id string, c map[string]any) string {
	t.Helper()
	options := &jose.SignerOptions{}
	if id != "" {
		options = options.WithHeader("kid", id)
	}
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: i.key}, options)
	if err != nil {
		t.Fatal(err)
	}
	text, err := jwt.Signed(signer).Claims(c).Serialize()
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func (i *issuer) bearer(t testing.TB) *Bearer {
	t.Helper()
	keys, err := NewKeySet(KeyOptions{URL: "file://" + i.path, Poll: time.Hour, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	return &Bearer{
		Keys: keys, Audience: []string{"kafka", "other"}, Issuer: "issuer", Skew: 30 * time.Second, ScopeClaim: "scope", SubClaim: "sub", GroupsClaim: "groups",
	}
}

// newTestServer has all mechanisms, alice with the password secret, and the token t1 of bob.
func newTestServer(t testing.TB, b *Bearer) *Server {
	t.Helper()
	users, err := ParseUsers("alice:secret\n")
	if err != nil {
		t.Fatal(err)
	}
	credentials := map[string]Credential{
		ScramSHA256: credentialOf(t, scramKinds[ScramSHA256].hash, "secret"), ScramSHA512: credentialOf(t, scramKinds[ScramSHA512].hash, "secret"),
	}
	s, err := NewServer(Options{
		MaxBytes: 16 << 10, Plain: users.Judge, ScramMechanisms: []string{ScramSHA256, ScramSHA512}, Bearer: b,
		Scram: &Scram{
			Seed: []byte("seed"),
			User: func(mechanism, user string) (Credential, bool) {
				c, ok := credentials[mechanism]
				return c, ok && user == "alice"
			},
			Token: func(id string, at time.Time) (Token, bool) {
				return Token{Owner: security.Principal{Type: security.UserType, Name: "bob"}, Secret: "proof", Expires: now.Add(time.Minute)},
					id == "t1" && at.Before(now.Add(time.Minute))
			},
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func start(t testing.TB, s *Server, mechanism string) Exchange {
	t.Helper()
	e, ok := s.Start(mechanism)
	if !ok {
		t.Fatalf("no %s", mechanism)
	}
	return e
}
