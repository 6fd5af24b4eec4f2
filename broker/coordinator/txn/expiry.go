package txn

import (
	"time"

	"github.com/tidelinehq/tideline/broker/coordinator"
)

// expired says that nobody used the id for so long that it is forgotten.
func (t *transaction) expired(cfg *Config, now time.Time) bool {
	return t.state.idle() && t.updated <= now.Add(-cfg.Expiration).UnixMilli()
}

// sweep looks for ids that nobody uses.
type sweep struct{}

func (sweep) decide(m *machine, now time.Time) coordinator.Outcome {
	out := coordinator.Outcome{Timers: []coordinator.Timer{{
		Key: coordinator.TimerKey{Kind: sweepTimer}, At: now.Add(m.cfg.ExpirationInterval),
	}}}
	for _, id := range m.ids() {
		if m.txns[id].expired(m.cfg, now) {
			out.Follow = append(out.Follow, coordinator.Event{Key: id, Access: coordinator.Exclusive, Body: expire{id}})
		}
	}
	return out
}

// expire forgets one id, whose tombstone is written. A producer that has it still gets
// INVALID_PRODUCER_ID_MAPPING, and begins anew.
type expire struct{ id string }

func (e expire) decide(m *machine, now time.Time) coordinator.Outcome {
	t := m.txns[e.id]
	if t == nil || !t.expired(m.cfg, now) {
		return coordinator.Outcome{}
	}
	return coordinator.Outcome{
		Records: []coordinator.Record{tombstone(e.id)},
		Apply: func() {
			m.metrics.expired.Inc()
			m.install(e.id, nil)
		},
	}
}
