package telemetry

import (
	"fmt"
	"log/slog"
	"strconv"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
	"golang.org/x/time/rate"
)

// Traces that a broker takes part in, each second, unless the environment names a sampler.
// A produce request has some three spans. By profiles of a busy machine (make bench-trace) a trace
// costs 35 µs where each request has one, and up to 200 µs where few have, for then nothing of it is
// in the caches: so that many cost about a percent of one core, and the queue of 2,048 spans is not
// overrun.
// Producers that trace have a budget of their own: at full load the broker's own traces would
// leave them nothing.
const (
	continuedPerSecond = 50 // begun by clients, in a traceparent header
	begunPerSecond     = 10 // the broker's own
)

// limited samples what it sees first in each moment, up to a rate. A span within
// this process follows its parent; a parent elsewhere that was not sampled is
// respected, one that was sampled still has to find room.
type limited struct {
	continued, begun *rate.Limiter
}

func newLimited(continued, begun int) limited {
	return limited{
		continued: rate.NewLimiter(rate.Limit(continued), continued),
		begun:     rate.NewLimiter(rate.Limit(begun), begun),
	}
}

// samples decides about a span with this parent.
func (l limited) samples(parent trace.SpanContext) bool {
	switch {
	case !parent.IsValid():
		return l.begun.Allow()
	case !parent.IsRemote() || !parent.IsSampled():
		return parent.IsSampled()
	}
	return l.continued.Allow()
}

// ShouldSample decides about one span.
func (l limited) ShouldSample(p sdktrace.SamplingParameters) sdktrace.SamplingResult {
	parent := trace.SpanContextFromContext(p.ParentContext)
	return decision(l.samples(parent), parent)
}

// Description names the sampler in the SDK's own log.
func (l limited) Description() string {
	return fmt.Sprintf("Limited{continued=%v/s begun=%v/s}", l.continued.Limit(), l.begun.Limit())
}

func decision(sample bool, parent trace.SpanContext) sdktrace.SamplingResult {
	result := sdktrace.SamplingResult{Decision: sdktrace.Drop, Tracestate: parent.TraceState()}
	if sample {
		result.Decision = sdktrace.RecordAndSample
	}
	return result
}

// settled is a sampler before which some spans are decided already: those that a Gate let in,
// and those that link to a span which is sampled. The latter are of what many traces have
// part in, such as one sync of the disk: each of them shows it, so it is to be there.
type settled struct {
	sdktrace.Sampler
}

// ShouldSample decides about one span.
func (s settled) ShouldSample(p sdktrace.SamplingParameters) sdktrace.SamplingResult {
	if _, in := grantOf(p.ParentContext); in {
		return decision(true, trace.SpanContextFromContext(p.ParentContext))
	}
	for i := range p.Links {
		if p.Links[i].SpanContext.IsSampled() {
			return decision(true, trace.SpanContextFromContext(p.ParentContext))
		}
	}
	return s.Sampler.ShouldSample(p)
}

// environmentSampler returns the sampler that OTEL_TRACES_SAMPLER and its argument name; nil
// when they name none. As the standard wants it, what is not understood is warned of and
// taken for nothing.
func environmentSampler(getenv func(string) string, logger *slog.Logger) sdktrace.Sampler {
	ratio := func() sdktrace.Sampler {
		arg := getenv("OTEL_TRACES_SAMPLER_ARG")
		if arg == "" {
			return sdktrace.TraceIDRatioBased(1)
		}
		r, err := strconv.ParseFloat(arg, 64)
		if err != nil || !(r >= 0 && r <= 1) {
			logger.Warn("not a ratio from 0 to 1, all traces are sampled", "argument", arg)
			r = 1
		}
		return sdktrace.TraceIDRatioBased(r)
	}
	switch name := getenv("OTEL_TRACES_SAMPLER"); name {
	case "":
		return nil
	case "always_on":
		return sdktrace.AlwaysSample()
	case "always_off":
		return sdktrace.NeverSample()
	case "traceidratio":
		return ratio()
	case "parentbased_always_on":
		return sdktrace.ParentBased(sdktrace.AlwaysSample())
	case "parentbased_always_off":
		return sdktrace.ParentBased(sdktrace.NeverSample())
	case "parentbased_traceidratio":
		return sdktrace.ParentBased(ratio())
	default:
		logger.Warn("unknown sampler, the number of traces is limited instead", "sampler", name)
		return nil
	}
}
