package main

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/json"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/tidelinehq/tideline/broker"
	"github.com/tidelinehq/tideline/broker/config"
	"github.com/tidelinehq/tideline/internal/pki"
)

// secureBroker runs a broker in this process whose clients must prove over TLS who they are.
type secureBroker struct {
	dir  string
	addr string
	key  *ecdsa.PrivateKey
}

func (b *secureBroker) path(name string) string { return filepath.Join(b.dir, name) }

func (b *secureBroker) write(t *testing.T, name, content string) {
	t.Helper()
	if err := os.WriteFile(b.path(name), []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

func startSecureBroker(t *testing.T) *secureBroker {
	t.Helper()
	b := &secureBroker{dir: t.TempDir()}
	ca, err := pki.NewAuthority("test")
	if err != nil {
		t.Fatal(err)
	}
	issued, err := ca.Issue(pki.Subject{Name: pkix.Name{CommonName: "broker"}, Hosts: []string{"127.0.0.1"}})
	if err != nil {
		t.Fatal(err)
	}
	if err := ca.Write(b.dir, "ca", "changeit"); err != nil {
		t.Fatal(err)
	}
	if err := issued.Write(b.dir, "broker", "changeit"); err != nil {
		t.Fatal(err)
	}
	if b.key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err != nil {
		t.Fatal(err)
	}
	point, err := b.key.PublicKey.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	encode := base64.RawURLEncoding.EncodeToString
	b.write(t, "jwks.json", `{"keys":[{"kty":"EC","crv":"P-256","kid":"k","x":"`+encode(point[1:33])+`","y":"`+encode(point[33:])+`"}]}`)
	b.write(t, "users", "alice:secret\n")
	var set []string
	for key, value := range map[string]string{
		"listeners": "SASL_SSL://127.0.0.1:0", "http.listener": "127.0.0.1:0", "data.dir": t.TempDir(), "ssl.keystore.location": b.path("broker.both.pem"),
		"sasl.enabled.mechanisms": "PLAIN,SCRAM-SHA-256,SCRAM-SHA-512,OAUTHBEARER", "sasl.plain.users.file": b.path("users"),
		"sasl.oauthbearer.jwks.endpoint.url": "file://" + b.path("jwks.json"), "connection.failed.authentication.delay.ms": "0",
	} {
		set = append(set, key+"="+value)
	}
	cfg, err := config.Load(config.Sources{Set: set, Machine: config.ThisMachine()})
	if err != nil {
		t.Fatal(err)
	}
	node, err := broker.New(cfg, slog.New(slog.DiscardHandler), nil)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	if err := node.Start(ctx); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
		defer cancel()
		if err := node.Stop(ctx); err != nil {
			t.Error(err)
		}
	})
	b.addr, _ = node.Addresses()
	return b
}

// token is a JWT for a user.
func (b *secureBroker) token(t *testing.T, user string) string {
	t.Helper()
	claims, err := json.Marshal(map[string]any{"sub": user, "iat": time.Now().Unix(), "exp": time.Now().Add(time.Hour).Unix()})
	if err != nil {
		t.Fatal(err)
	}
	encode := base64.RawURLEncoding.EncodeToString
	text := encode([]byte(`{"alg":"ES256","kid":"k"}`)) + "." + encode(claims)
	digest := sha256.Sum256([]byte(text))
	r, s, err := ecdsa.Sign(rand.Reader, b.key, digest[:])
	if err != nil {
		t.Fatal(err)
	}
	signature := make([]byte, 64)
	r.FillBytes(signature[:32])
	s.FillBytes(signature[32:])
	return text + "." + encode(signature)
}

// The client commands log in to a real broker by every mechanism, and say so when they may not.
func TestLoginToABroker(t *testing.T) {
	b := startSecureBroker(t)
	b.write(t, "token", b.token(t, "alice")+"\n")
	run := func(env string, args ...string) (int, string) {
		var stdout, stderr bytes.Buffer
		p := &program{stdout: &stdout, stderr: &stderr, environ: []string{env}}
		args = append(args, "--brokers", b.addr, "--timeout", "10s", "--tls-ca", b.path("ca.pem"))
		return p.run(context.Background(), args), stdout.String() + stderr.String()
	}
	good := [][]string{
		{"TIDELINE_SASL_PASSWORD=secret", "--sasl-mechanism", "PLAIN", "--sasl-user", "alice"},
		{"TIDELINE_SASL_TOKEN=" + b.token(t, "alice"), "--sasl-mechanism", "OAUTHBEARER"},
		{"", "--sasl-mechanism", "oauthbearer", "--sasl-token-file", b.path("token")},
	}
	if status, out := run(good[0][0], append([]string{"topic", "create", "orders"}, good[0][1:]...)...); status != 0 {
		t.Fatalf("status %d: %s", status, out)
	}
	b.write(t, "hidden", "hidden\n")
	if status, out := run(good[0][0], append([]string{"user", "set-password", "bob", "--password-file", b.path("hidden")}, good[0][1:]...)...); status != 0 {
		t.Fatalf("status %d: %s", status, out)
	}
	for _, m := range []string{"scram-sha-256", "SCRAM-SHA-512"} {
		good = append(good, []string{"TIDELINE_SASL_PASSWORD=hidden", "--sasl-mechanism", m, "--sasl-user", "bob"})
	}
	for _, args := range good {
		if status, out := run(args[0], append([]string{"topic", "list"}, args[1:]...)...); status != 0 || !strings.Contains(out, "orders") {
			t.Errorf("%v: status %d: %s", args[1:], status, out)
		}
	}
	for _, c := range []struct {
		status int
		args   []string
	}{
		{1, []string{"TIDELINE_SASL_PASSWORD=wrong", "--sasl-mechanism", "PLAIN", "--sasl-user", "alice"}},
		{1, []string{"TIDELINE_SASL_PASSWORD=secret", "--sasl-mechanism", "SCRAM-SHA-256", "--sasl-user", "mallory"}},
		{1, []string{"TIDELINE_SASL_TOKEN=abc", "--sasl-mechanism", "OAUTHBEARER"}},
		{1, []string{"", "--sasl-mechanism", "OAUTHBEARER", "--sasl-token-file", b.path("none")}},
		{2, []string{"", "--sasl-mechanism", "OAUTHBEARER"}},
		{2, []string{"", "--sasl-token-file", b.path("token")}},
		{2, []string{"TIDELINE_SASL_TOKEN=abc", "--sasl-mechanism", "OAUTHBEARER", "--sasl-user", "alice"}},
	} {
		if status, out := run(c.args[0], append([]string{"topic", "list"}, c.args[1:]...)...); status != c.status || strings.Contains(out, "secret") {
			t.Errorf("%v: status %d, want %d: %s", c.args, status, c.status, out)
		}
	}
}
