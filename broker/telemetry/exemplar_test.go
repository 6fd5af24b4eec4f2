package telemetry

import (
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	"go.opentelemetry.io/otel/trace"
)

func TestOnlySampledSpansAreExemplars(t *testing.T) {
	id := trace.SpanContextConfig{TraceID: trace.TraceID{1, 2}, SpanID: trace.SpanID{3}}
	unsampled := trace.NewSpanContext(id)
	id.TraceFlags = trace.FlagsSampled
	h := prometheus.NewHistogram(prometheus.HistogramOpts{Name: "h", Buckets: []float64{.1, 1}})
	Observe(h, .05, unsampled)
	Observe(h, .05, trace.SpanContext{})
	Observe(h, .5, trace.NewSpanContext(id))

	var got dto.Metric
	if err := h.Write(&got); err != nil {
		t.Fatal(err)
	}
	if n := got.GetHistogram().GetSampleCount(); n != 3 {
		t.Fatalf("%d values were counted, not 3", n)
	}
	if e := got.GetHistogram().Bucket[0].Exemplar; e != nil {
		t.Errorf("a span that is not sampled became an exemplar: %v", e)
	}
	e := got.GetHistogram().Bucket[1].Exemplar
	if e == nil || e.GetValue() != .5 || len(e.Label) != 2 {
		t.Fatalf("exemplar of the sampled span: %v", e)
	}
	for _, l := range e.Label {
		want := map[string]string{"trace_id": "01020000000000000000000000000000", "span_id": "0300000000000000"}[l.GetName()]
		if l.GetValue() != want {
			t.Errorf("%s is %q, not %q", l.GetName(), l.GetValue(), want)
		}
	}
}

// What is not sampled pays for nothing.
func TestObserveAllocatesNothingUnsampled(t *testing.T) {
	h := prometheus.NewHistogram(prometheus.HistogramOpts{Name: "h", Buckets: []float64{.1, 1}})
	if n := testing.AllocsPerRun(100, func() { Observe(h, .05, trace.SpanContext{}) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
