package coordinator

import (
	"errors"
	"time"

	"github.com/tidelinehq/tideline/internal/record"
)

// shard is the core of one partition's coordinator, with no goroutine, clock or
// I/O of its own: events, the time and the fate of appends come in by its
// methods, batches to append come out of flush. loop drives it.
type shard struct {
	machine Machine
	opts    *Options
	metrics *metrics

	gates    gates
	timers   *timers
	ready    []*entry // to be admitted in this round
	overdue  []*entry // events with a call that wait or are under way, oldest first
	retries  []retry  // events that nobody waits for and whose records were refused, oldest first
	staged   []*write // closed but for the last
	inFlight int
	fenced   bool // the log said that leadership is over
}

// entry is one event on its way.
type entry struct {
	ev      Event
	out     Outcome
	first   int       // of its records, in their batch
	due     time.Time // when its call is refused with ErrTimedOut
	timer   TimerKey  // if fired: the timer that it came from
	fired   bool
	settled bool // decided for good, or dropped
}

type retry struct {
	ev Event
	at time.Time
}

// write is one batch and the outcomes in it.
type write struct {
	builder  *record.Builder
	batch    record.Batch
	producer *Producer // of a transactional batch, which holds one outcome
	entries  []*entry
	began    time.Time
}

func newShard(m Machine, opts *Options, mx *metrics) *shard {
	return &shard{machine: m, opts: opts, metrics: mx, gates: make(gates), timers: newTimers()}
}

// loaded lets the machine start: the replay is done.
func (s *shard) loaded(now time.Time) {
	s.apply(s.machine.Loaded(now))
	s.run(now)
}

// submit takes one event as far as it goes without waiting.
func (s *shard) submit(ev Event, now time.Time) {
	s.ready = append(s.ready, &entry{ev: ev})
	s.run(now)
}

// tick fires the timers that are due and refuses calls that waited too long. A
// timer that sets itself anew at once has its next turn in the next tick.
func (s *shard) tick(now time.Time) {
	for range len(s.timers.heap) {
		key, ok := s.timers.pop(now)
		if !ok {
			break
		}
		if ev, ok := s.machine.Fire(key); ok {
			s.ready = append(s.ready, &entry{ev: ev, timer: key, fired: true})
			s.run(now)
		}
	}
	for len(s.retries) > 0 && !s.retries[0].at.After(now) {
		ev := s.retries[0].ev
		s.retries = s.retries[1:]
		s.submit(ev, now)
	}
	for len(s.overdue) > 0 && (s.overdue[0].settled || !s.overdue[0].due.After(now)) {
		if e := s.overdue[0]; !e.settled {
			s.metrics.refused.WithLabelValues("timed_out").Inc()
			e.ev.refuse(ErrTimedOut)
		}
		s.overdue[0] = nil
		s.overdue = s.overdue[1:]
	}
}

// next returns when tick has something to do; false if never.
func (s *shard) next() (time.Time, bool) {
	at, ok := s.timers.next()
	if len(s.overdue) > 0 && (!ok || s.overdue[0].due.Before(at)) {
		at, ok = s.overdue[0].due, true
	}
	if len(s.retries) > 0 && (!ok || s.retries[0].at.Before(at)) {
		at, ok = s.retries[0].at, true
	}
	return at, ok
}

// flush returns the batches to append now, as many as may be under way.
func (s *shard) flush(now time.Time) []*write {
	n := min(len(s.staged), s.opts.MaxInFlight-s.inFlight)
	if n <= 0 {
		return nil
	}
	out := make([]*write, n)
	copy(out, s.staged)
	s.staged = append(s.staged[:0], s.staged[n:]...)
	for _, w := range out {
		w.batch = w.builder.Build()
		w.builder = nil
		w.began = now
	}
	s.inFlight += n
	return out
}

// done settles a batch: committed at base, or refused with err.
func (s *shard) done(w *write, base int64, err error, now time.Time) {
	s.inFlight--
	s.metrics.appends.WithLabelValues(resultOf(err)).Inc()
	s.metrics.appendSeconds.Observe(now.Sub(w.began).Seconds())
	if errors.Is(err, ErrNotLeader) {
		s.fenced = true
	}
	for _, e := range w.entries {
		s.gates.release(&e.ev)
		if err != nil {
			s.drop(e, err, now)
		} else {
			out := e.out
			e.out = Outcome{}
			s.applyAt(out, base+int64(e.first))
			if out.Again {
				s.decide(e, now)
			} else {
				e.settled = true
			}
		}
		s.admit(e.ev.Key, now)
		s.run(now)
	}
}

// drop gives up an event's outcome. Its call is refused. An event that nobody
// waits for is tried again after a pause: by its timer, if it came from one that
// was not set anew meanwhile.
func (s *shard) drop(e *entry, err error, now time.Time) {
	e.settled, e.out = true, Outcome{}
	at := now.Add(s.opts.RetryPause)
	switch {
	case e.ev.Call != nil:
		e.ev.refuse(err)
	case !e.fired:
		s.retries = append(s.retries, retry{ev: e.ev, at: at})
	case s.timers.byKey[e.timer] == nil:
		s.timers.set(e.timer, at)
	}
}

// unload answers everybody. The shard is not used afterwards.
func (s *shard) unload(err error) {
	for _, e := range s.overdue {
		if !e.settled {
			e.ev.refuse(err)
		}
	}
	for _, r := range s.machine.Unload(err) {
		r.To.Answer(r.Body)
	}
}

// run admits all events that are ready.
func (s *shard) run(now time.Time) {
	for len(s.ready) > 0 {
		e := s.ready[0]
		s.ready = s.ready[1:]
		if s.gates.enter(e) {
			s.decide(e, now)
		} else {
			s.watch(e, now)
		}
	}
	s.ready = nil
}

// admit decides events that waited for the key, as far as the gate lets them.
func (s *shard) admit(key string, now time.Time) {
	for e := s.gates.next(key); e != nil; e = s.gates.next(key) {
		s.decide(e, now)
	}
}

// decide asks the machine, and applies or stages what it says.
func (s *shard) decide(e *entry, now time.Time) {
	if e.ev.Call != nil && e.ev.Call.answered {
		e.settled = true // refused while it waited
		return
	}
	if e.fired && s.timers.byKey[e.timer] != nil {
		e.settled = true // the timer was pushed back while its event waited
		return
	}
	out := s.machine.Decide(e.ev, now)
	if len(out.Records) == 0 {
		e.settled = true
		s.apply(out)
		return
	}
	e.out = out
	if err := s.stage(e, now); err != nil {
		s.drop(e, err, now)
		return
	}
	s.gates.hold(&e.ev)
	s.watch(e, now)
}

// watch notes that the event's call waits from now on.
func (s *shard) watch(e *entry, now time.Time) {
	if e.ev.Call != nil && e.due.IsZero() {
		e.due = now.Add(s.opts.CommitTimeout)
		s.overdue = append(s.overdue, e)
	}
}

// stage puts the event's records into the last staged batch, or a new one where
// they do not fit, or belong to a transaction.
func (s *shard) stage(e *entry, now time.Time) error {
	size := 0
	for _, r := range e.out.Records {
		size += len(r.Key) + len(r.Value) + recordOverhead
	}
	if size+record.HeaderSize > s.opts.MaxBatchBytes {
		return ErrTooLarge
	}
	var w *write
	producer := e.out.Producer
	if n := len(s.staged); n > 0 && producer == nil && s.staged[n-1].producer == nil && s.staged[n-1].builder.Size()+size <= s.opts.MaxBatchBytes {
		w = s.staged[n-1]
	} else {
		o := record.Options{ProducerID: record.NoProducerID}
		if producer != nil {
			o = record.Options{ProducerID: producer.ID, ProducerEpoch: producer.Epoch, Transactional: true}
		}
		w = &write{builder: record.NewBuilder(o), producer: producer}
		s.staged = append(s.staged, w)
	}
	ts := now.UnixMilli()
	e.first = w.builder.Count()
	for _, r := range e.out.Records {
		if err := w.builder.Add(record.Record{Timestamp: ts, Key: r.Key, Value: r.Value}); err != nil {
			// Not reachable: MaxBatchBytes is far below what a builder takes.
			panic("coordinator: " + err.Error())
		}
	}
	w.entries = append(w.entries, e)
	return nil
}

// recordOverhead bounds the bytes of a record besides its key and value.
const recordOverhead = 31

func (s *shard) apply(out Outcome) { s.applyAt(out, -1) }

// applyAt applies an outcome whose records begin at offset, -1 if it has none.
func (s *shard) applyAt(out Outcome, offset int64) {
	if out.Apply != nil {
		out.Apply()
	}
	if out.ApplyAt != nil && len(out.Records) > 0 {
		out.ApplyAt(offset)
	}
	for _, r := range out.Replies {
		r.To.Answer(r.Body)
	}
	for _, t := range out.Timers {
		if !t.Keep || s.timers.byKey[t.Key] == nil {
			s.timers.set(t.Key, t.At)
		}
	}
	for _, ev := range out.Follow {
		s.ready = append(s.ready, &entry{ev: ev})
	}
}
