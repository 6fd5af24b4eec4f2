package compact

import (
	"time"

	"github.com/tidelinehq/tideline/tiering/manifest"
)

// Policy are the settings of a topic that say when it is compacted.
type Policy struct {
	DirtyRatio float64 // min.cleanable.dirty.ratio
	MinLagMs   int64   // min.compaction.lag.ms
	MaxLagMs   int64   // max.compaction.lag.ms
}

// Plan is what is to be done for one partition. It is fed the segments from the first dirty offset on, oldest first.
type Plan struct {
	From, To int64 // dirty offsets that may be cleaned; To is the end of a segment, or From when there are none
	Dirty    int64 // bytes of the segments that hold them
	Rest     int64 // bytes of the segments behind, which may not be cleaned yet
	Due      bool
	Ratio    float64 // of what may be cleaned to that and what is clean
	Next     time.Time

	policy  Policy
	bound   int64
	now     int64
	oldest  int64 // least timestamp of the dirty segments; 0: none has any
	stopped bool
	lagEnds int64 // when the first segment that is too young will not be; 0: none
}

// NewPlan begins a plan. bound is what must not be cleaned, whatever the settings say: whole segments below it may be.
func NewPlan(l *manifest.Ledger, p Policy, bound int64, now time.Time) *Plan {
	from := max(l.Cleaned, l.LogStart)
	return &Plan{From: from, To: from, policy: p, bound: bound, now: now.UnixMilli()}
}

// Offer takes the next segment that ends above From.
func (x *Plan) Offer(s *manifest.Segment) {
	young := x.policy.MinLagMs > 0 && s.MaxTimestampOffset >= 0 && s.MaxTimestamp > x.now-x.policy.MinLagMs
	if young && !x.stopped && s.MaxTimestamp < maxUnixMilli-x.policy.MinLagMs {
		x.lagEnds = s.MaxTimestamp + x.policy.MinLagMs
	}
	if x.stopped = x.stopped || young || s.End > x.bound; x.stopped {
		x.Rest += s.LogBytes
		return
	}
	x.To = s.End
	x.Dirty += s.LogBytes
	if s.MaxTimestampOffset >= 0 && s.MinTimestamp > 0 && (x.oldest == 0 || s.MinTimestamp < x.oldest) {
		x.oldest = s.MinTimestamp
	}
}

// maxUnixMilli keeps times within what time.Time can do arithmetic with.
const maxUnixMilli = 1 << 52

// Decide ends the plan: whether the partition is due, how urgently, and else when it will be, if nothing is written.
func (x *Plan) Decide(l *manifest.Ledger) {
	clean := max(l.LogBytes-x.Dirty-x.Rest, 0)
	if x.Dirty > 0 {
		x.Ratio = float64(x.Dirty) / float64(clean+x.Dirty)
	}
	maxLag := max(x.policy.MaxLagMs, x.policy.MinLagMs)
	late := x.oldest > 0 && x.oldest < x.now-maxLag
	expired := l.Horizon > 0 && l.Horizon <= x.now && clean > 0
	x.Due = x.Dirty > 0 && (x.Ratio > x.policy.DirtyRatio || late) || expired
	if x.Due {
		return
	}
	next := int64(0)
	soonest := func(at int64) {
		if at > x.now && at < maxUnixMilli && (next == 0 || at < next) {
			next = at
		}
	}
	soonest(x.lagEnds)
	if x.oldest > 0 && maxLag < maxUnixMilli {
		soonest(x.oldest + maxLag + 1)
	}
	soonest(l.Horizon)
	if next > 0 {
		x.Next = time.UnixMilli(next)
	}
}
