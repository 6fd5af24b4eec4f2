package broker

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strconv"

	"github.com/tidelinehq/tideline/broker/api"
	"github.com/tidelinehq/tideline/broker/membership"
	"github.com/tidelinehq/tideline/internal/peer"
	"github.com/tidelinehq/tideline/metadata"
	"github.com/tidelinehq/tideline/metadata/quorum"
)

// metadataGroup shows the group that keeps the metadata to the API.
type metadataGroup struct{ *Broker }

var errNoMembership = errors.New("the metadata log has no members")

func (g metadataGroup) membership() (quorum.Membership, error) {
	m, ok := g.meta.Log().(quorum.Membership)
	if !ok {
		return nil, errNoMembership
	}
	return m, nil
}

// Group implements api.Quorum. Offsets are the next ones, as Kafka counts them. The
// leader knows of the others what their heartbeats say, which is how far their images
// are: their logs are at least as long. Other brokers know their own log alone.
func (g metadataGroup) Group(context.Context) (api.QuorumGroup, error) {
	m, err := g.membership()
	if err != nil {
		return api.QuorumGroup{Leader: -1}, err
	}
	at := m.Progress()
	group := api.QuorumGroup{Leader: g.meta.Controller(), Epoch: int32(min(at.Term, math.MaxInt32)), HighWatermark: next(at.CommitIndex)}
	if group.Leader < 0 {
		return group, &quorum.NotLeaderError{}
	}
	voters, observers := m.Members()
	group.Voters, group.Observers = g.members(voters, &at), g.members(observers, &at)
	return group, nil
}

func (g metadataGroup) members(list []quorum.Member, at *quorum.Progress) []api.QuorumMember {
	out := make([]api.QuorumMember, 0, len(list))
	for _, m := range list {
		id, err := strconv.ParseInt(m.ID, 10, 32)
		if err != nil {
			continue // no broker, so nobody whom the protocol could name
		}
		x := api.QuorumMember{ID: int32(id), Address: m.Address, LogEnd: -1, LastFetch: -1, LastCaughtUp: -1}
		if x.ID == g.cfg.NodeID {
			x.LogEnd = next(at.LastIndex)
			if g.meta.IsLeader() {
				x.LastFetch, x.LastCaughtUp = g.now().UnixMilli(), g.now().UnixMilli()
			} else if heard := at.LeaderContact; !heard.IsZero() {
				x.LastFetch = heard.UnixMilli()
			}
		} else if index, when := g.member.Steward().Reached(x.ID); !when.IsZero() {
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

// AddVoter implements api.Quorum. Only the leader can do it.
func (g metadataGroup) AddVoter(ctx context.Context, id int32, address string) error {
	m, err := g.leading()
	if err != nil {
		return err
	}
	if err := m.AddVoter(ctx, quorum.Member{ID: metadata.MemberID(id), Address: address}); err != nil {
		return fmt.Errorf("add voter: %w: id=%d address=%s", err, id, address)
	}
	return nil
}

// RemoveVoter implements api.Quorum. The member goes on as one that does not vote.
func (g metadataGroup) RemoveVoter(ctx context.Context, id int32) error {
	m, err := g.leading()
	if err != nil {
		return err
	}
	if err := m.Demote(ctx, metadata.MemberID(id)); err != nil {
		return fmt.Errorf("remove voter: %w: id=%d", err, id)
	}
	return nil
}

// leading returns the group on the broker that leads it.
func (g metadataGroup) leading() (quorum.Membership, error) {
	if !g.meta.IsLeader() {
		leader, _ := g.meta.Leader()
		return nil, &quorum.NotLeaderError{Leader: leader}
	}
	return g.membership()
}

// ForwardRequest is the type of control request by which a broker hands a client's
// request on to the leader of the metadata; its bytes are those of api.Forwarded.
const ForwardRequest uint16 = 17

// forward returns how requests are handed on; nil in a cluster of one.
func (b *Broker) forward() func(context.Context, []byte) ([]byte, error) {
	if b.peers == nil {
		return nil
	}
	return func(ctx context.Context, request []byte) ([]byte, error) {
		leader := b.meta.Controller()
		x, ok := b.meta.Image().Broker(leader)
		if !ok {
			return nil, &quorum.NotLeaderError{}
		}
		address, ok := membership.Address(x)
		if !ok {
			return nil, fmt.Errorf("%w: it has no internal port", &quorum.NotLeaderError{})
		}
		answer, err := b.peers.Call(ctx, address, leader, ForwardRequest, request)
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
