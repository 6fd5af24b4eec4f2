package share

import (
	"time"

	"github.com/tidelinehq/tideline/broker/coordinator"
)

// lookForCold writes old snapshots anew, so that the log below them can go.
type lookForCold struct{}

func (lookForCold) decide(m *machine, now time.Time) coordinator.Outcome {
	out := coordinator.Outcome{Timers: []coordinator.Timer{timer(coldTimer, now.Add(m.cfg.ColdInterval))}}
	hot := false
	for _, s := range m.states {
		hot = hot || !s.cold()
	}
	if !hot {
		return out // nothing came after them: nothing would be gained
	}
	for _, k := range m.keys() {
		if m.states[k].old(m.cfg, now) {
			out.Follow = append(out.Follow, coordinator.Event{Key: k.String(), Access: coordinator.Exclusive, Body: refresh{k}})
		}
	}
	return out
}

// old says that a share partition has not had a snapshot for long.
func (s *state) old(cfg *Config, now time.Time) bool {
	return now.Sub(time.UnixMilli(s.written)) >= cfg.ColdInterval
}

// refresh writes the snapshot of one share partition anew.
type refresh struct{ key Key }

func (r refresh) decide(m *machine, now time.Time) coordinator.Outcome {
	s := m.states[r.key]
	if s == nil || !s.old(m.cfg, now) {
		return coordinator.Outcome{}
	}
	next := s.snapshot(now.UnixMilli())
	next.created = s.created
	return m.commit(&request{key: r.key}, snapshotRecord(r.key, next), next, true, nil)
}

// pruneLog gives up the records below the oldest of the newest snapshots.
type pruneLog struct{}

func (pruneLog) decide(m *machine, now time.Time) coordinator.Outcome {
	below := m.end
	for _, s := range m.states {
		below = min(below, s.snapshotAt)
	}
	return coordinator.Outcome{
		Timers: []coordinator.Timer{timer(pruneTimer, now.Add(m.cfg.PruneInterval))},
		Apply: func() {
			if below <= m.pruned || m.prune == nil {
				return
			}
			m.pruned = below
			m.metrics.pruned.Inc()
			m.prune(below)
		},
	}
}
