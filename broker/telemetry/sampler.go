package telemetry

import (
	"fmt"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
	"golang.org/x/time/rate"
)

// tracesPerSecond bounds the traces that a broker takes part in. A request has
// some ten spans of about two microseconds each, so this many cost 0.2 % of one
// core, and the exporter's queue of 2,048 spans is not overrun.
const tracesPerSecond = 100

// limited samples what it sees first in each moment, up to a rate. A span within
// this process follows its parent; a parent elsewhere that was not sampled is
// respected, one that was sampled still has to find room.
type limited struct {
	budget *rate.Limiter
}

func newLimited(perSecond int) sdktrace.Sampler {
	return limited{budget: rate.NewLimiter(rate.Limit(perSecond), perSecond)}
}

// ShouldSample decides about one span.
func (l limited) ShouldSample(p sdktrace.SamplingParameters) sdktrace.SamplingResult {
	parent := trace.SpanContextFromContext(p.ParentContext)
	result := sdktrace.SamplingResult{Decision: sdktrace.Drop, Tracestate: parent.TraceState()}
	var sample bool
	switch {
	case parent.IsValid() && !parent.IsRemote():
		sample = parent.IsSampled()
	case parent.IsValid() && !parent.IsSampled():
	default:
		sample = l.budget.Allow()
	}
	if sample {
		result.Decision = sdktrace.RecordAndSample
	}
	return result
}

// Description names the sampler in the SDK's own log.
func (l limited) Description() string {
	return fmt.Sprintf("Limited{%v traces/s}", l.budget.Limit())
}
