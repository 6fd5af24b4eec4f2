package telemetry

import (
	"context"
	"fmt"
	"log/slog"

	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/exporters/otlp/otlpmetric/otlpmetricgrpc"
	"go.opentelemetry.io/otel/exporters/otlp/otlpmetric/otlpmetrichttp"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
)

// MetricOptions is what is exported, and what it says about the process that it comes from.
type MetricOptions struct {
	Version  string
	NodeID   int32
	Gatherer prometheus.Gatherer
	Getenv   func(string) string // os.Getenv outside of tests
	Logger   *slog.Logger
}

// ExportMetrics sends the instruments of a registry to an OTLP collector, the same that /metrics shows,
// and returns a function that sends them once more and stops. OTEL_EXPORTER_OTLP_ENDPOINT (or its _METRICS_
// form) or OTEL_METRICS_EXPORTER=otlp turn it on; OTEL_SDK_DISABLED=true and OTEL_METRICS_EXPORTER=none turn it
// off. How often is OTEL_METRIC_EXPORT_INTERVAL; all else that the standard names is read by the exporters and the
// SDK, but for the temporality: values are cumulative, as the instruments are.
func ExportMetrics(ctx context.Context, o MetricOptions) (stop func(context.Context) error, err error) {
	on, protocol, err := exporterOf(o.Getenv, "METRICS")
	if err != nil {
		return nil, err
	}
	if !on {
		return func(context.Context) error { return nil }, nil
	}
	var exporter sdkmetric.Exporter
	if protocol == "grpc" {
		exporter, err = otlpmetricgrpc.New(ctx)
	} else {
		exporter, err = otlpmetrichttp.New(ctx)
	}
	if err != nil {
		return nil, fmt.Errorf("telemetry: metric exporter: %w", err)
	}
	otel.SetErrorHandler(otel.ErrorHandlerFunc(func(err error) {
		o.Logger.WarnContext(ctx, "spans or metrics were not exported", "error", err)
	}))
	about, err := newResource(ctx, o.Version, o.NodeID)
	if err != nil {
		return nil, err
	}
	provider := sdkmetric.NewMeterProvider(sdkmetric.WithResource(about),
		sdkmetric.WithReader(sdkmetric.NewPeriodicReader(exporter, sdkmetric.WithProducer(newBridge(o.Gatherer)))))
	return provider.Shutdown, nil
}
