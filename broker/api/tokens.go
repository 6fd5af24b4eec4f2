package api

import (
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"strings"
	"sync"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/tidelinehq/tideline/broker/security"
	"github.com/tidelinehq/tideline/metadata"
	"github.com/tidelinehq/tideline/metadata/controller"
)

// tokenBytes is what one delegation token takes in an answer, decoded and encoded.
const tokenBytes = 1 << 10

func allTokens(m *metadata.Image) int64 { return int64(m.TokenCount()) * tokenBytes }

// noTime is what the answers to requests about tokens have for a time where there is none.
const noTime = -1

// tokenPolicy is how long the tokens of this cluster live.
func (a *API) tokenPolicy() controller.TokenPolicy {
	return controller.TokenPolicy{
		MaxLifetimeMS: a.Config.DelegationTokenMaxLifetime.Milliseconds(), ExpiryMS: a.Config.DelegationTokenExpiry.Milliseconds(),
	}
}

// mayAskForTokens refuses those who did not prove who they are, and those who proved it by
// a token: a token must not beget another.
func mayAskForTokens(who *security.Principal) error {
	if who.Token != "" || who.Same(security.Anonymous) {
		return fmt.Errorf("%w: principal=%s", kerr.DelegationTokenRequestNotAllowed, who)
	}
	return nil
}

// tokensEnabled is an error without a secret.
func (a *API) tokensEnabled() error {
	if a.Config.DelegationTokenSecret == "" {
		return fmt.Errorf("%w: delegation.token.secret.key is not set", kerr.DelegationTokenAuthDisabled)
	}
	return nil
}

// newTokenID is a random id in the form of Kafka's. It does not begin with a hyphen, which
// tools would take for an option.
func newTokenID() (string, error) {
	for {
		var b [16]byte
		if _, err := rand.Read(b[:]); err != nil {
			return "", fmt.Errorf("make a token id: %w", err)
		}
		if id := base64.RawURLEncoding.EncodeToString(b[:]); id[0] != '-' {
			return id, nil
		}
	}
}

// splitPrincipal undoes Principal.String.
func splitPrincipal(p string) (kind, name string) {
	kind, name, _ = strings.Cut(p, ":")
	return kind, name
}

// tokenIDs finds tokens by their proofs, with which clients name them. The proofs are
// computed when they are needed first, and those of tokens that are gone are forgotten.
type tokenIDs struct {
	mu         sync.Mutex
	generation uint64
	proofs     map[string]string // by id
	ids        map[string]string // by proof
}

// id returns which token of an image has a proof.
func (t *tokenIDs) id(m *metadata.Image, secretKey string, proof []byte) (string, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.ids == nil || t.generation != m.TokenGeneration() {
		proofs, ids := make(map[string]string, m.TokenCount()), make(map[string]string, m.TokenCount())
		for token := range m.Tokens() {
			p, ok := t.proofs[token.ID]
			if !ok {
				p = string(security.TokenProof(secretKey, token.ID))
			}
			proofs[token.ID], ids[p] = p, token.ID
		}
		t.generation, t.proofs, t.ids = m.TokenGeneration(), proofs, ids
	}
	id, ok := t.ids[string(proof)]
	if !ok {
		return "", fmt.Errorf("%w: no token has this hmac", kerr.DelegationTokenNotFound)
	}
	return id, nil
}

// heldToken returns the id of the token that a request about it names, if the request may
// be made at all.
func (a *API) heldToken(m *metadata.Image, proof []byte) (string, error) {
	if err := a.tokensEnabled(); err != nil {
		return "", err
	}
	return a.tokenIDs.id(m, a.Config.DelegationTokenSecret, proof)
}
