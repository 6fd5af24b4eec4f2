package telemetry

import (
	"context"
	"log/slog"
	"strings"
	"testing"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
)

func parentOf(remote bool, flags trace.TraceFlags) trace.SpanContext {
	return trace.NewSpanContext(trace.SpanContextConfig{
		TraceID: trace.TraceID{1}, SpanID: trace.SpanID{1}, TraceFlags: flags, Remote: remote})
}

func TestSamplerIsBounded(t *testing.T) {
	s := settled{newLimited(3, 2)}
	sampled := func(parent trace.SpanContext, links ...trace.Link) bool {
		ctx := trace.ContextWithSpanContext(t.Context(), parent)
		return s.ShouldSample(sdktrace.SamplingParameters{ParentContext: ctx, Links: links}).Decision == sdktrace.RecordAndSample
	}
	if sampled(parentOf(true, 0)) || sampled(parentOf(false, 0)) {
		t.Error("a parent that was not sampled was overruled")
	}
	continued, begun := 0, 0
	for range 50 {
		if sampled(trace.SpanContext{}) {
			begun++
		}
		if sampled(parentOf(true, trace.FlagsSampled)) {
			continued++
		}
	}
	if begun < 2 || begun > 4 || continued < 3 || continued > 6 {
		t.Errorf("%d traces were begun of the 2 in the budget, %d continued of 3", begun, continued)
	}
	if !sampled(parentOf(false, trace.FlagsSampled)) {
		t.Error("a trace that was begun is not continued")
	}
	for range 10 {
		if !sampled(trace.SpanContext{}, trace.Link{}, trace.Link{SpanContext: parentOf(true, trace.FlagsSampled)}) {
			t.Error("what a sampled span links to is missing")
		}
		if sampled(trace.SpanContext{}, trace.Link{SpanContext: parentOf(true, 0)}) {
			t.Error("a link to what is not sampled counts")
		}
	}
	if got := s.Description(); got != "Limited{continued=3/s begun=2/s}" {
		t.Error(got)
	}
}

// TestGate: what it lets in is sampled, and what it does not costs nothing.
func TestGate(t *testing.T) {
	sampledParent, otherParent := parentOf(true, trace.FlagsSampled), parentOf(true, 0)
	for name, test := range map[string]struct {
		sampler, arg                string
		begins, continues, overrule bool
	}{
		"limited":                                {"", "", true, true, false},
		"always_on":                              {"always_on", "", true, true, true},
		"always_off":                             {"always_off", "", false, false, false},
		"traceidratio, none":                     {"traceidratio", "0", false, false, false},
		"traceidratio, all":                      {"traceidratio", "1.0", true, true, true},
		"traceidratio, no number":                {"traceidratio", "much", true, true, true},
		"parentbased_always_on":                  {"parentbased_always_on", "", true, true, false},
		"parentbased_always_off":                 {"parentbased_always_off", "", false, true, false},
		"parentbased_traceidratio, none":         {"parentbased_traceidratio", "0", false, true, false},
		"parentbased_traceidratio, not a ratio":  {"parentbased_traceidratio", "2", true, true, false},
		"parentbased_traceidratio, the default":  {"parentbased_traceidratio", "", true, true, false},
		"parentbased_traceidratio, not a number": {"parentbased_traceidratio", "NaN", true, true, false},
		"unknown":                                {"jaeger_remote", "", true, true, false},
	} {
		var log strings.Builder
		g := newGate(environmentSampler(env("OTEL_TRACES_SAMPLER", test.sampler, "OTEL_TRACES_SAMPLER_ARG", test.arg), slog.New(slog.NewTextHandler(&log, nil))))
		inner := sdktrace.Sampler(g.limited)
		if g.sampler != nil {
			inner = g.sampler
		}
		provider := sdktrace.NewTracerProvider(sdktrace.WithSampler(settled{inner}), sdktrace.WithIDGenerator(ids{}))
		check := func(what string, ctx context.Context, in, want bool) {
			if in != want {
				t.Errorf("%s: %s: %t, want %t", name, what, in, want)
			}
			if !in {
				return
			}
			_, span := provider.Tracer("").Start(ctx, "x")
			if !span.SpanContext().IsSampled() {
				t.Errorf("%s: %s: let in, and not sampled", name, what)
			}
		}
		ctx, in := g.Begin(t.Context())
		check("begin", ctx, in, test.begins)
		ctx, in = g.Continue(t.Context(), sampledParent)
		check("continue", ctx, in, test.continues)
		ctx, in = g.Continue(t.Context(), otherParent)
		check("continue what is not sampled", ctx, in, test.overrule)
		if _, in := g.Continue(t.Context(), trace.SpanContext{}); in {
			t.Errorf("%s: continues nothing", name)
		}
		if warned := log.Len() > 0; warned != (test.arg == "much" || test.arg == "2" || test.arg == "NaN" || test.sampler == "jaeger_remote") {
			t.Errorf("%s: %q", name, log.String())
		}
	}
}

// TestGateByRatio: the id by which it is decided is that of the trace.
func TestGateByRatio(t *testing.T) {
	g := newGate(sdktrace.TraceIDRatioBased(0.1))
	provider := sdktrace.NewTracerProvider(sdktrace.WithSampler(settled{g.sampler}), sdktrace.WithIDGenerator(ids{}))
	n := 0
	for range 5000 {
		ctx, in := g.Begin(t.Context())
		if !in {
			continue
		}
		n++
		_, span := provider.Tracer("").Start(ctx, "x")
		p := sdktrace.SamplingParameters{ParentContext: t.Context(), TraceID: span.SpanContext().TraceID()}
		if g.sampler.ShouldSample(p).Decision != sdktrace.RecordAndSample {
			t.Fatalf("trace %v is sampled here and nowhere else", span.SpanContext().TraceID())
		}
	}
	if n < 350 || n > 650 { // 7 standard deviations
		t.Errorf("%d of 5000 traces at a ratio of 0.1", n)
	}
}

func TestGateIsCheap(t *testing.T) {
	open, off := newGate(nil), (*Gate)(nil)
	for range 2 * continuedPerSecond {
		open.Begin(t.Context())
		open.Continue(t.Context(), parentOf(true, trace.FlagsSampled))
	}
	for open.Inflate() > 0 { // until the second's share is used up
	}
	ctx, parent := t.Context(), parentOf(true, 0)
	for name, g := range map[string]*Gate{"used up": open, "off": off} {
		n := testing.AllocsPerRun(100, func() {
			g.Continue(ctx, parent)
			if _, in := g.Begin(ctx); in && g == nil {
				t.Error("a gate that is off lets something in")
			}
		})
		if n > 0.2 { // one or two are let in meanwhile
			t.Errorf("%s: %v allocations", name, n)
		}
	}
	if off.Inflate() != 0 {
		t.Error("a gate that is off looks into batches")
	}
}
