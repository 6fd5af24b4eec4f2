package hostile

import (
	"bytes"
	"context"
	"crypto/pbkdf2"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509/pkix"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/sasl/scram"

	"github.com/tidelinehq/tideline/broker/wire"
	"github.com/tidelinehq/tideline/internal/freeport"
	"github.com/tidelinehq/tideline/internal/pki"
)

// guarded is a broker with a port for everybody, one for those who prove who they are, and
// one of TLS.
type guarded struct {
	*node
	prove, tls string
}

// Secrets: of alice, what a thief tries, of the key store, and of tokens.
const (
	storeSecret = "changeit-store-5023"
	thiefSecret = "guess-of-a-thief-777"
	tokenSecret = "tokens-are-made-of-9182"
)

func startGuarded(t *testing.T, log slog.Handler, settings ...string) *guarded {
	t.Helper()
	dir := t.TempDir()
	authority, err := pki.NewAuthority("test")
	if err != nil {
		t.Fatal(err)
	}
	issued, err := authority.Issue(pki.Subject{Name: pkix.Name{CommonName: "broker"}, Hosts: []string{"127.0.0.1"}})
	if err != nil {
		t.Fatal(err)
	}
	if err := issued.Write(dir, "broker", storeSecret); err != nil {
		t.Fatal(err)
	}
	free := freeport.ForTest(t, 2)
	g := &guarded{prove: free[0], tls: free[1]}
	g.node = startLogging(t, log, append([]string{
		"listeners=PLAINTEXT://127.0.0.1:0,SASL_PLAINTEXT://" + g.prove + ",SSL://" + g.tls,
		"sasl.enabled.mechanisms=PLAIN,SCRAM-SHA-256",
		`listener.name.sasl_plaintext.plain.sasl.jaas.config=org.apache.kafka.common.security.plain.PlainLoginModule required user_alice="` + secret + `";`,
		"ssl.keystore.location=" + filepath.Join(dir, "broker.p12"), "ssl.keystore.password=" + storeSecret,
		"delegation.token.secret.key=" + tokenSecret, "connection.failed.authentication.delay.ms=1",
	}, settings...)...)
	return g
}

func dialTo(t *testing.T, addr string) *conn {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	return &conn{Conn: c}
}

// handshake begins a proof.
func handshake(t *testing.T, c *conn, mechanism string) {
	t.Helper()
	req := kmsg.NewPtrSASLHandshakeRequest()
	req.Version, req.Mechanism = 1, mechanism
	if code := call[*kmsg.SASLHandshakeResponse](t, c, req).ErrorCode; code != 0 {
		t.Fatalf("handshake: code=%d", code)
	}
}

func authenticate(t *testing.T, c *conn, said []byte) *kmsg.SASLAuthenticateResponse {
	t.Helper()
	req := kmsg.NewPtrSASLAuthenticateRequest()
	req.Version, req.SASLAuthBytes = 2, said
	return call[*kmsg.SASLAuthenticateResponse](t, c, req)
}

// alice is a connection of hers.
func (g *guarded) alice(t *testing.T) *conn {
	t.Helper()
	c := dialTo(t, g.prove)
	handshake(t, c, "PLAIN")
	if code := authenticate(t, c, []byte("\x00alice\x00"+secret)).ErrorCode; code != 0 {
		t.Fatalf("alice is refused: code=%d", code)
	}
	return c
}

// TestBeforeProof sends every request there is to a port whose clients have to prove who
// they are first.
func TestBeforeProof(t *testing.T) {
	g := startGuarded(t, slog.DiscardHandler)
	for _, a := range g.served(t) {
		if a.key == wire.KeyApiVersions || a.key == keySASLHandshake {
			continue
		}
		c := dialTo(t, g.prove)
		if reply, ok := c.exchange(t, a.key, a.version, sample(a, topic, 1).AppendTo(nil)); ok {
			t.Errorf("%s v%d is answered before the client has proved who it is: %x", wire.KeyName(a.key), a.version, clip(reply))
		}
		c.close()
		// Nor in the middle of a proof.
		if a.key == keySASLAuthenticate {
			continue
		}
		c = dialTo(t, g.prove)
		handshake(t, c, "SCRAM-SHA-256")
		if reply, ok := c.exchange(t, a.key, a.version, sample(a, topic, 1).AppendTo(nil)); ok {
			t.Errorf("%s v%d is answered in the middle of a proof: %x", wire.KeyName(a.key), a.version, clip(reply))
		}
		c.close()
	}
	for name, send := range map[string]func(c *conn){
		"a request of 1 MiB": func(c *conn) {
			c.write(t, append(binary.BigEndian.AppendUint32(nil, 1<<20), frame(wire.KeyApiVersions, 0, 1, make([]byte, 1000))[4:]...))
		},
		"a proof without a handshake": func(c *conn) { c.send(t, keySASLAuthenticate, 2, []byte{2, 0, 0}) },
		"bytes of a proof without a frame": func(c *conn) {
			c.write(t, append(binary.BigEndian.AppendUint32(nil, 22), "\x00alice\x00"+secret...))
		},
		"a request in the same breath": func(c *conn) {
			c.write(t, append(frame(3, 1, 1, kmsgMetadataAll(1)), frame(keySASLHandshake, 1, 2, []byte{0, 5, 'P', 'L', 'A', 'I', 'N'})...))
		},
	} {
		c := dialTo(t, g.prove)
		send(c)
		c.expectEnd(t, name)
		c.close()
	}
	c := g.alice(t)
	defer c.close()
	call[*kmsg.MetadataResponse](t, c, kmsg.NewPtrMetadataRequest())
	g.wellAfter(t, "requests before a proof")
}

// TestWrongProofs tries passwords. Each failure ends the connection, whatever is sent behind it.
func TestWrongProofs(t *testing.T) {
	g := startGuarded(t, slog.DiscardHandler)
	for name, said := range map[string]string{
		"wrong password": "\x00alice\x00" + thiefSecret, "nobody": "\x00bob\x00" + secret, "no password": "\x00alice\x00",
		"another's name": "bob\x00alice\x00" + secret, "four parts": "\x00alice\x00" + secret + "\x00", "nothing": "", "a great name": strings.Repeat("a", 100_000) + "\x00\x00",
	} {
		c := dialTo(t, g.prove)
		handshake(t, c, "PLAIN")
		resp := authenticate(t, c, []byte(said))
		if resp.ErrorCode != kerr.SaslAuthenticationFailed.Code || strings.Contains(deref(resp.ErrorMessage), secret) || strings.Contains(deref(resp.ErrorMessage), thiefSecret) {
			t.Errorf("%s: code=%d message=%q", name, resp.ErrorCode, deref(resp.ErrorMessage))
		}
		c.send(t, keySASLHandshake, 1, []byte{0, 5, 'P', 'L', 'A', 'I', 'N'})
		c.expectEnd(t, name)
		c.close()
	}
	// All at once, without waiting for an answer.
	c := dialTo(t, g.prove)
	defer c.close()
	handshake(t, c, "PLAIN")
	bad := kmsg.NewPtrSASLAuthenticateRequest()
	bad.Version, bad.SASLAuthBytes = 1, []byte("\x00alice\x00"+thiefSecret)
	c.write(t, append(frame(keySASLAuthenticate, 1, 7, bad.AppendTo(nil)), frame(3, 1, 8, kmsgMetadataAll(1))...))
	c.correlation = 7
	if _, err := c.receive(keySASLAuthenticate, 1); err != nil {
		t.Error(err)
	}
	c.expectEnd(t, "a request behind a proof that failed")
	g.wellAfter(t, "wrong proofs")
}

// TestReplayedProof sends what a client has said before, on another connection.
func TestReplayedProof(t *testing.T) {
	g := startGuarded(t, slog.DiscardHandler)
	open := g.dial(t)
	defer open.close()
	salt := []byte("0123456789abcdef")
	salted, err := pbkdf2.Key(sha256.New, secret, salt, 4096, sha256.Size)
	if err != nil {
		t.Fatal(err)
	}
	alter := kmsg.NewPtrAlterUserSCRAMCredentialsRequest()
	up := kmsg.NewAlterUserSCRAMCredentialsRequestUpsertion()
	up.Name, up.Mechanism, up.Iterations, up.Salt, up.SaltedPassword = "carol", 1, 4096, salt, salted
	alter.Upsertions = append(alter.Upsertions, up)
	if code := call[*kmsg.AlterUserSCRAMCredentialsResponse](t, open, alter).Results[0].ErrorCode; code != 0 {
		t.Fatalf("carol: code=%d", code)
	}
	session, first, err := scram.Auth{User: "carol", Pass: secret}.AsSha256Mechanism().Authenticate(context.Background(), "")
	if err != nil {
		t.Fatal(err)
	}
	c := dialTo(t, g.prove)
	defer c.close()
	handshake(t, c, "SCRAM-SHA-256")
	challenge := authenticate(t, c, first).SASLAuthBytes
	_, second, err := session.Challenge(challenge)
	if err != nil {
		t.Fatal(err)
	}
	if code := authenticate(t, c, second).ErrorCode; code != 0 {
		t.Fatalf("carol is refused: code=%d", code)
	}
	// On the same connection a second proof is refused, and the first goes on counting.
	if code := authenticate(t, c, second).ErrorCode; code != kerr.IllegalSaslState.Code {
		t.Errorf("the proof again: code=%d", code)
	}
	thief := dialTo(t, g.prove)
	defer thief.close()
	handshake(t, thief, "SCRAM-SHA-256")
	if again := authenticate(t, thief, first).SASLAuthBytes; bytes.Equal(again, challenge) {
		t.Error("the challenge is the same again")
	}
	resp := authenticate(t, thief, second)
	expectCode(t, "a replayed proof", resp.ErrorCode, kerr.SaslAuthenticationFailed)
	thief.send(t, 3, 1, kmsgMetadataAll(1))
	thief.expectEnd(t, "a replayed proof")
	g.wellAfter(t, "a replayed proof")
}

// TestStrangers fills the ports with connections that never prove anything: TLS handshakes
// that are begun, proofs that are begun, nothing at all. Whoever does prove who he is gets in.
func TestStrangers(t *testing.T) {
	const limit, each = 50, 60
	g := startGuarded(t, slog.DiscardHandler, fmt.Sprintf("max.unauthenticated.connections=%d", limit))
	hello := []byte{0x16, 0x03, 0x01, 0x00, 0xf4, 0x01, 0x00, 0x00, 0xf0, 0x03, 0x03}
	var strangers []*conn
	grew := peak(func() {
		g.honest(t, func() {
			for range each {
				silent, begun, secure := dialTo(t, g.prove), dialTo(t, g.prove), dialTo(t, g.tls)
				begun.write(t, frame(keySASLHandshake, 1, 1, []byte{0, 5, 'P', 'L', 'A', 'I', 'N'}))
				secure.write(t, hello)
				strangers = append(strangers, silent, begun, secure)
			}
			for range 5 {
				c := g.alice(t)
				call[*kmsg.MetadataResponse](t, c, kmsg.NewPtrMetadataRequest())
				c.close()
				over, err := tls.Dial("tcp", g.tls, &tls.Config{InsecureSkipVerify: true}) //nolint:gosec // it is the handshake that is tried
				if err != nil {
					t.Fatal(err)
				}
				s := &conn{Conn: over}
				call[*kmsg.MetadataResponse](t, s, kmsg.NewPtrMetadataRequest())
				s.close()
			}
		})
	})
	t.Logf("strangers=%d cost %d MiB", len(strangers), grew>>20)
	if grew > socketLimit {
		t.Errorf("strangers cost %d MiB", grew>>20)
	}
	if open := g.metric(t, "tideline_server_connections"); int(open) > limit+each+10 { // those of TLS without a name are no strangers
		t.Errorf("connections=%v with %d strangers allowed", open, limit)
	}
	for _, s := range strangers {
		s.close()
	}
	g.connectionsBack(t)
	g.wellAfter(t, "strangers")
}

// heard keeps all that a broker logs.
type heard struct {
	mu sync.Mutex
	b  bytes.Buffer // guarded by mu
}

func (h *heard) Write(b []byte) (int, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.b.Write(b)
}

func (h *heard) String() string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.b.String()
}

// TestSecretsStayIn has a broker with secrets in its settings, in its users and in what
// clients say, logs all there is to log, asks for all there is to ask, and looks for them.
func TestSecretsStayIn(t *testing.T) {
	log := &heard{}
	g := startGuarded(t, slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug - 8}), "logging.level=debug")
	secrets := []string{secret, storeSecret, thiefSecret, tokenSecret, "dynamic-secret-3141"}
	var replies []byte
	ask := func(c *conn, req kmsg.Request) {
		t.Helper()
		reply, err := func() ([]byte, error) {
			c.send(t, req.Key(), req.GetVersion(), req.AppendTo(nil))
			return c.receive(req.Key(), req.GetVersion())
		}()
		if err != nil && !errors.Is(err, errClosed) {
			t.Fatal(err)
		}
		replies = append(replies, reply...)
	}
	open := g.dial(t)
	defer open.close()
	describe := kmsg.NewPtrDescribeConfigsRequest()
	describe.Version, describe.IncludeSynonyms, describe.IncludeDocumentation = 4, true, true
	for _, name := range []string{"1", ""} {
		r := kmsg.NewDescribeConfigsRequestResource()
		r.ResourceType, r.ResourceName = kmsg.ConfigResourceTypeBroker, name
		describe.Resources = append(describe.Resources, r)
	}
	ask(open, describe)
	for _, change := range [][2]string{
		{"listener.name.sasl_plaintext.plain.sasl.jaas.config", `x.PlainLoginModule required user_alice="` + secret + `" user_dave="dynamic-secret-3141";`},
		{"listener.name.sasl_plaintext.plain.sasl.jaas.config", `no module dynamic-secret-3141`},
		{"ssl.keystore.password", "dynamic-secret-3141"}, {"ssl.keystore.key", "dynamic-secret-3141"}, {"delegation.token.secret.key", "dynamic-secret-3141"},
		{"ssl.keystore.pasword", "dynamic-secret-3141"},
	} {
		for _, resource := range []string{"1", ""} {
			alter := kmsg.NewPtrIncrementalAlterConfigsRequest()
			alter.Version = 1
			r := kmsg.NewIncrementalAlterConfigsRequestResource()
			r.ResourceType, r.ResourceName = kmsg.ConfigResourceTypeBroker, resource
			rc := kmsg.NewIncrementalAlterConfigsRequestResourceConfig()
			rc.Name, rc.Value = change[0], &change[1]
			r.Configs = append(r.Configs, rc)
			alter.Resources = append(alter.Resources, r)
			ask(open, alter)
		}
	}
	ask(open, describe)
	for _, said := range []string{"\x00alice\x00" + thiefSecret, "\x00alice\x00" + secret + "\x00", thiefSecret, "\x00" + thiefSecret + "\x00"} {
		c := dialTo(t, g.prove)
		handshake(t, c, "PLAIN")
		req := kmsg.NewPtrSASLAuthenticateRequest()
		req.Version, req.SASLAuthBytes = 2, []byte(said)
		ask(c, req)
		c.close()
	}
	alice := g.alice(t)
	defer alice.close()
	token := kmsg.NewPtrCreateDelegationTokenRequest()
	token.Version, token.MaxLifetimeMillis = 3, 3_600_000
	made := call[*kmsg.CreateDelegationTokenResponse](t, alice, token)
	if made.ErrorCode != 0 {
		t.Fatalf("token: code=%d", made.ErrorCode)
	}
	renew := kmsg.NewPtrRenewDelegationTokenRequest()
	renew.Version, renew.HMAC = 2, append(bytes.Clone(made.HMAC), thiefSecret...)
	ask(alice, renew)
	users := kmsg.NewPtrDescribeUserSCRAMCredentialsRequest()
	ask(open, users)
	families, err := g.registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	var metrics strings.Builder
	for _, f := range families {
		metrics.WriteString(f.String())
	}
	for _, where := range []struct{ name, text string }{{"the log", log.String()}, {"a reply", string(replies)}, {"a metric", metrics.String()}} {
		for _, s := range secrets {
			if at := strings.Index(where.text, s); at >= 0 {
				t.Errorf("%s has a secret: %q", where.name, where.text[max(0, at-200):min(len(where.text), at+60)])
			}
		}
		for form, hmac := range map[string]string{"bytes": string(made.HMAC), "hex": fmt.Sprintf("%x", made.HMAC)} {
			if strings.Contains(where.text, hmac) {
				t.Errorf("%s has the %s of a token", where.name, form)
			}
		}
	}
	if !strings.Contains(log.String(), "alice") {
		t.Error("the log does not say who proved to be alice")
	}
}
