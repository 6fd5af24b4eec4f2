//go:build !race

package api

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"github.com/tidelinehq/tideline/broker/partition"
	"github.com/tidelinehq/tideline/broker/server"
	"github.com/tidelinehq/tideline/broker/telemetry"
	"github.com/tidelinehq/tideline/broker/wire"
	"github.com/tidelinehq/tideline/internal/record"
)

// The race detector makes pools forget at random, hence the build constraint.

// requestOf is a produce request with one batch, as far as tracing sees it.
func requestOf(t *testing.T, gate *telemetry.Gate, header string) *produceOp {
	t.Helper()
	b := record.NewBuilder(record.Options{ProducerID: record.NoProducerID})
	r := record.Record{Value: make([]byte, 100)}
	if header != "" {
		r.Headers = []record.Header{{Key: []byte("traceparent"), Value: []byte(header)}}
	}
	if err := b.Add(r); err != nil {
		t.Fatal(err)
	}
	return &produceOp{
		api:     &API{Deps: Deps{Gate: gate}, now: time.Now, ctx: context.Background(), produceStages: newProduceStages(nil)},
		r:       &server.Request{CorrelationID: 1, Received: time.Now()},
		req:     &wire.ProduceRequest{Topics: []wire.ProduceTopic{{Partitions: []wire.ProducePartition{{Records: b.Build()}}}}},
		appends: make([]partition.Append, 1), parts: make([]wire.ProducePartitionResponse, 1),
	}
}

// TestUntracedRequestsCostNothing: neither where tracing is off nor where it is on is anything made for a request
// that is not traced; one that is measured alone uses what the last one left.
func TestUntracedRequestsCostNothing(t *testing.T) {
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1")
	on := map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1", "OTEL_TRACES_SAMPLER": "parentbased_always_off"}
	_, gate, stop, err := telemetry.Tracing(t.Context(), telemetry.TraceOptions{Getenv: func(k string) string { return on[k] }, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := stop(context.Background()); err != nil {
			t.Error(err)
		}
	}()
	for name, test := range map[string]struct {
		gate        *telemetry.Gate
		correlation int32
		header      string
	}{
		"off":                          {nil, 1, "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"},
		"off, measured":                {nil, 16, ""},
		"on, in no trace":              {gate, 1, ""},
		"on, in no trace and measured": {gate, 16, ""},
	} {
		op := requestOf(t, test.gate, test.header)
		op.r.CorrelationID = test.correlation
		run := func() {
			op.trace(op.api.handled(op.r.CorrelationID))
			if (op.traced != nil) != (test.correlation == 16) {
				t.Fatalf("%s: traced or measured: %t", name, op.traced != nil)
			}
			op.traced.begun(0, nil, nil)
			op.traced.acked(0)
			op.traced.answered()
			op.traced.finish(op)
			op.traced = nil
		}
		if n := testing.AllocsPerRun(200, run); n > 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}
