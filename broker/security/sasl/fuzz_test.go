package sasl

import (
	"strings"
	"testing"
)

// exchange feeds messages to an exchange, which must neither let anybody in nor speak for ever.
func exchange(t *testing.T, s *Server, mechanism string, messages ...[]byte) {
	t.Helper()
	e := start(t, s, mechanism)
	for i, m := range messages {
		out, done, err := e.Step(m, now)
		if done != nil && !strings.Contains(string(m), "secret") {
			t.Fatalf("%s lets %+v in by %q", mechanism, done.Principal, messages)
		}
		if len(out) > len(m)+512 {
			t.Fatalf("%s answers %d bytes with %d", mechanism, len(m), len(out))
		}
		if err != nil {
			for _, m := range messages[i:] {
				if _, done, err := e.Step(m, now); done != nil || err == nil {
					t.Fatalf("%s goes on after an error", mechanism)
				}
			}
			return
		}
	}
}

func FuzzPlain(f *testing.F) {
	s := newTestServer(f, nil)
	f.Add([]byte("\x00alice\x00secret"))
	f.Add([]byte("a\x00b\x00c\x00d"))
	f.Fuzz(func(t *testing.T, in []byte) { exchange(t, s, Plain, in) })
}

func FuzzScram(f *testing.F) {
	s := newTestServer(f, nil)
	f.Add([]byte("n,,n=alice,r=abc"), []byte("c=biws,r=abc,p=AAAA"))
	f.Add([]byte("n,a=x,n=t1,r=abc,tokenauth=true"), []byte("c=biws,r=abc,x=y,p=AAAA"))
	f.Add([]byte("p=tls-unique,,n=a=2Cb=3D,r=abc"), []byte(""))
	f.Fuzz(func(t *testing.T, first, final []byte) {
		exchange(t, s, ScramSHA256, first, final, final)
		exchange(t, s, ScramSHA512, first, final)
	})
}

func FuzzBearer(f *testing.F) {
	i := newIssuer(f)
	s := newTestServer(f, i.bearer(f))
	f.Add([]byte("n,,\x01auth=Bearer eyJhbGciOiJub25lIn0.eyJzdWIiOiJhbGljZSJ9.\x01\x01"), []byte{1})
	f.Add([]byte("n,a=alice,\x01auth=Bearer a.b.c\x01k=v\x01\x01"), []byte{1})
	f.Add([]byte("n,,\x01auth=Bearer eyJhbGciOiJFUzI1NiIsImtpZCI6ImsxIn0.eyJzdWIiOiJhbGljZSJ9.AAAA\x01\x01"), []byte{1})
	f.Fuzz(func(t *testing.T, first, second []byte) { exchange(t, s, OAuthBearer, first, second) })
}

func FuzzJAAS(f *testing.F) {
	f.Add(`C required user_a="b\"" c=d;`)
	f.Add("C required;")
	f.Fuzz(func(t *testing.T, text string) {
		m, err := ParseJAAS(text)
		if err != nil {
			return
		}
		if m.Class == "" || len(m.Options) > maxOptions {
			t.Errorf("%+v", m)
		}
		if _, err := UsersOf(m); err != nil && strings.Contains(err.Error(), text) {
			t.Error("the error has the text")
		}
	})
}

func FuzzUsers(f *testing.F) {
	f.Add("alice:secret\n# x\nbob:$pbkdf2-sha256$1$c2FsdA==$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n")
	f.Fuzz(func(t *testing.T, text string) {
		if _, err := ParseUsers(text); err == nil && len(text) > 0 && strings.Count(text, "\n") == 0 && !strings.ContainsAny(text, ":#") && strings.TrimSpace(text) != "" {
			t.Errorf("%q are users", text)
		}
	})
}

func FuzzSigningKeys(f *testing.F) {
	f.Add([]byte(`{"keys":[{"kty":"EC","crv":"P-256","kid":"k","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}]}`))
	f.Add([]byte(`{"keys":[{"kty":"RSA","n":"AQAB","e":"AQAB"},{"kty":"oct","k":"AA"}]}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		keys, err := parseKeys(text)
		if err != nil {
			return
		}
		for _, k := range keys.all {
			if !k.IsPublic() {
				t.Errorf("a secret key: %+v", k.KeyID)
			}
		}
	})
}
