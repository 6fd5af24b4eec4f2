package tiering

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"time"

	"github.com/tidelinehq/tideline/tiering/compact"
	"github.com/tidelinehq/tideline/tiering/manifest"
)

// setCompacted has a partition looked at when its topic is compacted.
func (s *scheduler) setCompacted(l *Lease, is bool) {
	if s.compacted[l] {
		s.looks--
	}
	if !is {
		delete(s.compacted, l)
		return
	}
	s.compacted[l] = true
	s.looks++
}

// planCompact has one partition compacted at a time: the dirtiest of those that are due, as in Kafka.
func (s *scheduler) planCompact(now time.Time) (next time.Time) {
	switch {
	case s.compacting:
		return time.Time{}
	case s.looks == 0 && (s.lookAt.IsZero() || now.Before(s.lookAt)):
		return s.lookAt
	case now.Before(s.compactAt):
		return s.compactAt
	}
	if until, _ := s.held(now); until.After(now) {
		return until
	}
	var leases []*Lease
	s.lookAt = time.Time{}
	for l, look := range s.compacted {
		switch {
		case l.compactRetry.waiting(now):
			l.compactAt = l.compactRetry.retryAt
			s.soonestLook(l.compactAt)
		case look, !l.compactAt.IsZero() && !now.Before(l.compactAt):
			leases = append(leases, l)
		default:
			s.soonestLook(l.compactAt)
		}
		if look {
			s.compacted[l] = false
			s.looks--
		}
	}
	if len(leases) == 0 {
		return s.lookAt
	}
	slices.SortFunc(leases, func(a, b *Lease) int { return compareID(a.id, b.id) }) // no choice depends on map order
	settings := make([]Settings, len(leases))
	for i, l := range leases {
		settings[i] = l.settings
	}
	s.compacting = true
	var r compactTurn
	s.start(func() { r = s.e.compactDirtiest(s.ctx, leases, settings) }, func() {
		s.compacting = false
		now := s.e.o.Now()
		for i, l := range leases {
			l.compactAt = r.next[i]
			s.soonestLook(l.compactAt)
		}
		if l := r.compacted; l != nil {
			s.compactEnded(l, r.err, now)
		}
		s.compactAt = now.Add(s.e.tuned.Load().CompactInterval)
		if r.compacted != nil && r.err == nil {
			s.compactAt = now // the next one may be due as well
		}
	})
	return time.Time{}
}

// compactEnded notes how the compaction of a partition ended, and has it looked at again: there may be more.
func (s *scheduler) compactEnded(l *Lease, err error, now time.Time) {
	if err != nil {
		l.compactRetry.failed(now, err)
		s.soonestLook(l.compactRetry.retryAt)
		l.compactAt = l.compactRetry.retryAt
	} else {
		l.compactRetry = backoff{}
	}
	if look, is := s.compacted[l]; is && !look && err == nil {
		s.compacted[l] = true
		s.looks++
	}
}

func (s *scheduler) soonestLook(at time.Time) {
	if !at.IsZero() && (s.lookAt.IsZero() || at.Before(s.lookAt)) {
		s.lookAt = at
	}
}

// compactTurn is what one look came to.
type compactTurn struct {
	next      []time.Time // for each partition, when it may be due; zero: not before something changes
	compacted *Lease      // the one that was due and was compacted, or tried to be
	err       error
}

// compactDirtiest looks at partitions and compacts the dirtiest of those that are due.
func (e *Engine) compactDirtiest(ctx context.Context, leases []*Lease, settings []Settings) compactTurn {
	r := compactTurn{next: make([]time.Time, len(leases))}
	type candidate struct {
		at    int
		ratio float64
	}
	var due []candidate
	now, dirtiest := e.o.Now(), 0.0
	for i, l := range leases {
		if l.closed.Load() {
			continue
		}
		view, ok := e.o.Ledger.View(l.id.Topic, l.id.Partition)
		if !ok || view.Segments == 0 {
			continue
		}
		plan, err := e.planCompaction(ctx, l.id, &view, &settings[i], view.Tiered)
		if err != nil {
			e.o.Logger.WarnContext(ctx, "partition not looked at for compaction", "partition", l.id, "error", err)
			r.next[i] = now.Add(backoffLast)
			continue
		}
		dirtiest = max(dirtiest, plan.Ratio)
		r.next[i] = plan.Next
		if plan.Due {
			due = append(due, candidate{i, plan.Ratio})
			r.next[i] = now // unless it turns out that nothing of it can be cleaned yet
		}
	}
	e.m.compactRatio.Set(dirtiest)
	slices.SortStableFunc(due, func(a, b candidate) int { return cmp.Compare(b.ratio, a.ratio) })
	for _, c := range due {
		l := leases[c.at]
		started, next, err := e.compactPartition(ctx, l, settings[c.at])
		if ctx.Err() != nil {
			return r
		}
		if err != nil {
			e.m.compactFailures.Inc()
			e.o.Logger.WarnContext(ctx, "partition not compacted", "partition", l.id, "error", err)
		}
		r.next[c.at] = next
		if started || err != nil {
			r.compacted, r.err = l, err
			return r
		}
	}
	return r
}

// planCompaction decides about one partition as if all below bound could be cleaned.
func (e *Engine) planCompaction(ctx context.Context, id manifest.ID, view *manifest.Ledger, settings *Settings, bound int64) (*compact.Plan, error) {
	plan := compact.NewPlan(view, settings.CompactPolicy, bound, e.o.Now())
	for s, err := range e.o.Locator.Walk(ctx, id, view, plan.From) {
		if err != nil {
			return nil, err
		}
		plan.Offer(&s)
	}
	plan.Decide(view)
	return plan, nil
}

// errCompactStopped ends a compaction whose partition is led elsewhere or is not compacted any more.
var errCompactStopped = errors.New("tiering: compaction stopped")
