package group

import (
	"log/slog"
	"slices"
	"time"

	"github.com/tidelinehq/tideline/broker/coordinator"
	"github.com/tidelinehq/tideline/internal/record"
)

// machine is the state of the groups of one partition.
type machine struct {
	cfg     *Config
	topics  func() Image // the newest
	metrics *metrics
	log     *slog.Logger
	newID   func() string // the random part of a member id
	groups  map[string]*group
	txn     txnOffsets
	live    bool // loaded, and counted in the metrics
}

// group is one group: who is in it, replaced as a whole, and its offsets.
type group struct {
	*membership        // of a classic group; without members and generation for other kinds
	modern      modern // of a group of another kind; nil for a classic one
	offsets     offsets
}

// body is an event of this machine.
type body interface {
	decide(m *machine, now time.Time) coordinator.Outcome
}

// The kinds of timers. Key is the group; Name the member of a session.
const (
	sessionTimer uint8 = iota // a member must have been heard of
	joinTimer                 // the rebalance is completed with who has joined
	syncTimer                 // who has not synced is removed
	sweepTimer                // expired offsets are looked for; no key
	revokeTimer               // of a modern group: a member must have given up what it was asked to
	rejoinTimer               // of a modern group: a member of the classic protocol must have rejoined
	resyncTimer               // of a modern group: a member of the classic protocol must have synced
	delayTimer                // of a modern group: its first assignment is due
)

func newMachine(cfg *Config, topics func() Image, mx *metrics, log *slog.Logger, newID func() string) *machine {
	return &machine{cfg: cfg, topics: topics, metrics: mx, log: log, newID: newID, groups: make(map[string]*group)}
}

// Decide implements coordinator.Machine.
func (m *machine) Decide(ev coordinator.Event, now time.Time) coordinator.Outcome {
	return ev.Body.(body).decide(m, now)
}

// Replay implements coordinator.Machine.
func (m *machine) Replay(batch record.Batch, offset int64, key, value []byte) error {
	if batch.Control() || batch.Transactional() {
		return m.replayTxn(batch, offset, key, value)
	}
	e, err := decode(key, value)
	if err != nil {
		return err
	}
	if e.tp != (topicPartition{}) && value != nil {
		m.txn.pass(e.group, e.tp)
	} else if e.tp != (topicPartition{}) {
		m.txn.drop(e.group, e.tp)
	}
	if value == nil && m.groups[e.group] == nil {
		return nil // the tombstone of what is gone already
	}
	m.change(e.group, func(g *group) {
		switch {
		case e.modern != nil:
			err = g.replayModern(e.kind, *e.modern, value)
		case e.isGroup && value != nil:
			g.membership, g.modern = e.membership, nil
		case e.isGroup:
			g.membership = &membership{} // offsets that are left belong to a simple group
		case value != nil:
			g.offsets[e.tp] = *e.offset
		default:
			delete(g.offsets, e.tp)
		}
	})
	return err
}

// replayModern takes in a record of a modern group. One that begins while a group of
// another kind has records left takes its place; a tombstone of an earlier kind says
// nothing any more.
func (g *group) replayModern(k Kind, key recordKey, value []byte) error {
	if g.modern == nil || g.modern.kind() != k {
		if value == nil {
			return nil
		}
		g.membership, g.modern = &membership{}, newModern[k]()
	}
	err := g.modern.replay(key, value)
	if g.modern.gone() {
		g.modern = nil
	}
	return err
}

// change lets fn change the group, which is made if it is not there, and
// forgets it if nothing is left of it: no generation, no members, no offsets.
func (m *machine) change(id string, fn func(*group)) {
	g, ok := m.groups[id]
	if !ok {
		g = &group{membership: &membership{}, offsets: make(offsets)}
		m.groups[id] = g
	} else if m.live {
		m.metrics.count(g, -1)
	}
	fn(g)
	if g.modern == nil && g.generation == 0 && g.protocolType == "" && len(g.members)+len(g.pending)+len(g.offsets) == 0 {
		delete(m.groups, id)
	} else if m.live {
		m.metrics.count(g, +1)
	}
}

// ids are the group ids in order.
func (m *machine) ids() []string {
	ids := make([]string, 0, len(m.groups))
	for id := range m.groups {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	return ids
}

// Loaded implements coordinator.Machine: members get a whole session to find
// their new coordinator.
func (m *machine) Loaded(now time.Time) coordinator.Outcome {
	var out coordinator.Outcome
	for _, id := range m.ids() {
		g := m.groups[id]
		if g.modern != nil {
			out.Timers = append(out.Timers, g.modern.loaded(m, id, now)...)
			continue
		}
		for _, mb := range g.members {
			out.Timers = append(out.Timers, session(id, mb.id, now.Add(mb.sessionTimeout)))
		}
		if len(g.members) > m.cfg.MaxSize {
			out.Follow = append(out.Follow, coordinator.Event{Key: id, Access: coordinator.Exclusive, Body: overCapacity{id}})
		}
	}
	out.Timers = append(out.Timers, coordinator.Timer{Key: coordinator.TimerKey{Kind: sweepTimer}, At: now.Add(m.cfg.OffsetsRetentionCheckInterval)})
	out.Apply = func() {
		m.live = true
		for _, g := range m.groups {
			m.metrics.count(g, +1)
		}
	}
	return out
}

// Fire implements coordinator.Machine.
func (m *machine) Fire(key coordinator.TimerKey) (coordinator.Event, bool) {
	ev := coordinator.Event{Key: key.Key, Access: coordinator.Exclusive}
	switch key.Kind {
	case sessionTimer:
		ev.Body = sessionExpired{key.Key, key.Name}
	case joinTimer:
		ev.Body = joinTimeout{key.Key}
	case syncTimer:
		ev.Body = syncTimeout{key.Key}
	case revokeTimer, rejoinTimer, resyncTimer, delayTimer:
		ev.Body = modernTimeout{key}
	default:
		return coordinator.Event{Access: coordinator.Read, Body: sweep{}}, true
	}
	_, ok := m.groups[key.Key]
	return ev, ok
}

// Unload implements coordinator.Machine.
func (m *machine) Unload(err error) []coordinator.Reply {
	var out []coordinator.Reply
	for _, id := range m.ids() {
		g := m.groups[id]
		for _, mb := range g.members {
			if mb.join.waits() {
				out = append(out, coordinator.Reply{To: mb.join.call, Body: joinError(mb.join.version, mb.id, errorCode(err))})
			}
			if mb.sync.waits() {
				out = append(out, coordinator.Reply{To: mb.sync.call, Body: syncError(mb.sync.version, errorCode(err))})
			}
		}
		if m.live {
			m.metrics.count(g, -1)
		}
	}
	return out
}

func session(group, member string, at time.Time) coordinator.Timer {
	return coordinator.Timer{Key: coordinator.TimerKey{Kind: sessionTimer, Key: group, Name: member}, At: at}
}
