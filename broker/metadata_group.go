package broker

import (
	"context"
	"errors"
	"fmt"
	"math"

	"github.com/tidelinehq/tideline/broker/api"
	"github.com/tidelinehq/tideline/broker/membership"
	"github.com/tidelinehq/tideline/internal/peer"
	"github.com/tidelinehq/tideline/metadata"
	"github.com/tidelinehq/tideline/metadata/quorum"
)

// metadataGroup shows the group that keeps the metadata to the API. What changes it is
// the store's.
type metadataGroup struct {
	*metadata.Store
	broker *Broker
}

var errNoGroup = errors.New("the metadata log has no members")

// Group implements api.Quorum. Offsets are the next ones, as Kafka counts them. The
// leader knows of the others what their heartbeats say, which is how far their images
// are: their logs are at least as long. Other brokers know their own log alone.
func (g metadataGroup) Group(context.Context) (api.QuorumGroup, error) {
	at, ok := g.Store.Group()
	if !ok {
		return api.QuorumGroup{Leader: -1, Epoch: -1, HighWatermark: -1}, errNoGroup
	}
	group := api.QuorumGroup{Leader: at.Leader, Epoch: int32(min(at.Term, math.MaxInt32)), HighWatermark: next(at.CommitIndex)}
	if at.Leader < 0 {
		return group, &quorum.NotLeaderError{}
	}
	group.Voters, group.Observers = g.members(at.Voters, &at), g.members(at.Observers, &at)
	return group, nil
}

func (g metadataGroup) members(list []metadata.GroupMember, at *metadata.Group) []api.QuorumMember {
	out := make([]api.QuorumMember, 0, len(list))
	now := g.broker.now().UnixMilli()
	for _, m := range list {
		x := api.QuorumMember{ID: m.Node, Address: m.Address, LogEnd: -1, LastFetch: -1, LastCaughtUp: -1}
		if x.ID == g.broker.cfg.NodeID {
			x.LogEnd = next(at.LastIndex)
			if at.Leader == x.ID {
				x.LastFetch, x.LastCaughtUp = now, now
			} else if !at.LeaderContact.IsZero() {
				x.LastFetch = at.LeaderContact.UnixMilli()
			}
		} else if index, when := g.broker.member.Steward().Reached(x.ID); !when.IsZero() {
			x.LogEnd, x.LastFetch = next(index), when.UnixMilli()
			if index >= at.CommitIndex {
				x.LastCaughtUp = when.UnixMilli()
			}
		}
		out = append(out, x)
	}
	return out
}

// next is the offset behind an index of the log.
func next(index uint64) int64 { return int64(min(index, math.MaxInt64-1)) + 1 }

// ForwardRequest is the type of control request by which a broker has another one answer
// a request of Kafka's protocol; its bytes are those of api.Forwarded.
const ForwardRequest uint16 = 17

// forward returns how requests are handed on; nil in a cluster of one.
func (b *Broker) forward() func(context.Context, int32, []byte) ([]byte, error) {
	if b.peers == nil {
		return nil
	}
	return func(ctx context.Context, node int32, request []byte) ([]byte, error) {
		x, ok := b.meta.Image().Broker(node)
		if !ok {
			return nil, fmt.Errorf("%w: it is not registered", &quorum.NotLeaderError{})
		}
		address, ok := membership.Address(x)
		if !ok {
			return nil, fmt.Errorf("%w: it has no internal port", &quorum.NotLeaderError{})
		}
		answer, err := b.peers.Call(ctx, address, node, ForwardRequest, request)
		switch {
		case errors.Is(err, peer.ErrNotSent), errors.Is(err, peer.ErrBusy):
			return nil, fmt.Errorf("%w: %w", &quorum.NotLeaderError{}, err)
		case err != nil:
			return nil, fmt.Errorf("%w: %w", quorum.ErrUnknown, err)
		}
		return answer, nil
	}
}

// takeForwarded answers what other brokers hand on.
func (b *Broker) takeForwarded() {
	if b.peers != nil {
		b.peers.Register(ForwardRequest, func(ctx context.Context, _ peer.Identity, request []byte) ([]byte, error) {
			return b.api.Forwarded(ctx, request)
		})
	}
}
