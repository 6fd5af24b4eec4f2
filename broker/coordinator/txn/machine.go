package txn

import (
	"log/slog"
	"slices"
	"time"

	"github.com/tidelinehq/tideline/broker/coordinator"
	"github.com/tidelinehq/tideline/internal/record"
)

// machine is the state of the transactional ids of one partition, at one leader epoch.
type machine struct {
	cfg     *Config
	metrics *metrics
	log     *slog.Logger
	edge    edge
	level   func() int16 // of the feature transaction.version
	txns    map[string]*transaction
	live    bool // loaded, and counted in the metrics
}

// edge is what a decision leads to outside of its shard. It is called when the decision is
// applied, and must not block. A test decides by it what happens, and when.
type edge interface {
	// write has the markers of a decided transaction written, and then submits
	// markersWritten for it; it goes on until that is done, or forget is called.
	write(id string, t *transaction)
	// refill takes a producer id, and submits the event that fn makes of it. It may fail
	// and be forgotten: whoever asked asks again in time.
	refill(id string, fn func(freshID int64) coordinator.Event)
	// forget ends all this: the shard ends.
	forget()
}

// body is an event of this machine.
type body interface {
	decide(m *machine, now time.Time) coordinator.Outcome
}

// The kinds of timers; key is the transactional id.
const (
	deadlineTimer uint8 = iota // an open transaction has run out of time
	sweepTimer                 // ids that nobody uses are looked for; no key
)

// Decide implements coordinator.Machine.
func (m *machine) Decide(ev coordinator.Event, now time.Time) coordinator.Outcome {
	return ev.Body.(body).decide(m, now)
}

// Replay implements coordinator.Machine.
func (m *machine) Replay(batch record.Batch, _ int64, key, value []byte) error {
	if batch.Control() {
		return nil
	}
	e, err := decode(key, value)
	if err != nil {
		return err
	}
	m.install(e.id, e.t)
	return nil
}

// install puts the next transaction of an id in place; nil forgets the id.
func (m *machine) install(id string, t *transaction) {
	if before := m.txns[id]; before != nil && m.live {
		m.metrics.count(before, -1)
	}
	if t == nil {
		delete(m.txns, id)
		return
	}
	m.txns[id] = t
	if m.live {
		m.metrics.count(t, +1)
	}
}

// ids are the transactional ids in order.
func (m *machine) ids() []string {
	ids := make([]string, 0, len(m.txns))
	for id := range m.txns {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	return ids
}

// Loaded implements coordinator.Machine: what was decided is carried out, what is open is
// given the rest of its time.
func (m *machine) Loaded(now time.Time) coordinator.Outcome {
	var out coordinator.Outcome
	var decided []string
	for _, id := range m.ids() {
		switch t := m.txns[id]; {
		case t.state.decided():
			decided = append(decided, id)
		case t.state == Ongoing:
			out.Timers = append(out.Timers, m.deadline(id, t))
		}
	}
	out.Timers = append(out.Timers, coordinator.Timer{Key: coordinator.TimerKey{Kind: sweepTimer}, At: now.Add(m.cfg.ExpirationInterval)})
	out.Apply = func() {
		m.live = true
		for _, t := range m.txns {
			m.metrics.count(t, +1)
		}
		for _, id := range decided {
			m.edge.write(id, m.txns[id])
		}
	}
	return out
}

// deadline is the timer of an open transaction: when it runs out of time, or soon after, with
// all others that do until then.
func (m *machine) deadline(id string, t *transaction) coordinator.Timer {
	at := t.deadline()
	if round := at.Truncate(m.cfg.AbortInterval); round.Before(at) {
		at = round.Add(m.cfg.AbortInterval)
	}
	return coordinator.Timer{Key: coordinator.TimerKey{Kind: deadlineTimer, Key: id}, At: at}
}

// Fire implements coordinator.Machine. The timer of a transaction that ended is not
// cancelled: the next of the same id pushes it back.
func (m *machine) Fire(key coordinator.TimerKey) (coordinator.Event, bool) {
	if key.Kind == sweepTimer {
		return coordinator.Event{Access: coordinator.Read, Body: sweep{}}, true
	}
	t := m.txns[key.Key]
	if t == nil || t.state != Ongoing {
		return coordinator.Event{}, false
	}
	return coordinator.Event{Key: key.Key, Access: coordinator.Exclusive, Body: timeOut{id: key.Key, producerID: t.producerID, epoch: t.epoch, freshID: noProducerID}}, true
}

// Unload implements coordinator.Machine. No call is ever parked in the state.
func (m *machine) Unload(error) []coordinator.Reply {
	m.edge.forget()
	if m.live {
		for _, t := range m.txns {
			m.metrics.count(t, -1)
		}
	}
	return nil
}

// change is the outcome that replaces the transaction of an id by the next one, and answers.
func (m *machine) change(id string, t *transaction, replies ...coordinator.Reply) coordinator.Outcome {
	out := coordinator.Outcome{
		Records: []coordinator.Record{transactionRecord(id, t, m.level())},
		Replies: replies,
		Apply: func() {
			m.install(id, t)
			if t.state.decided() {
				m.edge.write(id, t)
			}
		},
	}
	if before := m.txns[id]; t.state == Ongoing && before.state != Ongoing {
		out.Timers = []coordinator.Timer{m.deadline(id, t)}
	}
	return out
}

// answer is the outcome that changes nothing.
func answer(to *coordinator.Call, body any) coordinator.Outcome {
	return coordinator.Outcome{Replies: []coordinator.Reply{{To: to, Body: body}}}
}

// needsID asks whoever submitted an event for a producer id: with that, the event is decided anew.
type needsID struct{}
