package main

import (
	"bytes"
	"runtime/pprof"
	"slices"
	"strings"
	"testing"
)

// TestProfile: what a process of Go's says of itself is understood.
func TestProfile(t *testing.T) {
	var raw bytes.Buffer
	if err := pprof.Lookup("goroutine").WriteTo(&raw, 0); err != nil {
		t.Fatal(err)
	}
	p, err := parseProfile(raw.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	sums, err := sumProfile(p, "goroutine", func(stack []string) string {
		if slices.ContainsFunc(stack, func(f string) bool { return strings.HasSuffix(f, ".TestProfile") }) {
			return "this"
		}
		return ""
	})
	if err != nil || sums["this"] != 1 || sums[""] == 0 {
		t.Errorf("%v %v", sums, err)
	}
	if _, err := sumProfile(p, "cpu", tracePart); err == nil {
		t.Error("there is no such kind")
	}
	for _, bad := range [][]byte{nil, []byte("no profile"), raw.Bytes()[:raw.Len()/2]} {
		if _, err := parseProfile(bad); err == nil {
			t.Errorf("%d bytes were taken", len(bad))
		}
	}
}

func TestTracePart(t *testing.T) {
	for want, stack := range map[string][]string{
		"":        {"runtime.memmove", "github.com/tidelinehq/tideline/wal.(*writer).lay"},
		"looks":   {"github.com/tidelinehq/tideline/internal/record.TraceParent", "github.com/tidelinehq/tideline/broker/api.(*produceOp).traceNamed"},
		"notes":   {"runtime.mallocgc", "github.com/tidelinehq/tideline/wal.(*writer).trace"},
		"spans":   {"runtime.mallocgc", "go.opentelemetry.io/otel/sdk/trace.(*tracer).Start", "github.com/tidelinehq/tideline/wal.(*writer).trace"},
		"export":  {"google.golang.org/grpc.encode", "go.opentelemetry.io/otel/exporters/otlp/otlptrace.(*Exporter).ExportSpans", "github.com/tidelinehq/tideline/broker/telemetry.(*collector).run"},
		"metrics": {"google.golang.org/grpc.encode", "go.opentelemetry.io/otel/sdk/metric.(*PeriodicReader).run"},
		"garbage": {"runtime.scanObject", "runtime.gcBgMarkWorker"},
	} {
		if got := tracePart(stack); got != want {
			t.Errorf("%s is of %q", stack[0], got)
		}
	}
}
