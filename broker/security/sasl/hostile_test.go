package sasl

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/binary"
	"encoding/json"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
	"github.com/xdg-go/scram"

	"github.com/tidelinehq/tideline/broker/security"
)

const (
	rightPassword = "right-horse-battery"
	tokenSecret   = "dG9rZW4tc2VjcmV0LWhtYWM="
)

var today = time.Unix(1_800_000_000, 0)

// testServer knows alice by all mechanisms, and one delegation token.
func testServer(tb testing.TB) (*Server, *ecdsa.PrivateKey) {
	tb.Helper()
	users, err := ParseUsers("alice:" + rightPassword + "\n")
	if err != nil {
		tb.Fatal(err)
	}
	credentials := map[string]Credential{}
	for name, kind := range scramKinds {
		client, err := kind.generator.NewClient("alice", rightPassword, "")
		if err != nil {
			tb.Fatal(err)
		}
		stored, err := client.GetStoredCredentialsWithError(scram.KeyFactors{Salt: "0123456789abcdef", Iters: minIterations})
		if err != nil {
			tb.Fatal(err)
		}
		credentials[name] = Credential{Salt: []byte("0123456789abcdef"), StoredKey: stored.StoredKey, ServerKey: stored.ServerKey, Iterations: minIterations}
	}
	signer, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		tb.Fatal(err)
	}
	keys, err := json.Marshal(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: signer.Public(), KeyID: "k1", Use: "sig", Algorithm: "ES256"}}})
	if err != nil {
		tb.Fatal(err)
	}
	path := filepath.Join(tb.TempDir(), "jwks.json")
	if err := os.WriteFile(path, keys, 0o600); err != nil {
		tb.Fatal(err)
	}
	set, err := NewKeySet(KeyOptions{URL: "file://" + path, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		tb.Fatal(err)
	}
	s, err := NewServer(Options{
		MaxBytes: 512 << 10, Plain: users.Judge, ScramMechanisms: []string{ScramSHA256, ScramSHA512},
		Scram: &Scram{
			Seed: []byte("seed"),
			User: func(mechanism, user string) (Credential, bool) {
				c, ok := credentials[mechanism]
				return c, ok && user == "alice"
			},
			Token: func(id string, now time.Time) (Token, bool) {
				return Token{Owner: security.Principal{Type: security.UserType, Name: "owner"}, Secret: tokenSecret, Expires: now.Add(time.Hour)}, id == "token-1"
			},
		},
		Bearer: &Bearer{Keys: set, Audience: []string{"kafka"}, Issuer: "issuer", SubClaim: "sub", ScopeClaim: "scope", GroupsClaim: "groups"},
	})
	if err != nil {
		tb.Fatal(err)
	}
	return s, signer
}

// jwtOf is a token of alice's, signed by a key that may be any.
func jwtOf(tb testing.TB, key any, algorithm jose.SignatureAlgorithm) string {
	tb.Helper()
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: algorithm, Key: key}, (&jose.SignerOptions{}).WithHeader("kid", "k1"))
	if err != nil {
		tb.Fatal(err)
	}
	text, err := jwt.Signed(signer).Claims(map[string]any{
		"iss": "issuer", "aud": "kafka", "sub": "alice", "iat": today.Unix(), "exp": today.Add(time.Hour).Unix(), "groups": []string{"ops"},
	}).Serialize()
	if err != nil {
		tb.Fatal(err)
	}
	return text
}

// edited changes bytes: each edit is an operation, a place and a byte.
func edited(b, edits []byte) []byte {
	b = slices.Clone(b)
	for ; len(edits) >= 4 && len(b) > 0; edits = edits[4:] {
		at, c := int(binary.BigEndian.Uint16(edits[1:]))%len(b), edits[3]
		switch edits[0] % 6 {
		case 0:
			b[at] = c
		case 1:
			b = slices.Insert(b, at, c)
		case 2:
			b = slices.Delete(b, at, at+1)
		case 3:
			b = b[:at]
		case 4:
			b = slices.Insert(b, at, []byte(",tokenauth=true")...)
		case 5:
			b = slices.Insert(b, at, bytes.Repeat([]byte{c}, int(c)<<4)...)
		}
	}
	return b
}

// step takes a step, and checks what holds of all of them.
func step(t *testing.T, e Exchange, in []byte) ([]byte, *Result, error) {
	t.Helper()
	out, done, err := e.Step(in, today)
	if err != nil && (done != nil || strings.Contains(err.Error(), rightPassword) || strings.Contains(err.Error(), tokenSecret)) {
		t.Fatalf("%v %v", done, err)
	}
	if done != nil && (done.Principal == nil || done.Principal.Name == "") {
		t.Fatalf("nobody has proved to be somebody: %+v", done)
	}
	_ = e.Claimed()
	return out, done, err
}

// FuzzScram conducts exchanges by a client that does as it should, but that some bytes of
// what it says are changed. Only who has the secret gets in, and only as who he is.
func FuzzScram(f *testing.F) {
	f.Add(false, uint8(0), "alice", []byte{}, []byte{})
	f.Add(true, uint8(0), "alice", []byte{}, []byte{})
	f.Add(true, uint8(1), "alice", []byte{}, []byte{})
	f.Add(false, uint8(2), "token-1", []byte{4, 0xff, 0xff, 0}, []byte{})
	f.Add(false, uint8(0), "alice", []byte{0, 0, 0, 'y'}, []byte{})
	f.Add(false, uint8(0), "alice", []byte{}, []byte{0, 0, 2, 'y'})
	f.Add(true, uint8(0), "bob", []byte{1, 0, 2, '='}, []byte{5, 0, 0, 'a'})
	s, _ := testServer(f)
	secrets := []string{rightPassword, "wrong", tokenSecret}
	f.Fuzz(func(t *testing.T, long bool, secret uint8, user string, first, second []byte) {
		mechanism := ScramSHA256
		if long {
			mechanism = ScramSHA512
		}
		password := secrets[int(secret)%len(secrets)]
		client, err := scramKinds[mechanism].generator.NewClient(user, password, "")
		if err != nil {
			return // the client would not say that
		}
		talk := client.NewConversation()
		said, err := talk.Step("")
		if err != nil {
			return
		}
		e, ok := s.Start(mechanism)
		if !ok {
			t.Fatal("no such mechanism")
		}
		out, done, err := step(t, e, edited([]byte(said), first))
		if done != nil {
			t.Fatalf("in by one message: %+v", done)
		}
		if err != nil {
			return
		}
		proof, err := talk.Step(string(out))
		if err != nil {
			proof = string(out) // what is not understood is sent back
		}
		_, done, _ = step(t, e, edited([]byte(proof), second))
		if done != nil {
			byPassword := password == rightPassword && done.Principal.Name == "alice" && done.Principal.Token == ""
			byToken := password == tokenSecret && done.Principal.Name == "owner" && done.Principal.Token == "token-1"
			if !byPassword && !byToken {
				t.Fatalf("user=%q password=%q is in as %+v", user, password, done.Principal)
			}
		}
		if _, again, err := step(t, e, []byte(proof)); again != nil || err == nil {
			t.Fatalf("the exchange goes on after its end: %+v %v", again, err)
		}
	})
}

// TestScramReplayed sends the messages of an exchange that went well once more.
func TestScramReplayed(t *testing.T) {
	s, _ := testServer(t)
	for _, mechanism := range []string{ScramSHA256, ScramSHA512} {
		client, err := scramKinds[mechanism].generator.NewClient("alice", rightPassword, "")
		if err != nil {
			t.Fatal(err)
		}
		talk := client.NewConversation()
		first, err := talk.Step("")
		if err != nil {
			t.Fatal(err)
		}
		e, _ := s.Start(mechanism)
		challenge, _, err := step(t, e, []byte(first))
		if err != nil {
			t.Fatal(err)
		}
		second, err := talk.Step(string(challenge))
		if err != nil {
			t.Fatal(err)
		}
		if _, done, err := step(t, e, []byte(second)); done == nil || err != nil {
			t.Fatalf("%s: %v", mechanism, err)
		}
		again, _ := s.Start(mechanism)
		other, _, err := step(t, again, []byte(first))
		if err != nil || bytes.Equal(other, challenge) {
			t.Fatalf("%s: the challenge is the same again: %v", mechanism, err)
		}
		if _, done, err := step(t, again, []byte(second)); done != nil || err == nil {
			t.Errorf("%s: a replayed proof counts: %+v", mechanism, done)
		}
		// The second message alone, as the first of an exchange.
		alone, _ := s.Start(mechanism)
		if _, done, err := step(t, alone, []byte(second)); done != nil || err == nil {
			t.Errorf("%s: a proof without a challenge counts: %+v", mechanism, done)
		}
	}
}

// FuzzPlain sends arbitrary bytes as PLAIN.
func FuzzPlain(f *testing.F) {
	f.Add([]byte("\x00alice\x00" + rightPassword))
	f.Add([]byte("alice\x00alice\x00wrong"))
	f.Add([]byte("\x00\x00"))
	s, _ := testServer(f)
	f.Fuzz(func(t *testing.T, in []byte) {
		e, _ := s.Start(Plain)
		_, done, err := step(t, e, in)
		if (done != nil) == (err != nil) {
			t.Fatalf("%+v %v", done, err)
		}
		right := bytes.Equal(in, []byte("\x00alice\x00"+rightPassword)) || bytes.Equal(in, []byte("alice\x00alice\x00"+rightPassword))
		if (done != nil) != right || done != nil && done.Principal.Name != "alice" {
			t.Fatalf("%q: %+v", in, done)
		}
		if _, done, err := step(t, e, in); done != nil || !errors.Is(err, errEnded) {
			t.Fatalf("the exchange goes on after its end: %+v %v", done, err)
		}
	})
}

// FuzzBearer changes bytes of messages of OAUTHBEARER with tokens that count, that are
// signed by others, by nobody, and by a secret that all know.
func FuzzBearer(f *testing.F) {
	s, signer := testServer(f)
	other, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		f.Fatal(err)
	}
	tokens := []string{
		jwtOf(f, signer, jose.ES256), jwtOf(f, other, jose.ES256), jwtOf(f, bytes.Repeat([]byte{'k'}, 64), jose.HS512),
		"eyJhbGciOiJub25lIiwia2lkIjoiazEifQ.eyJzdWIiOiJhbGljZSIsImlzcyI6Imlzc3VlciIsImF1ZCI6ImthZmthIn0.", "e30.e30.e30", "a.b.c.d.e", "",
	}
	for i := range tokens {
		f.Add(uint8(i), []byte{}, []byte{1})
		f.Add(uint8(i), []byte{0, 0, 40, 'x'}, []byte{})
	}
	f.Fuzz(func(t *testing.T, which uint8, edits, second []byte) {
		token := tokens[int(which)%len(tokens)]
		e, _ := s.Start(OAuthBearer)
		said := edited([]byte("n,,\x01auth=Bearer "+token+"\x01\x01"), edits)
		out, done, err := step(t, e, said)
		if done != nil {
			// Base64 has spare bits at its end, so a changed token may be the same one.
			if token != tokens[0] || done.Principal.Name != "alice" || !slices.Equal(done.Principal.Groups, []string{"ops"}) || !done.Expires.Equal(today.Add(time.Hour)) {
				t.Fatalf("in by %q: %+v", said, done)
			}
			return
		}
		if err == nil && string(out) != invalidToken {
			t.Fatalf("neither in nor out: %q", out)
		}
		if _, done, err := step(t, e, second); done != nil || err == nil {
			t.Fatalf("in after a failure: %+v", done)
		}
	})
}

// FuzzJAAS and FuzzUsers read what operators write.
func FuzzJAAS(f *testing.F) {
	f.Add(`org.apache.kafka.common.security.plain.PlainLoginModule required user_alice="se\"cret" user_bob=x;`)
	f.Add(`a required`)
	f.Fuzz(func(t *testing.T, text string) {
		m, err := ParseJAAS(text)
		if err != nil {
			return
		}
		if m.Class == "" || len(m.Options) > maxOptions {
			t.Fatalf("%+v", m)
		}
		for name, secret := range m.Options {
			if user, ok := strings.CutPrefix(name, "user_"); ok && user != "" {
				users, err := UsersOf(m)
				if err != nil || !users.Judge(user, secret) || users.Judge(user, secret+"x") {
					t.Fatalf("%q: %v", name, err)
				}
			}
		}
	})
}

func FuzzUsers(f *testing.F) {
	f.Add("alice:secret\n# a remark\n\nbob:with:colon\r\n")
	f.Add("a:" + pbkdf2Prefix + "1$YQ==$" + strings.Repeat("A", 43) + "=\n")
	f.Fuzz(func(t *testing.T, text string) {
		users, err := ParseUsers(text)
		if err != nil {
			for line := range strings.Lines(text) {
				if _, secret, ok := strings.Cut(strings.TrimRight(line, "\r\n"), ":"); ok && len(secret) > 20 && strings.Contains(err.Error(), secret) {
					t.Fatalf("the error has a secret in it: %v", err)
				}
			}
			return
		}
		if users.Len() > maxUsers {
			t.Fatal(users.Len())
		}
		if _, slow := users.by[""]; slow {
			t.Fatal("a user without a name")
		}
	})
}
