package broker_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"math"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sasl"
	"github.com/twmb/franz-go/pkg/sasl/scram"

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

// TestTokenLogin: who proved his name by a password gets a token, and who has the token acts
// for him, for as long as it lasts; it is no way to another token.
func TestTokenLogin(t *testing.T) {
	n := newNode(t, map[string]string{
		"delegation.token.secret.key": "secret", "listeners": "SASL_PLAINTEXT://127.0.0.1:0",
		"sasl.enabled.mechanisms": "SCRAM-SHA-256,SCRAM-SHA-512", "connection.failed.authentication.delay.ms": "1",
	})
	for _, user := range []string{"alice", "bob"} {
		if err := n.b.Propose(t.Context(), &command.ChangeScram{Set: []command.Scram{scramOf(t, user, "password", command.ScramSHA256)}}); err != nil {
			t.Fatal(err)
		}
	}
	login := func(mechanism sasl.Mechanism) *kadm.Client {
		t.Helper()
		client, err := kgo.NewClient(kgo.SeedBrokers(n.addr), kgo.SASL(mechanism), kgo.RetryTimeout(5*time.Second))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(client.Close)
		return kadm.NewClient(client)
	}
	ctx := t.Context()
	alice := login(scram.Auth{User: "alice", Pass: "password"}.AsSha256Mechanism())
	bob := login(scram.Auth{User: "bob", Pass: "password"}.AsSha256Mechanism())
	token, err := alice.CreateDelegationToken(ctx, kadm.CreateDelegationToken{Renewers: []kadm.Principal{{Type: "User", Name: "bob"}}, MaxLifetime: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	proof := base64.StdEncoding.EncodeToString(token.HMAC)
	auth := scram.Auth{User: token.TokenID, Pass: proof, IsToken: true}
	for name, mechanism := range map[string]sasl.Mechanism{"SHA-256": auth.AsSha256Mechanism(), "SHA-512": auth.AsSha512Mechanism()} {
		byToken := login(mechanism)
		if _, err := byToken.ListTopics(ctx); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if _, err := byToken.CreateDelegationToken(ctx, kadm.CreateDelegationToken{}); !errors.Is(err, kerr.DelegationTokenRequestNotAllowed) {
			t.Errorf("%s: a token for a token: %v", name, err)
		}
	}
	// Neither a wrong proof nor the id as an ordinary user opens the door.
	for _, wrong := range []scram.Auth{{User: token.TokenID, Pass: "x", IsToken: true}, {User: token.TokenID, Pass: proof}, {User: "alice", Pass: "password", IsToken: true}} {
		if _, err := login(wrong.AsSha256Mechanism()).ListTopics(ctx); err == nil {
			t.Errorf("let in: token=%v", wrong.IsToken)
		}
	}
	// The renewer may renew it, and is told of it, as the owner is.
	expires, err := bob.RenewDelegationToken(ctx, token.HMAC, 10*time.Minute)
	if err != nil || expires.After(token.MaxTimestamp) {
		t.Error(expires, err)
	}
	for _, c := range []*kadm.Client{alice, bob} {
		tokens, err := c.DescribeDelegationTokens(ctx)
		if err != nil || len(tokens) != 1 || tokens[0].Owner.Name != "alice" || !bytes.Equal(tokens[0].HMAC, token.HMAC) {
			t.Error(tokens, err)
		}
	}
	if _, err := alice.ExpireDelegationToken(ctx, token.HMAC, -time.Millisecond); err != nil {
		t.Fatal(err)
	}
	if _, err := login(auth.AsSha256Mechanism()).ListTopics(ctx); err == nil {
		t.Error("a token that is gone opens the door")
	}
	if _, err := bob.RenewDelegationToken(ctx, token.HMAC, time.Hour); !errors.Is(err, kerr.DelegationTokenNotFound) {
		t.Error(err)
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
