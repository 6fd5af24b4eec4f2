package share

import (
	"time"

	"github.com/tidelinehq/tideline/broker/coordinator"
	"github.com/twmb/franz-go/pkg/kerr"
)

// read is a leader that takes a share partition up. One with a new leader epoch is
// written down, so that no older one can write after it has read.
type read struct {
	request
	leaderEpoch int32
}

// readAnswer is the state as the reader gets it. It does not change.
type readAnswer struct {
	answer
	state *state // nil on error
}

func (r *read) decide(m *machine, now time.Time) coordinator.Outcome {
	fail := func(a answer) coordinator.Outcome { return r.reply(readAnswer{answer: a}) }
	if r.key.Partition < 0 {
		return fail(refuse(kerr.InvalidRequest, negativePartition))
	}
	s := m.states[r.key]
	if s == nil {
		return fail(refuse(kerr.InvalidRequest, readBeforeInit))
	}
	if a, fenced := m.fencedLeader(s, r.leaderEpoch); fenced {
		return fail(a)
	}
	if a, unknown := r.unknown(); unknown {
		return fail(a)
	}
	if r.leaderEpoch == unchanged || r.leaderEpoch == s.leaderEpoch {
		return r.reply(readAnswer{state: s})
	}
	u := &update{snapshotEpoch: s.snapshotEpoch, leaderEpoch: r.leaderEpoch, start: s.start, complete: s.complete}
	return m.put(&r.request, u, now.UnixMilli(), readAnswer{state: s})
}

// summary is what a group coordinator wants to know of a share partition. It may
// not have begun.
type summary struct{ request }

func (r *summary) decide(m *machine, _ time.Time) coordinator.Outcome {
	if r.key.Partition < 0 {
		return r.reply(readAnswer{answer: refuse(kerr.InvalidRequest, negativePartition)})
	}
	if a, unknown := r.unknown(); unknown {
		return r.reply(readAnswer{answer: a})
	}
	s := m.states[r.key]
	if s == nil {
		s = &state{start: uninitialized, complete: unknownComplete}
	}
	return r.reply(readAnswer{state: s})
}
