package controller

import (
	"bytes"
	"crypto/pbkdf2"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/tidelinehq/tideline/metadata/record"
)

func upsert(user string, mechanism uint8, iterations int32) ScramUpsert {
	return ScramUpsert{User: user, Mechanism: mechanism, Iterations: iterations, Salt: []byte("salt"), SaltedPassword: []byte("salted password")}
}

// The example of RFC 7677, section 3: the server's signature that its user
// "user" with the password "pencil" gets follows from this ServerKey.
func TestScramKeys(t *testing.T) {
	salt, err := base64.StdEncoding.DecodeString("W22ZaJ0SNY7soEsUEjb6gQ==")
	if err != nil {
		t.Fatal(err)
	}
	salted, err := pbkdf2.Key(sha256.New, "pencil", salt, 4096, 32)
	if err != nil {
		t.Fatal(err)
	}
	u := ScramUpsert{User: "user", Mechanism: record.ScramSHA256, Iterations: 4096, Salt: salt, SaltedPassword: salted}
	s, err := u.credential()
	if err != nil {
		t.Fatal(err)
	}
	if got := base64.StdEncoding.EncodeToString(s.StoredKey); got != "WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=" {
		t.Errorf("stored key %s", got)
	}
	if got := base64.StdEncoding.EncodeToString(s.ServerKey); got != "wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU=" {
		t.Errorf("server key %s", got)
	}
	u.Mechanism = record.ScramSHA512
	if s, err = u.credential(); err != nil || len(s.StoredKey) != 64 || len(s.ServerKey) != 64 || !s.Valid() {
		t.Error(len(s.StoredKey), err)
	}
}

func TestAlterScram(t *testing.T) {
	w := newCluster(t, 1)
	c, out := AlterScram(w.Image, nil, []ScramUpsert{upsert("a", 1, MinScramIterations), upsert("b", 2, MaxScramIterations)})
	for _, r := range out {
		if r.Err != nil {
			t.Fatal(r)
		}
	}
	w.apply(c)
	if w.Image.ScramCount() != 2 {
		t.Fatal(w.Image.ScramCount())
	}
	name := func(user string, mechanism uint8) record.ScramName {
		return record.ScramName{User: user, Mechanism: mechanism}
	}
	none := upsert("u", 1, 4096)
	none.SaltedPassword = nil
	unsalted, long := upsert("u", 1, 4096), upsert("u", 1, 4096)
	unsalted.Salt, long.Salt = nil, make([]byte, record.MaxScramSalt+1)
	for what, x := range map[string]struct {
		deletions []record.ScramName
		upserts   []ScramUpsert
		want      []error
	}{
		"few":               {nil, []ScramUpsert{upsert("u", 1, MinScramIterations-1)}, []error{ErrUnacceptableCredential}},
		"many":              {nil, []ScramUpsert{upsert("u", 1, MaxScramIterations+1)}, []error{ErrUnacceptableCredential}},
		"no user":           {nil, []ScramUpsert{upsert("", 1, 4096)}, []error{ErrUnacceptableCredential}},
		"long user":         {nil, []ScramUpsert{upsert(strings.Repeat("u", record.MaxPrincipal+1), 1, 4096)}, []error{ErrUnacceptableCredential}},
		"no mechanism":      {nil, []ScramUpsert{upsert("u", 0, 4096)}, []error{ErrUnknownMechanism}},
		"mechanism":         {nil, []ScramUpsert{upsert("u", 3, 4096)}, []error{ErrUnknownMechanism}},
		"no password":       {nil, []ScramUpsert{none}, []error{ErrUnacceptableCredential}},
		"no salt":           {nil, []ScramUpsert{unsalted}, []error{ErrUnacceptableCredential}},
		"long salt":         {nil, []ScramUpsert{long}, []error{ErrUnacceptableCredential}},
		"no such user":      {[]record.ScramName{name("x", 1)}, nil, []error{ErrUnknownCredential}},
		"no such mechanism": {[]record.ScramName{name("a", 2)}, nil, []error{ErrUnknownCredential}},
		"unknown mechanism": {[]record.ScramName{name("a", 9)}, nil, []error{ErrUnknownMechanism}},
		"nobody":            {[]record.ScramName{name("", 1)}, nil, []error{ErrUnacceptableCredential}},
		"twice":             {nil, []ScramUpsert{upsert("u", 1, 4096), upsert("u", 2, 4096)}, []error{ErrDuplicateCredential}},
		"both ways":         {[]record.ScramName{name("a", 1)}, []ScramUpsert{upsert("a", 1, 4096)}, []error{ErrDuplicateCredential}},
		"three times":       {[]record.ScramName{name("a", 1), name("a", 1)}, []ScramUpsert{upsert("a", 1, 4096)}, []error{ErrDuplicateCredential}},
		"others are done":   {[]record.ScramName{name("a", 1), name("x", 1)}, []ScramUpsert{upsert("u", 9, 1)}, []error{nil, ErrUnknownCredential, ErrUnknownMechanism}},
	} {
		c, out := AlterScram(w.Image, x.deletions, x.upserts)
		if len(out) != len(x.want) {
			t.Errorf("%s: %v", what, out)
			continue
		}
		done := 0
		for i, r := range out {
			if !errors.Is(r.Err, x.want[i]) {
				t.Errorf("%s: %v, want %v", what, r.Err, x.want[i])
			}
			if r.Err == nil {
				done++
			}
		}
		if (c == nil) != (done == 0) || c != nil && len(c.Set)+len(c.Remove) != done {
			t.Errorf("%s: %d are done, and the command is %v", what, done, c)
		}
	}
	u := upsert("u", 1, 4096)
	for _, shown := range []string{fmt.Sprint(u), fmt.Sprintf("%+v %#v", &u, []ScramUpsert{u})} {
		if strings.Contains(shown, "salted password") || strings.Contains(shown, "salt\"") || strings.Contains(shown, "115 97") {
			t.Errorf("secrets in %s", shown)
		}
	}
}

func TestAlterScramHasABound(t *testing.T) {
	w := newCluster(t, 1)
	var many []ScramUpsert
	for i := range maxChanges + 1 {
		many = append(many, upsert(fmt.Sprint(i), 1, 4096))
	}
	c, out := AlterScram(w.Image, nil, many)
	if len(c.Set) != maxChanges || !errors.Is(out[maxChanges].Err, ErrTooManyChanges) {
		t.Fatal(len(c.Set), out[maxChanges])
	}
	for _, c := range record.ChunkScram(c) {
		w.apply(c)
	}
	if w.Image.ScramCount() != maxChanges {
		t.Fatal(w.Image.ScramCount())
	}
}

func TestDescribeScram(t *testing.T) {
	w := newCluster(t, 1)
	key := func(n int) []byte { return bytes.Repeat([]byte{1}, n) }
	w.apply(&record.ChangeScram{Set: []record.Scram{
		{User: "b", Mechanism: 1, Salt: key(1), StoredKey: key(32), ServerKey: key(32), Iterations: 4096},
		{User: "a", Mechanism: 2, Salt: key(1), StoredKey: key(64), ServerKey: key(64), Iterations: 8192},
		{User: "a", Mechanism: 1, Salt: key(1), StoredKey: key(32), ServerKey: key(32), Iterations: 4096},
	}})
	if got := fmt.Sprint(DescribeScram(w.Image, nil)); got != "[{a [{1 4096} {2 8192}] <nil>} {b [{1 4096}] <nil>}]" {
		t.Error(got)
	}
	out := DescribeScram(w.Image, []string{"b", "x", "a", "b"})
	if len(out) != 3 || !errors.Is(out[0].Err, ErrDuplicateCredential) || out[0].Credentials != nil || !errors.Is(out[1].Err, ErrUnknownCredential) || len(out[2].Credentials) != 2 {
		t.Error(out)
	}
}
