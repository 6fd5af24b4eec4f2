package record

import "slices"

// Token is a delegation token: who has it may act for its owner until it
// expires. What proves its possession is not here: it follows from the id and
// the secret of the brokers (delegation.token.secret.key). It is immutable.
type Token struct {
	ID               string
	Owner, Requester string   // "User:alice"
	Renewers         []string // may renew it, as the owner may
	IssuedAt         int64    // Unix milliseconds
	ExpiresAt        int64    // Unix milliseconds, moved by renewals
	MaxAt            int64    // Unix milliseconds, beyond which no renewal goes
}

// Valid reports whether a token can be kept.
func (t *Token) Valid() bool {
	for _, r := range t.Renewers {
		if !ValidPrincipal(r) {
			return false
		}
	}
	return ValidName(t.ID, MaxTokenID) && ValidPrincipal(t.Owner) && ValidPrincipal(t.Requester) && len(t.Renewers) <= MaxRenewers &&
		t.IssuedAt <= t.ExpiresAt && t.ExpiresAt <= t.MaxAt
}

// Equal reports whether two tokens are the same in all fields.
func (t *Token) Equal(o *Token) bool {
	return t.ID == o.ID && t.Owner == o.Owner && t.Requester == o.Requester && slices.Equal(t.Renewers, o.Renewers) &&
		t.IssuedAt == o.IssuedAt && t.ExpiresAt == o.ExpiresAt && t.MaxAt == o.MaxAt
}

func codeToken(k *coder, t *Token) {
	k.str(&t.ID, MaxTokenID)
	k.str(&t.Owner, MaxPrincipal)
	k.str(&t.Requester, MaxPrincipal)
	list(k, &t.Renewers, MaxRenewers, 1, func(k *coder, r *string) { k.str(r, MaxPrincipal) })
	k.i64(&t.IssuedAt)
	k.since(t.IssuedAt, &t.ExpiresAt)
	k.since(t.IssuedAt, &t.MaxAt)
}

func (t *Token) codeState(k *coder, _ uint8) { codeToken(k, t) }

// SetToken issues a token, or with Renew puts another expiry into one that is
// there: a renewal that comes after the token's removal does not bring it back.
type SetToken struct {
	Token Token
	Renew bool
}

// Type implements Command.
func (*SetToken) Type() Type { return TypeSetToken }

func (c *SetToken) code(k *coder, _ uint8) {
	codeToken(k, &c.Token)
	k.bool(&c.Renew)
}

// RemoveToken removes a token. Not if it expires later than at ExpiresAt: then
// it was renewed since somebody saw it expire.
type RemoveToken struct {
	ID        string
	ExpiresAt int64 // Unix milliseconds
}

// Type implements Command.
func (*RemoveToken) Type() Type { return TypeRemoveToken }

func (c *RemoveToken) code(k *coder, _ uint8) {
	k.str(&c.ID, MaxTokenID)
	k.i64(&c.ExpiresAt)
}
