package api

import (
	"context"
	"slices"
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
//	 ├─ kafka.Produce   arrival ──┬─────────┬─────────┬────────────────────────┬────▶ the answer is written
//	 │                      produce.handled │  produce.queued           produce.decided
//	 │                              produce.validated
//	 ├─ wal.sync                                      ├─── of the write-ahead log
//	 └─ replicate                                     ├─── of each follower
//
// The stages follow each other, and nothing is below them: so they are events of the request's
// span and not spans of their own, which would cost three times as much as all the rest.
// Validated and queued are of each partition.
//
// Sync and replication, and what happens to the records later, are not of the request alone, so
// they are children of whose records they are. In a trace of the broker's own that is kafka.Produce.
//
// A request may carry batches of several traces; then there is a kafka.Produce in each.

const (
	// maxTracedParts bounds the partitions of a request that are looked at.
	maxTracedParts = 16
	// maxRequestTraces bounds the traces in which one request is shown.
	maxRequestTraces = 4
	// maxProduceAttributes is how many attributes the span of a request has.
	maxProduceAttributes = 12
)

// produceTrace is a produce request that is traced, or measured. It is made for those alone.
type produceTrace struct {
	a                                   *API
	received, handled, decided, written time.Time
	request                             []attribute.KeyValue // what each span says of the request
	spans                               []requestSpan
	parts                               []partTrace
}

// requestSpan is the span kafka.Produce in one trace.
type requestSpan struct {
	trace.Span
	from   trace.SpanContext              // in the header; not valid in a trace of the broker's own
	last   *partTrace                     // of its partitions, at the end
	answer *wire.ProducePartitionResponse // to that
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
	if op.api.Gate != nil && !op.api.Gate.Closed(handled) && !op.traceNamed(handled) {
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
	if len(t.request) == 0 {
		t.request = append(appendRequest(slices.Grow(t.request, maxProduceAttributes), op.r),
			attribute.Int("tideline.acks", int(op.req.Acks)), attribute.Int("tideline.partitions", len(op.parts)))
	}
	_, span := t.a.Tracer.Start(ctx, "kafka.Produce", trace.WithTimestamp(t.received), trace.WithSpanKind(trace.SpanKindServer))
	t.spans = append(t.spans, requestSpan{Span: span, from: from})
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
	for i := range t.spans {
		t.spans[i].happened("produce.handled", t.handled)
	}
	for i := range t.parts {
		t.showPart(op, &t.parts[i], &op.parts[i])
	}
	for i := range t.spans {
		s := &t.spans[i]
		// All at once, for each call would copy what is there.
		s.SetAttributes(s.last.append(t.request, s.answer)...)
		s.happened("produce.decided", t.decided)
		s.End(trace.WithTimestamp(t.written))
	}
	clear(t.parts)
	clear(t.spans)
	clear(t.request[:cap(t.request)])
	*t = produceTrace{request: t.request[:0], spans: t.spans[:0], parts: t.parts[:0]}
	produceTraces.Put(t)
}

// happened makes the event of a time that there was.
func (s *requestSpan) happened(name string, at time.Time, attributes ...attribute.KeyValue) {
	switch {
	case at.IsZero():
	case len(attributes) == 0:
		s.AddEvent(name, trace.WithTimestamp(at))
	default:
		s.AddEvent(name, trace.WithTimestamp(at), trace.WithAttributes(attributes...))
	}
}

// showPart makes the events of one partition, and a refusal that of its request.
func (t *produceTrace) showPart(op *produceOp, part *partTrace, answer *wire.ProducePartitionResponse) {
	if part.span < 0 {
		return
	}
	s := &t.spans[part.span]
	s.last, s.answer = part, answer
	var which []attribute.KeyValue // nil: the request has one partition, which its span tells
	if len(op.parts) > 1 {
		which = []attribute.KeyValue{part.id(answer)}
	}
	s.happened("produce.validated", part.Validated, which...)
	s.happened("produce.queued", part.Queued, which...)
	if answer.ErrorCode != 0 {
		kind := errorType(answer.ErrorCode)
		s.SetAttributes(attribute.String("error.type", kind))
		s.SetStatus(otelcodes.Error, kind)
	}
}

// append appends what a request's span says of its last partition; p is nil where it has none.
func (p *partTrace) append(out []attribute.KeyValue, answer *wire.ProducePartitionResponse) []attribute.KeyValue {
	if p == nil {
		return out
	}
	if p.p != nil {
		out = append(out, attribute.String("messaging.destination.name", p.p.Topic()))
	}
	out = append(out, p.id(answer), attribute.Int("messaging.batch.message_count", int(p.records)))
	if answer.BaseOffset >= 0 {
		out = append(out, attribute.Int64("messaging.kafka.offset", answer.BaseOffset))
	}
	return out
}

func (p *partTrace) id(answer *wire.ProducePartitionResponse) attribute.KeyValue {
	return attribute.String("messaging.destination.partition.id", strconv.Itoa(int(answer.Index)))
}

// errorType is the name of an error of Kafka's.
func errorType(code int16) string {
	if e := kerr.TypedErrorForCode(code); e != nil {
		return e.Message
	}
	return "UNKNOWN_SERVER_ERROR"
}

// observe counts the stages of the first partition. The trace is an exemplar of the longest of them, which is what one would
// look into it for: six exemplars cost as much as a span.
func (t *produceTrace) observe() {
	if len(t.parts) == 0 {
		return
	}
	part := &t.parts[0]
	var span trace.SpanContext
	if len(t.spans) > 0 {
		span = t.spans[0].SpanContext()
	}
	s := &t.a.produceStages
	stages := [...]stageTime{
		{s.queue, t.received, t.handled}, {s.decode, part.begun, part.Validated}, {s.append, part.Validated, part.Queued},
		{s.sync, part.Queued, part.Durable}, {s.replicate, part.Durable, part.acked}, {s.acknowledge, t.decided, t.written},
	}
	longest := &stages[0]
	for i := range stages {
		if stages[i].took() > longest.took() {
			longest = &stages[i]
		}
	}
	for i := range stages {
		of := trace.SpanContext{}
		if &stages[i] == longest {
			of = span
		}
		stages[i].count(of)
	}
}
