package api

import (
	"context"
	"strconv"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"go.opentelemetry.io/otel/attribute"
	otelcodes "go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"

	"github.com/tidelinehq/tideline/broker/partition"
	"github.com/tidelinehq/tideline/broker/trail"
	"github.com/tidelinehq/tideline/broker/wire"
	"github.com/tidelinehq/tideline/internal/record"
)

// A produce request that is traced:
//
//	span of the producer, from the traceparent header of a record; none: the trace is the broker's own
//	 ├─ kafka.Produce          arrival ─────────────────────────────────────────────▶ the answer is written
//	 │   ├─ produce.queue      arrival ─▶ handler
//	 │   ├─ produce.decode              ─▶ validated      ┐ of each
//	 │   ├─ produce.append                  ─▶ queued     ┘ partition
//	 │   └─ produce.acknowledge                                          decided ─▶ written
//	 ├─ wal.sync                                ─── of the write-ahead log
//	 └─ replicate                               ─── of each follower
//
// The last two, and what happens to the records later, are not of the request alone, so they
// are children of whose records they are. In a trace of the broker's own that is kafka.Produce.
//
// A request may carry batches of several traces; then there is a kafka.Produce in each.

const (
	// maxTracedParts bounds the partitions of a request that are looked at.
	maxTracedParts = 16
	// maxRequestTraces bounds the traces in which one request is shown.
	maxRequestTraces = 4
)

// produceTrace is a produce request that is traced, or measured. It is made for those alone.
type produceTrace struct {
	a                                   *API
	received, handled, decided, written time.Time
	spans                               []requestSpan
	parts                               []partTrace
}

// requestSpan is the span kafka.Produce in one trace.
type requestSpan struct {
	trace.Span
	ctx  context.Context
	from trace.SpanContext // in the header; not valid in a trace of the broker's own
}

// partTrace is one partition of the request.
type partTrace struct {
	partition.Trace
	p            *partition.Partition // nil: it was not found
	begun, acked time.Time
	span         int // of produceTrace.spans; -1: it is in no trace
	records      int32
	contexts     [1]trace.SpanContext
	origins      [1]trail.Entry
}

var produceTraces = sync.Pool{New: func() any { return new(produceTrace) }}

// handled is when the handler began, for requests that may be traced or measured; those of
// others do not look at the clock.
func (a *API) handled(correlationID int32) time.Time {
	if a.Gate == nil && !measured(correlationID) {
		return time.Time{}
	}
	return a.now()
}

// trace decides whether the request is traced or measured, before anything is made for that.
func (op *produceOp) trace(handled time.Time) {
	if handled.IsZero() {
		return
	}
	if op.api.Gate != nil && !op.traceNamed(handled) {
		if ctx, in := op.api.Gate.Begin(op.api.ctx); in {
			t := op.newTrace(handled)
			t.begin(op, ctx, trace.SpanContext{})
			for i := range t.parts {
				t.join(i, 0)
			}
		}
	}
	if op.traced == nil && measured(op.r.CorrelationID) {
		op.newTrace(handled)
	}
}

// traceNamed has the request be part of the traces that its records name, where they are let in. It reports whether they
// name any: what another began, and did not sample or has no room here, the broker does not begin.
func (op *produceOp) traceNamed(handled time.Time) (named bool) {
	op.batches(func(i int, b record.Batch) bool {
		parent, found := op.parentOf(b)
		if !found {
			return true
		}
		named = true
		if op.traced != nil {
			for s := range op.traced.spans {
				if op.traced.spans[s].from.Equal(parent) {
					op.traced.join(i, s)
					return true
				}
			}
			if len(op.traced.spans) == maxRequestTraces {
				return true
			}
		}
		ctx, in := op.api.Gate.Continue(op.api.ctx, parent)
		if !in {
			return true
		}
		if op.traced == nil {
			op.newTrace(handled)
		}
		op.traced.begin(op, ctx, parent)
		op.traced.join(i, len(op.traced.spans)-1)
		return true
	})
	return named
}

// batches calls f with the batches of the first partitions, until it returns false.
func (op *produceOp) batches(f func(i int, b record.Batch) bool) {
	i := 0
	for t := range op.req.Topics {
		for p := range op.req.Topics[t].Partitions {
			if i == maxTracedParts || !f(i, op.req.Topics[t].Partitions[p].Records) {
				return
			}
			i++
		}
	}
}

// parentOf is the span that a record of the batch names.
func (op *produceOp) parentOf(b record.Batch) (trace.SpanContext, bool) {
	inflate := 0
	if len(b) >= record.HeaderSize && b.Codec() != record.None {
		inflate = op.api.Gate.Inflate()
	}
	id, span, flags, ok := record.TraceParent(b, inflate)
	if !ok {
		return trace.SpanContext{}, false
	}
	return trace.NewSpanContext(trace.SpanContextConfig{TraceID: id, SpanID: span, TraceFlags: trace.TraceFlags(flags), Remote: true}), true
}

func (op *produceOp) newTrace(handled time.Time) *produceTrace {
	t := produceTraces.Get().(*produceTrace)
	t.a, t.received, t.handled = op.api, op.r.Received, handled
	if n := min(len(op.appends), maxTracedParts); cap(t.parts) < n {
		t.parts = make([]partTrace, n)
	} else {
		t.parts = t.parts[:n]
	}
	for i := range t.parts {
		t.parts[i].span = -1
		op.appends[i].Trace = &t.parts[i].Trace
	}
	op.traced = t
	return t
}

// begin starts the span of the request in one trace.
func (t *produceTrace) begin(op *produceOp, ctx context.Context, from trace.SpanContext) {
	ctx, span := t.a.Tracer.Start(ctx, "kafka.Produce",
		trace.WithTimestamp(t.received), trace.WithSpanKind(trace.SpanKindServer),
		trace.WithAttributes(requestAttributes(op.r)...),
		trace.WithAttributes(attribute.Int("tideline.acks", int(op.req.Acks)), attribute.Int("tideline.partitions", len(op.parts))))
	t.spans = append(t.spans, requestSpan{Span: span, ctx: ctx, from: from})
}

// exemplar is the span of the request for server.Response.Span: that of the first of its traces; nil: it is in none.
func (op *produceOp) exemplar() *trace.SpanContext {
	if op.traced == nil || len(op.traced.spans) == 0 {
		return nil
	}
	return exemplar(op.traced.spans[0].Span)
}

// join makes a partition part of a trace.
func (t *produceTrace) join(i, span int) {
	part, s := &t.parts[i], &t.spans[span]
	origin := s.from
	if !origin.IsValid() {
		origin = s.SpanContext()
	}
	part.span = span
	part.contexts[0], part.origins[0] = origin, partition.AllOf(origin)
	part.Contexts, part.Origins = part.contexts[:], part.origins[:]
}

// begun notes that a partition has its turn.
func (t *produceTrace) begun(i int, p *partition.Partition, records []byte) {
	if t == nil || i >= len(t.parts) {
		return
	}
	part := &t.parts[i]
	part.p, part.begun = p, t.handled
	if i > 0 {
		part.begun = t.a.now()
	}
	if len(records) >= record.HeaderSize {
		part.records = record.Batch(records).Count()
	}
}

// acked notes that a partition is decided.
func (t *produceTrace) acked(i int) {
	if t != nil && i < len(t.parts) {
		t.parts[i].acked = t.a.now()
	}
}

// answered notes that the answer is about to be given.
func (t *produceTrace) answered() {
	if t != nil {
		t.decided = t.a.now()
	}
}

// finish makes the spans and counts the stages, when the answer was written or its connection is gone. Of the request
// nothing is there any more.
func (t *produceTrace) finish(op *produceOp) {
	if t == nil {
		return
	}
	t.written = t.a.now()
	t.observe()
	for i := range t.parts {
		t.showPart(op, &t.parts[i], &op.parts[i])
	}
	for i := range t.spans {
		s := &t.spans[i]
		t.stage(s, "produce.queue", t.received, t.handled)
		t.stage(s, "produce.acknowledge", t.decided, t.written)
		s.End(trace.WithTimestamp(t.written))
	}
	clear(t.parts)
	clear(t.spans)
	*t = produceTrace{spans: t.spans[:0], parts: t.parts[:0]}
	produceTraces.Put(t)
}

// stage makes the span of a stage, if it had a beginning and an end.
func (t *produceTrace) stage(s *requestSpan, name string, from, to time.Time, attributes ...attribute.KeyValue) {
	if from.IsZero() || to.IsZero() {
		return
	}
	_, span := t.a.Tracer.Start(s.ctx, name, trace.WithTimestamp(from), trace.WithAttributes(attributes...))
	span.End(trace.WithTimestamp(to))
}

// showPart makes the spans of one partition.
func (t *produceTrace) showPart(op *produceOp, part *partTrace, answer *wire.ProducePartitionResponse) {
	if part.span < 0 {
		return
	}
	s := &t.spans[part.span]
	attributes := make([]attribute.KeyValue, 0, 6)
	if part.p != nil {
		attributes = append(attributes, attribute.String("messaging.destination.name", part.p.Topic()))
	}
	attributes = append(attributes,
		attribute.String("messaging.destination.partition.id", strconv.Itoa(int(answer.Index))),
		attribute.Int("messaging.batch.message_count", int(part.records)))
	if answer.BaseOffset >= 0 {
		attributes = append(attributes, attribute.Int64("messaging.kafka.offset", answer.BaseOffset))
	}
	if answer.ErrorCode != 0 {
		kind := "UNKNOWN_SERVER_ERROR"
		if e := kerr.TypedErrorForCode(answer.ErrorCode); e != nil {
			kind = e.Message
		}
		attributes = append(attributes, attribute.String("error.type", kind))
		s.SetStatus(otelcodes.Error, kind)
	}
	s.SetAttributes(attributes...) // of the last partition, where the trace has several
	if len(op.parts) == 1 {
		attributes = nil // they are those of the request
	}
	validated := part.Validated
	if validated.IsZero() {
		validated = t.decided // refused before
	}
	t.stage(s, "produce.decode", part.begun, validated, attributes...)
	t.stage(s, "produce.append", part.Validated, part.Queued, attributes...)
}

// observe counts the stages of the first partition.
func (t *produceTrace) observe() {
	if len(t.parts) == 0 {
		return
	}
	part, span := &t.parts[0], trace.SpanContext{}
	if len(t.spans) > 0 {
		span = t.spans[0].SpanContext()
	}
	s := &t.a.produceStages
	between(s.queue, t.received, t.handled, span)
	between(s.decode, part.begun, part.Validated, span)
	between(s.append, part.Validated, part.Queued, span)
	between(s.sync, part.Queued, part.Durable, span)
	between(s.replicate, part.Durable, part.acked, span)
	between(s.acknowledge, t.decided, t.written, span)
}
