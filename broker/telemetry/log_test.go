package telemetry

import (
	"bytes"
	"strings"
	"testing"

	"go.opentelemetry.io/otel/trace"
)

func TestLinesHaveTheIdsOfSampledSpans(t *testing.T) {
	var out bytes.Buffer
	logger, err := NewLogger(&out, "info", "json")
	if err != nil {
		t.Fatal(err)
	}
	id := trace.SpanContextConfig{TraceID: trace.TraceID{1}, SpanID: trace.SpanID{2}}
	logger.InfoContext(t.Context(), "no span")
	logger.InfoContext(trace.ContextWithSpanContext(t.Context(), trace.NewSpanContext(id)), "not sampled")
	if text := out.String(); strings.Contains(text, "trace_id") {
		t.Errorf("ids of nothing: %s", text)
	}
	out.Reset()
	id.TraceFlags = trace.FlagsSampled
	logger.With("part", "x").InfoContext(trace.ContextWithSpanContext(t.Context(), trace.NewSpanContext(id)), "sampled", "n", 1)
	if text := out.String(); !strings.Contains(text, `"part":"x","n":1,"trace_id":"01000000000000000000000000000000","span_id":"0200000000000000"`) {
		t.Errorf("a line of a sampled span: %s", text)
	}
}
