package api

import (
	"bytes"
	"fmt"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/tidelinehq/tideline/broker/security"
)

// tokenWorld asks for tokens as somebody.
type tokenWorld struct {
	*cluster
	now time.Time
}

func newTokenWorld(t *testing.T, settings ...string) *tokenWorld {
	w := &tokenWorld{newCluster(t, 1, settings...), theTime}
	w.api.now = func() time.Time { return w.now }
	return w
}

const tokenSecret = "delegation.token.secret.key=secret"

func user(name string) *security.Principal {
	return &security.Principal{Type: security.UserType, Name: name, Mechanism: "PLAIN"}
}

// as runs a request of somebody through the bytes of one version, and its answer too.
func as[R kmsg.Response](w *tokenWorld, who *security.Principal, version int16, req kmsg.Request) R {
	w.t.Helper()
	req.SetVersion(version)
	got := kmsg.RequestForKey(req.Key())
	got.SetVersion(version)
	if err := got.ReadFrom(req.AppendTo(nil)); err != nil {
		w.t.Fatal(err)
	}
	c := &Call{Context: w.t.Context(), API: w.api, Request: got, Version: version, Listener: clients}
	var resp kmsg.Response
	switch req.(type) {
	case *kmsg.CreateDelegationTokenRequest:
		resp = c.createToken(who)
	case *kmsg.RenewDelegationTokenRequest:
		resp = c.renewToken(who)
	case *kmsg.ExpireDelegationTokenRequest:
		resp = c.expireToken(who)
	default:
		resp = c.describeTokens(who)
	}
	resp.SetVersion(version)
	answer := req.ResponseKind()
	answer.SetVersion(version)
	if err := answer.ReadFrom(resp.AppendTo(nil)); err != nil {
		w.t.Fatal(err)
	}
	return answer.(R)
}

func (w *tokenWorld) create(who *security.Principal, version int16, lifetime int64, renewers ...string) *kmsg.CreateDelegationTokenResponse {
	req := kmsg.NewPtrCreateDelegationTokenRequest()
	req.MaxLifetimeMillis = lifetime
	for _, name := range renewers {
		r := kmsg.NewCreateDelegationTokenRequestRenewer()
		r.PrincipalType, r.PrincipalName = "User", name
		req.Renewers = append(req.Renewers, r)
	}
	return as[*kmsg.CreateDelegationTokenResponse](w, who, version, req)
}

func (w *tokenWorld) renew(who *security.Principal, proof []byte, ms int64) string {
	req := kmsg.NewPtrRenewDelegationTokenRequest()
	req.HMAC, req.RenewTimeMillis = proof, ms
	r := as[*kmsg.RenewDelegationTokenResponse](w, who, 2, req)
	return w.after(r.ErrorCode, r.ExpiryTimestamp)
}

func (w *tokenWorld) expire(who *security.Principal, proof []byte, ms int64) string {
	req := kmsg.NewPtrExpireDelegationTokenRequest()
	req.HMAC, req.ExpiryPeriodMillis = proof, ms
	r := as[*kmsg.ExpireDelegationTokenResponse](w, who, 2, req)
	return w.after(r.ErrorCode, r.ExpiryTimestamp)
}

// after shows a code, and a time as its distance from the beginning.
func (w *tokenWorld) after(c int16, at int64) string {
	if at > 1e6 {
		return fmt.Sprintf("%s +%s", code(c), time.Duration(at-theTime.UnixMilli())*time.Millisecond)
	}
	return fmt.Sprintf("%s %d", code(c), at)
}

func (w *tokenWorld) describe(who *security.Principal, owners ...string) string {
	req := kmsg.NewPtrDescribeDelegationTokenRequest()
	for _, name := range owners {
		o := kmsg.NewDescribeDelegationTokenRequestOwner()
		o.PrincipalType, o.PrincipalName = "User", name
		req.Owners = append(req.Owners, o)
	}
	r := as[*kmsg.DescribeDelegationTokenResponse](w, who, 3, req)
	out := code(r.ErrorCode)
	for _, t := range r.TokenDetails {
		if !bytes.Equal(t.HMAC, security.TokenProof("secret", t.TokenID)) {
			out += " !hmac"
		}
		out += fmt.Sprintf(" %s:%s by %s:%s, %s", t.PrincipalType, t.PrincipalName, t.TokenRequesterPrincipalType, t.TokenRequesterPrincipalName, w.after(0, t.ExpiryTimestamp))
		for _, x := range t.Renewers {
			out += " " + x.PrincipalType + ":" + x.PrincipalName
		}
	}
	return out
}

func TestDelegationTokens(t *testing.T) {
	w := newTokenWorld(t, tokenSecret, "delegation.token.max.lifetime.ms=3600000", "delegation.token.expiry.time.ms=600000")
	alice, bob, eve := user("alice"), user("bob"), user("eve")
	first := w.create(alice, 3, -1, "bob")
	if got := w.after(first.ErrorCode, first.ExpiryTimestamp) + w.after(0, first.MaxTimestamp) + w.after(0, first.IssueTimestamp); got != "NONE +10m0sNONE +1h0m0sNONE +0s" {
		t.Fatal(got)
	}
	if first.TokenID == "" || first.TokenID[0] == '-' || !bytes.Equal(first.HMAC, security.TokenProof("secret", first.TokenID)) || first.PrincipalName != "alice" {
		t.Fatalf("%+v", first)
	}
	proof := first.HMAC
	for i, x := range []struct {
		got  func() string
		want string
	}{
		{func() string { return w.describe(alice) }, "NONE User:alice by User:alice, NONE +10m0s User:bob"},
		{func() string { return w.describe(bob, "bob") }, "NONE User:alice by User:alice, NONE +10m0s User:bob"},
		{func() string { return w.describe(alice, "eve") }, "NONE"},
		{func() string { return w.renew(eve, proof, -1) }, "DELEGATION_TOKEN_OWNER_MISMATCH 0"},
		{func() string { return w.renew(alice, []byte("x"), -1) }, "DELEGATION_TOKEN_NOT_FOUND 0"},
		{func() string { w.now = theTime.Add(5 * time.Minute); return w.renew(bob, proof, -1) }, "NONE +15m0s"},
		{func() string { return w.renew(alice, proof, 60_000) }, "NONE +6m0s"},
		{func() string { return w.expire(bob, proof, 120_000) }, "NONE +7m0s"},
		{func() string { w.now = theTime.Add(8 * time.Minute); return w.renew(alice, proof, -1) }, "DELEGATION_TOKEN_EXPIRED 0"},
		{func() string { return w.expire(alice, proof, -1) }, "DELEGATION_TOKEN_EXPIRED 0"},
		{func() string {
			proof = w.create(alice, 1, 1000).HMAC
			return w.expire(eve, proof, -1)
		}, "DELEGATION_TOKEN_OWNER_MISMATCH 0"},
		{func() string { return w.expire(alice, proof, -1) }, "NONE +8m0s"},
		{func() string { return w.expire(alice, proof, -1) }, "DELEGATION_TOKEN_NOT_FOUND 0"},
	} {
		if got := x.got(); got != x.want {
			t.Errorf("%d: got %s, want %s", i, got, x.want)
		}
	}
	if n := w.Image().TokenCount(); n != 1 {
		t.Errorf("%d tokens, one is left until it is collected", n)
	}
}

func TestTokenForAnother(t *testing.T) {
	w := newTokenWorld(t, tokenSecret)
	req := kmsg.NewPtrCreateDelegationTokenRequest()
	kind, name := "User", "alice"
	req.OwnerPrincipalType, req.OwnerPrincipalName, req.MaxLifetimeMillis = &kind, &name, -1
	r := as[*kmsg.CreateDelegationTokenResponse](w, user("proxy"), 3, req)
	if r.ErrorCode != 0 || r.PrincipalName != "alice" || r.TokenRequesterPrincipalName != "proxy" {
		t.Fatalf("%+v", r)
	}
	for _, who := range []string{"alice", "proxy"} {
		if got := w.describe(user(who)); got != "NONE User:alice by User:proxy, NONE +24h0m0s" {
			t.Error(who, got)
		}
	}
	// Who asked for it does not hold it.
	if got := w.renew(user("proxy"), r.HMAC, -1); got != "DELEGATION_TOKEN_OWNER_MISMATCH 0" {
		t.Error(got)
	}
	req.OwnerPrincipalType = nil
	if r := as[*kmsg.CreateDelegationTokenResponse](w, user("proxy"), 3, req); code(r.ErrorCode) != "INVALID_REQUEST" {
		t.Error(code(r.ErrorCode))
	}
}

func TestTokenRefusals(t *testing.T) {
	enabled, disabled := newTokenWorld(t, tokenSecret), newTokenWorld(t)
	byToken := user("alice")
	byToken.Token = "id"
	for name, x := range map[string]struct {
		w    *tokenWorld
		who  *security.Principal
		want string
	}{
		"nobody":         {enabled, security.Anonymous, "DELEGATION_TOKEN_REQUEST_NOT_ALLOWED"},
		"by a token":     {enabled, byToken, "DELEGATION_TOKEN_REQUEST_NOT_ALLOWED"},
		"disabled":       {disabled, user("alice"), "DELEGATION_TOKEN_AUTH_DISABLED"},
		"nobody, either": {disabled, security.Anonymous, "DELEGATION_TOKEN_REQUEST_NOT_ALLOWED"},
	} {
		at := int64(0)
		if x.want == "DELEGATION_TOKEN_REQUEST_NOT_ALLOWED" {
			at = -1
		}
		timed := fmt.Sprint(x.want, " ", at)
		c := x.w.create(x.who, 3, -1)
		for what, got := range map[string]string{
			"create": x.w.after(c.ErrorCode, c.ExpiryTimestamp), "renew": x.w.renew(x.who, []byte("h"), -1), "expire": x.w.expire(x.who, []byte("h"), -1),
		} {
			if got != timed {
				t.Errorf("%s: %s: got %s, want %s", name, what, got, timed)
			}
		}
		if got := x.w.describe(x.who); got != x.want {
			t.Errorf("%s: describe: got %s", name, got)
		}
	}
	req := kmsg.NewPtrCreateDelegationTokenRequest()
	r := kmsg.NewCreateDelegationTokenRequestRenewer()
	r.PrincipalType, r.PrincipalName = "Group", "ops"
	req.Renewers = append(req.Renewers, r)
	if got := as[*kmsg.CreateDelegationTokenResponse](disabled, user("alice"), 2, req); code(got.ErrorCode) != "INVALID_PRINCIPAL_TYPE" {
		t.Error(code(got.ErrorCode))
	}
}
