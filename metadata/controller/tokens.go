package controller

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/tidelinehq/tideline/metadata"
	"github.com/tidelinehq/tideline/metadata/record"
)

// TokenPolicy is how long delegation tokens live.
type TokenPolicy struct {
	MaxLifetimeMS int64 // delegation.token.max.lifetime.ms: no renewal goes beyond
	ExpiryMS      int64 // delegation.token.expiry.time.ms: from issue or renewal on
}

// CreateToken asks for a token.
type CreateToken struct {
	ID               string // random
	Owner, Requester string // "User:alice"
	Renewers         []string
	MaxLifetimeMS    int64 // 0 or less: that of the policy
}

// Create decides about a new token.
func (p TokenPolicy) Create(m *metadata.Image, r *CreateToken, now time.Time) (*record.SetToken, error) {
	for _, renewer := range r.Renewers {
		if !strings.HasPrefix(renewer, "User:") {
			return nil, fmt.Errorf("%w: renewer=%q", ErrInvalidPrincipalType, renewer)
		}
	}
	lifetime := p.MaxLifetimeMS
	if r.MaxLifetimeMS > 0 {
		lifetime = min(lifetime, r.MaxLifetimeMS)
	}
	at := now.UnixMilli()
	t := record.Token{ID: r.ID, Owner: r.Owner, Requester: r.Requester, Renewers: r.Renewers, IssuedAt: at, MaxAt: after(at, lifetime)}
	t.ExpiresAt = min(t.MaxAt, after(at, p.ExpiryMS))
	switch {
	case !t.Valid():
		return nil, fmt.Errorf("%w: a principal is TYPE:NAME of at most %d bytes, and there are at most %d renewers: owner=%q renewers=%d",
			ErrInvalidRequest, record.MaxPrincipal, record.MaxRenewers, t.Owner, len(t.Renewers))
	case m.TokenCount() >= record.MaxTokens:
		return nil, fmt.Errorf("%w: tokens of the cluster, max=%d", ErrTooManyChanges, record.MaxTokens)
	}
	return &record.SetToken{Token: t}, nil
}

// after is at + ms, or the end of time.
func after(at, ms int64) int64 {
	if ms > math.MaxInt64-at {
		return math.MaxInt64
	}
	return at + ms
}

// Expired reports whether a token is of no use any more.
func Expired(t *record.Token, now time.Time) bool {
	at := now.UnixMilli()
	return t.MaxAt < at || t.ExpiresAt < at
}

// heldBy returns a token that is alive and that by may renew or expire.
func heldBy(m *metadata.Image, id, by string, now time.Time) (t record.Token, err error) {
	t, ok := m.Token(id)
	switch {
	case !ok:
		return t, fmt.Errorf("%w: id=%q", ErrUnknownToken, id)
	case Expired(&t, now):
		return t, fmt.Errorf("%w: id=%s", ErrTokenExpired, id)
	case t.Owner != by && !slices.Contains(t.Renewers, by):
		return t, fmt.Errorf("%w: id=%s principal=%s", ErrTokenOwner, id, by)
	}
	return t, nil
}

// Renew moves the expiry of a token to periodMS from now on, 0 or less being the
// policy's, which is the most.
func (p TokenPolicy) Renew(m *metadata.Image, id, by string, periodMS int64, now time.Time) (*record.SetToken, error) {
	t, err := heldBy(m, id, by, now)
	if err != nil {
		return nil, err
	}
	period := p.ExpiryMS
	if periodMS > 0 {
		period = min(period, periodMS)
	}
	return expireAt(t, now, period), nil
}

// Expire moves the expiry of a token to periodMS from now on, or removes it when
// that is negative. It returns the expiry too, which is the present for a token
// that is removed.
func (p TokenPolicy) Expire(m *metadata.Image, id, by string, periodMS int64, now time.Time) (record.Command, int64, error) {
	t, err := heldBy(m, id, by, now)
	if err != nil {
		return nil, 0, err
	}
	if periodMS < 0 {
		return &record.RemoveToken{ID: id, ExpiresAt: math.MaxInt64}, now.UnixMilli(), nil
	}
	c := expireAt(t, now, periodMS)
	return c, c.Token.ExpiresAt, nil
}

// expireAt does not go below the issue: the clock of the broker that issued it
// may be ahead of this one's.
func expireAt(t record.Token, now time.Time, ms int64) *record.SetToken {
	t.ExpiresAt = max(t.IssuedAt, min(t.MaxAt, after(now.UnixMilli(), ms)))
	return &record.SetToken{Token: t, Renew: true}
}

// ExpiredTokens removes tokens that have expired, at most so many at a time. One
// that is renewed meanwhile stays.
func ExpiredTokens(m *metadata.Image, now time.Time, most int) []*record.RemoveToken {
	var out []*record.RemoveToken
	for t := range m.Tokens() {
		if len(out) == most {
			break
		}
		if Expired(&t, now) {
			out = append(out, &record.RemoveToken{ID: t.ID, ExpiresAt: t.ExpiresAt})
		}
	}
	return out
}

// DescribeTokens returns the tokens that by may know of: those that it owns,
// requested or may renew, and those that permitted says yes to. With owners,
// only those that one of these owns, requested or may renew.
func DescribeTokens(m *metadata.Image, by string, owners []string, permitted func(*record.Token) bool) []record.Token {
	holds := func(t *record.Token, who string) bool {
		return t.Owner == who || t.Requester == who || slices.Contains(t.Renewers, who)
	}
	var out []record.Token
	for t := range m.Tokens() {
		if owners != nil && !slices.ContainsFunc(owners, func(o string) bool { return holds(&t, o) }) {
			continue
		}
		if holds(&t, by) || permitted(&t) {
			out = append(out, t)
		}
	}
	return out
}
