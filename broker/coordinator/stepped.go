package coordinator

import (
	"time"

	"github.com/tidelinehq/tideline/internal/record"
)

// Stepped is one shard driven by hand: no goroutine, no clock, no log. It runs
// the same core as Runtime, so that tests of state machines and simulations can
// choose the order of events, the time, and the fate of each append. It belongs
// to one goroutine.
type Stepped struct {
	shard *shard
	opts  Options
	now   time.Time
}

// SteppedWrite is one batch that waits to be committed or refused.
type SteppedWrite struct {
	Batch record.Batch // offsets from 0
	s     *Stepped
	w     *write
}

// NewStepped replays the batches into a new machine and lets it start at now.
// Options.Log may be nil.
func NewStepped(o Options, m Machine, now time.Time, log []record.Batch) (*Stepped, error) {
	if o.Log == nil {
		o.Log = noLog{}
	}
	o.New = func(int32, int32) Machine { return m }
	o, err := o.withDefaults()
	if err != nil {
		return nil, err
	}
	s := &Stepped{opts: o, now: now}
	s.shard = newShard(m, &s.opts, newMetrics(o.Subsystem, o.Registerer))
	for _, b := range log {
		for r, err := range b.Records(o.MaxReplayBytes) {
			if err == nil {
				err = m.Replay(b, r.Offset, r.Key, r.Value)
			}
			if err != nil {
				return nil, err
			}
		}
	}
	s.shard.loaded(now)
	return s, nil
}

// Now is the time that Advance has reached.
func (s *Stepped) Now() time.Time { return s.now }

// Submit decides an event, or queues it at its gate.
func (s *Stepped) Submit(ev Event) {
	s.shard.submit(ev, s.now)
	s.shard.tick(s.now)
}

// Advance moves the time on to the next timer, but by no more than d, fires what
// is due, and returns what is left of d.
func (s *Stepped) Advance(d time.Duration) (left time.Duration) {
	end := s.now.Add(d)
	now := end
	if at, ok := s.shard.next(); ok && at.Before(end) {
		now = at
	}
	if now.After(s.now) {
		s.now = now
	}
	s.shard.tick(s.now)
	return end.Sub(s.now)
}

// Flush returns the batches that are to be appended now, oldest first. Each is to be
// settled by Commit or Fail, in that order.
func (s *Stepped) Flush() []*SteppedWrite {
	var out []*SteppedWrite
	for _, w := range s.shard.flush(s.now) {
		out = append(out, &SteppedWrite{Batch: w.batch, s: s, w: w})
	}
	return out
}

// Commit says that the batch is in the log for good, at its base offset.
func (w *SteppedWrite) Commit() { w.settle(nil) }

// Fail says that the batch is not and never will be in the log.
func (w *SteppedWrite) Fail(err error) { w.settle(err) }

func (w *SteppedWrite) settle(err error) {
	w.s.shard.done(w.w, w.Batch.BaseOffset(), err, w.s.now)
	w.s.shard.tick(w.s.now)
}

// Fenced says that the log reported the end of leadership: the shard is to be unloaded.
func (s *Stepped) Fenced() bool { return s.shard.fenced }

// Unload answers everybody who waits, and ends the shard.
func (s *Stepped) Unload() { s.shard.unload(ErrNotCoordinator) }

type noLog struct{ Log }
