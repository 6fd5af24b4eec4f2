package retry_test

import (
	"context"
	"io"
	"testing"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/tidelinehq/tideline/tiering/objstore"
	"github.com/tidelinehq/tideline/tiering/objstore/faultstore"
	"github.com/tidelinehq/tideline/tiering/objstore/memstore"
	"github.com/tidelinehq/tideline/tiering/objstore/retry"
)

// attributes of a span, by key.
func attributes(s sdktrace.ReadOnlySpan) map[attribute.Key]string {
	out := map[attribute.Key]string{}
	for _, a := range s.Attributes() {
		out[a.Key] = a.Value.String()
	}
	return out
}

// TestSpans: an operation of a trace shows how it went, repetitions included, and one of no trace shows nowhere.
func TestSpans(t *testing.T) {
	recorder := tracetest.NewSpanRecorder()
	provider := sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(recorder))
	tracer := provider.Tracer("test")
	key := objstore.DataKey([16]byte{1})
	bubble(t, retry.Options{Tracer: tracer}, func(t *testing.T, _ *memstore.Store, faults *faultstore.Store, s *retry.Store) {
		if _, err := s.Put(t.Context(), key, body("of no trace"), objstore.Condition{}); err != nil {
			t.Fatal(err)
		}
		ctx, parent := tracer.Start(context.Background(), "caller")
		faults.Add(faultstore.Rule{Fault: faultstore.SlowDown, Count: 2})
		if _, err := s.Put(ctx, key, body("0123456789"), objstore.Condition{}); err != nil {
			t.Fatal(err)
		}
		r, _, err := s.Get(ctx, key, 2, 5)
		if err != nil {
			t.Fatal(err)
		}
		if n := len(recorder.Ended()); n != 1 {
			t.Errorf("%d spans have ended before the body was read", n)
		}
		if _, err := io.ReadAll(r); err != nil {
			t.Fatal(err)
		}
		if err := r.Close(); err != nil {
			t.Fatal(err)
		}
		if _, err := s.Head(ctx, objstore.DataKey([16]byte{2})); err == nil {
			t.Fatal("an object that is not there was found")
		}
		faults.Add(faultstore.Rule{Fault: faultstore.SlowDown})
		if _, _, err := s.Get(ctx, key, 0, 1); err == nil {
			t.Fatal("a store that is away has answered")
		}
		parent.End()

		spans := recorder.Ended()
		if len(spans) != 5 {
			t.Fatalf("%d spans", len(spans))
		}
		for i, want := range []struct {
			name, bytes, attempts, outcome, errorType string
			events                                    int
			failed                                    bool
		}{
			{"objstore.put", "10", "3", "recovered", "", 2, false},
			{"objstore.get", "5", "1", "ok", "", 0, false},
			{"objstore.head", "0", "1", "refused", "not_found", 1, false},
			{"objstore.get", "0", "6", "exhausted", "slow_down", 6, true},
		} {
			got := spans[i]
			a := attributes(got)
			if got.Name() != want.name || got.Parent().SpanID() != parent.SpanContext().SpanID() || len(got.Events()) != want.events ||
				a["tideline.bytes"] != want.bytes || a["tideline.object.attempts"] != want.attempts || a["tideline.object.outcome"] != want.outcome ||
				a["error.type"] != want.errorType || a["tideline.object.kind"] != "data" || (got.Status().Code == codes.Error) != want.failed {
				t.Errorf("span %d: %s %v events=%d %v", i, got.Name(), a, len(got.Events()), got.Status())
			}
		}
	})
}
