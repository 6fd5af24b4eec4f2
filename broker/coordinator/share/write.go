package share

import (
	"time"

	"github.com/tidelinehq/tideline/broker/coordinator"
	"github.com/twmb/franz-go/pkg/kerr"
)

// write keeps what a leader says of a share partition's records.
type write struct {
	request
	stateEpoch, leaderEpoch int32
	start                   int64 // -1: unchanged
	complete                int32
	batches                 []StateBatch
}

func (w *write) decide(m *machine, now time.Time) coordinator.Outcome {
	if w.key.Partition < 0 {
		return w.reply(refuse(kerr.InvalidRequest, negativePartition))
	}
	s := m.states[w.key]
	if s == nil {
		return w.reply(refuse(kerr.InvalidRequest, writeBeforeInit))
	}
	if a, fenced := m.fencedLeader(s, w.leaderEpoch); fenced {
		return w.reply(a)
	}
	if a, fenced := m.fencedState(s, w.stateEpoch); fenced {
		return w.reply(a)
	}
	if a, unknown := w.unknown(); unknown {
		return w.reply(a)
	}
	if !valid(w.batches) {
		return w.reply(refuse(kerr.InvalidRequest, "A state batch is no range of offsets."))
	}
	// Only a read makes a leader known: a write says the epoch that is known already.
	u := &update{snapshotEpoch: s.snapshotEpoch, leaderEpoch: s.leaderEpoch, start: w.start, complete: w.complete}
	u.batches = combine(nil, w.batches, w.start)
	if n := len(s.batches) + len(u.batches); n > m.cfg.MaxBatches || m.batches+len(u.batches) > m.cfg.MaxShardBatches {
		n = len(s.with(u).batches)
		if n > m.cfg.MaxBatches {
			return w.reply(refuse(kerr.InvalidRequest, "The share partition has more state batches than it may."))
		}
		if n > len(s.batches) && m.batches+n-len(s.batches) > m.cfg.MaxShardBatches {
			return w.reply(refuse(kerr.CoordinatorNotAvailable, "This share coordinator has as many state batches as it may."))
		}
	}
	return m.put(&w.request, u, now.UnixMilli(), answer{})
}
