package controller

import (
	"errors"
	"fmt"
	"math"
	"testing"
	"time"

	"github.com/tidelinehq/tideline/metadata"
	"github.com/tidelinehq/tideline/metadata/record"
)

var hourly = TokenPolicy{MaxLifetimeMS: 3600_000, ExpiryMS: 600_000}

func at(ms int64) time.Time { return time.UnixMilli(ms) }

func TestTokenLife(t *testing.T) {
	w := newCluster(t, 1)
	create := func(r CreateToken, ms int64) record.Token {
		t.Helper()
		c, err := hourly.Create(w.Image, &r, at(ms))
		if err != nil {
			t.Fatal(err)
		}
		w.apply(c)
		return c.Token
	}
	long := create(CreateToken{ID: "long", Owner: "User:a", Requester: "User:r", Renewers: []string{"User:n"}}, 1000)
	if long.ExpiresAt != 601_000 || long.MaxAt != 3601_000 || long.IssuedAt != 1000 {
		t.Fatalf("%+v", long)
	}
	if short := create(CreateToken{ID: "short", Owner: "User:a", Requester: "User:a", MaxLifetimeMS: 5000}, 1000); short.ExpiresAt != 6000 || short.MaxAt != 6000 {
		t.Fatalf("%+v", short)
	}
	if longer := create(CreateToken{ID: "longer", Owner: "User:a", Requester: "User:a", MaxLifetimeMS: math.MaxInt64}, 1000); longer.MaxAt != 3601_000 {
		t.Fatalf("%+v", longer)
	}
	for name, x := range map[string]struct {
		id, by  string
		period  int64
		ms      int64
		expires int64
		err     error
	}{
		"owner":        {"long", "User:a", 0, 2000, 602_000, nil},
		"renewer":      {"long", "User:n", -1, 2000, 602_000, nil},
		"shorter":      {"long", "User:a", 10, 2000, 2010, nil},
		"no longer":    {"long", "User:a", math.MaxInt64, 2000, 602_000, nil},
		"up to max":    {"short", "User:a", 0, 5999, 6000, nil},
		"clock behind": {"long", "User:a", 10, 0, 1000, nil},
		"requester":    {"long", "User:r", 0, 2000, 0, ErrTokenOwner},
		"nobody":       {"long", "User:x", 0, 2000, 0, ErrTokenOwner},
		"expired":      {"short", "User:a", 0, 6001, 0, ErrTokenExpired},
		"unknown":      {"x", "User:a", 0, 2000, 0, ErrUnknownToken},
	} {
		c, err := hourly.Renew(w.Image, x.id, x.by, x.period, at(x.ms))
		if !errors.Is(err, x.err) || err == nil && (c.Token.ExpiresAt != x.expires || !c.Renew || !c.Token.Valid()) {
			t.Errorf("%s: %+v %v", name, c, err)
		}
	}
	c, expires, err := hourly.Expire(w.Image, "long", "User:n", 100, at(2000))
	if err != nil || expires != 2100 || c.(*record.SetToken).Token.ExpiresAt != 2100 {
		t.Error(c, expires, err)
	}
	if _, expires, err = hourly.Expire(w.Image, "long", "User:a", math.MaxInt64, at(2000)); err != nil || expires != long.MaxAt {
		t.Error(expires, err)
	}
	if _, _, err = hourly.Expire(w.Image, "long", "User:x", 100, at(2000)); !errors.Is(err, ErrTokenOwner) {
		t.Error(err)
	}
	if c, expires, err = hourly.Expire(w.Image, "long", "User:a", -1, at(2000)); err != nil || expires != 2000 {
		t.Error(expires, err)
	}
	w.apply(c)
	if _, ok := w.Image.Token("long"); ok {
		t.Error("the token is still there")
	}
}

func TestCreateTokenRefuses(t *testing.T) {
	w := newCluster(t, 1)
	for name, x := range map[string]struct {
		r   CreateToken
		err error
	}{
		"group renews":  {CreateToken{ID: "i", Owner: "User:a", Requester: "User:a", Renewers: []string{"Group:g"}}, ErrInvalidPrincipalType},
		"nobody renews": {CreateToken{ID: "i", Owner: "User:a", Requester: "User:a", Renewers: []string{"User:"}}, ErrInvalidRequest},
		"no owner":      {CreateToken{ID: "i", Owner: "a", Requester: "User:a"}, ErrInvalidRequest},
		"no id":         {CreateToken{Owner: "User:a", Requester: "User:a"}, ErrInvalidRequest},
	} {
		if _, err := hourly.Create(w.Image, &x.r, at(1)); !errors.Is(err, x.err) {
			t.Errorf("%s: %v", name, err)
		}
	}
	r := CreateToken{ID: "i", Owner: "User:a", Requester: "User:a"}
	for range record.MaxRenewers + 1 {
		r.Renewers = append(r.Renewers, "User:n")
	}
	if _, err := hourly.Create(w.Image, &r, at(1)); !errors.Is(err, ErrInvalidRequest) {
		t.Error(err)
	}
}

// What has expired goes, in steps; what is renewed after it was seen to expire stays.
func TestExpiredTokens(t *testing.T) {
	w := newCluster(t, 1)
	for i := range 5 {
		c, err := hourly.Create(w.Image, &CreateToken{ID: fmt.Sprint(i), Owner: "User:a", Requester: "User:a", MaxLifetimeMS: int64(1 + i)}, at(1000))
		if err != nil {
			t.Fatal(err)
		}
		w.apply(c)
	}
	if out := ExpiredTokens(w.Image, at(1001), 10); len(out) != 0 {
		t.Fatal("a token is alive at its last millisecond")
	}
	if out := ExpiredTokens(w.Image, at(1004), 2); len(out) != 2 {
		t.Fatal(len(out))
	}
	out := ExpiredTokens(w.Image, at(1005), 10)
	if len(out) != 4 {
		t.Fatal(len(out))
	}
	kept, _ := w.Image.Token("3")
	kept.MaxAt, kept.ExpiresAt = 2000, 2000
	w.apply(&record.SetToken{Token: kept, Renew: true})
	for _, c := range out {
		w.Image, _ = metadata.Apply(w.Image, w.Index()+1, c)
	}
	if n := w.Image.TokenCount(); n != 2 {
		t.Fatal(n)
	}
}

func TestDescribeTokens(t *testing.T) {
	w := newCluster(t, 1)
	for _, r := range []CreateToken{
		{ID: "1", Owner: "User:a", Requester: "User:a", Renewers: []string{"User:n"}},
		{ID: "2", Owner: "User:b", Requester: "User:a"},
		{ID: "3", Owner: "User:c", Requester: "User:c"},
	} {
		c, err := hourly.Create(w.Image, &r, at(1))
		if err != nil {
			t.Fatal(err)
		}
		w.apply(c)
	}
	nobody := func(*record.Token) bool { return false }
	third := func(t *record.Token) bool { return t.ID == "3" }
	for name, x := range map[string]struct {
		by        string
		owners    []string
		permitted func(*record.Token) bool
		want      string
	}{
		"own and requested": {"User:a", nil, nobody, "12"},
		"renewer":           {"User:n", nil, nobody, "1"},
		"permitted":         {"User:a", nil, third, "123"},
		"of one":            {"User:a", []string{"User:b"}, nobody, "2"},
		"of one, not mine":  {"User:a", []string{"User:c"}, nobody, ""},
		"of one, permitted": {"User:x", []string{"User:c"}, third, "3"},
		"of nobody":         {"User:a", []string{}, third, ""},
		"nobody asks":       {"User:x", nil, nobody, ""},
		"of those I renew":  {"User:n", []string{"User:n"}, nobody, "1"},
	} {
		got := ""
		for _, token := range DescribeTokens(w.Image, x.by, x.owners, x.permitted) {
			got += token.ID
		}
		if got != x.want {
			t.Errorf("%s: %s, want %s", name, got, x.want)
		}
	}
}
