package quorum

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/hashicorp/raft"
)

// Membership is what a Log has besides whose members may change. *Raft has it; the twin has not.
type Membership interface {
	// Members returns the group, voters and others, as this member knows it.
	Members() (voters, others []Member)
	// AddVoter adds a member that votes, or makes a member vote, with a new address. Leader only, as the ones below.
	AddVoter(ctx context.Context, m Member) error
	// AddObserver adds a member that follows the log and does not vote. Of a member it changes the address only.
	AddObserver(ctx context.Context, m Member) error
	// Demote makes a voter an observer.
	Demote(ctx context.Context, id string) error
	// Remove takes a member out of the group.
	Remove(ctx context.Context, id string) error
	// HandOver makes another voter the leader.
	HandOver() error
	// Campaign makes this voter stand for election at once, without waiting until the leader was silent for the heartbeat timeout.
	// gone is the leader that the caller knows to be dead; when it is not the leader any more, nothing happens.
	Campaign(gone string) error
	// Progress tells how far this member is.
	Progress() Progress
}

var _ Membership = (*Raft)(nil)

// Progress is how far a member is.
type Progress struct {
	Term          uint64
	LastIndex     uint64    // of the newest entry in its log
	CommitIndex   uint64    // of the newest entry that it knows to be committed
	AppliedIndex  uint64    // of the newest entry in its state machine
	LeaderContact time.Time // when a follower last heard of the leader; zero: never
	// Stalled is for how long nothing that this member proposed was committed, while something waits: 0 when nothing does.
	Stalled time.Duration
}

// HasState reports whether a directory has the log of a member. One that was made and not yet written to has none.
func HasState(dir string) (bool, error) {
	path := filepath.Join(dir, "log.db")
	if _, err := os.Stat(path); errors.Is(err, os.ErrNotExist) {
		return false, nil
	}
	store, err := openBolt(path, func(error) {})
	if err != nil {
		return false, err
	}
	known, err := raft.HasExistingState(store, store, raft.NewDiscardSnapshotStore())
	if err := errors.Join(err, store.close()); err != nil {
		return false, fmt.Errorf("look for a metadata log: %w: path=%s", err, path)
	}
	return known, nil
}

// Members implements Membership.
func (l *Raft) Members() (voters, others []Member) {
	f := l.raft.GetConfiguration()
	if f.Error() != nil {
		return nil, nil
	}
	for _, s := range f.Configuration().Servers {
		m := Member{ID: string(s.ID), Address: string(s.Address)}
		if s.Suffrage == raft.Voter {
			voters = append(voters, m)
		} else {
			others = append(others, m)
		}
	}
	return voters, others
}

// AddVoter implements Membership.
func (l *Raft) AddVoter(ctx context.Context, m Member) error {
	return l.wait(ctx, entryOverhead, func(d time.Duration) raft.Future {
		return l.raft.AddVoter(raft.ServerID(m.ID), raft.ServerAddress(m.Address), 0, d)
	}, func(raft.Future) {})
}

// AddObserver implements Membership.
func (l *Raft) AddObserver(ctx context.Context, m Member) error {
	return l.wait(ctx, entryOverhead, func(d time.Duration) raft.Future {
		return l.raft.AddNonvoter(raft.ServerID(m.ID), raft.ServerAddress(m.Address), 0, d)
	}, func(raft.Future) {})
}

// Demote implements Membership.
func (l *Raft) Demote(ctx context.Context, id string) error {
	return l.wait(ctx, entryOverhead, func(d time.Duration) raft.Future {
		return l.raft.DemoteVoter(raft.ServerID(id), 0, d)
	}, func(raft.Future) {})
}

// Remove implements Membership.
func (l *Raft) Remove(ctx context.Context, id string) error {
	return l.wait(ctx, entryOverhead, func(d time.Duration) raft.Future {
		return l.raft.RemoveServer(raft.ServerID(id), 0, d)
	}, func(raft.Future) {})
}

// HandOver implements Membership.
func (l *Raft) HandOver() error {
	if err := l.raft.LeadershipTransfer().Error(); err != nil {
		return fmt.Errorf("hand leadership over: %w", l.translate(err))
	}
	return nil
}

// Campaign implements Membership.
func (l *Raft) Campaign(gone string) error {
	voters, _ := l.Members()
	leader, known := l.Leader()
	switch {
	case !slices.ContainsFunc(voters, func(m Member) bool { return m.ID == l.id }):
		return fmt.Errorf("campaign: this member has no vote: id=%s", l.id)
	case known && leader.ID != gone, l.raft.State() != raft.Follower:
		return nil // it is over, or under way
	}
	return l.campaign()
}

// campaign sends this member the message by which a leader names its successor: it stands for election without asking before, and the
// others vote even if they still know a leader.
func (l *Raft) campaign() error {
	var reply raft.TimeoutNowResponse
	request := &raft.TimeoutNowRequest{RPCHeader: raft.RPCHeader{
		ProtocolVersion: raft.ProtocolVersionMax, ID: []byte(l.id), Addr: []byte(l.transport.LocalAddr()),
	}}
	if err := l.transport.TimeoutNow(raft.ServerID(l.id), l.transport.LocalAddr(), request, &reply); err != nil {
		return fmt.Errorf("campaign: %w", err)
	}
	return nil
}

// Progress implements Membership.
func (l *Raft) Progress() Progress {
	return Progress{
		Term: l.raft.CurrentTerm(), LastIndex: l.raft.LastIndex(), CommitIndex: l.raft.CommitIndex(), AppliedIndex: l.fsm.applied.Load(),
		LeaderContact: l.raft.LastContact(), Stalled: l.stalled(),
	}
}
