package sasl

import (
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"

	"github.com/tidelinehq/tideline/broker/security"
)

// Bearer judges tokens of OAUTHBEARER. It is immutable but for its keys.
type Bearer struct {
	Keys       *KeySet
	Audience   []string // empty: any
	Issuer     string   // empty: any
	Skew       time.Duration
	ScopeClaim string
	SubClaim   string
	// GroupsClaim has the groups of the user; empty: none.
	GroupsClaim string
}

// Bounds of what a token says.
const (
	maxGroups     = 1000
	maxGroupBytes = 1 << 10
	maxKeysTried  = 16
)

// algorithms are those that need no secret of ours: a token that is "signed" by nothing, or
// by a key that all know, is none.
var algorithms = []jose.SignatureAlgorithm{
	jose.RS256, jose.RS384, jose.RS512, jose.PS256, jose.PS384, jose.PS512, jose.ES256, jose.ES384, jose.ES512, jose.EdDSA,
}

// invalidToken is what a client is told of a token that does not count, as RFC 7628 has it.
// The client answers with one byte, and hears the same once more as the reason of failure.
const invalidToken = `{"status":"invalid_token"}`

// bearerExchange has one step, and one more after a token that does not count.
type bearerExchange struct {
	bearer *Bearer
	failed error // why the token does not count, until the client has heard so
}

// Claimed is empty: what a token says counts only once it is verified.
func (e *bearerExchange) Claimed() string { return "" }

func (e *bearerExchange) Step(in []byte, now time.Time) ([]byte, *Result, error) {
	if e.failed != nil {
		return nil, nil, fmt.Errorf("%w: %w", &Refusal{invalidToken}, e.failed)
	}
	authorization, token, err := parseBearer(in)
	if err != nil {
		return nil, nil, err
	}
	result, err := e.bearer.judge(token, now)
	if err != nil {
		e.failed = err
		return []byte(invalidToken), nil, nil
	}
	if authorization != "" && authorization != result.Principal.Name {
		return nil, nil, &Refusal{"Authentication failed: Client requested an authorization id that is different from the token's principal name"}
	}
	return nil, result, nil
}

var (
	bearerName  = regexp.MustCompile(`^(?:[\x01-\x2b\x2d-\x3c\x3e-\x7f]|=2C|=3D)+$`)
	bearerKey   = regexp.MustCompile(`^[A-Za-z]+$`)
	bearerValue = regexp.MustCompile(`^[\x21-\x7E \t\r\n]+$`)
	bearerAuth  = regexp.MustCompile(`^(\w+) +([-_.a-zA-Z0-9]+)$`)
)

var errBearerFirst = errors.New("first message of OAUTHBEARER does not parse")

// parseBearer reads n,[a=authorization],\x01auth=Bearer token\x01key=value\x01\x01. Extensions
// are read and have no effect.
func parseBearer(in []byte) (authorization, token string, err error) {
	rest, ok := strings.CutPrefix(string(in), "n,")
	if !ok {
		return "", "", errBearerFirst
	}
	head, pairs, ok := strings.Cut(rest, ",\x01")
	if !ok {
		return "", "", errBearerFirst
	}
	if head != "" {
		name, ok := strings.CutPrefix(head, "a=")
		if !ok || !bearerName.MatchString(name) {
			return "", "", errBearerFirst
		}
		authorization = strings.NewReplacer("=2C", ",", "=3D", "=").Replace(name)
	}
	pairs, ok = strings.CutSuffix(pairs, "\x01\x01")
	if !ok {
		return "", "", errBearerFirst
	}
	found := false
	for pair := range strings.SplitSeq(pairs, "\x01") {
		key, value, ok := strings.Cut(pair, "=")
		if !ok || !bearerKey.MatchString(key) || !bearerValue.MatchString(value) {
			return "", "", errBearerFirst
		}
		if key != "auth" {
			continue
		}
		m := bearerAuth.FindStringSubmatch(value)
		if found || m == nil || !strings.EqualFold(m[1], "bearer") {
			return "", "", errBearerFirst
		}
		found, token = true, m[2]
	}
	if !found {
		return "", "", errBearerFirst
	}
	return authorization, token, nil
}

// judge verifies a token. Errors do not have it in them.
func (b *Bearer) judge(token string, now time.Time) (*Result, error) {
	parsed, err := jwt.ParseSigned(token, algorithms)
	if err != nil {
		return nil, errors.New("token is no JWT with a signature that is accepted")
	}
	if len(parsed.Headers) != 1 {
		return nil, errors.New("token has not one signature")
	}
	var claims jwt.Claims
	var all map[string]json.RawMessage
	if err := b.verify(parsed, &claims, &all); err != nil {
		return nil, err
	}
	expected := jwt.Expected{Issuer: b.Issuer, AnyAudience: b.Audience, Time: now}
	switch {
	case claims.Expiry == nil:
		return nil, errors.New("token has no end (exp)")
	case claims.IssuedAt == nil:
		return nil, errors.New("token has no beginning (iat)")
	}
	if err := claims.ValidateWithLeeway(expected, b.Skew); err != nil {
		return nil, fmt.Errorf("claims of a token: %w", err)
	}
	name, ok := stringClaim(all[b.SubClaim])
	if name = strings.TrimSpace(name); !ok || name == "" || len(name) > maxNameBytes {
		return nil, fmt.Errorf("token has no user's name: claim=%s", b.SubClaim)
	}
	if _, err := listClaim(all[b.ScopeClaim]); err != nil {
		return nil, fmt.Errorf("scopes of a token: %w: claim=%s", err, b.ScopeClaim)
	}
	var groups []string
	if b.GroupsClaim != "" {
		if groups, err = listClaim(all[b.GroupsClaim]); err != nil {
			return nil, fmt.Errorf("groups of a token: %w: claim=%s", err, b.GroupsClaim)
		}
	}
	return &Result{
		Principal: &security.Principal{Type: security.UserType, Name: name, Groups: groups, Mechanism: OAuthBearer},
		Expires:   claims.Expiry.Time(),
	}, nil
}

// verify finds the key of the token and checks its signature. A token that names no key
// may be of any that fits.
func (b *Bearer) verify(parsed *jwt.JSONWebToken, claims ...any) error {
	id := parsed.Headers[0].KeyID
	candidates := b.Keys.find(id)
	if len(candidates) == 0 {
		b.Keys.miss()
		return errors.New("token is signed by a key that is not known")
	}
	tried := 0
	for _, key := range candidates {
		if key.Use != "" && key.Use != "sig" || key.Algorithm != "" && key.Algorithm != parsed.Headers[0].Algorithm {
			continue
		}
		if tried++; tried > maxKeysTried {
			break
		}
		if parsed.Claims(key.Key, claims...) == nil {
			return nil
		}
	}
	return errors.New("signature of a token is wrong")
}

// stringClaim reads a claim that is text.
func stringClaim(raw json.RawMessage) (string, bool) {
	var text string
	if raw == nil || json.Unmarshal(raw, &text) != nil {
		return "", false
	}
	return text, true
}

// listClaim reads a claim that is a list of names or one name; absent, it has none.
func listClaim(raw json.RawMessage) ([]string, error) {
	if raw == nil || string(raw) == "null" {
		return nil, nil
	}
	if text, ok := stringClaim(raw); ok {
		raw, _ = json.Marshal([]string{text}) //nolint:errchkjson // strings
	}
	var list []string
	if err := json.Unmarshal(raw, &list); err != nil {
		return nil, errors.New("neither a name nor a list of names")
	}
	if len(list) > maxGroups {
		return nil, fmt.Errorf("too many names: limit=%d", maxGroups)
	}
	seen := map[string]bool{}
	for i, name := range list {
		if name = strings.TrimSpace(name); name == "" || len(name) > maxGroupBytes || seen[name] {
			return nil, errors.New("a name that is empty, too long, or there twice")
		}
		list[i], seen[name] = name, true
	}
	return list, nil
}
