package tiering

import (
	"container/heap"
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/tidelinehq/tideline/tiering/manifest"
)

const (
	// retainTasks is how many partitions are under retention at once: it is cheap and never urgent.
	retainTasks = 2
	// spillPartitions is how many partitions share one page object at most.
	spillPartitions = 2000
	// spillPatience is how long a spill waits for the uploads of its round to end, to take all their partitions along.
	spillPatience = 10 * time.Second
	// maxSections is how many partitions share one bundle at most.
	maxSections = 8192
)

// scheduler decides what to do next. All of it belongs to the goroutine of Run. Idle partitions are in none of its lists,
// so a step costs what is due, not what is led.
type scheduler struct {
	e     *Engine
	ctx   context.Context
	tasks sync.WaitGroup

	rolls   rollHeap
	retains retainHeap
	spills  map[*Lease]bool // more than SpillAt hot entries
	warm    map[*Lease]bool // more than half of it: they go along
	since   time.Time       // when spills got its first

	uploading int
	spilling  bool
	spillFail backoff
	retaining int
	cleaning  bool
	cleanAt   time.Time

	compacted  map[*Lease]bool // of topics that are compacted; true: look whether it is due
	looks      int             // of those that are true
	compacting bool
	compactAt  time.Time // no look before
	lookAt     time.Time // when the first of compacted may be due by time; zero: none will
}

func newScheduler(e *Engine, ctx context.Context) *scheduler {
	return &scheduler{e: e, ctx: ctx, spills: map[*Lease]bool{}, warm: map[*Lease]bool{}, compacted: map[*Lease]bool{}}
}

// step does what is due and returns when something will be next, if nothing happens before; zero: never.
func (s *scheduler) step(now time.Time) (next time.Time) {
	e := s.e
	e.mu.Lock()
	inbox, finished := e.inbox, e.finished
	e.inbox, e.finished = nil, nil
	e.mu.Unlock()
	for _, f := range finished {
		f()
	}
	for _, l := range inbox {
		l.queued.Store(false)
		s.evaluate(l, now)
	}

	soonest := func(t time.Time) {
		if !t.IsZero() && (next.IsZero() || t.Before(next)) {
			next = t
		}
	}
	soonest(s.planRolls(now))
	soonest(s.planSpill(now))
	soonest(s.planRetain(now))
	soonest(s.planCompact(now))
	soonest(s.planClean(now))
	return next
}

// evaluate looks at a partition anew and puts it where it belongs.
func (s *scheduler) evaluate(l *Lease, now time.Time) {
	if l.closed.Load() {
		s.forget(l)
		s.setCompacted(l, false)
		return
	}
	if l.busy {
		return // release evaluates
	}
	l.settings = l.src.Settings()
	l.rollBytes.Store(l.settings.RollBytes)
	view, ok := s.e.o.Ledger.View(l.id.Topic, l.id.Partition)
	var st SourceStatus
	for range 8 { // an append between the look and the swap is a reason to look again; the bound only costs precision
		hint := l.hint.Load()
		st = l.src.Status()
		if ok && st.HighWatermark <= max(view.Tiered, view.LogStart) {
			st.PendingBytes = 0 // none that is committed: the next move of the high watermark brings it back
		}
		if l.hint.CompareAndSwap(hint, st.PendingBytes) {
			break
		}
	}
	// The ledger takes nothing above a gap before the pages below are released, which is due now; that task's end evaluates.
	blocked := ok && !view.Root.IsZero() && view.LogStart > view.Tiered
	if st.PendingBytes > 0 && !l.settings.Paused && !blocked {
		at := st.OldestPending.Add(l.settings.RollAfter)
		if st.PendingBytes >= l.settings.RollBytes {
			at = now
		}
		if l.retry.waiting(now) && at.Before(l.retry.retryAt) {
			at = l.retry.retryAt
		}
		s.setRoll(l, at)
	} else {
		s.setRoll(l, time.Time{})
	}

	s.setCompacted(l, ok && l.settings.Compact && !s.e.o.CompactOff)
	if !ok {
		s.setRetain(l, time.Time{})
		return
	}
	s.setHot(l, len(view.Hot), now)
	at := s.retainAt(l, &view, now)
	if l.retainRetry.waiting(now) && !at.IsZero() && at.Before(l.retainRetry.retryAt) {
		at = l.retainRetry.retryAt
	}
	s.setRetain(l, at)
}

func (s *scheduler) setHot(l *Lease, hot int, now time.Time) {
	if hot > s.e.o.SpillAt {
		if len(s.spills) == 0 {
			s.since = now
		}
		s.spills[l] = true
		delete(s.warm, l)
		return
	}
	delete(s.spills, l)
	delete(s.warm, l)
	if hot > max(s.e.o.SpillAt/2, s.e.o.SpillKeep) {
		s.warm[l] = true
	}
}

// retainAt is when retention has something to do for a partition; zero: not before something changes.
func (s *scheduler) retainAt(l *Lease, view *manifest.Ledger, now time.Time) time.Time {
	if view.Segments == 0 {
		l.head = nil
		return time.Time{}
	}
	if view.Root.IsZero() {
		l.head = nil
		x := newExpiry(view, l.settings, now)
		for i := range view.Hot {
			if !x.offer(&view.Hot[i]) {
				break
			}
		}
		if x.dropped > 0 {
			return now
		}
		return x.next
	}
	if view.RootEnd <= view.LogStart {
		return now // all pages, whatever is in them
	}
	if l.head == nil {
		if l.retainIndex >= 0 {
			return l.retainAt // is due to be looked at
		}
		return now.Add(rand.N(s.e.o.HeadSpread))
	}
	r := &l.settings
	if l.head.end <= view.LogStart || r.RetentionBytes >= 0 && view.LogBytes-l.head.logBytes >= r.RetentionBytes {
		return now
	}
	if r.RetentionMs >= 0 && l.head.timestamp >= 0 {
		if due := l.head.timestamp + r.RetentionMs + 1; due > 0 && due < maxUnixMilli {
			return time.UnixMilli(due)
		}
	}
	return time.Time{}
}

func (s *scheduler) setRoll(l *Lease, at time.Time) {
	l.rollAt = at
	switch {
	case at.IsZero() && l.rollIndex >= 0:
		heap.Remove(&s.rolls, l.rollIndex)
	case at.IsZero():
	case l.rollIndex >= 0:
		heap.Fix(&s.rolls, l.rollIndex)
	default:
		heap.Push(&s.rolls, l)
	}
}

func (s *scheduler) setRetain(l *Lease, at time.Time) {
	l.retainAt = at
	switch {
	case at.IsZero() && l.retainIndex >= 0:
		heap.Remove(&s.retains, l.retainIndex)
	case at.IsZero():
	case l.retainIndex >= 0:
		heap.Fix(&s.retains, l.retainIndex)
	default:
		heap.Push(&s.retains, l)
	}
}

// forget takes a lease out of all lists.
func (s *scheduler) forget(l *Lease) {
	s.setRoll(l, time.Time{})
	s.setRetain(l, time.Time{})
	delete(s.spills, l)
	delete(s.warm, l)
}

// hold takes a lease out of all lists for a task, which changes its ledger entry and must be the only one that does.
func (s *scheduler) hold(l *Lease) {
	s.forget(l)
	l.busy = true
}

func (s *scheduler) release(l *Lease) {
	l.busy = false
	s.evaluate(l, s.e.o.Now())
}

// start runs a task and, when it has ended, done on the scheduler.
func (s *scheduler) start(task func(), done func()) {
	s.tasks.Go(func() {
		task()
		s.e.finish(done)
	})
}

// held reports until when nothing may be uploaded, because store or ledger fail.
func (s *scheduler) held(now time.Time) (until time.Time, probe bool) {
	s.e.mu.Lock()
	defer s.e.mu.Unlock()
	for _, b := range []*backoff{&s.e.health.store, &s.e.health.ledger} {
		if b.waiting(now) && b.retryAt.After(until) {
			until = b.retryAt
		}
		probe = probe || b.failures > 0
	}
	return until, probe
}

// planRolls starts uploads.
func (s *scheduler) planRolls(now time.Time) (next time.Time) {
	e := s.e
	until, probe := s.held(now)
	if !until.IsZero() {
		if len(s.rolls) == 0 {
			return time.Time{}
		}
		return until
	}
	free := e.o.Uploads - s.uploading
	if probe { // after an outage one small object asks whether it is over
		free = min(free, 1-s.uploading)
	}
	e.mu.Lock()
	noDisk := e.health.spool.waiting(now)
	pressure := e.pressure
	if free > 0 {
		e.pressure = 0
	}
	e.mu.Unlock()
	if free <= 0 || len(s.rolls) == 0 {
		return time.Time{}
	}
	if at := s.rolls[0].rollAt; at.After(now) && pressure <= 0 {
		return at
	}

	leases, candidates := s.candidates(now, pressure)
	chosen := selectRoll(candidates, pressure, e.o.LargeBytes)
	limits := packLimits{objects: free, large: e.o.LargeBytes, objectBytes: e.o.MaxObjectBytes, segmentBytes: e.o.MaxSegmentBytes,
		splitBytes: e.o.SplitBytes, sections: maxSections}
	if probe || noDisk {
		limits.objectBytes = min(limits.objectBytes, int64(e.o.MemoryBytes)*3/4) // with its indexes it stays in memory
	}
	objects := pack(candidates, chosen, limits)
	for _, parts := range objects {
		items := make([]*uploadItem, len(parts))
		for i, p := range parts {
			items[i] = &uploadItem{lease: leases[p.candidate], take: p.bytes}
			s.hold(items[i].lease)
		}
		s.uploading++
		s.start(func() { e.upload(s.ctx, items) }, func() {
			s.uploading--
			for _, it := range items {
				if it.err != nil {
					it.lease.retry.failed(e.o.Now(), it.err)
				} else {
					it.lease.retry = backoff{}
				}
				// What the ledger refuses is another leader's by now, as a rule.
				if it.lease.setFault(it.err) && it.err != nil && !errors.Is(it.err, ErrRefused) {
					e.o.Logger.Warn("partition not uploaded, and tried again", "partition", it.lease.id, "error", it.err)
				}
				s.release(it.lease)
			}
		})
	}
	if s.uploading >= e.o.Uploads || probe && s.uploading > 0 || len(s.rolls) == 0 {
		return time.Time{} // the end of an upload is the next occasion
	}
	return s.rolls[0].rollAt
}

// candidates looks anew at the partitions that a round may take, and takes those out of the list that have nothing to give
// or must spill first. When only large partitions are due, which get objects of their own, no others are looked at.
func (s *scheduler) candidates(now time.Time, pressure int64) (leases []*Lease, cs []rollCandidate) {
	due := s.rolls.due(now)
	if pressure <= 0 && !slices.ContainsFunc(due, func(l *Lease) bool { return l.hint.Load() < max(s.e.o.LargeBytes, l.settings.RollBytes) }) {
		for _, l := range due {
			if c, ok := s.candidate(l, now); ok {
				leases, cs = append(leases, l), append(cs, c)
			}
		}
		return leases, cs
	}
	for _, l := range slices.Clone(s.rolls) {
		if c, ok := s.candidate(l, now); ok {
			leases, cs = append(leases, l), append(cs, c)
		}
	}
	return leases, cs
}

func (s *scheduler) candidate(l *Lease, now time.Time) (c rollCandidate, ok bool) {
	s.evaluate(l, now)
	if l.rollIndex < 0 || l.retry.waiting(now) {
		return c, false
	}
	view, ok := s.e.o.Ledger.View(l.id.Topic, l.id.Partition)
	if !ok { // not created yet, or deleted already; the lease will tell
		s.setRoll(l, now.Add(max(l.settings.RollAfter, time.Second)))
		return c, false
	}
	st := l.src.Status()
	if st.PendingBytes <= 0 || len(view.Hot) >= 2*s.e.o.SpillAt {
		s.setRoll(l, time.Time{}) // an append, or the end of its spill, brings it back
		return c, false
	}
	return rollCandidate{pending: st.PendingBytes, age: now.Sub(st.OldestPending), rollBytes: l.settings.RollBytes,
		rollAfter: l.settings.RollAfter, retentionMs: l.settings.RetentionMs}, true
}

// planSpill pages out hot entries, when the uploads that bring more of them have ended or it cannot wait.
func (s *scheduler) planSpill(now time.Time) (next time.Time) {
	e := s.e
	if s.spilling || len(s.spills) == 0 {
		return time.Time{}
	}
	if until, _ := s.held(now); until.After(now) {
		return until
	}
	if s.spillFail.waiting(now) {
		return s.spillFail.retryAt
	}
	if patience := s.since.Add(spillPatience); s.uploading > 0 && now.Before(patience) {
		return patience
	}
	var leases []*Lease
	for _, set := range []map[*Lease]bool{s.spills, s.warm} {
		for l := range set {
			if len(leases) == spillPartitions {
				break
			}
			leases = append(leases, l)
		}
	}
	slices.SortFunc(leases, func(a, b *Lease) int { return compareID(a.id, b.id) }) // the object does not depend on map order
	for _, l := range leases {
		s.hold(l)
	}
	s.spilling = true
	var err error
	s.start(func() { err = e.spill(s.ctx, leases) }, func() {
		s.spilling = false
		if err != nil {
			s.spillFail.failed(e.o.Now(), err)
			e.o.Logger.Warn("manifest pages not written", "partitions", len(leases), "error", err)
		} else {
			s.spillFail = backoff{}
		}
		for _, l := range leases {
			s.release(l)
		}
	})
	return time.Time{}
}

// planRetain starts retention where something expired.
func (s *scheduler) planRetain(now time.Time) (next time.Time) {
	for s.retaining < retainTasks && len(s.retains) > 0 {
		l := s.retains[0]
		if l.retainAt.After(now) {
			return l.retainAt
		}
		if l.closed.Load() {
			s.forget(l)
			continue
		}
		s.hold(l)
		s.retaining++
		var err error
		var h *head
		settings := l.settings
		s.start(func() { h, err = s.e.retain(s.ctx, l.id, settings) }, func() {
			s.retaining--
			l.head = h
			if err != nil {
				l.retainRetry.failed(s.e.o.Now(), err)
				if !errors.Is(err, ErrRefused) { // else the ledger has moved on
					s.e.o.Logger.Warn("retention failed", "partition", l.id, "error", err)
				}
			} else {
				l.retainRetry = backoff{}
			}
			s.release(l)
		})
	}
	return time.Time{}
}

// planClean looks after abandoned intents and, on the broker whose turn it is, garbage and deleted topics.
func (s *scheduler) planClean(now time.Time) (next time.Time) {
	if s.cleaning {
		return time.Time{}
	}
	if now.Before(s.cleanAt) {
		return s.cleanAt
	}
	s.cleaning = true
	var more bool
	s.start(func() { more = s.e.clean(s.ctx) }, func() {
		s.cleaning = false
		wait := s.e.o.CleanInterval
		if more {
			wait = min(wait, time.Second)
		}
		s.cleanAt = s.e.o.Now().Add(wait)
	})
	return time.Time{}
}
