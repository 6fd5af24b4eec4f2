package metadata

import (
	"context"
	"errors"
	"time"

	"github.com/tidelinehq/tideline/internal/peer"
	"github.com/tidelinehq/tideline/metadata/quorum"
)

// successor lets a member notice at once that the leader's process is gone, instead of after the heartbeat timeout. It watches the leader's
// port, on which nothing is sent meanwhile.
//
//	no leader, or this one ──▶ follows another ──connection breaks, and a new one is refused──▶ the leader is gone
//	        ▲                     │      ▲                                                      │
//	        └─────────────────────┘      └── another leads ◀── stands for election, in turn ◀───┘
//
// The voters take turns by their ids, as two that stand at once may keep each other from winning: the lowest at once, each next one a turn
// later unless somebody leads by then. A leader that only can not be reached is left to the timeout.
type successor struct {
	store *Store
	group quorum.Membership
	peers *peer.Host
	turn  time.Duration // long enough for two syncs and a round trip
}

// turns is the part of the heartbeat timeout that a turn takes: the last of five voters stands before the timeout does it.
const turns = 5

// run ends with the store.
func (s *successor) run(ctx context.Context) {
	for ctx.Err() == nil {
		changed := s.store.log.LeaderChanges()
		leader, known := s.store.log.Leader()
		node, ok := nodeOf(leader.ID)
		if !known || !ok || node == s.store.node {
			wait(ctx, changed, 0)
			continue
		}
		if err := s.watch(ctx, leader, node); !errors.Is(err, peer.ErrGone) {
			if errors.Is(err, peer.ErrLost) {
				wait(ctx, changed, s.turn) // what can not be reached is not asked all the time; it may be on its way out
			}
			continue
		}
		changed = s.store.log.LeaderChanges()
		s.stand(ctx, leader)
		wait(ctx, changed, turns*s.turn)
	}
}

// wait returns when the channel is closed, ctx ends, or time is up, if any is given.
func wait(ctx context.Context, changed <-chan struct{}, limit time.Duration) {
	var up <-chan time.Time
	if limit > 0 {
		timer := time.NewTimer(limit)
		defer timer.Stop()
		up = timer.C
	}
	select {
	case <-changed:
	case <-up:
	case <-ctx.Done():
	}
}

// watch waits until the leader is gone, or leads no more.
func (s *successor) watch(ctx context.Context, leader quorum.Member, node int32) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() {
		for s.leads(leader) && ctx.Err() == nil {
			changed := s.store.log.LeaderChanges()
			if s.leads(leader) {
				wait(ctx, changed, 0)
			}
		}
		cancel()
	}()
	return s.peers.Watch(ctx, leader.Address, node, peer.AnyProcess)
}

// leads reports whether a member is still known as the leader.
func (s *successor) leads(m quorum.Member) bool {
	leader, known := s.store.log.Leader()
	return known && leader == m
}

// stand waits for this voter's turn and stands for election, unless there is a leader by then.
func (s *successor) stand(ctx context.Context, gone quorum.Member) {
	voters, _ := s.group.Members()
	if !isMember(voters, MemberID(s.store.node)) {
		return
	}
	ahead := 0
	for _, v := range voters {
		if node, ok := nodeOf(v.ID); ok && v.ID != gone.ID && node < s.store.node {
			ahead++
		}
	}
	if ahead > 0 {
		turn, cancel := context.WithTimeout(ctx, time.Duration(ahead)*s.turn)
		defer cancel()
		for turn.Err() == nil {
			changed := s.store.log.LeaderChanges()
			if leader, known := s.store.log.Leader(); known && leader != gone {
				return
			}
			wait(turn, changed, 0)
		}
	}
	if ctx.Err() != nil {
		return
	}
	s.store.logger.InfoContext(ctx, "the metadata leader is gone: standing for election", "leader", gone.ID, "address", gone.Address, "ahead", ahead)
	if err := s.group.Campaign(gone.ID); err != nil {
		s.store.logger.WarnContext(ctx, "no early election, the timeout decides", "error", err)
	}
}
