package share

import (
	"log/slog"
	"slices"
	"time"

	"github.com/tidelinehq/tideline/broker/coordinator"
	"github.com/tidelinehq/tideline/internal/record"
)

// machine is the state of the share partitions of one partition of __share_group_state.
type machine struct {
	cfg     *Config
	metrics *metrics
	log     *slog.Logger
	prune   func(below int64) // tells the log that records below are of no use; may be nil
	states  map[Key]*state
	batches int   // of all states
	end     int64 // one above the newest record that is part of the states
	pruned  int64 // what prune was told last
	live    bool  // loaded, and counted in the metrics
}

// body is an event of this machine.
type body interface {
	decide(m *machine, now time.Time) coordinator.Outcome
}

// The kinds of timers; there is one of each.
const (
	coldTimer  uint8 = iota // old snapshots are written anew
	pruneTimer              // records of no more use are looked for
)

func newMachine(cfg *Config, mx *metrics, log *slog.Logger, prune func(int64)) *machine {
	return &machine{cfg: cfg, metrics: mx, log: log, prune: prune, states: make(map[Key]*state)}
}

// Decide implements coordinator.Machine.
func (m *machine) Decide(ev coordinator.Event, now time.Time) coordinator.Outcome {
	return ev.Body.(body).decide(m, now)
}

// Replay implements coordinator.Machine.
func (m *machine) Replay(batch record.Batch, offset int64, key, value []byte) error {
	m.end = offset + 1
	if batch.Control() {
		return nil
	}
	e, err := decode(key, value)
	if err != nil {
		return err
	}
	switch was := m.states[e.key]; {
	case e.snapshot != nil:
		e.snapshot.snapshotAt = offset
		m.install(e.key, e.snapshot)
	case e.update == nil:
		m.install(e.key, nil)
	case was == nil:
		// Of a share partition that was deleted later: its snapshot is pruned, its
		// tombstone follows.
	default:
		m.install(e.key, was.with(e.update))
	}
	return nil
}

// install replaces the state of a share partition; nil removes it.
func (m *machine) install(k Key, next *state) {
	was := m.states[k]
	if was != nil {
		m.batches -= len(was.batches)
	}
	if next == nil {
		delete(m.states, k)
	} else {
		m.states[k] = next
		m.batches += len(next.batches)
	}
	if m.live {
		m.metrics.count(was, next)
	}
}

// installed is the part of an outcome that replaces the state of a share partition by
// what the records of the outcome, one, say.
func (m *machine) installed(k Key, next *state, snapshot bool) coordinator.Outcome {
	return coordinator.Outcome{ApplyAt: func(offset int64) {
		m.end = offset + 1
		if snapshot && next != nil {
			next.snapshotAt = offset
		}
		m.install(k, next)
		m.metrics.wrote(snapshot, next == nil)
	}}
}

// keys are the share partitions in order.
func (m *machine) keys() []Key {
	out := make([]Key, 0, len(m.states))
	for k := range m.states {
		out = append(out, k)
	}
	slices.SortFunc(out, Key.compare)
	return out
}

// Loaded implements coordinator.Machine.
func (m *machine) Loaded(now time.Time) coordinator.Outcome {
	return coordinator.Outcome{
		Apply: func() {
			m.live = true
			for _, s := range m.states {
				m.metrics.count(nil, s)
			}
		},
		Timers: []coordinator.Timer{timer(coldTimer, now.Add(m.cfg.ColdInterval)), timer(pruneTimer, now.Add(m.cfg.PruneInterval))},
	}
}

// Fire implements coordinator.Machine.
func (m *machine) Fire(key coordinator.TimerKey) (coordinator.Event, bool) {
	if key.Kind == coldTimer {
		return coordinator.Event{Access: coordinator.Read, Body: lookForCold{}}, true
	}
	return coordinator.Event{Access: coordinator.Read, Body: pruneLog{}}, true
}

// Unload implements coordinator.Machine. Nobody is ever parked in the state.
func (m *machine) Unload(error) []coordinator.Reply {
	if m.live {
		for _, s := range m.states {
			m.metrics.count(s, nil)
		}
	}
	return nil
}

func timer(kind uint8, at time.Time) coordinator.Timer {
	return coordinator.Timer{Key: coordinator.TimerKey{Kind: kind}, At: at}
}
