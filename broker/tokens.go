package broker

import (
	"context"
	"encoding/base64"
	"errors"
	"strings"
	"time"

	"github.com/tidelinehq/tideline/broker/security"
	"github.com/tidelinehq/tideline/broker/security/sasl"
	"github.com/tidelinehq/tideline/metadata/controller"
	command "github.com/tidelinehq/tideline/metadata/record"
)

// scramToken looks for a delegation token by which a client may authenticate: one that is
// alive, while the brokers have the secret from which its proof follows.
func (b *Broker) scramToken(id string, now time.Time) (sasl.Token, bool) {
	image := b.Image()
	if b.cfg.DelegationTokenSecret == "" || image == nil {
		return sasl.Token{}, false
	}
	t, ok := image.Token(id)
	if !ok || controller.Expired(&t, now) {
		return sasl.Token{}, false
	}
	kind, name, _ := strings.Cut(t.Owner, ":")
	return sasl.Token{
		Owner:   security.Principal{Type: kind, Name: name},
		Secret:  base64.StdEncoding.EncodeToString(security.TokenProof(b.cfg.DelegationTokenSecret, id)),
		Expires: time.UnixMilli(min(t.ExpiresAt, t.MaxAt)),
	}, true
}

// expiryBatch is how many expired tokens are removed before the image is looked at again.
const expiryBatch = 1000

// expireTokens removes delegation tokens that have expired, from time to time, while this
// broker leads the metadata.
func (b *Broker) expireTokens(ctx context.Context) {
	tick := time.NewTicker(b.cfg.DelegationTokenExpiryCheck)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			b.removeExpired(ctx)
		case <-ctx.Done():
			return
		}
	}
}

func (b *Broker) removeExpired(ctx context.Context) {
	for b.meta.IsLeader() {
		expired := controller.ExpiredTokens(b.meta.Image(), b.now(), expiryBatch)
		for _, cmd := range expired {
			_, err := b.meta.Store.Propose(ctx, cmd)
			if errors.Is(err, command.NoToken) || errors.Is(err, command.StaleEpoch) {
				continue // somebody has removed it meanwhile, or renewed it
			}
			if err != nil {
				b.logger.WarnContext(ctx, "expired delegation tokens remain until the next look", "error", err)
				return
			}
		}
		if len(expired) < expiryBatch {
			return
		}
	}
}
