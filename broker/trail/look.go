package trail

import (
	"go.opentelemetry.io/otel/trace"
	"golang.org/x/time/rate"

	"github.com/tidelinehq/tideline/internal/record"
)

const (
	// LooksPerSecond bounds the batches that a broker looks into for traces that it has forgotten. A look takes a
	// microsecond, and ten where the batch is compressed: at most one percent of a core.
	LooksPerSecond = 1000
	// looksAtOnce is how many of these may come at once: what one fetch of small batches has.
	looksAtOnce = 256
	// lookInflate is how much of a compressed batch is inflated for one look: the headers are behind keys and values, so
	// that only small records have theirs within it.
	lookInflate = 16 << 10
)

// Looker finds traces where they are kept for ever: in the records themselves, so many batches a second. A nil *Looker
// finds none.
type Looker struct {
	budget *rate.Limiter
}

// NewLooker makes a Looker.
func NewLooker(perSecond int) *Looker {
	return &Looker{budget: rate.NewLimiter(rate.Limit(perSecond), min(perSecond, looksAtOnce))}
}

// Look returns the sampled traces that are named in the first batches of a run, one for each batch, looking into at most so
// many batches. It ends where the run, or its patience, does.
func (l *Looker) Look(run []byte, batches, max int) (found []Entry) {
	if l == nil {
		return nil
	}
	for ; batches > 0 && len(found) < max && len(run) > 0 && l.budget.Allow(); batches-- {
		b, rest, err := record.Next(run)
		if err != nil {
			return found // whoever reads the records finds out
		}
		run = rest
		if b.Control() {
			continue
		}
		if c := parentOf(b); c.IsSampled() {
			found = append(found, Entry{First: b.BaseOffset(), Last: b.NextOffset() - 1, Context: c})
		}
	}
	return found
}

// parentOf is the span in which the records of a batch were sent, where they say so.
func parentOf(b record.Batch) trace.SpanContext {
	id, span, flags, ok := record.TraceParent(b, lookInflate)
	if !ok {
		return trace.SpanContext{}
	}
	return trace.NewSpanContext(trace.SpanContextConfig{TraceID: id, SpanID: span, TraceFlags: trace.TraceFlags(flags), Remote: true})
}
