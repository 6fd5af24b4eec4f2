package sasl

import (
	"crypto/pbkdf2"
	"crypto/sha256"
	"encoding/base64"
	"hash"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

func encodeBase64(b []byte) string { return base64.StdEncoding.EncodeToString(b) }

func decodeBase64(t *testing.T, text string) string {
	t.Helper()
	b, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// clientKey is what a client derives of its password.
func clientKey(t *testing.T, h func() hash.Hash, password, salt string) []byte {
	t.Helper()
	salted, err := pbkdf2.Key(h, password, []byte(salt), minIterations, h().Size())
	if err != nil {
		t.Fatal(err)
	}
	return mac(h, salted, "Client Key")
}

func TestUsers(t *testing.T) {
	key, err := pbkdf2.Key(sha256.New, "hashed", []byte("salt"), 10, sha256.Size)
	if err != nil {
		t.Fatal(err)
	}
	users, err := ParseUsers("# those that there are\n\nalice:se:cret \r\nbob:$pbkdf2-sha256$10$" + encodeBase64([]byte("salt")) + "$" + encodeBase64(key) + "\n")
	if err != nil || users.Len() != 2 {
		t.Fatal(err)
	}
	for _, c := range []struct {
		user, password string
		want           bool
	}{
		{"alice", "se:cret ", true}, {"alice", "se:cret", false}, {"bob", "hashed", true}, {"bob", "x", false}, {"eve", "", false}, {"eve", "absent", false},
	} {
		if got := users.Judge(c.user, c.password); got != c.want {
			t.Errorf("%s with %q: %v", c.user, c.password, got)
		}
	}
	for _, bad := range []string{
		"alice", ":secret", "alice:", "a:secret\na:secret", "a:$pbkdf2-sha256$10$c2FsdA==", "a:$pbkdf2-sha256$0$c2FsdA==$" + encodeBase64(key),
		"a:$pbkdf2-sha256$x$c2FsdA==$" + encodeBase64(key), "a:$pbkdf2-sha256$99999999999$c2FsdA==$" + encodeBase64(key), "a:$pbkdf2-sha256$1$$" + encodeBase64(key),
		"a:$pbkdf2-sha256$1$c2FsdA==$c2VjcmV0",
	} {
		if _, err := ParseUsers(bad); err == nil || strings.Contains(err.Error(), "secret") {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

func TestUsersFileIsRenewed(t *testing.T) {
	path := filepath.Join(t.TempDir(), "users")
	write := func(text string) {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("alice:one\n")
	var log strings.Builder
	f, err := OpenUsers(path, slog.New(slog.NewTextHandler(&log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	write("not users")
	f.Poll()
	f.Poll()
	if !f.Judge("alice", "one") || strings.Count(log.String(), "ERROR") != 1 {
		t.Errorf("a broken file: %s", log.String())
	}
	write("alice:two and more\n")
	f.Poll()
	if f.Judge("alice", "one") || !f.Judge("alice", "two and more") {
		t.Error("a new file is not read")
	}
	if strings.Contains(log.String(), "two") {
		t.Errorf("the log has a password: %s", log.String())
	}
	if _, err := OpenUsers(path+"x", slog.Default()); err == nil {
		t.Error("a file that is not there")
	}
}

func TestJAAS(t *testing.T) {
	m, err := ParseJAAS(`org.apache.kafka.common.security.plain.PlainLoginModule required
    username="admin" password="a\"b\\c" user_admin = "admin-secret"
    user_alice=plain user_b-o.b="";`)
	if err != nil || m.Class != "org.apache.kafka.common.security.plain.PlainLoginModule" || len(m.Options) != 5 {
		t.Fatalf("%+v %v", m, err)
	}
	if m.Options["password"] != `a"b\c` || m.Options["user_alice"] != "plain" {
		t.Errorf("%+v", m.Options)
	}
	users, err := UsersOf(m)
	if err != nil || users.Len() != 3 || !users.Judge("admin", "admin-secret") || !users.Judge("alice", "plain") || users.Judge("alice", "x") {
		t.Errorf("users: %v", err)
	}
	for _, bad := range []string{
		"", "C", "C required", "C perhaps;", "C required x;", `C required x="y;`, "C required x=;", "C required; D required;", "C required ;x", strings.Repeat("x", maxJAASBytes+1),
	} {
		if m, err := ParseJAAS(bad); err == nil {
			t.Errorf("%.30q: %+v", bad, m)
		}
	}
	if m, err = ParseJAAS("org.apache.kafka.common.security.scram.ScramLoginModule required;"); err != nil {
		t.Error(err)
	} else if _, err := UsersOf(m); err == nil {
		t.Error("users of a module that names none")
	}
}

// respond answers from the test itself.
type respond func() (int, string)

func (r respond) RoundTrip(*http.Request) (*http.Response, error) {
	status, text := r()
	return &http.Response{StatusCode: status, Body: io.NopCloser(strings.NewReader(text)), Header: http.Header{}}, nil
}

// Keys are fetched again when one is missed, but not for each token that somebody makes up.
func TestKeysAreFetched(t *testing.T) {
	i := newIssuer(t)
	text, err := os.ReadFile(i.path)
	if err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		var fetches atomic.Int32
		type answer struct {
			status int
			body   string
		}
		var says atomic.Pointer[answer]
		says.Store(&answer{http.StatusServiceUnavailable, ""})
		keys, err := NewKeySet(KeyOptions{
			URL: "https://issuer/keys", Refresh: time.Hour, Backoff: time.Second, BackoffMax: 10 * time.Second, Logger: slog.New(slog.DiscardHandler),
			Client: &http.Client{Transport: respond(func() (int, string) {
				fetches.Add(1)
				a := says.Load()
				return a.status, a.body
			})},
		})
		if err != nil {
			t.Fatal(err)
		}
		go keys.Run(t.Context())
		wait := func(d time.Duration) int32 {
			before := fetches.Load()
			<-time.After(d)
			synctest.Wait()
			return fetches.Load() - before
		}
		if n := wait(20 * time.Second); n < 4 || n > 6 { // at 0, 1, 3, 7, 15 s
			t.Errorf("%d attempts in 20 seconds of failure", n)
		}
		says.Store(&answer{http.StatusOK, string(text)})
		wait(11 * time.Second)
		if len(keys.find("k1")) != 1 || len(keys.find("")) != 1 || len(keys.find("k2")) != 0 {
			t.Error("keys are not there")
		}
		for range 100 {
			keys.miss()
		}
		if n := wait(30 * time.Second); n > 2 {
			t.Errorf("%d fetches for made-up keys", n)
		}
		keys.miss()
		if n := wait(11 * time.Second); n != 1 {
			t.Errorf("%d fetches for a new key", n)
		}
		says.Store(&answer{http.StatusOK, "[]"})
		if n := wait(time.Hour); n == 0 || len(keys.find("k1")) != 1 {
			t.Errorf("after %d fetches of what are no keys, those before are gone", n)
		}
	})
}

func TestKeysOfAServerAreBounded(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, strings.Repeat(" ", maxKeysBytes+1)) // the client hangs up
	}))
	defer server.Close()
	keys, err := NewKeySet(KeyOptions{URL: server.URL, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	if err := keys.fetch(t.Context()); err == nil || !strings.Contains(err.Error(), "too large") {
		t.Errorf("%v", err)
	}
}

func TestKeysInAFileAreRenewed(t *testing.T) {
	i := newIssuer(t)
	keys, err := NewKeySet(KeyOptions{URL: "file://" + i.path, Poll: time.Millisecond, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	go keys.Run(t.Context())
	i.publish(t, "another name")
	for deadline := time.After(time.Minute); len(keys.find("another name")) == 0; {
		select {
		case <-time.After(time.Millisecond):
		case <-deadline:
			t.Fatal("the file is not read again")
		}
	}
	if _, err := NewKeySet(KeyOptions{URL: "file:///not/there"}); err == nil {
		t.Error("a file that is not there")
	}
}

func TestParseKeys(t *testing.T) {
	secret := `{"kty":"oct","kid":"s","k":"c2VjcmV0"}`
	for _, bad := range []string{"", "[]", `{"keys":[]}`, `{"keys":[` + secret + `]}`, `{"keys":[{"kty":"EC","crv":"P-256","x":"AA","y":"AA"}]}`, `{"keys":[1]}`,
		`{"keys":[` + strings.Repeat("{},", maxKeys) + `{}]}`} {
		if keys, err := parseKeys([]byte(bad)); err == nil {
			t.Errorf("%.40q: %+v", bad, keys)
		}
	}
}
