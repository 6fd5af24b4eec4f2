package tiering

import (
	"context"
	"testing"

	"go.opentelemetry.io/otel/attribute"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/tidelinehq/tideline/tiering/objstore/retry"
)

// TestReadStats: the first Read of a block waits for the object store, the second finds it in memory, and one that goes on
// finds what was read ahead of it.
func TestReadStats(t *testing.T) {
	h := newHistory(t, historyOptions{segments: 1, batches: 64, records: 1, value: 32 << 10, block: 64 << 10, random: true})
	r := h.reader(t, h.store, nil)
	read := func(offset int64, most int) (*Chunk, ReadStats) {
		t.Helper()
		c, err := r.Read(t.Context(), h.request(offset, most))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(c.Release)
		return c, c.Stats
	}
	_, cold := read(10, 1)
	if cold.Store != 1 || cold.Memory != 0 || cold.Gets != 1 || cold.IndexGets != 1 || !cold.Waited || cold.Ahead != 0 {
		t.Errorf("cold: %+v", cold)
	}
	_, warm := read(10, 1)
	if warm.Store != 0 || warm.Memory != 1 || warm.Gets != 0 || warm.IndexGets != 0 || warm.Waited {
		t.Errorf("warm: %+v", warm)
	}
	var all ReadStats
	for offset := int64(20); offset < 60; {
		c, s := read(offset, 128<<10)
		all.Add(&s)
		offset = c.NextOffset
	}
	if all.Ahead == 0 || all.AheadGets == 0 || all.Store == 0 || !all.Waited {
		t.Errorf("in sequence: %+v", all)
	}
}

// TestASmallSectionComesWithItsIndex: what one request brings counts as read, not as found in memory.
func TestASmallSectionComesWithItsIndex(t *testing.T) {
	h := newHistory(t, historyOptions{segments: 1, batches: 3, records: 1, value: 100})
	r := h.reader(t, h.store, nil)
	c, err := r.Read(t.Context(), h.request(1, 1<<20))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Release()
	if s := c.Stats; s.Store != 1 || s.Memory != 0 || s.Gets != 0 || s.IndexGets != 1 || !s.Waited {
		t.Errorf("%+v", s)
	}
}

// TestGetsBelongToTheirRead: the requests that a Read makes are in its trace, though they do not end with it; those of a Read
// that nobody traces are in none.
func TestGetsBelongToTheirRead(t *testing.T) {
	recorder := tracetest.NewSpanRecorder()
	tracer := sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(recorder)).Tracer("test")
	h := newHistory(t, historyOptions{segments: 1, batches: 64, records: 1, value: 32 << 10, block: 64 << 10, random: true})
	store, err := retry.Wrap(h.store, retry.Options{Tracer: tracer})
	if err != nil {
		t.Fatal(err)
	}
	r := h.reader(t, store, nil)
	read := func(ctx context.Context, offset int64) {
		t.Helper()
		c, err := r.Read(ctx, h.request(offset, 1))
		if err != nil {
			t.Fatal(err)
		}
		c.Release()
	}
	ctx, span := tracer.Start(t.Context(), "fetch.object")
	read(ctx, 10)
	span.End()
	read(t.Context(), 40)
	if err := r.Close(); err != nil { // all requests have ended
		t.Fatal(err)
	}
	gets := 0
	for _, s := range recorder.Ended() {
		if s.Name() != "objstore.get" {
			continue
		}
		gets++
		if s.Parent().SpanID() != span.SpanContext().SpanID() {
			t.Errorf("a request of trace %v", s.SpanContext().TraceID())
		}
		for _, a := range s.Attributes() {
			if a.Key == "tideline.bytes" && a.Value.AsInt64() == 0 {
				t.Errorf("a request without bytes: %v", []attribute.KeyValue{a})
			}
		}
	}
	if gets != 2 {
		t.Errorf("%d requests in the trace, want index and block", gets)
	}
}
