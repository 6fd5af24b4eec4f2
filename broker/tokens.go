package broker

import (
	"context"
	"errors"
	"time"

	"github.com/tidelinehq/tideline/metadata/controller"
	command "github.com/tidelinehq/tideline/metadata/record"
)

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
				b.logger.Warn("expired delegation tokens remain until the next look", "error", err)
				return
			}
		}
		if len(expired) < expiryBatch {
			return
		}
	}
}
