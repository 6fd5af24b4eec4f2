package broker_test

import (
	"crypto/hmac"
	"crypto/pbkdf2"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tidelinehq/tideline/broker"
	"github.com/tidelinehq/tideline/broker/config"
	"github.com/tidelinehq/tideline/internal/adminapi"
	"github.com/tidelinehq/tideline/internal/pki"
	"github.com/tidelinehq/tideline/internal/record"
	command "github.com/tidelinehq/tideline/metadata/record"
)

// certificates are an authority, and files with a key and a certificate of it that can be replaced.
type certificates struct {
	tb                   testing.TB
	authority            *pki.Authority
	certificate, key, ca string
}

func newCertificates(tb testing.TB) *certificates {
	tb.Helper()
	authority, err := pki.NewAuthority(tb.Name())
	if err != nil {
		tb.Fatal(err)
	}
	dir := tb.TempDir()
	c := &certificates{tb: tb, authority: authority, certificate: filepath.Join(dir, "broker.pem"), key: filepath.Join(dir, "broker.key"), ca: filepath.Join(dir, "ca.pem")}
	c.write(c.ca, authority.PEM())
	c.issue("first")
	return c
}

// issue makes a certificate of a name, and puts it in the place of the one before.
func (c *certificates) issue(name string) {
	c.tb.Helper()
	issued, err := c.authority.Issue(pki.Subject{Name: pkix.Name{CommonName: name}, Hosts: []string{"127.0.0.1", "localhost"}})
	if err != nil {
		c.tb.Fatal(err)
	}
	c.write(c.key, issued.KeyPEM())
	c.write(c.certificate, issued.PEM())
}

func (c *certificates) write(path string, content []byte) {
	c.tb.Helper()
	next := path + ".new"
	if err := os.WriteFile(next, content, 0o600); err != nil {
		c.tb.Fatal(err)
	}
	if err := os.Rename(next, path); err != nil {
		c.tb.Fatal(err)
	}
}

// client speaks HTTP over TLS with a broker that has one of the certificates.
func (c *certificates) client() *http.Client {
	pool := x509.NewCertPool()
	pool.AddCert(c.authority.Certificate)
	return &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: pool}, DisableKeepAlives: true}}
}

// TestClusterOverTLS lets brokers speak TLS with one another, and take new certificates while they run.
func TestClusterOverTLS(t *testing.T) {
	certs := newCertificates(t)
	c := newCluster(t, 3, map[string]string{"peer.tls.certificate": certs.certificate, "peer.tls.key": certs.key, "peer.tls.ca": certs.ca})
	c.create("a")
	leader := c.settled("a", 0, 3)
	value := build(record.Options{}, record.Record{Value: []byte("over TLS"), Timestamp: 1000})
	leader.dial().mustProduce("a", 0, value)
	certs.issue("second")
	for _, x := range c.nodes {
		if x != leader {
			x.stop()
			x.start()
			break
		}
	}
	leader = c.settled("a", 0, 3)
	leader.dial().mustProduce("a", 0, value)
}

// TestAdminPortTakesNoStrangers refuses to start where anybody could move replicas.
func TestAdminPortTakesNoStrangers(t *testing.T) {
	certs := newCertificates(t)
	for _, c := range []struct {
		name     string
		settings []string
		starts   bool
	}{
		{"open to all", nil, false},
		{"TLS without users", []string{"http.ssl.certificate=" + certs.certificate, "http.ssl.key=" + certs.key}, false},
		{"users without TLS", []string{"http.users=scram"}, false},
		{"both", []string{"http.users=scram", "http.ssl.certificate=" + certs.certificate, "http.ssl.key=" + certs.key}, true},
		{"as told", []string{"http.allow.unauthenticated=true"}, true},
	} {
		cfg, err := config.Load(config.Sources{Machine: config.ThisMachine(), Set: append(c.settings,
			"listeners=PLAINTEXT://127.0.0.1:0", "http.listener=0.0.0.0:0", "data.dir="+t.TempDir(), "wal.tail.bytes=4194304", "cache.memory.bytes=8388608", "cache.disk.bytes=67108864")})
		if err != nil {
			t.Fatal(err)
		}
		b, err := broker.New(cfg, slog.New(slog.DiscardHandler), nil)
		if err != nil {
			t.Fatal(err)
		}
		err = b.Start(t.Context())
		if (err == nil) != c.starts || err != nil && !strings.Contains(err.Error(), "http.allow.unauthenticated") {
			t.Errorf("%s: %v", c.name, err)
		}
		if err == nil {
			if err := b.Stop(t.Context()); err != nil {
				t.Error(err)
			}
		}
	}
}

// stored is what is stored of a password.
func stored(user, password string) command.Scram {
	salt := []byte("some salt of ours")
	salted, err := pbkdf2.Key(sha256.New, password, salt, 4096, sha256.Size)
	if err != nil {
		panic(err)
	}
	of := func(key []byte, text string) []byte {
		mac := hmac.New(sha256.New, key)
		mac.Write([]byte(text))
		return mac.Sum(nil)
	}
	sum := sha256.Sum256(of(salted, "Client Key"))
	return command.Scram{User: user, Mechanism: 1, Salt: salt, StoredKey: sum[:], ServerKey: of(salted, "Server Key"), Iterations: 4096}
}

// TestAdminPortHasUsers asks for a name and a password, over TLS, but for probes.
func TestAdminPortHasUsers(t *testing.T) {
	certs := newCertificates(t)
	n := newNode(t, map[string]string{"http.users": "scram", "http.ssl.certificate": certs.certificate, "http.ssl.key": certs.key})
	_, web := n.b.Addresses()
	set := func(c *command.ChangeScram) {
		t.Helper()
		if err := n.b.Propose(t.Context(), c); err != nil {
			t.Fatal(err)
		}
	}
	set(&command.ChangeScram{Set: []command.Scram{stored("alice", "wonderland")}})
	ask := func(path, user, password string, want int) (subject string) {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://"+web+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		if user != "" {
			req.SetBasicAuth(user, password)
		}
		resp, err := certs.client().Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		if _, err := io.Copy(io.Discard, resp.Body); err != nil {
			t.Error(err)
		}
		if resp.StatusCode != want {
			t.Errorf("%s as %q: status %d, want %d", path, user, resp.StatusCode, want)
		}
		return resp.TLS.PeerCertificates[0].Subject.CommonName
	}
	for range 2 { // the second time it is remembered
		ask(adminapi.BrokersPath, "alice", "wonderland", http.StatusOK)
		ask("/metrics", "alice", "wonderland", http.StatusOK)
		ask(adminapi.BrokersPath, "alice", "Wonderland", http.StatusUnauthorized)
		ask(adminapi.BrokersPath, "alic", "ewonderland", http.StatusUnauthorized)
		ask(adminapi.BrokersPath, "bob", "wonderland", http.StatusUnauthorized)
		ask(adminapi.BrokersPath, "", "", http.StatusUnauthorized)
		ask("/metrics", "", "", http.StatusUnauthorized)
		ask("/healthz", "", "", http.StatusOK)
		ask("/readyz", "", "", http.StatusOK)
		ask("/readyz/in-sync", "", "", http.StatusOK)
	}
	// A password that was changed is good no more, although it was remembered.
	set(&command.ChangeScram{Set: []command.Scram{stored("alice", "changed")}})
	ask(adminapi.BrokersPath, "alice", "wonderland", http.StatusUnauthorized)
	ask(adminapi.BrokersPath, "alice", "changed", http.StatusOK)
	// New certificates serve new connections; what does not go together leaves the old one.
	certs.issue("second")
	if got := ask("/healthz", "", "", http.StatusOK); got != "second" {
		t.Errorf("certificate of %s", got)
	}
	certs.write(certs.key, []byte("-----BEGIN NOTHING-----"))
	if got := ask("/healthz", "", "", http.StatusOK); got != "second" {
		t.Errorf("certificate of %s", got)
	}
}

// TestAdminPortIsAuthorized: with an authorizer a user looks at the cluster, and changes it, as far as its rights go.
func TestAdminPortIsAuthorized(t *testing.T) {
	n := newNode(t, map[string]string{
		"http.users": "scram", "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer", "super.users": "User:root;User:ANONYMOUS",
	})
	_, web := n.b.Addresses()
	var users []command.Scram
	for _, user := range []string{"root", "operator", "auditor", "nobody"} {
		users = append(users, stored(user, user))
	}
	binding := func(user string, operation uint8) command.ACL {
		return command.ACL{ResourceType: command.ResourceCluster, Pattern: command.PatternLiteral, Resource: "kafka-cluster", Principal: "User:" + user, Host: "*",
			Operation: operation, Permission: command.PermissionAllow}
	}
	for _, c := range []command.Command{
		&command.ChangeScram{Set: users},
		&command.ChangeACLs{Add: []command.ACL{binding("operator", command.OperationAlter), binding("auditor", command.OperationDescribe)}},
	} {
		if err := n.b.Propose(t.Context(), c); err != nil {
			t.Fatal(err)
		}
	}
	for user, want := range map[string][2]int{ // to look, and to move leaders
		"root": {http.StatusOK, http.StatusOK}, "operator": {http.StatusOK, http.StatusOK},
		"auditor": {http.StatusOK, http.StatusForbidden}, "nobody": {http.StatusForbidden, http.StatusForbidden},
	} {
		for i, ask := range [2][2]string{{http.MethodGet, adminapi.BrokersPath}, {http.MethodPost, adminapi.RebalancePath}} {
			req, err := http.NewRequestWithContext(t.Context(), ask[0], "http://"+web+ask[1], strings.NewReader("{}"))
			if err != nil {
				t.Fatal(err)
			}
			req.SetBasicAuth(user, user)
			resp, err := http.DefaultClient.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			if err := resp.Body.Close(); err != nil {
				t.Error(err)
			}
			if resp.StatusCode != want[i] {
				t.Errorf("%s %s as %s: status %d, want %d", ask[0], ask[1], user, resp.StatusCode, want[i])
			}
		}
	}
}

// TestAdminPortIsBounded: whoever opens connections and says nothing costs others nothing but the last ones.
func TestAdminPortIsBounded(t *testing.T) {
	n := newNode(t, nil)
	_, web := n.b.Addresses()
	var first net.Conn
	for i := range 510 {
		c, err := net.Dial("tcp", web)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if i == 0 {
			first = c
		}
		if i == 509 {
			if _, err := c.Read(make([]byte, 1)); err == nil {
				t.Error("one too many is served")
			}
		}
	}
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	n.await("there is room again", func() bool {
		resp, err := http.Get("http://" + web + "/healthz")
		if err != nil {
			return false
		}
		return resp.Body.Close() == nil && resp.StatusCode == http.StatusOK
	})
}
