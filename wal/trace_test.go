package wal_test

import (
	"testing"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"

	"github.com/tidelinehq/tideline/internal/vfs/memfs"
	"github.com/tidelinehq/tideline/wal"
)

func spanOf(n byte, flags trace.TraceFlags) trace.SpanContext {
	return trace.NewSpanContext(trace.SpanContextConfig{TraceID: trace.TraceID{n}, SpanID: trace.SpanID{n}, TraceFlags: flags, Remote: true})
}

// tracedPartition is one of a log whose spans are recorded. The log is closed with the test.
func tracedPartition(t *testing.T) (*wal.Partition, *tracetest.SpanRecorder) {
	t.Helper()
	spans := tracetest.NewSpanRecorder()
	provider := sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(spans))
	l := open(t, wal.Options{FS: memfs.New(0), Dir: "wal", FileBytes: 1 << 20, Tracer: provider.Tracer("")})
	t.Cleanup(func() { closeLog(t, l) })
	return partitions(t, l, 1)[0], spans
}

// appendTraced makes a batch durable, for those who have part in it.
func appendTraced(t *testing.T, p *wal.Partition, b []byte, x *wal.Trace) {
	t.Helper()
	w := newWaiter()
	if err := p.Append(&wal.Append{Batches: b, Done: w, Trace: x}); err != nil {
		t.Fatal(err)
	}
	if err := w.wait(); err != nil {
		t.Fatal(err)
	}
}

// TestTrace: a group is a span of its own, and one in each trace that has part in it; they link to each other.
func TestTrace(t *testing.T) {
	p, spans := tracedPartition(t)
	mustAppend(t, p, batch(0, 1, 100, 1, 'x'))
	if n := len(spans.Ended()); n != 0 {
		t.Fatalf("%d spans, and nobody asked", n)
	}

	measured := &wal.Trace{}
	unsampled := &wal.Trace{Contexts: []trace.SpanContext{spanOf(1, 0)}}
	traced := &wal.Trace{Contexts: []trace.SpanContext{spanOf(2, trace.FlagsSampled), spanOf(3, trace.FlagsSampled)}}
	for i, x := range []*wal.Trace{measured, unsampled, traced} {
		// More than a frame: it is the last one that counts.
		var b []byte
		for n := range int64(3) {
			b = append(b, batch(int64(1+3*i)+n, 1, 200<<10, 1, 'x')...)
		}
		appendTraced(t, p, b, x)
		if x.Written.IsZero() || x.Durable.Before(x.Written) {
			t.Errorf("append %d was written at %v and durable at %v", i, x.Written, x.Durable)
		}
		if n := len(spans.Ended()); i < 2 && n != 0 {
			t.Errorf("%d spans after append %d", n, i)
		}
	}
	ended := spans.Ended()
	if len(ended) != 3 {
		t.Fatalf("%d spans", len(ended))
	}
	shared := ended[2]
	if shared.Parent().IsValid() || len(shared.Links()) != 2 || len(shared.Attributes()) != 3 {
		t.Errorf("the group's span has parent %v and %d links", shared.Parent(), len(shared.Links()))
	}
	for i, own := range ended[:2] {
		if own.Parent().SpanID() != traced.Contexts[i].SpanID() || own.SpanContext().TraceID() != traced.Contexts[i].TraceID() {
			t.Errorf("span %d is below %v", i, own.Parent())
		}
		if len(own.Links()) != 1 || own.Links()[0].SpanContext.SpanID() != shared.SpanContext().SpanID() {
			t.Errorf("span %d links to %v", i, own.Links())
		}
		if shared.Links()[i].SpanContext.SpanID() != traced.Contexts[i].SpanID() {
			t.Errorf("the group's span links to %v", shared.Links())
		}
		if own.Name() != "wal.sync" || !own.StartTime().Equal(traced.Written) || !own.EndTime().Equal(traced.Durable) ||
			!shared.StartTime().Equal(traced.Written) || !shared.EndTime().Equal(traced.Durable) {
			t.Errorf("span %d is from %v to %v", i, own.StartTime(), own.EndTime())
		}
	}
}

// TestTraceOfOne: where one trace alone has part in a group, one span in it says all, however many of its spans have part.
func TestTraceOfOne(t *testing.T) {
	p, spans := tracedPartition(t)
	first := spanOf(1, trace.FlagsSampled)
	second := trace.NewSpanContext(trace.SpanContextConfig{TraceID: first.TraceID(), SpanID: trace.SpanID{9}, TraceFlags: trace.FlagsSampled, Remote: true})
	traced := &wal.Trace{Contexts: []trace.SpanContext{first, second}}
	appendTraced(t, p, batch(0, 1, 100, 1, 'x'), traced)
	ended := spans.Ended()
	if len(ended) != 1 {
		t.Fatalf("%d spans", len(ended))
	}
	if s := ended[0]; s.Name() != "wal.sync" || s.Parent().SpanID() != first.SpanID() || len(s.Links()) != 0 || len(s.Attributes()) != 3 ||
		!s.StartTime().Equal(traced.Written) || !s.EndTime().Equal(traced.Durable) {
		t.Errorf("%s below %v from %v to %v, %v", s.Name(), s.Parent(), s.StartTime(), s.EndTime(), s.Attributes())
	}
}

// TestTraceIsBounded: a group is shown in some traces, however many have part in it.
func TestTraceIsBounded(t *testing.T) {
	p, spans := tracedPartition(t)
	var many []trace.SpanContext
	for i := range byte(40) {
		many = append(many, spanOf(i+1, trace.FlagsSampled))
	}
	appendTraced(t, p, batch(0, 1, 100, 1, 'x'), &wal.Trace{Contexts: many})
	if n := len(spans.Ended()); n != 16+1 {
		t.Errorf("%d spans", n)
	}
}
