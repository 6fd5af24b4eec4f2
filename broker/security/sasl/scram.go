package sasl

import (
	"crypto/hmac"
	"crypto/pbkdf2"
	"crypto/sha256"
	"crypto/sha512"
	"errors"
	"fmt"
	"hash"
	"math/big"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/xdg-go/scram"

	"github.com/tidelinehq/tideline/broker/security"
)

// Credential is what is kept of a user's password for one mechanism.
type Credential struct {
	Salt, StoredKey, ServerKey []byte
	Iterations                 int
}

// String leaves out what is secret.
func (c Credential) String() string { return fmt.Sprintf("credential{iterations=%d}", c.Iterations) }

// Token is a delegation token.
type Token struct {
	Owner   security.Principal
	Secret  string // base64 of its HMAC: the password of whoever has the token
	Expires time.Time
}

// String leaves out what is secret.
func (t Token) String() string { return "token{owner=" + t.Owner.String() + "}" }

// Scram are the users of SCRAM, and the tokens.
type Scram struct {
	// User looks for a user's credential for a mechanism.
	User func(mechanism, user string) (Credential, bool)
	// Token looks for a delegation token that counts; nil: there are none.
	Token func(id string, now time.Time) (Token, bool)
	// Seed makes up what an unknown user is answered with, the same on all brokers.
	Seed []byte
}

// scramKind is what the mechanisms differ in.
type scramKind struct {
	generator scram.HashGeneratorFcn
	hash      func() hash.Hash
	size      int
}

var scramKinds = map[string]scramKind{
	ScramSHA256: {scram.SHA256, sha256.New, sha256.Size},
	ScramSHA512: {scram.SHA512, sha512.New, sha512.Size},
}

// minIterations is Kafka's least number of iterations, and what it takes where none is given.
const minIterations = 4096

// scramExchange has two steps: names and nonces, then proofs.
type scramExchange struct {
	users     *Scram
	mechanism string
	kind      scramKind
	talk      *scram.ServerConversation
	now       time.Time
	known     bool
	principal *security.Principal
	expires   time.Time
}

func (s *Scram) exchange(mechanism string, kind scramKind) Exchange {
	return &scramExchange{users: s, mechanism: mechanism, kind: kind}
}

func (e *scramExchange) Claimed() string {
	if e.talk == nil {
		return ""
	}
	return e.talk.Username()
}

func (e *scramExchange) Step(in []byte, now time.Time) ([]byte, *Result, error) {
	if !utf8.Valid(in) {
		return nil, nil, errors.New("message of SCRAM is not UTF-8")
	}
	e.now = now
	if e.talk == nil {
		return e.first(string(in))
	}
	out, err := e.talk.Step(string(in))
	if err != nil {
		return nil, nil, errScramProof
	}
	if !e.talk.Valid() || !e.known {
		return nil, nil, errScramProof
	}
	return []byte(out), &Result{Principal: e.principal, Expires: e.expires}, nil
}

// errScramProof stands for all that is wrong with a proof: the library's own errors have
// parts of the messages in them.
var errScramProof = errors.New("proof of SCRAM is wrong, or there is no such user")

func (e *scramExchange) first(in string) ([]byte, *Result, error) {
	token := tokenAuthenticated(in)
	server, err := e.kind.generator.NewServer(func(name string) (scram.StoredCredentials, error) { return e.credential(name, token) })
	if err != nil {
		return nil, nil, fmt.Errorf("server of SCRAM: %w", err)
	}
	e.talk = server.NewConversation()
	out, err := e.talk.Step(in)
	if err != nil {
		return nil, nil, errors.New("first message of SCRAM does not parse")
	}
	if id := e.talk.AuthzID(); id != "" && id != e.talk.Username() {
		e.known = false
		return nil, nil, errOtherName
	}
	return []byte(out), nil, nil
}

// credential is what the exchange goes on with: the user's, the token's, or one that is made up.
func (e *scramExchange) credential(name string, token bool) (scram.StoredCredentials, error) {
	if name == "" || len(name) > maxNameBytes {
		return scram.StoredCredentials{}, errors.New("user's name is empty or too long")
	}
	salt := e.users.salt(e.mechanism, name)
	if token {
		return e.tokenCredential(name, salt)
	}
	c, ok := e.users.User(e.mechanism, name)
	if ok && c.Iterations >= minIterations {
		e.known = true
		e.principal = &security.Principal{Type: security.UserType, Name: name, Mechanism: e.mechanism}
		return scram.StoredCredentials{
			KeyFactors: scram.KeyFactors{Salt: string(c.Salt), Iters: c.Iterations}, StoredKey: c.StoredKey, ServerKey: c.ServerKey,
		}, nil
	}
	return scram.StoredCredentials{
		KeyFactors: scram.KeyFactors{Salt: salt, Iters: minIterations}, StoredKey: make([]byte, e.kind.size), ServerKey: make([]byte, e.kind.size),
	}, nil
}

// tokenCredential derives a token's credential, or as laboriously one of no token.
func (e *scramExchange) tokenCredential(id, salt string) (scram.StoredCredentials, error) {
	secret := "-"
	if e.users.Token != nil {
		if t, ok := e.users.Token(id, e.now); ok {
			owner := t.Owner
			owner.Token, owner.Mechanism = id, e.mechanism
			e.known, e.principal, e.expires, secret = true, &owner, t.Expires, t.Secret
		}
	}
	salted, err := pbkdf2.Key(e.kind.hash, secret, []byte(salt), minIterations, e.kind.size)
	if err != nil {
		return scram.StoredCredentials{}, fmt.Errorf("derive a token's key: %w", err)
	}
	client := mac(e.kind.hash, salted, "Client Key")
	stored := e.kind.hash()
	stored.Write(client)
	return scram.StoredCredentials{
		KeyFactors: scram.KeyFactors{Salt: salt, Iters: minIterations}, StoredKey: stored.Sum(nil), ServerKey: mac(e.kind.hash, salted, "Server Key"),
	}, nil
}

// salt makes up a salt for a name: 26 letters and digits, as Kafka draws them.
func (s *Scram) salt(mechanism, name string) string {
	text := new(big.Int).SetBytes(mac(sha256.New, s.Seed, mechanism+"\x00"+name)).Text(36)
	const size = 26
	for len(text) < size {
		text += "0"
	}
	return text[:size]
}

func mac(h func() hash.Hash, key []byte, text string) []byte {
	m := hmac.New(h, key)
	m.Write([]byte(text))
	return m.Sum(nil)
}

// tokenAuthenticated reports whether the first message says that the user's name is the id
// of a delegation token, by the extension tokenauth=true behind the nonce.
func tokenAuthenticated(first string) bool {
	parts := strings.Split(first, ",")
	for i := 4; i < len(parts); i++ {
		if key, value, _ := strings.Cut(parts[i], "="); key == "tokenauth" {
			return strings.EqualFold(value, "true")
		}
	}
	return false
}
