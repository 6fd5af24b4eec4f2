package quorum

import (
	"context"
	"time"

	"github.com/hashicorp/raft"
)

// Members returns the group, voters and others, as this member knows it.
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

// AddVoter adds a member that votes, or changes the address of one. Leader only.
func (l *Raft) AddVoter(ctx context.Context, m Member) error {
	return l.wait(ctx, entryOverhead, func(d time.Duration) raft.Future {
		return l.raft.AddVoter(raft.ServerID(m.ID), raft.ServerAddress(m.Address), 0, d)
	}, func(raft.Future) {})
}

// AddObserver adds a member that follows the log and does not vote. Leader only.
func (l *Raft) AddObserver(ctx context.Context, m Member) error {
	return l.wait(ctx, entryOverhead, func(d time.Duration) raft.Future {
		return l.raft.AddNonvoter(raft.ServerID(m.ID), raft.ServerAddress(m.Address), 0, d)
	}, func(raft.Future) {})
}

// Remove takes a member out of the group. Leader only.
func (l *Raft) Remove(ctx context.Context, id string) error {
	return l.wait(ctx, entryOverhead, func(d time.Duration) raft.Future {
		return l.raft.RemoveServer(raft.ServerID(id), 0, d)
	}, func(raft.Future) {})
}
