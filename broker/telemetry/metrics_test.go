package telemetry

import (
	"context"
	"log/slog"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel/trace"

	"github.com/tidelinehq/tideline/internal/otlptest"
)

// One set of instruments: what /metrics shows arrives at the collector, exemplars too, by both protocols.
func TestMetricsAreExported(t *testing.T) {
	for _, protocol := range []string{"grpc", "http/protobuf"} {
		t.Run(protocol, func(t *testing.T) {
			receiver, err := otlptest.Start()
			if err != nil {
				t.Fatal(err)
			}
			defer func() {
				if err := receiver.Close(); err != nil {
					t.Error(err)
				}
			}()
			environment := receiver.Environment(protocol)
			environment["OTEL_METRIC_EXPORT_INTERVAL"] = "20" // ms
			environment["OTEL_RESOURCE_ATTRIBUTES"] = "deployment.environment.name=test"
			for k, v := range environment {
				t.Setenv(k, v) // the exporters read it
			}
			registry := NewRegistry("v1", "abc")
			counter := prometheus.NewCounterVec(prometheus.CounterOpts{Name: "tideline_things_total", Help: "Things."}, []string{"kind"})
			latency := prometheus.NewHistogram(prometheus.HistogramOpts{Name: "tideline_thing_seconds", Help: "Time.", Buckets: []float64{.1, 1}})
			registry.MustRegister(counter, latency)
			counter.WithLabelValues("a").Add(3)
			span := trace.NewSpanContext(trace.SpanContextConfig{TraceID: trace.TraceID{1}, SpanID: trace.SpanID{2}, TraceFlags: trace.FlagsSampled})
			Observe(latency, .5, span)
			stop, err := ExportMetrics(t.Context(), MetricOptions{
				Version: "v1", NodeID: 7, Gatherer: registry, Getenv: func(k string) string { return environment[k] }, Logger: slog.New(slog.DiscardHandler),
			})
			if err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			got, err := receiver.AwaitMetrics(ctx, "7", func(m map[string]otlptest.Metric) bool { return m["tideline_things_total"].Name != "" })
			if err != nil {
				t.Fatalf("%v: %v", err, slices.Sorted(maps.Keys(got)))
			}
			things := got["tideline_things_total"]
			if things.Kind != "sum" || !things.Monotonic || things.Description != "Things." || things.Total(map[string]any{"kind": "a"}) != 3 {
				t.Errorf("the counter: %+v", things)
			}
			if about := things.Resource; about["service.name"] != "tideline" || about["service.version"] != "v1" || about["deployment.environment.name"] != "test" {
				t.Errorf("the process: %v", about)
			}
			times := got["tideline_thing_seconds"]
			if times.Kind != "histogram" || len(times.Points) != 1 || times.Points[0].Count != 1 || times.Points[0].Sum != .5 || !slices.Equal(times.Points[0].Bounds, []float64{.1, 1}) {
				t.Fatalf("the histogram: %+v", times)
			}
			want := otlptest.Exemplar{Value: .5, TraceID: span.TraceID().String(), SpanID: span.SpanID().String()}
			if e := times.Points[0].Exemplars; len(e) != 1 || e[0] != want {
				t.Errorf("exemplars: %+v", e)
			}
			if got["go_goroutines"].Kind != "gauge" || got["process_cpu_seconds_total"].Kind != "sum" {
				t.Error("Go and the process are missing")
			}
			// What was counted last is sent before the process ends.
			counter.WithLabelValues("a").Add(1)
			if err := stop(ctx); err != nil {
				t.Fatal(err)
			}
			if total := receiver.Metrics("7")["tideline_things_total"].Total(nil); total != 4 {
				t.Errorf("%v things were told of in the end, not 4", total)
			}
		})
	}
}

func TestMetricsAreNotExportedUnasked(t *testing.T) {
	for name, environment := range map[string]func(string) string{
		"nothing is said": env(), "off": env("OTEL_SDK_DISABLED", "true", "OTEL_EXPORTER_OTLP_ENDPOINT", "http://h"),
		"traces alone": env("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://h"), "none": env("OTEL_METRICS_EXPORTER", "none", "OTEL_EXPORTER_OTLP_ENDPOINT", "http://h"),
	} {
		if on, _, err := exporterOf(environment, "METRICS"); on || err != nil {
			t.Errorf("%s: on=%v %v", name, on, err)
		}
	}
	if _, err := ExportMetrics(t.Context(), MetricOptions{Getenv: env("OTEL_METRICS_EXPORTER", "console")}); err == nil {
		t.Error("an exporter that is not there is no error")
	}
}
