package broker_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"

	command "github.com/tidelinehq/tideline/metadata/record"
)

// TestTokensNeedAName: who did not prove who he is gets no delegation token, nor is he told
// of any.
func TestTokensNeedAName(t *testing.T) {
	n := newNode(t, map[string]string{"delegation.token.secret.key": "secret"})
	ctx, admin := context.Background(), n.admin()
	_, created := admin.CreateDelegationToken(ctx, kadm.CreateDelegationToken{})
	_, renewed := admin.RenewDelegationToken(ctx, []byte("hmac"), time.Hour)
	_, expired := admin.ExpireDelegationToken(ctx, []byte("hmac"), time.Hour)
	_, described := admin.DescribeDelegationTokens(ctx)
	for what, err := range map[string]error{"create": created, "renew": renewed, "expire": expired, "describe": described} {
		if !errors.Is(err, kerr.DelegationTokenRequestNotAllowed) {
			t.Errorf("%s: %v", what, err)
		}
	}
}

// TestExpiredTokensGo: the controller removes tokens that have expired, and no other.
func TestExpiredTokensGo(t *testing.T) {
	n := newNode(t, map[string]string{"delegation.token.expiry.check.interval.ms": "5"})
	for i := range 4 {
		token := command.Token{ID: fmt.Sprint(i), Owner: "User:a", Requester: "User:a", ExpiresAt: 1, MaxAt: 1}
		if i == 0 {
			token.ExpiresAt, token.MaxAt = math.MaxInt64, math.MaxInt64
		}
		if err := n.b.Propose(context.Background(), &command.SetToken{Token: token}); err != nil {
			t.Fatal(err)
		}
	}
	n.await("expired tokens", func() bool { return n.b.Image().TokenCount() == 1 })
	if _, ok := n.b.Image().Token("0"); !ok {
		t.Error("a token that is good for long is gone")
	}
}
