package telemetry

import (
	"context"
	"fmt"
	"log/slog"

	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracegrpc"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/noop"
)

// TraceOptions is what spans say about the process that they come from.
type TraceOptions struct {
	Version string
	NodeID  int32
	Getenv  func(string) string // os.Getenv outside of tests
	Logger  *slog.Logger
	// Registerer gets what there is to know of spans that wait; nil: nobody does.
	Registerer prometheus.Registerer
}

// Tracing returns the provider of tracers, the gate that decides what is traced, and a
// function that sends what is left and stops it. OTEL_EXPORTER_OTLP_ENDPOINT (or its _TRACES_ form) or
// OTEL_TRACES_EXPORTER=otlp turn it on; OTEL_SDK_DISABLED=true and
// OTEL_TRACES_EXPORTER=none turn it off: then the gate is nil. OTEL_TRACES_SAMPLER replaces
// the bounds on the number of traces. All else that the standard names is read
// by the exporters and the SDK. A protocol or exporter that is not there is an
// error.
func Tracing(ctx context.Context, o TraceOptions) (trace.TracerProvider, *Gate, func(context.Context) error, error) {
	metrics := newCollectorMetrics(o.Registerer)
	on, protocol, err := exporterOf(o.Getenv, "TRACES")
	if err != nil {
		return nil, nil, nil, err
	}
	if !on {
		return noop.NewTracerProvider(), nil, func(context.Context) error { return nil }, nil
	}
	var exporter sdktrace.SpanExporter
	if protocol == "grpc" {
		exporter, err = otlptracegrpc.New(ctx)
	} else {
		exporter, err = otlptracehttp.New(ctx)
	}
	if err != nil {
		return nil, nil, nil, fmt.Errorf("telemetry: trace exporter: %w", err)
	}
	otel.SetErrorHandler(otel.ErrorHandlerFunc(func(err error) {
		o.Logger.WarnContext(ctx, "spans were not exported", "error", err)
	}))
	about, err := newResource(ctx, o.Version, o.NodeID)
	if err != nil {
		return nil, nil, nil, err
	}
	gate := newGate(environmentSampler(o.Getenv, o.Logger))
	var sampler sdktrace.Sampler = gate.limited
	if gate.sampler != nil {
		sampler = gate.sampler
	}
	provider := sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(newCollector(exporter, limitsOf(o.Getenv), metrics)), sdktrace.WithResource(about),
		sdktrace.WithSampler(settled{sampler}), sdktrace.WithIDGenerator(ids{}))
	return provider, gate, provider.Shutdown, nil
}
