package compat

import (
	"cmp"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sasl/plain"

	"github.com/tidelinehq/tideline/broker/brokertest"
	"github.com/tidelinehq/tideline/internal/freeport"
	"github.com/tidelinehq/tideline/internal/pki"
	"github.com/tidelinehq/tideline/loadtest/compat/clients/worker"
)

// secured are the clients that prove who they are.
var secured = []string{"java", "librdkafka", "kafkajs", "franz-go", "sarama"}

var mechanisms = []string{"PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "OAUTHBEARER"}

// password of the PKCS12 files.
const storePassword = "changeit"

// fortress is a broker whose clients must prove who they are, in every way that there is.
type fortress struct {
	*brokertest.Process
	t     *testing.T
	dir   string
	ca    *pki.Authority
	key   *ecdsa.PrivateKey // of tokens
	addrs map[string]string // by the names of listeners
}

// build starts one; settings are added to its own.
func build(t *testing.T, settings map[string]string) *fortress {
	t.Helper()
	f := &fortress{t: t, dir: t.TempDir(), addrs: map[string]string{}}
	var err error
	if f.ca, err = pki.NewAuthority("compat"); err != nil {
		t.Fatal(err)
	}
	if f.key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err != nil {
		t.Fatal(err)
	}
	if err := f.ca.Write(f.dir, "ca", storePassword); err != nil {
		t.Fatal(err)
	}
	f.issue("broker")
	f.issue("alice")
	f.write("users", "alice:secret\n")
	f.write("jwks.json", f.keys())
	f.renewToken(time.Hour)
	listeners := []string{"PLAINTEXT://{listen}"}
	names := []string{"SASL_PLAINTEXT", "SASL_SSL", "CERTS"}
	for i, addr := range freeport.ForTest(t, len(names)) {
		f.addrs[names[i]] = addr
		listeners = append(listeners, names[i]+"://"+addr)
	}
	all := map[string]string{
		"listeners": strings.Join(listeners, ","), "advertised.listeners": strings.Join(listeners, ","),
		"listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,SASL_PLAINTEXT:SASL_PLAINTEXT,SASL_SSL:SASL_SSL,CERTS:SSL",
		"ssl.keystore.location":          f.path("broker.p12"), "ssl.keystore.password": storePassword, "ssl.reload.interval.ms": "50",
		"listener.name.certs.ssl.client.auth": "required", "listener.name.certs.ssl.truststore.location": f.path("ca.p12"),
		"listener.name.certs.ssl.truststore.password": storePassword,
		"sasl.enabled.mechanisms":                     strings.Join(mechanisms, ","), "sasl.plain.users.file": f.path("users"),
		"sasl.oauthbearer.jwks.endpoint.url": "file://" + f.path("jwks.json"), "sasl.oauthbearer.expected.audience": "kafka",
	}
	maps.Copy(all, quick)
	maps.Copy(all, settings)
	f.Process = brokertest.Start(t, brokertest.Options{Settings: all})
	f.addScram()
	return f
}

func (f *fortress) path(name string) string { return filepath.Join(f.dir, name) }

// write replaces a file whole.
func (f *fortress) write(name, content string) {
	f.t.Helper()
	if err := os.WriteFile(f.path(name+".new"), []byte(content), 0o600); err != nil {
		f.t.Fatal(err)
	}
	if err := os.Rename(f.path(name+".new"), f.path(name)); err != nil {
		f.t.Fatal(err)
	}
}

// issue writes a key with its certificate.
func (f *fortress) issue(name string) {
	f.t.Helper()
	issued, err := f.ca.Issue(pki.Subject{Name: pkix.Name{CommonName: name}, Hosts: []string{"127.0.0.1", "localhost"}})
	if err != nil {
		f.t.Fatal(err)
	}
	if err := issued.Write(f.dir, name, storePassword); err != nil {
		f.t.Fatal(err)
	}
}

// keys is the JSON Web Key Set of the token's key.
func (f *fortress) keys() string {
	point, err := f.key.PublicKey.Bytes() // 4, x, y
	if err != nil {
		f.t.Fatal(err)
	}
	half := (len(point) - 1) / 2
	b, err := json.Marshal(map[string]any{"keys": []map[string]string{{
		"kty": "EC", "crv": "P-256", "kid": "k1", "use": "sig", "alg": "ES256", "x": b64(point[1 : 1+half]), "y": b64(point[1+half:]),
	}}})
	if err != nil {
		f.t.Fatal(err)
	}
	return string(b)
}

func b64(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

// renewToken writes a token for alice.
func (f *fortress) renewToken(lasts time.Duration) {
	f.t.Helper()
	now := time.Now()
	head, err1 := json.Marshal(map[string]string{"alg": "ES256", "kid": "k1", "typ": "JWT"})
	claims, err2 := json.Marshal(map[string]any{
		"iss": "compat", "aud": "kafka", "sub": "alice", "scope": "all", "iat": now.Unix(), "exp": now.Add(lasts).Unix(),
	})
	if err := cmp.Or(err1, err2); err != nil {
		f.t.Fatal(err)
	}
	text := b64(head) + "." + b64(claims)
	signature, err := signES256(f.key, text)
	if err != nil {
		f.t.Fatal(err)
	}
	f.write("token", text+"."+b64(signature))
}

// addScram makes alice a user of SCRAM.
func (f *fortress) addScram() {
	f.t.Helper()
	c, err := kgo.NewClient(kgo.SeedBrokers(f.Addr()))
	if err != nil {
		f.t.Fatal(err)
	}
	defer c.Close()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	for _, m := range []kadm.ScramMechanism{kadm.ScramSha256, kadm.ScramSha512} {
		// One at a time, as Apache Kafka wants it.
		done, err := kadm.NewClient(c).AlterUserSCRAMs(ctx, nil, []kadm.UpsertSCRAM{{User: "alice", Mechanism: m, Iterations: 4096, Password: "secret"}})
		if err == nil {
			err = done.Error()
		}
		if err != nil {
			f.t.Fatal(err)
		}
	}
}

// proof is how a client proves that it is alice.
func (f *fortress) proof(listener, mechanism string) *worker.Security {
	s := &worker.Security{Mechanism: mechanism, StorePass: storePassword}
	if listener != "SASL_PLAINTEXT" {
		s.CA, s.Trust = f.path("ca.pem"), f.path("ca.p12")
	}
	switch {
	case listener == "CERTS":
		s.Cert, s.Key, s.Store = f.path("alice.pem"), f.path("alice.key"), f.path("alice.p12")
	case mechanism == "OAUTHBEARER":
		s.TokenFile = f.path("token")
	default:
		s.User, s.Password = "alice", "secret"
	}
	return s
}

// wayIn is one of the ways in which a client may prove who it is.
type wayIn struct{ listener, mechanism string }

func waysIn() []wayIn {
	all := []wayIn{{"CERTS", ""}, {"SASL_PLAINTEXT", "SCRAM-SHA-512"}}
	for _, m := range mechanisms {
		all = append(all, wayIn{"SASL_SSL", m})
	}
	return all
}

func (w wayIn) String() string { return strings.ToLower(w.listener + "-" + cmp.Or(w.mechanism, "tls")) }

// TestSecureExchange has every client write and read in every way in that it has, and fail by a wrong password.
func TestSecureExchange(t *testing.T) {
	f := build(t, nil)
	for _, name := range secured {
		c := clientNamed(t, name)
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, way := range waysIn() {
				o := worker.Options{Brokers: f.addrs[way.listener], Topic: name + "-" + way.String(), Partitions: 1, Codec: "lz4", Security: f.proof(way.listener, way.mechanism)}
				c.create(t, o)
				records := makeRecords(0, 0, perCodec, name)
				if c.fullHeaders {
					withoutNullHeaders(records)
				}
				c.produce(t, o, records)
				o.From, o.Count = "beginning", len(records)
				same(t, way.String(), c.consume(t, o), records)
			}
		})
	}
}

// TestDelegationTokens has the clients that know of them come in by a delegation token, until it is cancelled.
func TestDelegationTokens(t *testing.T) {
	f := build(t, map[string]string{"delegation.token.secret.key": "the secret of the brokers"})
	config, err := f.proof("SASL_SSL", "").TLS()
	if err != nil {
		t.Fatal(err)
	}
	owner, err := kgo.NewClient(kgo.SeedBrokers(f.addrs["SASL_SSL"]), kgo.DialTLSConfig(config), kgo.SASL(plain.Auth{User: "alice", Pass: "secret"}.AsMechanism()))
	if err != nil {
		t.Fatal(err)
	}
	defer owner.Close()
	ctx, cancel := context.WithTimeout(context.Background(), workerTimeout)
	defer cancel()
	token, err := kadm.NewClient(owner).CreateDelegationToken(ctx, kadm.CreateDelegationToken{MaxLifetime: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"java", "franz-go"} {
		c := clientNamed(t, name)
		for _, mechanism := range []string{"SCRAM-SHA-256", "SCRAM-SHA-512"} {
			proof := f.proof("SASL_SSL", mechanism)
			proof.User, proof.Password, proof.Delegation = token.TokenID, base64.StdEncoding.EncodeToString(token.HMAC), true
			o := worker.Options{Brokers: f.addrs["SASL_SSL"], Topic: name + "-" + mechanism, Partitions: 1, Codec: "none", Security: proof}
			c.create(t, o)
			records := makeRecords(0, 0, perCodec, name)
			c.produce(t, o, records)
			o.From, o.Count = "beginning", len(records)
			same(t, name+" "+mechanism, c.consume(t, o), records)
		}
	}
}

// TestSecureUnderLoad has clients write and read all the while, in every way in, as the broker's certificate changes again and again and
// every proof ends after three seconds. No error may reach the application, and nothing may be lost or twice.
func TestSecureUnderLoad(t *testing.T) {
	f := build(t, map[string]string{"connections.max.reauth.ms": "3000"})
	lasts := 25 * time.Second
	if os.Getenv("TIDELINE_LONG") != "" {
		lasts = 3 * time.Minute
	}
	ways := []wayIn{{"CERTS", ""}, {"SASL_SSL", "PLAIN"}, {"SASL_SSL", "SCRAM-SHA-512"}, {"SASL_SSL", "OAUTHBEARER"}}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	done := make(chan struct{})
	serials := map[string]bool{}
	enough := func() bool {
		return len(serials) >= 3 && f.counter("tideline_api_authentications_total", `result="done"`) >= float64(3*len(secured)*len(ways))
	}
	go func() {
		defer close(done)
		defer cancel()
		tick := time.NewTicker(3 * time.Second)
		defer tick.Stop()
		// On a busy machine it takes a while until all have begun.
		for end := time.Now().Add(lasts); time.Now().Before(end) || !enough() && time.Now().Before(end.Add(workerTimeout)); <-tick.C {
			f.issue("broker")
			f.renewToken(time.Hour)
			serials[f.serial()] = true
		}
	}()
	var all sync.WaitGroup
	for _, name := range secured {
		c := clientNamed(t, name)
		for _, way := range ways {
			all.Go(func() { f.load(ctx, c, way) })
		}
	}
	all.Wait()
	<-done
	if !enough() {
		t.Error("too few certificates were shown, or too few proved anew")
	}
	t.Logf("certificates=%d proofs=%v failed=%v expired=%v", len(serials), f.counter("tideline_api_authentications_total", `result="done"`),
		f.counter("tideline_api_authentications_total", `result="failed"`), f.counter("tideline_api_expired_sessions_total", ""))
}

// load has one client write in one way in until ctx ends, while another of its kind reads.
func (f *fortress) load(ctx context.Context, c client, way wayIn) {
	t := f.t
	o := worker.Options{
		Brokers: f.addrs[way.listener], Topic: "load-" + c.name + "-" + way.String(), Partitions: 1, Codec: "none", Security: f.proof(way.listener, way.mechanism),
		TimeoutMS: int(workerTimeout.Milliseconds()) / 2,
	}
	c.create(t, o)
	reader := o
	reader.Group, reader.SessionMS = "load", 10_000
	reader.Group += "-" + o.Topic
	member := c.start(t, "group", reader)
	writer := c.start(t, "produce", o)
	sent := 0
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for ctx.Err() == nil {
		select {
		case <-tick.C:
			writer.send(worker.Record{Key: fmt.Appendf(nil, "%d", sent), Value: []byte("value"), Timestamp: time.Now().UnixMilli()})
			writer.flush()
			sent++
		case <-ctx.Done():
		}
	}
	acks := decode[worker.Ack](t, c.name, writer.finish())
	if len(acks) != sent {
		t.Errorf("%s %s: %d acknowledgements of %d", c.name, way, len(acks), sent)
	}
	for _, a := range acks {
		if a.Error != "" {
			t.Errorf("%s %s: an error reached the application: %+v", c.name, way, a)
			break
		}
	}
	records := func() (out []worker.Record) {
		for _, line := range member.output.all() {
			if !strings.Contains(string(line), `"assigned"`) {
				out = append(out, decode[worker.Record](t, c.name, [][]byte{line})...)
			}
		}
		return out
	}
	waitFor(t, workerTimeout, func() string { return fmt.Sprintf("%s %s: %d records read of %d", c.name, way, len(records()), sent) },
		[]*lineBuffer{member.output}, func() bool { return len(records()) >= sent })
	member.finish()
	seen := map[int64]bool{}
	for _, r := range records() {
		if seen[r.Offset] {
			t.Errorf("%s %s: offset %d twice", c.name, way, r.Offset)
		}
		seen[r.Offset] = true
	}
	if len(seen) != sent {
		t.Errorf("%s %s: %d offsets of %d records", c.name, way, len(seen), sent)
	}
	if text := member.errors.String(); strings.Contains(text, "uthenticat") {
		t.Errorf("%s %s: the reader heard of it: %s", c.name, way, clip([]byte(text)))
	}
}

// serial is the number of the certificate that the broker shows.
func (f *fortress) serial() string {
	config, err := f.proof("SASL_SSL", "").TLS()
	if err != nil {
		return err.Error()
	}
	conn, err := tls.Dial("tcp", f.addrs["SASL_SSL"], config)
	if err != nil {
		return err.Error()
	}
	defer conn.Close()
	return conn.ConnectionState().PeerCertificates[0].SerialNumber.String()
}

// counter is the sum of a metric whose line has a text in it.
func (f *fortress) counter(name, with string) float64 {
	f.t.Helper()
	sum := 0.0
	for line := range strings.Lines(httpGet(f.t, "http://"+f.HTTP()+"/metrics")) {
		if !strings.HasPrefix(line, name) || !strings.Contains(line, with) {
			continue
		}
		var n float64
		if _, err := fmt.Sscan(line[strings.LastIndexByte(line, ' ')+1:], &n); err != nil {
			f.t.Fatal(err)
		}
		sum += n
	}
	return sum
}

// signES256 signs a text as JWS has it: r and s, 32 bytes each.
func signES256(key *ecdsa.PrivateKey, text string) ([]byte, error) {
	digest := sha256.Sum256([]byte(text))
	r, s, err := ecdsa.Sign(rand.Reader, key, digest[:])
	if err != nil {
		return nil, err
	}
	out := make([]byte, 64)
	r.FillBytes(out[:32])
	s.FillBytes(out[32:])
	return out, nil
}

func httpGet(t testing.TB, url string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), workerTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
