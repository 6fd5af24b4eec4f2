package api

import (
	"context"
	"slices"
	"strconv"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"go.opentelemetry.io/otel/attribute"
	otelcodes "go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"

	"github.com/tidelinehq/tideline/broker/server"
	"github.com/tidelinehq/tideline/broker/share"
	"github.com/tidelinehq/tideline/broker/trail"
	"github.com/tidelinehq/tideline/wal"
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
// A share fetch has the same stages below kafka.ShareFetch. A fetch that brings nothing, and fails at nothing, has none: most fetches
// of an idle cluster are of that kind. A fetch is a trace of its own, for it concerns many producers. In the trace of each producer
// whose sampled record it delivers there is a span kafka.Fetch as well, a child of the producer's, with the stage that brought the
// record, and linked to the other.
//
// All of it is made when the fetch is answered, of times that were noted; only before a read of the object store, which has spans
// below it, kafka.Fetch begins sooner. What is not sampled allocates nothing.

// fetchTrace is the trace of a fetch or of a share fetch, and what it is made of.
type fetchTrace struct {
	api        *API
	r          *server.Request
	kind       *fetchKind
	groupName  string // of a share fetch
	partitions int    // of which it asks for records
	minBytes   int32
	maxWait    int32 // ms
	times      fetchTimes
	span       trace.Span   // kafka.Fetch, begun and not ended; nil: not sampled
	copies     []trace.Span // begun and not ended, in the traces of those who wrote what is fetched
	delivers   []delivered
}

// fetchKind is how a kind of fetch is called.
type fetchKind struct{ span, operation string }

var (
	plainFetch = &fetchKind{span: "kafka.Fetch", operation: "fetch"}
	sharedOnes = &fetchKind{span: "kafka.ShareFetch", operation: "share_fetch"}
)

// delivered is what a fetch brings of a partition.
type delivered struct {
	id          wal.ID
	topic       string              // empty: look it up
	first, next int64               // the offsets
	acquired    []share.Acquisition // those of them that a share fetch brings
	bytes       int
	cold        bool // from the object store or its cache
	records     [][]byte
}

// brings tells whether records of a producer are among what is delivered: their batch may begin below what the client asked for,
// and a member of a share group gets what no other member has.
func (d *delivered) brings(e *trail.Entry) bool {
	if d.acquired == nil {
		return e.Last >= d.first
	}
	return slices.ContainsFunc(d.acquired, func(a share.Acquisition) bool { return a.First <= e.Last && e.First <= a.Last })
}

// begin begins the fetch's own span, if it is sampled. It returns a context with it.
func (f *fetchTrace) begin() context.Context {
	a, r := f.api, f.r
	if f.span != nil {
		return trace.ContextWithSpan(a.ctx, f.span)
	}
	ctx, sampled := a.Gate.Begin(a.ctx)
	if !sampled {
		return a.ctx
	}
	attributes := []attribute.KeyValue{
		attribute.String("messaging.system", "kafka"),
		attribute.String("messaging.operation.name", f.kind.operation),
		attribute.Int("kafka.api.version", int(r.Version)),
		attribute.String("messaging.client.id", clientIDOf(r)),
		attribute.String("network.peer.address", hostOf(r.Conn.RemoteAddr())),
		attribute.Int("tideline.partitions", f.partitions),
		attribute.Int("tideline.fetch.min_bytes", int(f.minBytes)),
		attribute.Int("tideline.fetch.max_wait_ms", int(f.maxWait)),
	}
	ctx, f.span = a.Tracer.Start(ctx, f.kind.span, trace.WithTimestamp(r.Received), trace.WithSpanKind(trace.SpanKindServer),
		trace.WithAttributes(f.withGroup(attributes)...))
	return ctx
}

func (f *fetchTrace) withGroup(attributes []attribute.KeyValue) []attribute.KeyValue {
	if f.groupName == "" {
		return attributes
	}
	return append(attributes, attribute.String("messaging.consumer.group.name", f.groupName))
}

// cold begins the span of a read of the object store; the end tells how it went.
func (f *fetchTrace) cold(ctx context.Context) (context.Context, func()) {
	traced := f.begin()
	if f.span == nil {
		return ctx, func() {}
	}
	ctx, span := f.api.Tracer.Start(trace.ContextWithSpanContext(ctx, trace.SpanContextFromContext(traced)), "fetch.object",
		trace.WithTimestamp(f.times.asked))
	return ctx, func() {
		t := &f.times
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

// deliver notes what a fetch brings, for answer.
func (f *fetchTrace) deliver(d delivered) {
	if f.api.Gate != nil {
		f.delivers = append(f.delivers, d)
	}
}

// answer makes the spans of a fetch that is about to be answered, and counts its stages. sent ends those that are open.
// failed is the first error of the answer; worth says that it has something in it without records and errors.
func (f *fetchTrace) answer(failed int16, worth bool) {
	a := f.api
	var shared trace.SpanContext
	if a.Gate != nil {
		if len(f.delivers) > 0 || failed != 0 || worth {
			f.begin()
		}
		if f.span != nil {
			shared = f.span.SpanContext()
			f.stages(failed)
		}
		f.show(shared)
	}
	a.fetchStages.observe(&f.times, shared)
}

// stages makes the spans below the fetch's own, but the one of a cold read, which is there already.
func (f *fetchTrace) stages(failed int16) {
	bytes, local := 0, 0 // what did not come from the object store or its cache
	for i := range f.delivers {
		d := &f.delivers[i]
		if bytes += d.bytes; !d.cold {
			local += d.bytes
		}
	}
	f.span.SetAttributes(attribute.Int("tideline.bytes", bytes))
	if failed != 0 {
		if err := kerr.TypedErrorForCode(failed); err != nil {
			f.span.SetAttributes(attribute.String("error.type", err.Message))
			f.span.SetStatus(otelcodes.Error, err.Message)
		}
	}
	t, ctx := &f.times, trace.ContextWithSpan(f.api.ctx, f.span)
	if t.waited > 0 {
		f.stage(ctx, "fetch.purgatory", t.first, t.woken)
	}
	if name := t.localName(); name != "" {
		f.stage(ctx, name, t.looked, t.found, attribute.Int("tideline.bytes", local))
	}
}

func (f *fetchTrace) stage(ctx context.Context, name string, start, end time.Time, attributes ...attribute.KeyValue) {
	_, s := f.api.Tracer.Start(ctx, name, trace.WithTimestamp(start), trace.WithAttributes(attributes...))
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

// show shows the fetch in the traces of those whose records it brings.
func (f *fetchTrace) show(shared trace.SpanContext) {
	a := f.api
	left, looks := maxDelivered, maxDeliveryLooks
	for i := range f.delivers {
		d := &f.delivers[i]
		if left == 0 {
			break
		}
		found := a.Trail.Between(d.id.Topic, d.id.Partition, d.first, d.next, left)
		if len(found) == 0 && (d.cold || f.times.local == localDisk) {
			for _, b := range d.records {
				if looks == 0 || len(found) == left {
					break
				}
				found = append(found, a.Looker.Look(b, looks, left-len(found))...)
				looks = max(looks-1, 0)
			}
		}
		for j := range found {
			if e := &found[j]; d.brings(e) {
				f.copyInto(d, e, shared)
				left--
			}
		}
	}
}

// copyInto shows the fetch in the trace of a producer.
func (f *fetchTrace) copyInto(d *delivered, e *trail.Entry, shared trace.SpanContext) {
	a, t := f.api, &f.times
	ctx := trace.ContextWithRemoteSpanContext(a.ctx, e.Context)
	if !shared.IsValid() { // else the span shows it because it links to what is sampled
		var sampled bool
		if ctx, sampled = a.Gate.Continue(a.ctx, e.Context); !sampled {
			return
		}
	}
	attributes := []attribute.KeyValue{
		attribute.String("messaging.system", "kafka"),
		attribute.String("messaging.operation.name", f.kind.operation),
		attribute.String("messaging.operation.type", "receive"),
		attribute.String("messaging.destination.name", f.topicOf(d)),
		attribute.String("messaging.destination.partition.id", strconv.Itoa(int(d.id.Partition))),
		attribute.Int64("messaging.kafka.offset", e.First),
		attribute.Int64("messaging.batch.message_count", e.Last-e.First+1),
		attribute.String("messaging.client.id", clientIDOf(f.r)),
		attribute.String("network.peer.address", hostOf(f.r.Conn.RemoteAddr())),
		attribute.Int("tideline.bytes", d.bytes),
	}
	options := []trace.SpanStartOption{
		trace.WithTimestamp(f.r.Received), trace.WithSpanKind(trace.SpanKindConsumer), trace.WithAttributes(f.withGroup(attributes)...),
	}
	if shared.IsValid() {
		options = append(options, trace.WithLinks(trace.Link{SpanContext: shared}))
	}
	ctx, span := a.Tracer.Start(ctx, f.kind.span, options...)
	if d.cold {
		f.stage(ctx, t.coldName(), t.asked, t.came, t.coldAttributes()...)
	} else if name := t.localName(); name != "" {
		f.stage(ctx, name, t.looked, t.found)
	}
	if f.span != nil {
		f.span.AddLink(trace.Link{SpanContext: e.Context})
	}
	f.copies = append(f.copies, span)
}

// topicOf is the name of the topic of what is delivered, which requests of newer versions do not tell.
func (f *fetchTrace) topicOf(d *delivered) string {
	if d.topic != "" {
		return d.topic
	}
	t, ok := f.api.Metadata.Image().TopicByID(d.id.Topic)
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
func (f *fetchTrace) sent(now time.Time) {
	a, t := f.api, &f.times
	if !t.answered.IsZero() {
		a.fetchStages.send.Observe(now.Sub(t.answered).Seconds())
	}
	if f.span != nil {
		if !t.answered.IsZero() {
			f.stage(trace.ContextWithSpan(a.ctx, f.span), "fetch.send", t.answered, now)
		}
		f.span.End(trace.WithTimestamp(now))
		f.span = nil
	}
	for i, c := range f.copies {
		c.End(trace.WithTimestamp(now))
		f.copies[i] = nil
	}
	clear(f.delivers)
	f.copies, f.delivers, f.times = f.copies[:0], f.delivers[:0], fetchTimes{}
}
