package sasl

import (
	"bytes"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/xdg-go/scram"
)

func TestPlain(t *testing.T) {
	s := newTestServer(t, nil)
	for _, c := range []struct {
		in      string
		name    string
		refusal string
	}{
		{in: "\x00alice\x00secret", name: "alice"},
		{in: "alice\x00alice\x00secret", name: "alice"},
		{in: "bob\x00alice\x00secret", refusal: errOtherName.Text},
		{in: "\x00alice\x00wrong", refusal: errPlainWrong.Text},
		{in: "\x00mallory\x00secret", refusal: errPlainWrong.Text},
		{in: "\x00alice\x00", refusal: errNoPassword.Text},
		{in: "\x00\x00secret", refusal: errNoUser.Text},
		{in: "alice\x00secret", refusal: "Invalid SASL/PLAIN response: expected 3 tokens, got 2"},
		{in: "\x00alice\x00secret\x00\x00", refusal: "Invalid SASL/PLAIN response: expected 3 tokens, got 4"},
		{in: "", refusal: "Invalid SASL/PLAIN response: expected 3 tokens, got 1"},
		{in: "\x00" + strings.Repeat("a", maxNameBytes+1) + "\x00secret"},
	} {
		e := start(t, s, Plain)
		out, done, err := e.Step([]byte(c.in), now)
		if c.name != "" {
			if err != nil || len(out) != 0 || done == nil || done.Principal.Name != c.name || done.Principal.Mechanism != Plain || !done.Expires.IsZero() {
				t.Errorf("%.40q: %q %+v %v", c.in, out, done, err)
			}
		} else {
			var refusal *Refusal
			if err == nil || done != nil || errors.As(err, &refusal) != (c.refusal != "") || refusal != nil && refusal.Text != c.refusal {
				t.Errorf("%.40q: %q %+v %v", c.in, out, done, err)
			}
			if err != nil && (strings.Contains(err.Error(), "secret") || strings.Contains(err.Error(), "wrong") && !strings.Contains(err.Error(), "Authentication")) {
				t.Errorf("%q shows a password", err)
			}
		}
		if _, _, err := e.Step([]byte("\x00alice\x00secret"), now); err == nil {
			t.Errorf("%.40q: a second message is taken", c.in)
		}
	}
}

// converse has the library's client log in.
func converse(t *testing.T, e Exchange, mechanism, user, password, authorization string, extension string) (*Result, error) {
	t.Helper()
	client, err := scramKinds[mechanism].generator.NewClientUnprepped(user, password, authorization)
	if err != nil {
		t.Fatal(err)
	}
	talk := client.NewConversation()
	if extension != "" {
		return converseExtended(t, e, mechanism, user, password, extension)
	}
	challenge := ""
	for range 3 {
		text, err := talk.Step(challenge)
		if err != nil {
			t.Fatal(err)
		}
		out, done, err := e.Step([]byte(text), now)
		if err != nil {
			return nil, err
		}
		challenge = string(out)
		if done != nil {
			if _, err := talk.Step(challenge); err != nil {
				t.Errorf("the client does not believe the server: %v", err)
			}
			return done, nil
		}
	}
	t.Fatal("no end")
	return nil, nil
}

// converseExtended is a client that has an extension behind its nonce, as Kafka's has for tokens.
func converseExtended(t *testing.T, e Exchange, mechanism, user, password, extension string) (*Result, error) {
	t.Helper()
	bare := "n=" + user + ",r=abc," + extension
	out, done, err := e.Step([]byte("n,,"+bare), now)
	if err != nil || done != nil {
		return done, err
	}
	parts := strings.Split(string(out), ",")
	h := scramKinds[mechanism].hash
	client, err := scramKinds[mechanism].generator.NewClientUnprepped(user, password, "")
	if err != nil {
		t.Fatal(err)
	}
	salt := decodeBase64(t, parts[1][2:])
	c, err := client.GetStoredCredentialsWithError(scram.KeyFactors{Salt: salt, Iters: minIterations})
	if err != nil {
		t.Fatal(err)
	}
	final := "c=biws," + parts[0]
	signature := mac(h, c.StoredKey, bare+","+string(out)+","+final)
	key := clientKey(t, h, password, salt)
	for i := range signature {
		signature[i] ^= key[i]
	}
	_, done, err = e.Step([]byte(final+",p="+encodeBase64(signature)), now)
	return done, err
}

func TestScram(t *testing.T) {
	s := newTestServer(t, nil)
	for _, m := range []string{ScramSHA256, ScramSHA512} {
		done, err := converse(t, start(t, s, m), m, "alice", "secret", "", "")
		if err != nil || done.Principal.Name != "alice" || done.Principal.Mechanism != m || done.Principal.Token != "" {
			t.Errorf("%s: %+v %v", m, done, err)
		}
		if _, err := converse(t, start(t, s, m), m, "alice", "secret", "alice", ""); err != nil {
			t.Errorf("%s with its own name for authorization: %v", m, err)
		}
		for _, bad := range [][3]string{{"alice", "wrong", ""}, {"mallory", "secret", ""}, {"alice", "secret", "bob"}, {"t1", "proof", ""}} {
			if done, err := converse(t, start(t, s, m), m, bad[0], bad[1], bad[2], ""); err == nil {
				t.Errorf("%s: %v is %+v", m, bad, done)
			}
		}
		done, err = converse(t, start(t, s, m), m, "t1", "proof", "", "tokenauth=true")
		if err != nil || done.Principal.Name != "bob" || done.Principal.Token != "t1" || !done.Expires.Equal(now.Add(time.Minute)) {
			t.Errorf("%s: token: %+v %v", m, done, err)
		}
		for _, bad := range [][2]string{{"t1", "wrong"}, {"t2", "proof"}, {"t2", "-"}, {"alice", "secret"}} {
			if done, err := converse(t, start(t, s, m), m, bad[0], bad[1], "", "tokenauth=true"); err == nil {
				t.Errorf("%s: token %v is %+v", m, bad, done)
			}
		}
	}
}

// Whoever asks for a user that there is not is answered as for one that there is, and twice the same.
func TestUnknownUserOfScram(t *testing.T) {
	s := newTestServer(t, nil)
	first := func(name string) string {
		out, done, err := start(t, s, ScramSHA256).Step([]byte("n,,n="+name+",r=nonce"), now)
		if err != nil || done != nil {
			t.Fatalf("%s: %v", name, err)
		}
		parts := strings.Split(string(out), ",")
		if len(parts) != 3 || !strings.HasPrefix(parts[0], "r=nonce") || parts[2] != "i=4096" {
			t.Errorf("%s: %s", name, out)
		}
		return parts[1]
	}
	if once, again := first("mallory"), first("mallory"); once != again || once == first("trudy") {
		t.Error("salts that are made up tell that they are")
	}
	if n := len(decodeBase64(t, first("mallory")[2:])); n != 26 {
		t.Errorf("a salt that is made up has %d bytes", n)
	}
}

// What was sent once can not be sent again.
func TestReplayOfScram(t *testing.T) {
	s := newTestServer(t, nil)
	client, err := scram.SHA256.NewClientUnprepped("alice", "secret", "")
	if err != nil {
		t.Fatal(err)
	}
	talk := client.NewConversation()
	e := start(t, s, ScramSHA256)
	one, err := talk.Step("")
	if err != nil {
		t.Fatal(err)
	}
	out, _, err := e.Step([]byte(one), now)
	if err != nil {
		t.Fatal(err)
	}
	two, err := talk.Step(string(out))
	if err != nil {
		t.Fatal(err)
	}
	if _, done, err := e.Step([]byte(two), now); err != nil || done == nil {
		t.Fatal(err)
	}
	if _, done, err := e.Step([]byte(two), now); err == nil || done != nil {
		t.Error("a proof is taken twice in one exchange")
	}
	again := start(t, s, ScramSHA256)
	if _, _, err := again.Step([]byte(one), now); err != nil {
		t.Fatal(err)
	}
	if _, done, err := again.Step([]byte(two), now); err == nil || done != nil {
		t.Error("a proof is taken in another exchange")
	}
	if _, done, err := start(t, s, ScramSHA256).Step([]byte(two), now); err == nil || done != nil {
		t.Error("a proof is taken for a beginning")
	}
}

func TestBearer(t *testing.T) {
	i := newIssuer(t)
	s := newTestServer(t, i.bearer(t))
	other := newIssuer(t)
	say := func(token string) string { return "n,,\x01auth=Bearer " + token + "\x01\x01" }
	good := i.sign(t, "k1", claims(map[string]any{"groups": []string{"ops", " dev "}, "scope": "a"}))
	for in, groups := range map[string][]string{
		say(good): {"ops", "dev"},
		"n,a=alice,\x01auth=Bearer " + good + "\x01x=y\x01\x01":                                      {"ops", "dev"},
		say(i.sign(t, "", claims(nil))):                                                              nil,
		say(i.sign(t, "k1", claims(map[string]any{"aud": []string{"x", "other"}, "groups": "ops"}))): {"ops"},
		say(i.sign(t, "k1", claims(map[string]any{"exp": now.Unix() - 20}))):                         nil,
	} {
		out, done, err := start(t, s, OAuthBearer).Step([]byte(in), now)
		if err != nil || done == nil || len(out) != 0 || done.Principal.Name != "alice" || !slices.Equal(done.Principal.Groups, groups) || done.Expires.IsZero() {
			t.Errorf("%.60q: %q %+v %v", in, out, done, err)
		}
	}
	if _, done, err := start(t, s, OAuthBearer).Step([]byte("n,a=bob,\x01auth=Bearer "+good+"\x01\x01"), now); err == nil || done != nil {
		t.Error("another's name is taken")
	}
	for why, token := range map[string]string{
		"expired": i.sign(t, "k1", claims(map[string]any{"exp": now.Unix() - 31})), "no end": i.sign(t, "k1", claims(map[string]any{"exp": nil})),
		"no beginning": i.sign(t, "k1", claims(map[string]any{"iat": nil})), "not yet": i.sign(t, "k1", claims(map[string]any{"nbf": now.Unix() + 60})),
		"other audience": i.sign(t, "k1", claims(map[string]any{"aud": "x"})), "no audience": i.sign(t, "k1", claims(map[string]any{"aud": nil})),
		"other issuer": i.sign(t, "k1", claims(map[string]any{"iss": "x"})), "no user": i.sign(t, "k1", claims(map[string]any{"sub": nil})),
		"user is a number": i.sign(t, "k1", claims(map[string]any{"sub": 7})), "user is blank": i.sign(t, "k1", claims(map[string]any{"sub": " "})),
		"unknown key": i.sign(t, "k2", claims(nil)), "another's key": other.sign(t, "k1", claims(nil)),
		"groups are a number": i.sign(t, "k1", claims(map[string]any{"groups": 7})), "a group twice": i.sign(t, "k1", claims(map[string]any{"groups": []string{"a", "a"}})),
		"unsigned": "eyJhbGciOiJub25lIn0.eyJzdWIiOiJhbGljZSJ9.", "no JWT": "abc", "changed": good[:len(good)-4] + "AAAA",
	} {
		e := start(t, s, OAuthBearer)
		out, done, err := e.Step([]byte(say(token)), now)
		if err != nil || done != nil || string(out) != invalidToken {
			t.Errorf("%s: %q %+v %v", why, out, done, err)
			continue
		}
		_, done, err = e.Step([]byte{1}, now)
		var refusal *Refusal
		if done != nil || !errors.As(err, &refusal) || refusal.Text != invalidToken {
			t.Errorf("%s: %+v %v", why, done, err)
		}
		if _, done, err := e.Step([]byte(say(good)), now); err == nil || done != nil {
			t.Errorf("%s: goes on after its end", why)
		}
	}
	for _, bad := range []string{
		"", "n,,", "n,,\x01\x01", "y,,\x01auth=Bearer x\x01\x01", "n,,\x01auth=Basic x\x01\x01", "n,,\x01auth=Bearer\x01\x01", "n,,\x01auth=Bearer x\x01",
		"n,,\x01auth=Bearer x\x01auth=Bearer x\x01\x01", "n,,\x01x=y\x01\x01", "n,a=,\x01auth=Bearer x\x01\x01", "n,,\x01auth=Bearer x y\x01\x01", "n,,\x01a1=b\x01auth=Bearer x\x01\x01",
	} {
		if out, done, err := start(t, s, OAuthBearer).Step([]byte(bad), now); err == nil || done != nil || out != nil {
			t.Errorf("%q: %q %+v %v", bad, out, done, err)
		}
	}
}

func TestMessagesAreBounded(t *testing.T) {
	s := newTestServer(t, newIssuer(t).bearer(t))
	for _, m := range s.Mechanisms() {
		if _, _, err := start(t, s, m).Step(bytes.Repeat([]byte("a"), 16<<10+1), now); err == nil || !strings.Contains(err.Error(), "too long") {
			t.Errorf("%s: %v", m, err)
		}
	}
	if _, ok := s.Start("GSSAPI"); ok {
		t.Error("a mechanism that is not enabled")
	}
	if _, err := NewServer(Options{}); err == nil {
		t.Error("a server without a mechanism")
	}
}

func TestSessionLifetime(t *testing.T) {
	for _, c := range []struct {
		expires   time.Time
		maxReauth time.Duration
		want      time.Duration
		ends      bool
	}{
		{time.Time{}, 0, 0, false},
		{time.Time{}, time.Minute, time.Minute, true},
		{now.Add(time.Hour), 0, time.Hour, true},
		{now.Add(time.Hour), time.Minute, time.Minute, true},
		{now.Add(time.Second), time.Minute, time.Second, true},
		{now.Add(-time.Second), time.Minute, 0, true},
		{now.Add(-time.Second), 0, 0, true},
	} {
		if got, ends := SessionLifetime(now, c.expires, c.maxReauth); got != c.want || ends != c.ends {
			t.Errorf("%+v: %s %v", c, got, ends)
		}
	}
}
