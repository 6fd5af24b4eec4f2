package telemetry

import (
	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel/trace"
)

// Labels of an exemplar: the names by which Prometheus, Grafana and OpenTelemetry's
// bridge know that a value belongs to a span.
const (
	exemplarTrace = "trace_id"
	exemplarSpan  = "span_id"
)

// Observe counts seconds in a histogram, with the span as its exemplar when it is
// sampled: from a slow bucket one gets to a trace that was as slow. Else it costs what
// the histogram costs.
func Observe(h prometheus.Observer, seconds float64, span trace.SpanContext) {
	if span.IsSampled() && span.IsValid() {
		if e, ok := h.(prometheus.ExemplarObserver); ok {
			e.ObserveWithExemplar(seconds, prometheus.Labels{
				exemplarTrace: span.TraceID().String(), exemplarSpan: span.SpanID().String(),
			})
			return
		}
	}
	h.Observe(seconds)
}
