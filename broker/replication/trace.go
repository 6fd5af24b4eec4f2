package replication

import (
	"context"
	"encoding/binary"
	"fmt"
	"strconv"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"

	"github.com/tidelinehq/tideline/broker/partition"
	"github.com/tidelinehq/tideline/broker/telemetry"
	"github.com/tidelinehq/tideline/broker/trail"
	"github.com/tidelinehq/tideline/internal/codec"
	"github.com/tidelinehq/tideline/internal/peer"
	"github.com/tidelinehq/tideline/wal"
)

// What is sent of records that belong to a trace is a part of it, on both sides:
//
//	span that the trail has of the records
//	 └─ replicate               of the leader, for each follower: sent ─▶ acknowledged
//	     ├─ replicate.receive   of the follower: its head was read ─┬─▶ handed to the write-ahead log
//	     └─ wal.sync                                  replicate.received: all is here and whole
//
// The follower learns of it by a traced frame in front of the append, on streams of
// peer.TracedReplication alone.

const (
	// maxTraced bounds the traces that are told of one append.
	maxTraced = 16
	// maxOpenSpans bounds the spans of a feed that wait for an acknowledgement.
	maxOpenSpans = 64
	tracedBytes  = 8 + 8 + 16 + 8 + 8 + 1
	// maxTracedFrame bounds the payload of a traced frame.
	maxTracedFrame = 4 + maxTraced*tracedBytes
)

// traced says that offsets of a slot belong to a trace: origin is the span that all later ones
// about the records are children of, parent the leader's in which they are sent.
type traced struct {
	first, last    int64
	id             trace.TraceID
	origin, parent trace.SpanID
	flags          trace.TraceFlags
}

func (t *traced) context(span trace.SpanID) trace.SpanContext {
	return trace.NewSpanContext(trace.SpanContextConfig{TraceID: t.id, SpanID: span, TraceFlags: t.flags, Remote: true})
}

func appendTraced(dst []byte, slot uint32, traces []traced) []byte {
	from := len(dst)
	dst = binary.BigEndian.AppendUint32(beginFrame(dst, typeTraced), slot)
	for i := range traces {
		t := &traces[i]
		dst = codec.AppendInt64(codec.AppendInt64(dst, t.first), t.last)
		dst = append(append(append(dst, t.id[:]...), t.origin[:]...), t.parent[:]...)
		dst = append(dst, byte(t.flags))
	}
	endFrame(dst, from)
	return dst
}

func parseTraced(b []byte) (slot uint32, traces []traced, err error) {
	if len(b) > maxTracedFrame {
		return 0, nil, fmt.Errorf("%w: traces in bytes=%d max=%d", errFrame, len(b), maxTracedFrame)
	}
	r := codec.NewReader(b)
	slot = r.Uint32()
	for r.Err() == nil && r.Remaining() > 0 {
		t := traced{first: r.Int64(), last: r.Int64()}
		t.id = r.UUID()
		copy(t.origin[:], r.Take(8))
		copy(t.parent[:], r.Take(8))
		t.flags = trace.TraceFlags(r.Uint8())
		traces = append(traces, t)
	}
	if err := finish(&r); err != nil {
		return slot, nil, err
	}
	last := int64(-1)
	for i := range traces {
		t := &traces[i]
		if t.first <= last || t.last < t.first || !t.id.IsValid() || !t.origin.IsValid() || !t.parent.IsValid() {
			return slot, nil, fmt.Errorf("%w: trace of offsets from=%d to=%d behind=%d", errFrame, t.first, t.last, last)
		}
		last = t.last
	}
	return slot, traces, nil
}

// openSpan is a span replicate until the follower has acknowledged its end.
type openSpan struct {
	end int64
	trace.Span
}

// showSent begins the spans of what is about to be sent of a feed, and says so to the follower
// where it understands that.
func (s *session) showSent(f *feed, from, to int64, bytes int) {
	o := &s.l.s.o
	if o.Tracer == nil {
		return
	}
	id := f.p.ID()
	entries := o.Trail.Between(id.Topic, id.Partition, from, to, maxTraced)
	if len(entries) == 0 {
		return
	}
	traces := make([]traced, 0, len(entries))
	spans := make([]openSpan, 0, len(entries))
	for _, e := range entries {
		span := startSpan(o.Tracer, e.Context, "replicate", trace.SpanKindClient, time.Now(), s.about(f, e, bytes)...)
		origin, sent := e.Context, span.SpanContext()
		spans = append(spans, openSpan{end: e.Last + 1, Span: span})
		if len(traces) == 0 || e.First > traces[len(traces)-1].last { // as it is always
			traces = append(traces, traced{
				first: e.First, last: e.Last, id: origin.TraceID(), origin: origin.SpanID(), parent: sent.SpanID(), flags: sent.TraceFlags(),
			})
		}
	}
	if s.traced {
		s.control(func(dst []byte) []byte { return appendTraced(dst, f.slot, traces) })
	}
	s.mu.Lock()
	f.spans = append(f.spans, spans...)
	excess := f.spans[:max(len(f.spans)-maxOpenSpans, 0)]
	for _, x := range excess {
		x.SetStatus(codes.Error, "too many are not acknowledged")
		x.End()
	}
	f.spans = append(f.spans[:0], f.spans[len(excess):]...)
	s.mu.Unlock()
}

// about is what a span says of what is sent.
func (s *session) about(f *feed, e trail.Entry, bytes int) []attribute.KeyValue {
	return append(destination(f.p, e.First), attribute.Int("tideline.broker.id", int(s.l.broker)), attribute.Int("tideline.bytes", bytes))
}

func destination(p *partition.Partition, offset int64) []attribute.KeyValue {
	return append(make([]attribute.KeyValue, 0, 8),
		attribute.String("messaging.system", "kafka"),
		attribute.String("messaging.destination.name", p.Topic()),
		attribute.String("messaging.destination.partition.id", strconv.Itoa(int(p.ID().Partition))),
		attribute.Int64("messaging.kafka.offset", offset))
}

// startSpan starts a span below one of another process, or of this one earlier, whose trace was let in there.
func startSpan(tracer trace.Tracer, parent trace.SpanContext, name string, kind trace.SpanKind, at time.Time, attributes ...attribute.KeyValue) trace.Span {
	ctx := telemetry.Granted(trace.ContextWithRemoteSpanContext(context.Background(), parent))
	_, span := tracer.Start(ctx, name, trace.WithSpanKind(kind), trace.WithTimestamp(at), trace.WithAttributes(attributes...))
	return span
}

// showAcked ends the spans of what a follower has. The mutex is held.
func (f *feed) showAcked(end int64) {
	n := 0
	for n < len(f.spans) && f.spans[n].end <= end {
		f.spans[n].End()
		n++
	}
	if n > 0 {
		f.spans = append(f.spans[:0], f.spans[n:]...)
	}
}

// showLost ends the spans of what was sent in vain, or is not known to have come. The mutex is held.
func (f *feed) showLost() {
	for _, x := range f.spans {
		x.SetStatus(codes.Error, "not acknowledged on this connection")
		x.End()
	}
	f.spans = nil
}

// arrival is what an intake knows of the traces of the append that comes next.
type arrival struct {
	slot   uint32
	traces []traced
	began  time.Time // the head of the append was read
}

// showTraced takes a traced frame.
func (s *intake) showTraced(b []byte) error {
	slot, traces, err := parseTraced(b)
	if err != nil {
		return err
	}
	if s.r.o.Tracer != nil && len(traces) > 0 {
		s.arriving = &arrival{slot: slot, traces: traces}
	}
	return nil
}

// arrives takes what is known of the append whose head was read; nil: it belongs to no trace.
func (s *intake) arrives() *arrival {
	a := s.arriving
	s.arriving = nil
	if a != nil {
		a.began = time.Now()
	}
	return a
}

// show makes the trace of an append, and returns what is to be called when it was handed over, or refused.
func (a *arrival) show(s *intake, slot uint32, to *inbound, bytes int) (t *partition.Trace, handed func(error)) {
	if a == nil || a.slot != slot {
		return nil, func(error) {}
	}
	came := time.Now()
	tracer := s.r.o.Tracer
	t = &partition.Trace{Trace: wal.Trace{Contexts: make([]trace.SpanContext, 0, len(a.traces))}}
	spans := make([]trace.Span, 0, len(a.traces))
	for i := range a.traces {
		x := &a.traces[i]
		parent := x.context(x.parent)
		t.Contexts = append(t.Contexts, parent)
		t.Origins = append(t.Origins, trail.Entry{First: x.first, Last: x.last, Context: x.context(x.origin)})
		attributes := append(destination(to.p, x.first), attribute.Int("tideline.bytes", bytes), attribute.Int("tideline.leader.id", int(s.conn.Peer.Node)))
		span := startSpan(tracer, parent, "replicate.receive", trace.SpanKindServer, a.began, attributes...)
		span.AddEvent("replicate.received", trace.WithTimestamp(came))
		spans = append(spans, span)
	}
	return t, func(err error) {
		for _, span := range spans {
			if err != nil {
				span.SetStatus(codes.Error, err.Error())
			}
			span.End()
		}
	}
}

// dialTraced opens a stream on which traces are told of, or a plain one where the other broker does not know of such.
func (l *link) dialTraced(address string) (conn *peer.Conn, told bool, err error) {
	dial := func(k peer.Kind) (*peer.Conn, error) { return l.s.o.Peers.Dial(l.s.ctx, address, l.broker, k) }
	if conn, err = dial(peer.TracedReplication); !unserved(err) {
		return conn, true, err
	}
	if conn, err = dial(peer.Replication); err != nil {
		return nil, false, err
	}
	// It may have come up between the two.
	if better, err := dial(peer.TracedReplication); err == nil {
		_ = conn.Close() // nothing was said on it
		return better, true, nil
	}
	return conn, false, nil
}
