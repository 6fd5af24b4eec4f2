package broker_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/sasl"
	"github.com/twmb/franz-go/pkg/sasl/oauth"
	"github.com/twmb/franz-go/pkg/sasl/plain"
	"github.com/twmb/franz-go/pkg/sasl/scram"

	"github.com/tidelinehq/tideline/internal/pki"
	command "github.com/tidelinehq/tideline/metadata/record"
)

// identity is what a test's clients and brokers have to show.
type identity struct {
	dir    string
	ca     *pki.Authority
	signer *ecdsa.PrivateKey
}

// newIdentity writes an authority, a broker's store, a client's, and keys of tokens.
func newIdentity(t *testing.T) *identity {
	t.Helper()
	id := &identity{dir: t.TempDir()}
	var err error
	if id.ca, err = pki.NewAuthority("test"); err != nil {
		t.Fatal(err)
	}
	if err := id.ca.Write(id.dir, "ca", "changeit"); err != nil {
		t.Fatal(err)
	}
	id.issue(t, "broker", pki.Subject{Name: pkix.Name{CommonName: "broker"}, Hosts: []string{"127.0.0.1"}})
	id.issue(t, "alice", pki.Subject{Name: pkix.Name{CommonName: "alice"}})
	if id.signer, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err != nil {
		t.Fatal(err)
	}
	keys, err := json.Marshal(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: id.signer.Public(), KeyID: "k1", Use: "sig", Algorithm: "ES256"}}})
	if err != nil {
		t.Fatal(err)
	}
	id.write(t, "jwks.json", keys)
	id.write(t, "users", []byte("alice:secret\n"))
	return id
}

func (id *identity) issue(t *testing.T, name string, s pki.Subject) {
	t.Helper()
	issued, err := id.ca.Issue(s)
	if err != nil {
		t.Fatal(err)
	}
	if err := issued.Write(id.dir, name, "changeit"); err != nil {
		t.Fatal(err)
	}
}

func (id *identity) path(name string) string { return filepath.Join(id.dir, name) }

func (id *identity) write(t *testing.T, name string, content []byte) {
	t.Helper()
	if err := os.WriteFile(id.path(name), content, 0o600); err != nil {
		t.Fatal(err)
	}
}

// token is a JWT for a user.
func (id *identity) token(t *testing.T, user string, lasts time.Duration) string {
	t.Helper()
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: id.signer}, (&jose.SignerOptions{}).WithHeader("kid", "k1"))
	if err != nil {
		t.Fatal(err)
	}
	text, err := jwt.Signed(signer).Claims(map[string]any{
		"iss": "issuer", "aud": "kafka", "sub": user, "iat": time.Now().Unix(), "exp": time.Now().Add(lasts).Unix(), "groups": []string{"ops"},
	}).Serialize()
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// settings are those of a broker with a listener in the clear, one with SASL over TLS, and
// one that wants certificates.
func (id *identity) settings() map[string]string {
	return map[string]string{
		"listeners": "PLAINTEXT://127.0.0.1:0,SASL_SSL://127.0.0.1:0,CERTS://127.0.0.1:0", "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,SASL_SSL:SASL_SSL,CERTS:SSL",
		"ssl.keystore.location": id.path("broker.p12"), "ssl.keystore.password": "changeit",
		"listener.name.certs.ssl.client.auth": "required", "listener.name.certs.ssl.truststore.location": id.path("ca.pem"),
		"listener.name.certs.ssl.principal.mapping.rules": "RULE:^CN=([a-z]+)$/$1/,DEFAULT",
		"sasl.enabled.mechanisms":                         "PLAIN,SCRAM-SHA-256,SCRAM-SHA-512,OAUTHBEARER",
		"sasl.plain.users.file":                           id.path("users"),
		"sasl.oauthbearer.jwks.endpoint.url":              "file://" + id.path("jwks.json"),
		"sasl.oauthbearer.expected.audience":              "kafka", "sasl.oauthbearer.expected.issuer": "issuer",
		"connection.failed.authentication.delay.ms": "1",
	}
}

// tls is what a client trusts, and shows where cert is not empty.
func (id *identity) tls(t *testing.T, cert string) *tls.Config {
	t.Helper()
	c := &tls.Config{RootCAs: x509.NewCertPool(), MinVersion: tls.VersionTLS12}
	c.RootCAs.AddCert(id.ca.Certificate)
	if cert != "" {
		pair, err := tls.LoadX509KeyPair(id.path(cert+".pem"), id.path(cert+".key"))
		if err != nil {
			t.Fatal(err)
		}
		c.Certificates = []tls.Certificate{pair}
	}
	return c
}

// scramOf is the credential of a password.
func scramOf(t *testing.T, user, password string, mechanism uint8) command.Scram {
	t.Helper()
	h := sha256.New
	if mechanism == command.ScramSHA512 {
		h = sha512.New
	}
	salted, err := pbkdf2.Key(h, password, []byte("salt of "+user), 4096, h().Size())
	if err != nil {
		t.Fatal(err)
	}
	key := func(name string) []byte {
		m := hmac.New(h, salted)
		m.Write([]byte(name))
		return m.Sum(nil)
	}
	stored := h()
	stored.Write(key("Client Key"))
	return command.Scram{User: user, Mechanism: mechanism, Salt: []byte("salt of " + user), StoredKey: stored.Sum(nil), ServerKey: key("Server Key"), Iterations: 4096}
}

// through writes and reads some megabytes over a connection, and fails if it is refused.
func through(ctx context.Context, addr, topic string, options ...kgo.Opt) error {
	client, err := kgo.NewClient(append(options, kgo.SeedBrokers(addr), kgo.ConsumeTopics(topic), kgo.AllowAutoTopicCreation(),
		kgo.UnknownTopicRetries(-1), kgo.RetryTimeout(5*time.Second))...)
	if err != nil {
		return err
	}
	defer client.Close()
	if err := client.Ping(ctx); err != nil {
		return err
	}
	const records = 30
	var batch []*kgo.Record
	for i := range records {
		batch = append(batch, &kgo.Record{Topic: topic, Value: bytes.Repeat([]byte{byte(i)}, 100_000)})
	}
	if err := client.ProduceSync(ctx, batch...).FirstErr(); err != nil {
		return err
	}
	for seen := 0; seen < records; {
		fetches := client.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			return err
		}
		for r := range fetches.RecordsAll() {
			if len(r.Value) != 100_000 || r.Value[0] != byte(seen) || r.Value[99_999] != byte(seen) {
				return fmt.Errorf("record %d is another one", seen)
			}
			seen++
		}
	}
	return nil
}

// Every mechanism leads in over TLS, and nobody comes in without.
func TestWaysIn(t *testing.T) {
	id := newIdentity(t)
	n := newNode(t, id.settings())
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := n.b.Propose(ctx, &command.ChangeScram{Set: []command.Scram{
		scramOf(t, "alice", "secret", command.ScramSHA256), scramOf(t, "alice", "secret", command.ScramSHA512),
	}}); err != nil {
		t.Fatal(err)
	}
	secure := kgo.DialTLSConfig(id.tls(t, ""))
	bearer := func(token string) sasl.Mechanism { return oauth.Auth{Token: token}.AsMechanism() }
	for name, m := range map[string]struct{ good, bad sasl.Mechanism }{
		"plain":  {plain.Auth{User: "alice", Pass: "secret"}.AsMechanism(), plain.Auth{User: "alice", Pass: "wrong"}.AsMechanism()},
		"sha256": {scram.Auth{User: "alice", Pass: "secret"}.AsSha256Mechanism(), scram.Auth{User: "bob", Pass: "secret"}.AsSha256Mechanism()},
		"sha512": {scram.Auth{User: "alice", Pass: "secret"}.AsSha512Mechanism(), scram.Auth{User: "alice", Pass: "wrong"}.AsSha512Mechanism()},
		"bearer": {bearer(id.token(t, "alice", time.Hour)), bearer(id.token(t, "alice", -time.Hour))},
	} {
		if err := through(ctx, n.b.Address(1), "by-"+name, secure, kgo.SASL(m.good)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if err := through(ctx, n.b.Address(1), "by-"+name, secure, kgo.SASL(m.bad)); err == nil {
			t.Errorf("%s: a wrong proof passes", name)
		}
	}
	if err := through(ctx, n.b.Address(1), "by-nothing", secure); err == nil {
		t.Error("a client without a proof comes in")
	}
	if err := through(ctx, n.b.Address(2), "by-certificate", kgo.DialTLSConfig(id.tls(t, "alice"))); err != nil {
		t.Errorf("certificate: %v", err)
	}
	if err := through(ctx, n.b.Address(2), "by-certificate", secure); err == nil {
		t.Error("a client without a certificate comes in")
	}
	if err := through(ctx, n.b.Address(0), "in-the-clear"); err != nil {
		t.Errorf("in the clear: %v", err)
	}
}

// A certificate that is replaced serves whoever comes next, and disturbs nobody.
func TestCertificateIsReloaded(t *testing.T) {
	id := newIdentity(t)
	n := newNode(t, id.settings())
	serial := func() string {
		conn, err := tls.Dial("tcp", n.b.Address(1), id.tls(t, ""))
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		return conn.ConnectionState().PeerCertificates[0].SerialNumber.String()
	}
	first := serial()
	id.write(t, "broker.p12", []byte("half of a file"))
	n.b.PollDoors()
	if got := serial(); got != first {
		t.Error("a broken file is taken")
	}
	id.issue(t, "broker", pki.Subject{Name: pkix.Name{CommonName: "broker"}, Hosts: []string{"127.0.0.1"}})
	n.b.PollDoors()
	if got := serial(); got == first {
		t.Error("a new certificate is not taken")
	}
	if n.gauge("tideline_tls_reloads_total") < 2 || n.gauge("tideline_tls_certificate_expiry_seconds") == 0 {
		t.Error("the metrics tell nothing of it")
	}
}

// Whoever is given a delegation token comes in as its owner, until it ends.
func TestDelegationTokenLeadsIn(t *testing.T) {
	id := newIdentity(t)
	settings := id.settings()
	settings["delegation.token.secret.key"] = "the secret of the brokers"
	n := newNode(t, settings)
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	secure := kgo.DialTLSConfig(id.tls(t, ""))
	owner, err := kgo.NewClient(kgo.SeedBrokers(n.b.Address(1)), secure, kgo.SASL(plain.Auth{User: "alice", Pass: "secret"}.AsMechanism()))
	if err != nil {
		t.Fatal(err)
	}
	defer owner.Close()
	token, err := kadm.NewClient(owner).CreateDelegationToken(ctx, kadm.CreateDelegationToken{MaxLifetime: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	secret := base64.StdEncoding.EncodeToString(token.HMAC)
	for name, m := range map[string]sasl.Mechanism{
		"sha256": scram.Auth{User: token.TokenID, Pass: secret, IsToken: true}.AsSha256Mechanism(),
		"sha512": scram.Auth{User: token.TokenID, Pass: secret, IsToken: true}.AsSha512Mechanism(),
	} {
		if err := through(ctx, n.b.Address(1), "by-token-"+name, secure, kgo.SASL(m)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	holder, err := kgo.NewClient(kgo.SeedBrokers(n.b.Address(1)), secure, kgo.SASL(scram.Auth{User: token.TokenID, Pass: secret, IsToken: true}.AsSha256Mechanism()))
	if err != nil {
		t.Fatal(err)
	}
	defer holder.Close()
	if _, err := kadm.NewClient(holder).CreateDelegationToken(ctx, kadm.CreateDelegationToken{}); err == nil {
		t.Error("a token makes tokens")
	}
	for name, m := range map[string]sasl.Mechanism{
		"wrong secret": scram.Auth{User: token.TokenID, Pass: "x", IsToken: true}.AsSha256Mechanism(),
		"no token":     scram.Auth{User: "x", Pass: secret, IsToken: true}.AsSha256Mechanism(),
		"as a user":    scram.Auth{User: token.TokenID, Pass: secret}.AsSha256Mechanism(),
	} {
		if err := through(ctx, n.b.Address(1), "by-token", secure, kgo.SASL(m)); err == nil {
			t.Errorf("%s leads in", name)
		}
	}
	if _, err := kadm.NewClient(owner).ExpireDelegationToken(ctx, token.HMAC, -1); err != nil {
		t.Fatal(err)
	}
	if err := through(ctx, n.b.Address(1), "by-token", secure, kgo.SASL(scram.Auth{User: token.TokenID, Pass: secret, IsToken: true}.AsSha256Mechanism())); err == nil {
		t.Error("a token that has ended leads in")
	}
}

// Settings of listeners change while the broker runs: keys, users, mechanisms. What does not work is not taken.
func TestDoorsChange(t *testing.T) {
	id := newIdentity(t)
	n := newNode(t, id.settings())
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	operator, err := kgo.NewClient(kgo.SeedBrokers(n.b.Address(0)))
	if err != nil {
		t.Fatal(err)
	}
	defer operator.Close()
	set := func(key, value string) {
		t.Helper()
		answers, err := kadm.NewClient(operator).AlterBrokerConfigs(ctx, []kadm.AlterConfig{{Op: kadm.SetConfig, Name: "listener.name.sasl_ssl." + key, Value: &value}}, 1)
		if err != nil {
			t.Fatal(err)
		}
		for _, a := range answers {
			if a.Err != nil {
				t.Fatalf("%s: %v %s", key, a.Err, a.ErrMessage)
			}
		}
	}
	comesIn := func(user, password string) error {
		client, err := kgo.NewClient(kgo.SeedBrokers(n.b.Address(1)), kgo.DialTLSConfig(id.tls(t, "")), kgo.SASL(plain.Auth{User: user, Pass: password}.AsMechanism()),
			kgo.RetryTimeout(time.Second))
		if err != nil {
			return err
		}
		defer client.Close()
		return client.Ping(ctx)
	}
	if err := comesIn("alice", "secret"); err != nil {
		t.Fatal(err)
	}
	set("plain.sasl.jaas.config", `org.apache.kafka.common.security.plain.PlainLoginModule required user_carol="hers";`)
	n.await("carol comes in", func() bool { return comesIn("carol", "hers") == nil })
	id.write(t, "users", []byte("alice:another\n"))
	n.b.PollDoors()
	if comesIn("alice", "secret") == nil || comesIn("alice", "another") != nil {
		t.Error("a file of users is not read again")
	}
	set("sasl.enabled.mechanisms", "SCRAM-SHA-256")
	n.await("PLAIN is off", func() bool { return comesIn("carol", "hers") != nil })
	set("sasl.enabled.mechanisms", "PLAIN")
	n.await("PLAIN is on", func() bool { return comesIn("carol", "hers") == nil })
	set("plain.sasl.jaas.config", "nonsense")
	set("ssl.keystore.location", id.path("none"))
	n.await("the log tells of it", func() bool {
		n.log.mu.Lock()
		defer n.log.mu.Unlock()
		log := n.log.b.String()
		return strings.Contains(log, "SASL can not be changed") && strings.Contains(log, "TLS can not be made anew")
	})
	if err := comesIn("carol", "hers"); err != nil {
		t.Errorf("what does not work is taken: %v", err)
	}
	id.issue(t, "second", pki.Subject{Name: pkix.Name{CommonName: "second"}, Hosts: []string{"127.0.0.1"}})
	set("ssl.keystore.location", id.path("second.p12"))
	n.await("the new certificate", func() bool {
		conn, err := tls.Dial("tcp", n.b.Address(1), id.tls(t, ""))
		if err != nil {
			return false
		}
		defer conn.Close()
		return conn.ConnectionState().PeerCertificates[0].Subject.CommonName == "second"
	})
	n.log.mu.Lock()
	defer n.log.mu.Unlock()
	for _, secret := range []string{"hers", "changeit", "another"} {
		if strings.Contains(n.log.b.String(), secret) {
			t.Errorf("the log has a secret: %s", secret)
		}
	}
}

// In a cluster every listener leads to the same listener of the other brokers, and users are known to all.
func TestClusterBehindDoors(t *testing.T) {
	id := newIdentity(t)
	c := newCluster(t, 3, id.settings())
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	for _, m := range []uint8{command.ScramSHA256, command.ScramSHA512} {
		if err := c.nodes[0].b.Propose(ctx, &command.ChangeScram{Set: []command.Scram{scramOf(t, "alice", "secret", m)}}); err != nil {
			t.Fatal(err)
		}
	}
	operator, err := kgo.NewClient(kgo.SeedBrokers(c.nodes[0].b.Address(0)))
	if err != nil {
		t.Fatal(err)
	}
	defer operator.Close()
	for listener, options := range [][]kgo.Opt{
		nil,
		{kgo.DialTLSConfig(id.tls(t, "")), kgo.SASL(scram.Auth{User: "alice", Pass: "secret"}.AsSha512Mechanism())},
		{kgo.DialTLSConfig(id.tls(t, "alice"))},
	} {
		for first := range c.nodes {
			topic := fmt.Sprintf("t-%d-%d", listener, first)
			if _, err := kadm.NewClient(operator).CreateTopic(ctx, 1, 3, nil, topic); err != nil {
				t.Fatal(err)
			}
			if err := through(ctx, c.nodes[first].b.Address(listener), topic, options...); err != nil {
				t.Errorf("listener %d by way of broker %d: %v", listener, first+1, err)
			}
		}
	}
	// An unknown user is answered alike by all brokers.
	salts := map[string]bool{}
	for _, x := range c.nodes {
		secure, err := tls.Dial("tcp", x.b.Address(1), id.tls(t, ""))
		if err != nil {
			t.Fatal(err)
		}
		defer secure.Close()
		raw := &conn{tb: t, net: secure, f: kmsg.NewRequestFormatter(kmsg.FormatterClientID("test"))}
		do[*kmsg.SASLHandshakeResponse](raw, handshake("SCRAM-SHA-256"))
		out := do[*kmsg.SASLAuthenticateResponse](raw, authenticate("n,,n=mallory,r=nonce"))
		salts[strings.Split(string(out.SASLAuthBytes), ",")[1]] = true
	}
	if len(salts) != 1 {
		t.Errorf("%d salts for one unknown user", len(salts))
	}
}
