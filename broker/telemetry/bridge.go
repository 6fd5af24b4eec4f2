package telemetry

import (
	"context"
	"encoding/hex"

	"github.com/prometheus/client_golang/prometheus"
	prombridge "go.opentelemetry.io/contrib/bridges/prometheus"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
)

// bridge reads a registry for OpenTelemetry's SDK. The project's own bridge, up to v0.72, puts the digits of an exemplar's ids where
// their bytes belong, so that no collector finds the span; here they are decoded.
type bridge struct{ inner sdkmetric.Producer }

func newBridge(g prometheus.Gatherer) bridge {
	return bridge{prombridge.NewMetricProducer(prombridge.WithGatherer(g))}
}

// Produce implements sdkmetric.Producer.
func (b bridge) Produce(ctx context.Context) ([]metricdata.ScopeMetrics, error) {
	scopes, err := b.inner.Produce(ctx)
	for i := range scopes {
		for _, m := range scopes[i].Metrics {
			switch data := m.Data.(type) {
			case metricdata.Histogram[float64]:
				for j := range data.DataPoints {
					decodeIDs(data.DataPoints[j].Exemplars)
				}
			case metricdata.Sum[float64]:
				for j := range data.DataPoints {
					decodeIDs(data.DataPoints[j].Exemplars)
				}
			}
		}
	}
	return scopes, err
}

// decodeIDs turns ids of hexadecimal digits into their bytes, and leaves alone what is none of these.
func decodeIDs(list []metricdata.Exemplar[float64]) {
	for i := range list {
		e := &list[i]
		if trace, err := hex.DecodeString(string(e.TraceID)); err == nil && len(trace) == 16 {
			e.TraceID = trace
		}
		if span, err := hex.DecodeString(string(e.SpanID)); err == nil && len(span) == 8 {
			e.SpanID = span
		}
	}
}
