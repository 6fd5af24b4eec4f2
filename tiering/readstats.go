package tiering

import (
	"context"

	"go.opentelemetry.io/otel/trace"

	"github.com/tidelinehq/tideline/tiering/cache"
)

// ReadStats tell how a Read came by the blocks whose batches it returned, and what it asked the object store for.
type ReadStats struct {
	// Blocks, by where they were: in memory; on the disk tier; on their way for somebody else, or in the object store.
	Memory, Disk, Store int
	// Ahead counts those of them that an earlier Read of the same consumer had asked for.
	Ahead int
	// Gets are requests for blocks that this Read waited for, AheadGets for what comes next, IndexGets for where blocks are.
	Gets, AheadGets, IndexGets int
	// Waited tells that it had to wait for the object store, be it by a request of its own or by another's.
	Waited bool
}

// Add sums up.
func (s *ReadStats) Add(o *ReadStats) {
	s.Memory += o.Memory
	s.Disk += o.Disk
	s.Store += o.Store
	s.Ahead += o.Ahead
	s.Gets += o.Gets
	s.AheadGets += o.AheadGets
	s.IndexGets += o.IndexGets
	s.Waited = s.Waited || o.Waited
}

// origin is where a block was when it was claimed.
type origin uint8

const (
	fromMemory origin = iota
	fromDisk
	fromStore
)

// begun starts to count for the Read that took the stream.
func (st *stream) begun(ctx context.Context) {
	st.stats, st.seeded, st.caller = ReadStats{}, nil, trace.SpanContext{}
	st.turn++
	if c := trace.SpanContextFromContext(ctx); c.IsSampled() {
		st.caller = c
	}
}

// readIndex notes that the Read had the index of s read for it, and with a small section its blocks.
func (st *stream) readIndex(s *section) {
	st.stats.IndexGets++
	st.stats.Waited = true
	if s.seg.Size <= wholeSection {
		st.seeded = s
	}
}

// origin is that of a block of the tail that was claimed just now. The disk is not asked yet.
func (st *stream) origin(claim *cache.Claim, flight *cache.Flight) origin {
	if flight == nil && claim.Ready() && st.seeded != st.tail {
		return fromMemory
	}
	return fromStore
}

// asks counts a request for blocks that is about to be queued.
func (st *stream) asks(urgent bool) {
	if urgent {
		st.stats.Gets++
	} else {
		st.stats.AheadGets++
	}
}

// used counts a block of which batches were returned, from byte pos on: what was held since an earlier Read is in memory.
func (st *stream) used(s *slot, pos int) {
	switch {
	case pos > 0 && s.turn != st.turn || s.from == fromMemory:
		st.stats.Memory++
	case s.from == fromDisk:
		st.stats.Disk++
	default:
		st.stats.Store++
	}
	if s.turn != st.turn && pos == 0 {
		st.stats.Ahead++
	}
}

// within is ctx as part of a span, where there is one that is recorded.
func within(ctx context.Context, span trace.SpanContext) context.Context {
	if !span.IsSampled() {
		return ctx
	}
	return trace.ContextWithSpanContext(ctx, span)
}

// carry lets what is read for a caller be part of his span, though it does not end with him.
func carry(base, caller context.Context) context.Context {
	return within(base, trace.SpanContextFromContext(caller))
}
