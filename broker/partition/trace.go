package partition

import (
	"time"

	"go.opentelemetry.io/otel/trace"

	"github.com/tidelinehq/tideline/broker/trail"
	"github.com/tidelinehq/tideline/wal"
)

// Trace follows one append on its way. Whoever appends fills Origins and the Contexts of the
// log, the partition and the log fill the times, all of them before the owner is told.
type Trace struct {
	wal.Trace
	// Origins are what the trail remembers of the records: the spans that all later ones
	// about them are children of, with the offsets that belong to each. An origin whose
	// offsets are not known yet, because the leader is about to assign them, has First and
	// Last -1 and stands for all of the append.
	Origins []trail.Entry
	// Validated is when the batches were found good, Queued when they had their offsets and
	// went to the write-ahead log. Zero: they did not get there.
	Validated, Queued time.Time
}

// AllOf is the origin of a whole append.
func AllOf(c trace.SpanContext) trail.Entry { return trail.Entry{First: -1, Last: -1, Context: c} }

// validated notes the time; t may be nil.
func (t *Trace) validated(p *Partition) {
	if t != nil {
		t.Validated = p.now()
	}
}

// queued notes the time and has the trail remember the origins: before the write-ahead log has
// the append, for then it may be on its way to a follower at once. t may be nil.
func (t *Trace) queued(p *Partition, a *Append) *wal.Trace {
	if t == nil {
		return nil
	}
	t.Queued = p.now()
	t.Written, t.Durable = time.Time{}, time.Time{}
	for _, o := range t.Origins {
		if o.First < 0 {
			o.First, o.Last = a.BaseOffset, a.end-1
		}
		p.trail.Add(p.id.Topic, p.id.Partition, o.First, o.Last, o.Context)
	}
	return &t.Trace
}

// refused takes back what queued did: the offsets will be others'. t may be nil.
func (t *Trace) refused(p *Partition, a *Append) {
	if t != nil {
		t.Queued = time.Time{}
		p.trail.Forget(p.id.Topic, p.id.Partition, a.BaseOffset)
	}
}
