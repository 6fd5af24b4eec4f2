package share

import (
	"time"

	"github.com/tidelinehq/tideline/broker/coordinator"
	"github.com/twmb/franz-go/pkg/kerr"
)

// initialize begins a share partition, or begins it anew under a higher state epoch:
// all that was known of its records is gone.
type initialize struct {
	request
	stateEpoch int32
	start      int64
}

func (i *initialize) decide(m *machine, now time.Time) coordinator.Outcome {
	if i.key.Partition < 0 {
		return i.reply(refuse(kerr.InvalidRequest, negativePartition))
	}
	s := m.states[i.key]
	if s != nil {
		if a, fenced := m.fencedState(s, i.stateEpoch); fenced {
			return i.reply(a)
		}
	}
	if a, unknown := i.unknown(); unknown {
		return i.reply(a)
	}
	if s != nil && s.stateEpoch == i.stateEpoch {
		// This one, asked for again: the answer was lost, or is late. What became of the
		// records since then must not be.
		return i.reply(answer{})
	}
	if s == nil && len(m.states) >= m.cfg.MaxSharePartitions {
		return i.reply(refuse(kerr.CoordinatorNotAvailable, "This share coordinator has as many share partitions as it may."))
	}
	next := &state{snapshotEpoch: -1, stateEpoch: i.stateEpoch, leaderEpoch: unchanged, start: i.start, complete: unknownComplete}
	if i.start >= 0 {
		next.complete = 0 // whoever says where it begins begins with nothing done: so its lag is known
	}
	if s != nil {
		next.snapshotEpoch = s.snapshotEpoch
		next.leaderEpoch = s.leaderEpoch // older leaders stay fenced
	}
	next = next.snapshot(now.UnixMilli())
	return m.commit(&i.request, snapshotRecord(i.key, next), next, true, answer{})
}
