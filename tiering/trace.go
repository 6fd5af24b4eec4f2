package tiering

import (
	"context"
	"encoding/hex"
	"slices"
	"strconv"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"

	"github.com/tidelinehq/tideline/tiering/manifest"
)

const (
	// maxCopies is in how many producers' traces one roll shows, at most.
	maxCopies = 16
	// maxLooks is how many batches of one section are looked at for a trace that nobody remembers.
	maxLooks = 64
)

// ProducerTrace is a sampled trace that a producer began, and what it wrote.
type ProducerTrace struct {
	Parent      trace.SpanContext // the producer's span
	Topic       string
	First, Last int64 // offsets
}

// Traces knows which traces wrote what. Both methods may be called from any goroutine and do no I/O.
type Traces interface {
	// Between returns what is remembered of the traces that wrote offsets in [from, to), max of them at most.
	Between(id manifest.ID, from, to int64, max int) []ProducerTrace
	// Within looks into a run of batches for the trace of the first, unless too many were looked at lately.
	Within(id manifest.ID, batches []byte) (ProducerTrace, bool)
}

// rollTrace is the trace of one roll, which has three stages.
//
//	tiering.roll    ├── from the decision until the ledger has answered ─────────┤
//	tiering.build   ├─ read, build, spool ─┤
//	tiering.upload                         ├─ announce, put ─┤
//	tiering.commit                                           ├─ commit ──────────┤
//
// A roll concerns many producers. Its spans are a trace of their own, and in the trace of each producer whose records are in
// the object there is one span of the same name and times, which links to the roll, as the roll links to the producer's. Who
// follows one record sees it there without having to follow links: that it was built and uploaded are events of that one span.
// A trace has one of them, however many of its records are in the object.
type rollTrace struct {
	e               *Engine
	object          [16]byte
	start           time.Time
	built, uploaded time.Time  // zero: not yet
	roll            trace.Span // nil before the object is built
}

// begin begins the trace, when the object is built and it is known what there is to upload. It links to the producers, whose
// samplers have decided already.
func (t *rollTrace) begin(ctx context.Context, items []*uploadItem, bytes int64) context.Context {
	t.built = t.e.o.Now()
	var links []trace.Link
	for i := 0; t.e.o.Traces != nil && i < len(items) && len(links) < maxCopies; i++ {
		items[i].traces = t.e.producers(items[i], maxCopies)
		for j := range items[i].traces {
			parent := items[i].traces[j].Parent
			if !slices.ContainsFunc(links, func(l trace.Link) bool { return l.SpanContext.TraceID() == parent.TraceID() }) && len(links) < maxCopies {
				links = append(links, trace.Link{SpanContext: parent})
			}
		}
	}
	ctx, t.roll = t.e.o.Tracer.Start(ctx, "tiering.roll", trace.WithTimestamp(t.start), trace.WithLinks(links...), trace.WithAttributes(
		attribute.String("tideline.object.id", hex.EncodeToString(t.object[:])),
		attribute.Int("tideline.partitions", len(items)), attribute.Int64("tideline.bytes", bytes)))
	_, build := t.e.o.Tracer.Start(ctx, "tiering.build", trace.WithTimestamp(t.start))
	build.End(trace.WithTimestamp(t.built))
	return ctx
}

// stage begins a stage, and returns what ends it.
func (t *rollTrace) stage(ctx context.Context, name string) (context.Context, func(failed string)) {
	start := t.e.o.Now()
	ctx, span := t.e.o.Tracer.Start(ctx, name, trace.WithTimestamp(start))
	return ctx, func(failed string) {
		if failed != "" {
			span.SetStatus(codes.Error, failed)
		}
		span.End(trace.WithTimestamp(t.e.o.Now()))
	}
}

// end ends the trace of a roll of which the ledger has taken the accepted sections, and tells the producers of these.
func (t *rollTrace) end(accepted []*uploadItem) {
	now := t.e.o.Now()
	var told []trace.TraceID
	for _, it := range accepted {
		for i := range it.traces {
			p := &it.traces[i]
			if id := p.Parent.TraceID(); len(told) < maxCopies && !slices.Contains(told, id) {
				told = append(told, id)
				t.copy(it.lease.id, p, now)
			}
		}
	}
	t.roll.End(trace.WithTimestamp(now))
}

// producers returns the traces that wrote a section, at most so many.
func (e *Engine) producers(it *uploadItem, most int) []ProducerTrace {
	found := e.o.Traces.Between(it.lease.id, it.segment.Base, it.segment.End, most)
	if len(found) == 0 && it.producer != nil {
		found = []ProducerTrace{*it.producer}
	}
	return found
}

// copy shows the roll in a producer's trace.
func (t *rollTrace) copy(id manifest.ID, p *ProducerTrace, now time.Time) {
	options := []trace.SpanStartOption{trace.WithTimestamp(t.start), trace.WithAttributes(
		attribute.String("tideline.object.id", hex.EncodeToString(t.object[:])),
		attribute.String("messaging.system", "kafka"), attribute.String("messaging.destination.name", p.Topic),
		partitionOf(id), attribute.Int64("messaging.kafka.offset", p.First))}
	if shared := t.roll.SpanContext(); shared.IsSampled() {
		options = append(options, trace.WithLinks(trace.Link{SpanContext: shared}))
	}
	_, span := t.e.o.Tracer.Start(trace.ContextWithRemoteSpanContext(context.Background(), p.Parent), "tiering.roll", options...)
	if !span.IsRecording() {
		return
	}
	span.AddEvent("tiering.built", trace.WithTimestamp(t.built))
	span.AddEvent("tiering.uploaded", trace.WithTimestamp(t.uploaded))
	span.End(trace.WithTimestamp(now))
}

// producerOf looks for the trace of a section whose producers nobody remembers, as after a change of leader.
func (e *Engine) producerOf(it *uploadItem, buffers [][]byte) {
	for _, b := range buffers {
		if it.producer != nil || it.looks == 0 {
			return
		}
		it.looks--
		if p, ok := e.o.Traces.Within(it.lease.id, b); ok {
			it.producer = &p
		}
	}
}

// partitionOf is a partition's id as the conventions have it: a text.
func partitionOf(id manifest.ID) attribute.KeyValue {
	return attribute.String("messaging.destination.partition.id", strconv.Itoa(int(id.Partition)))
}

// traceDone makes the span of something that has ended, when it is known that it was worth one.
func (e *Engine) traceDone(ctx context.Context, name string, start time.Time, attrs ...attribute.KeyValue) {
	_, span := e.o.Tracer.Start(ctx, name, trace.WithTimestamp(start), trace.WithAttributes(attrs...))
	span.End(trace.WithTimestamp(e.o.Now()))
}

// traceFailed makes the span of something that has failed.
func (e *Engine) traceFailed(ctx context.Context, name string, start time.Time, err error) {
	_, span := e.o.Tracer.Start(ctx, name, trace.WithTimestamp(start))
	span.SetStatus(codes.Error, err.Error())
	span.End(trace.WithTimestamp(e.o.Now()))
}
