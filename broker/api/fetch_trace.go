package api

import (
	"context"
	"strconv"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"go.opentelemetry.io/otel/attribute"
	otelcodes "go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"

	"github.com/tidelinehq/tideline/broker/server"
	"github.com/tidelinehq/tideline/broker/trail"
)

const (
	// maxDelivered is in how many producers' traces one fetch shows, at most.
	maxDelivered = 16
	// maxDeliveryLooks is how many batches of one fetch are looked into for traces, at most.
	maxDeliveryLooks = 64
)

// The trace of a fetch.
//
//	kafka.Fetch      ├─ received ─────────────────────────────── sent ─┤
//	fetch.purgatory      ├─ parked ── woken ─┤
//	fetch.tail|wal                            ├────┤
//	fetch.cache|object                             ├───────────┤
//	objstore.get                                     ├──────┤
//	fetch.send                                                   ├─────┤
//
// A fetch that brings nothing, and fails at nothing, has none: most fetches of an idle cluster are of that kind. A fetch is a trace of
// its own, for it concerns many producers. In the trace of each producer whose sampled record it delivers there is a span kafka.Fetch
// as well, a child of the producer's, with the stage that brought the record, and linked to the other.
//
// All of it is made when the fetch is answered, of times that were noted; only before a read of the object store, which has spans
// below it, kafka.Fetch begins sooner. What is not sampled allocates nothing.

// begin begins kafka.Fetch, if it is sampled. It returns a context with it.
func (op *fetchOp) begin() context.Context {
	a, r := op.api, op.r
	if op.spans.fetch != nil {
		return trace.ContextWithSpan(a.ctx, op.spans.fetch)
	}
	ctx, sampled := a.Gate.Begin(a.ctx)
	if !sampled {
		return a.ctx
	}
	ctx, span := a.Tracer.Start(ctx, "kafka.Fetch", trace.WithTimestamp(r.Received), trace.WithSpanKind(trace.SpanKindServer), trace.WithAttributes(
		attribute.String("messaging.system", "kafka"),
		attribute.String("messaging.operation.name", "fetch"),
		attribute.Int("kafka.api.version", int(r.Version)),
		attribute.String("messaging.client.id", clientIDOf(r)),
		attribute.String("network.peer.address", hostOf(r.Conn.RemoteAddr())),
		attribute.Int("tideline.partitions", len(op.parts)),
		attribute.Int("tideline.fetch.min_bytes", int(op.req.MinBytes)),
		attribute.Int("tideline.fetch.max_wait_ms", int(op.req.MaxWaitMillis)),
	))
	op.spans.fetch = span
	return ctx
}

// traceCold begins the span of a read of the object store; the end tells how it went.
func (op *fetchOp) traceCold(ctx context.Context) (context.Context, func()) {
	traced := op.begin()
	if op.spans.fetch == nil {
		return ctx, func() {}
	}
	ctx, span := op.api.Tracer.Start(trace.ContextWithSpanContext(ctx, trace.SpanContextFromContext(traced)), "fetch.object",
		trace.WithTimestamp(op.times.asked))
	return ctx, func() {
		t := &op.times
		if !t.cold.Waited {
			span.SetName("fetch.cache")
		}
		span.SetAttributes(t.coldAttributes()...)
		span.End(trace.WithTimestamp(t.came))
	}
}

func (t *fetchTimes) coldAttributes() []attribute.KeyValue {
	s := &t.cold
	return []attribute.KeyValue{
		attribute.Int("tideline.object.requests", s.Gets+s.IndexGets),
		attribute.Int("tideline.object.prefetches", s.AheadGets),
		attribute.Int("tideline.cache.hits", s.Memory+s.Disk),
		attribute.Int("tideline.cache.disk_hits", s.Disk),
		attribute.Int("tideline.cache.misses", s.Store),
		attribute.Int("tideline.cache.prefetched", s.Ahead),
	}
}

// trace makes the spans of a fetch that is about to be answered, and counts its stages. sent ends those that are open.
func (op *fetchOp) trace() {
	a, t := op.api, &op.times
	bytes, failed := 0, int16(0)
	for i := range op.parts {
		part := &op.parts[i]
		bytes += part.bytes
		if failed == 0 {
			failed = part.resp.ErrorCode
		}
	}
	if failed == 0 {
		failed = op.resp.ErrorCode
	}
	var shared trace.SpanContext
	if a.Gate != nil {
		if bytes > 0 || failed != 0 {
			op.begin()
		}
		if op.spans.fetch != nil {
			shared = op.spans.fetch.SpanContext()
			op.stages(bytes, failed)
		}
		if bytes > 0 {
			op.deliver(shared)
		}
	}
	a.fetchStages.observe(t, shared)
}

// stages makes the spans below kafka.Fetch, but the one of a cold read, which is there already.
func (op *fetchOp) stages(bytes int, failed int16) {
	t, span := &op.times, op.spans.fetch
	span.SetAttributes(attribute.Int("tideline.bytes", bytes))
	if failed != 0 {
		if err := kerr.TypedErrorForCode(failed); err != nil {
			span.SetAttributes(attribute.String("error.type", err.Message))
			span.SetStatus(otelcodes.Error, err.Message)
		}
	}
	ctx := trace.ContextWithSpan(op.api.ctx, span)
	if t.waited > 0 {
		op.stage(ctx, "fetch.purgatory", t.first, t.woken)
	}
	if name := t.localName(); name != "" {
		op.stage(ctx, name, t.looked, t.found, attribute.Int("tideline.bytes", op.localBytes()))
	}
}

func (op *fetchOp) stage(ctx context.Context, name string, start, end time.Time, attributes ...attribute.KeyValue) {
	_, s := op.api.Tracer.Start(ctx, name, trace.WithTimestamp(start), trace.WithAttributes(attributes...))
	s.End(trace.WithTimestamp(end))
}

func (t *fetchTimes) localName() string {
	switch t.local {
	case localTail:
		return "fetch.tail"
	case localDisk:
		return "fetch.wal"
	}
	return ""
}

func (t *fetchTimes) coldName() string {
	if t.cold.Waited {
		return "fetch.object"
	}
	return "fetch.cache"
}

// localBytes is how much of the answer did not come from the object store or its cache.
func (op *fetchOp) localBytes() (n int) {
	for i := range op.parts {
		if part := &op.parts[i]; !part.cold {
			n += part.bytes
		}
	}
	return n
}

// deliver shows the fetch in the traces of those whose records it brings.
func (op *fetchOp) deliver(shared trace.SpanContext) {
	a := op.api
	left, looks := maxDelivered, maxDeliveryLooks
	for i := range op.parts {
		part := &op.parts[i]
		if part.bytes == 0 || left == 0 {
			continue
		}
		found := a.Trail.Between(part.id.Topic, part.id.Partition, part.offset, part.next, left)
		if len(found) == 0 && (part.cold || op.times.local == localDisk) {
			for _, b := range part.records {
				if looks == 0 || len(found) == left {
					break
				}
				found = append(found, a.Looker.Look(b, looks, left-len(found))...)
				looks = max(looks-1, 0)
			}
		}
		for j := range found {
			if e := &found[j]; e.Last >= part.offset { // the batch may begin below what the client asked for
				op.copyInto(part, e, shared)
				left--
			}
		}
	}
}

// copyInto shows the fetch in the trace of a producer.
func (op *fetchOp) copyInto(part *fetchPart, e *trail.Entry, shared trace.SpanContext) {
	a, t := op.api, &op.times
	ctx := trace.ContextWithRemoteSpanContext(a.ctx, e.Context)
	if !shared.IsValid() { // else the span shows it because it links to what is sampled
		var sampled bool
		if ctx, sampled = a.Gate.Continue(a.ctx, e.Context); !sampled {
			return
		}
	}
	options := []trace.SpanStartOption{trace.WithTimestamp(op.r.Received), trace.WithSpanKind(trace.SpanKindConsumer), trace.WithAttributes(
		attribute.String("messaging.system", "kafka"),
		attribute.String("messaging.operation.name", "fetch"),
		attribute.String("messaging.operation.type", "receive"),
		attribute.String("messaging.destination.name", op.topicOf(part)),
		attribute.String("messaging.destination.partition.id", strconv.Itoa(int(part.id.Partition))),
		attribute.Int64("messaging.kafka.offset", e.First),
		attribute.Int64("messaging.batch.message_count", e.Last-e.First+1),
		attribute.String("messaging.client.id", clientIDOf(op.r)),
		attribute.String("network.peer.address", hostOf(op.r.Conn.RemoteAddr())),
		attribute.Int("tideline.bytes", part.bytes),
	)}
	if shared.IsValid() {
		options = append(options, trace.WithLinks(trace.Link{SpanContext: shared}))
	}
	ctx, span := a.Tracer.Start(ctx, "kafka.Fetch", options...)
	if part.cold {
		op.stage(ctx, t.coldName(), t.asked, t.came, t.coldAttributes()...)
	} else if name := t.localName(); name != "" {
		op.stage(ctx, name, t.looked, t.found)
	}
	if op.spans.fetch != nil {
		op.spans.fetch.AddLink(trace.Link{SpanContext: e.Context})
	}
	op.spans.copies = append(op.spans.copies, span)
}

// topicOf is the name of a part's topic, which requests of newer versions do not tell.
func (op *fetchOp) topicOf(part *fetchPart) string {
	if part.topic != "" {
		return part.topic
	}
	t, ok := op.api.Metadata.Image().TopicByID(part.id.Topic)
	if !ok {
		return ""
	}
	return t.Name
}

// clientIDOf is what a client calls itself.
func clientIDOf(r *server.Request) string {
	if r.ClientID == nil {
		return ""
	}
	return *r.ClientID
}

// sent ends what is open, when the answer was written or its client has gone.
func (op *fetchOp) sent(now time.Time) {
	a, t, s := op.api, &op.times, &op.spans
	if !t.answered.IsZero() {
		a.fetchStages.send.Observe(now.Sub(t.answered).Seconds())
	}
	if s.fetch != nil {
		if !t.answered.IsZero() {
			op.stage(trace.ContextWithSpan(a.ctx, s.fetch), "fetch.send", t.answered, now)
		}
		s.fetch.End(trace.WithTimestamp(now))
		s.fetch = nil
	}
	for i, c := range s.copies {
		c.End(trace.WithTimestamp(now))
		s.copies[i] = nil
	}
	s.copies = s.copies[:0]
}
