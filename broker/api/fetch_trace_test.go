package api

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"github.com/tidelinehq/tideline/broker/telemetry"
	"github.com/tidelinehq/tideline/broker/trail"
	"github.com/tidelinehq/tideline/wal"
)

// TestFetchesOfNoTraceAllocateNothing: neither when tracing is off, nor when it is on and the fetch is none of those that are traced.
func TestFetchesOfNoTraceAllocateNothing(t *testing.T) {
	off := &API{fetchStages: newFetchStages(nil)}
	on := &API{fetchStages: newFetchStages(nil)}
	_, gate, stop, err := telemetry.Tracing(t.Context(), telemetry.TraceOptions{Logger: slog.New(slog.DiscardHandler), Getenv: func(name string) string {
		return map[string]string{"OTEL_TRACES_EXPORTER": "otlp", "OTEL_TRACES_SAMPLER": "always_off"}[name]
	}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := stop(context.WithoutCancel(t.Context())); err != nil {
			t.Error(err)
		}
	})
	on.Gate, on.Trail, on.Looker = gate, trail.New(8), trail.NewLooker(0)
	for name, a := range map[string]*API{"off": off, "on": on} {
		op := &fetchOp{fetchTrace: fetchTrace{api: a, kind: plainFetch}}
		chunk := &wal.Chunk{Bytes: 100, DiskBytes: 100}
		op.parts = []fetchPart{{bytes: 100, next: 1, records: [][]byte{make([]byte, 100)}}}
		now := time.Unix(1000, 0)
		if n := testing.AllocsPerRun(100, func() {
			op.times.park(now)
			op.times.wake(now.Add(time.Second))
			op.times.look(now)
			op.times.read(chunk)
			op.times.found = now.Add(time.Millisecond)
			op.trace()
			op.times.answered = now
			op.sent(now)
		}); n != 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}
