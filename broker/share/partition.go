package share

import (
	"context"
	"errors"
	"fmt"
	"math"
	"sync"
	"time"

	"github.com/tidelinehq/tideline/wal"
)

// Log is a partition that this broker leads, as far as its groups need it.
type Log interface {
	ID() wal.ID
	Topic() string
	Epoch() int32
	Leads() bool
	// Begun reports whether the high watermark is known under this epoch.
	Begun() bool
	LogStart() int64
	HighWatermark() int64
}

// Waiter is told when there may be something to acquire. Wake must not block.
type Waiter interface{ Wake() }

// Partition is a share partition: one group's state of one partition, under one leader
// epoch. It is safe for concurrent use.
type Partition struct {
	manager *Manager
	group   string
	log     Log
	epoch   int32 // leader epoch

	mu         sync.Mutex // guards what follows; no lock is taken while it is held
	state      *inFlight  // nil while it is loaded
	stateEpoch int32
	ended      error // why it is of no use any more
	retiring   bool  // no member is left
	flushed    bool  // while retiring: the last write was tried
	fetching   bool  // a member reads
	contended  bool  // another would have read meanwhile
	changes    uint64
	waiters    map[Waiter]struct{}
	writing    bool
	told       []confirmation // of the write under way, and of the next
	timer      *time.Timer
}

// confirmation is an acknowledgement that waits for its write.
type confirmation struct {
	write uint64
	done  func(error)
}

// Errors of a share partition beside those of the persister.
var (
	// ErrNotLeader means that this broker does not lead the partition any more.
	ErrNotLeader = errors.New("partition is not led under this epoch")
	// ErrTooMany means that this broker has as many share partitions as it may.
	ErrTooMany = errors.New("too many share partitions")
	// errRetired means that the share partition was given up for want of members.
	errRetired = errors.New("share partition was given up")
)

// load reads the state, and finds out where a new group begins.
func (p *Partition) load() {
	defer p.manager.running.Done()
	st, s, err := p.read()
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case p.ended != nil:
	case err != nil:
		p.manager.metrics.loadErrors.Inc()
		p.manager.o.Logger.Warn("share partition is not loaded", "group", p.group, "topic", p.log.Topic(), "partition", p.log.ID().Partition, "error", err)
		p.end(err)
	default:
		p.state, p.stateEpoch = s, st.Epoch
		p.settle()
		p.wake()
		p.retire()
	}
}

func (p *Partition) read() (st State, s *inFlight, err error) {
	ctx, id := p.manager.ctx, p.log.ID()
	err = p.manager.retry(ctx, func(ctx context.Context) error {
		st, err = p.manager.o.Persister.Read(ctx, p.group, id.Topic, id.Partition, p.epoch)
		return err
	})
	if err != nil {
		return st, nil, err
	}
	settings := p.manager.o.Settings(p.group)
	if st.Start != Uninitialized {
		s, err = load(st, p.log.LogStart(), settings.Limits)
		return st, s, err
	}
	start, err := p.first(ctx, settings.Reset)
	if err != nil {
		return st, nil, err
	}
	s = begin(start, settings.Limits)
	// It is kept before anybody gets a record: the next leader would begin elsewhere.
	w := s.flush()
	err = p.persist(w, st.Epoch)
	s.written(w, err == nil, p.manager.o.Now())
	return st, s, err
}

// first returns the offset at which a new group begins.
func (p *Partition) first(ctx context.Context, r Reset) (int64, error) {
	if r.At == ResetEarliest {
		return p.log.LogStart(), nil
	}
	if err := p.manager.retry(ctx, func(context.Context) error {
		switch {
		case !p.log.Leads() || p.log.Epoch() != p.epoch:
			return ErrNotLeader
		case !p.log.Begun():
			return fmt.Errorf("%w: the high watermark is not known yet", ErrRetry)
		}
		return nil
	}); err != nil {
		return 0, err
	}
	latest := p.log.HighWatermark()
	if r.At == ResetLatest {
		return latest, nil
	}
	since := p.manager.o.Now().Add(-r.Back).UnixMilli()
	found, ok, err := p.manager.o.FindTime(ctx, p.log, max(since, 0))
	if err != nil || !ok {
		return latest, err
	}
	return found, nil
}

// Begin begins a fetch: it returns where to read. It reports false when there is
// nothing to acquire, or another member reads; a Waiter that Watch is given the
// returned mark is told when that may have changed. A fetch that was begun must be ended.
func (p *Partition) Begin() (from int64, ok bool, mark uint64, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case p.ended != nil:
		return 0, false, 0, p.ended
	case p.state == nil:
		return 0, false, p.changes, nil
	case p.fetching:
		p.contended = true
		return 0, false, p.changes, nil
	}
	p.state.configure(p.manager.o.Settings(p.group).Limits)
	p.state.expire(p.manager.o.Now())
	p.state.advance(p.log.LogStart())
	p.settle()
	if from, ok = p.state.fetchFrom(); !ok {
		return 0, false, p.changes, nil
	}
	p.fetching = true
	return from, true, p.changes, nil
}

// Acquire locks records of what was read, between Begin and End.
func (p *Partition) Acquire(f Fetched, w Wanted) []Acquisition {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.ended != nil {
		return nil
	}
	now := p.manager.o.Now()
	p.state.expire(now)
	out := p.state.acquire(f, w, now)
	for _, a := range out {
		p.manager.metrics.acquired.Add(float64(a.Last - a.First + 1))
	}
	if len(out) > 0 {
		p.contended = true // those that wait have a look at what is left
	}
	p.settle()
	return out
}

// End ends a fetch, and returns the mark from which on whoever ends it is to Watch.
func (p *Partition) End() (mark uint64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.fetching = false
	if p.contended {
		p.contended = false
		p.wake()
	}
	p.retire()
	return p.changes
}

// Acknowledge takes what a member says of its records, which passed CheckAcks. done is
// called once, when it is kept or refused.
func (p *Partition) Acknowledge(member string, batches []AckBatch, done func(error)) {
	err := p.acknowledge(member, batches, done)
	if !errors.Is(err, errLater) {
		done(err)
	}
}

// errLater says that a write will tell.
var errLater = errors.New("the write will tell")

func (p *Partition) acknowledge(member string, batches []AckBatch, done func(error)) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case errors.Is(p.ended, errRetired):
		return fmt.Errorf("%w: they were given back", ErrRecordState)
	case p.ended != nil:
		return p.ended
	case p.state == nil:
		return fmt.Errorf("%w: the share partition is being loaded", ErrRecordState)
	}
	p.state.configure(p.manager.o.Settings(p.group).Limits)
	p.state.advance(p.log.LogStart())
	write, err := p.state.acknowledge(member, batches, p.manager.o.Now())
	p.settle()
	if err != nil || write == 0 {
		return err
	}
	p.told = append(p.told, confirmation{write, done})
	return errLater
}

// Release gives back what a member has and has not acknowledged.
func (p *Partition) Release(member string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.ended == nil && p.state != nil && p.state.release(member) {
		p.settle()
		p.wake()
	}
}

// Watch has a waiter told of what changes from now on. It reports false, and the
// waiter is not known, when something has changed since the mark.
func (p *Partition) Watch(w Waiter, mark uint64) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.ended != nil || p.changes != mark {
		return false
	}
	p.waiters[w] = struct{}{}
	return true
}

// Unwatch ends Watch.
func (p *Partition) Unwatch(w Waiter) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.waiters, w)
}

// wake tells all that wait to have a look. The caller holds the mutex.
func (p *Partition) wake() {
	p.changes++
	for w := range p.waiters {
		w.Wake()
	}
}

// settle does what the state asks for: a look when the next lock ends, and a write. The
// caller holds the mutex.
func (p *Partition) settle() {
	if p.ended != nil {
		return
	}
	if at := p.state.expiry; !at.IsZero() {
		p.timer.Reset(max(at.Sub(p.manager.o.Now()), 0))
	}
	if p.state.urgent && !p.writing {
		p.writing = true
		p.manager.running.Add(1)
		go p.write()
	}
}

// expired looks for locks that have run out of time.
func (p *Partition) expired() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.ended != nil || p.state == nil {
		return
	}
	if p.state.expire(p.manager.o.Now()) {
		p.manager.metrics.expired.Inc()
		p.wake()
	}
	p.settle()
	p.retire()
}

// write tells the persister what there is to tell, until there is nothing.
func (p *Partition) write() {
	defer p.manager.running.Done()
	for {
		w := p.nextWrite()
		if w == nil {
			return
		}
		err := p.persist(w, p.stateEpoch)
		for _, c := range p.confirm(w, err) {
			c.done(err)
		}
	}
}

func (p *Partition) nextWrite() *write {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.ended == nil {
		if w := p.state.flush(); w != nil {
			return w
		}
	}
	p.writing = false
	p.retire()
	return nil
}

// confirm takes the outcome of a write, and returns the acknowledgements that were in
// it, unless they were told otherwise meanwhile.
func (p *Partition) confirm(w *write, err error) (told []confirmation) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.ended != nil {
		return nil
	}
	kept := p.told[:0]
	for _, c := range p.told {
		if c.write == w.id {
			told = append(told, c)
		} else {
			kept = append(kept, c)
		}
	}
	clear(p.told[len(kept):])
	p.told = kept
	from, could := p.state.fetchFrom()
	p.state.written(w, err == nil, p.manager.o.Now())
	if err != nil {
		p.manager.metrics.writeErrors.Inc()
		p.manager.o.Logger.Warn("state of a share partition is not written", "group", p.group, "topic", p.log.Topic(), "partition", p.log.ID().Partition, "error", err)
	}
	if final(err) {
		p.end(err)
		return told
	}
	p.settle()
	if at, can := p.state.fetchFrom(); can && (!could || at < from) {
		p.wake() // the start offset has moved and left room, or records are available
	}
	return told
}

// final reports whether an error of the persister ends the share partition.
func final(err error) bool {
	return errors.Is(err, ErrFencedLeaderEpoch) || errors.Is(err, ErrFencedStateEpoch) || errors.Is(err, ErrUnknownState)
}

// persist makes a write, again while the share coordinator is not there: it says what
// is, and may be made any number of times.
func (p *Partition) persist(w *write, stateEpoch int32) error {
	p.manager.metrics.writes.Inc()
	id := p.log.ID()
	return p.manager.retry(p.manager.ctx, func(ctx context.Context) error {
		return p.manager.o.Persister.Write(ctx, p.group, id.Topic, id.Partition, stateEpoch, p.epoch, w.start, w.complete, w.batches)
	})
}

// retire gives the share partition up if no member is left and the persister knows all
// there is. The caller holds the mutex.
func (p *Partition) retire() {
	if !p.retiring || p.ended != nil || p.state == nil || p.fetching || p.writing || len(p.told) > 0 {
		return
	}
	if p.state.stale() && !p.flushed {
		p.flushed = true // should the write fail, the next leader knows less
		p.state.urgent = true
		p.settle()
		return
	}
	p.end(errRetired)
}

// end makes the share partition useless, and tells all who wait for it. The caller
// holds the mutex.
func (p *Partition) end(err error) {
	if p.ended != nil {
		return
	}
	p.ended = err
	p.timer.Stop()
	told := p.told
	p.told = nil
	if len(told) > 0 {
		p.manager.running.Add(1)
		go func() { // done takes locks of its own
			defer p.manager.running.Done()
			for _, c := range told {
				c.done(err)
			}
		}()
	}
	p.wake()
	p.manager.gone(p)
}

// never is long enough for a timer that is not to fire by itself.
const never = time.Duration(math.MaxInt64)
