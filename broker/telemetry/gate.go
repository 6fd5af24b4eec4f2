package telemetry

import (
	"context"
	"encoding/binary"
	"math/rand/v2"
	"sync/atomic"
	"time"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
	"golang.org/x/time/rate"
)

// Compressed batches that are inflated to look for a traceparent header, each second, and
// how many bytes of each. That is at most a twentieth of a percent of what a core inflates,
// but for zstd, which inflates blocks of up to 128 KiB: then a third of a percent.
const (
	inflationsPerSecond = 50
	inflatedBytes       = 16 << 10
)

// Gate decides what is traced, before anything is made for a trace: who asks it first pays
// for no span, no context and no attribute of what is not sampled.
//
// A nil Gate is that of a broker that traces nothing. All methods may be called from any
// goroutine.
type Gate struct {
	sampler sdktrace.Sampler // of the environment; nil: limited
	limited limited
	inflate *rate.Limiter
	// opens is when either budget has room again, in Unix nanoseconds. Budgets only grow with time, so it is right until then.
	opens atomic.Int64
}

func newGate(sampler sdktrace.Sampler) *Gate {
	return &Gate{
		sampler: sampler, limited: newLimited(continuedPerSecond, begunPerSecond),
		inflate: rate.NewLimiter(inflationsPerSecond, inflationsPerSecond),
	}
}

// Begin says whether something that belongs to no trace begins one, and returns the context
// in which its first span starts.
func (g *Gate) Begin(ctx context.Context) (context.Context, bool) {
	if g == nil {
		return ctx, false
	}
	if g.sampler == nil {
		if !g.limited.begun.Allow() {
			return ctx, false
		}
		return Granted(ctx), true
	}
	// The sampler may decide by the id, so there is one already.
	id := newTraceID()
	p := sdktrace.SamplingParameters{ParentContext: ctx, TraceID: id, Kind: trace.SpanKindServer}
	if g.sampler.ShouldSample(p).Decision != sdktrace.RecordAndSample {
		return ctx, false
	}
	return context.WithValue(ctx, grantKey{}, grant{id}), true
}

// Continue says whether the trace of parent, a span of another process, is continued here,
// and returns the context in which spans of it start.
func (g *Gate) Continue(ctx context.Context, parent trace.SpanContext) (context.Context, bool) {
	if g == nil || !parent.IsValid() {
		return ctx, false
	}
	if g.sampler == nil {
		if !g.limited.samples(parent) {
			return ctx, false
		}
		return Granted(trace.ContextWithRemoteSpanContext(ctx, parent)), true
	}
	in := trace.ContextWithRemoteSpanContext(ctx, parent)
	p := sdktrace.SamplingParameters{ParentContext: in, TraceID: parent.TraceID(), Kind: trace.SpanKindServer}
	if g.sampler.ShouldSample(p).Decision != sdktrace.RecordAndSample {
		return ctx, false
	}
	return Granted(in), true
}

// Closed says that nothing would be let in at this moment, whatever it is: so nobody needs to look what it is. Under full load that
// is so nearly always, and a look into a batch is what tracing would cost there.
func (g *Gate) Closed(now time.Time) bool {
	if g.sampler != nil {
		return false
	}
	if now.UnixNano() < g.opens.Load() {
		return true
	}
	next := min(untilRoom(g.limited.continued, now), untilRoom(g.limited.begun, now))
	if next <= 0 {
		return false
	}
	g.opens.Store(now.Add(next).UnixNano())
	return true
}

// untilRoom is how long a limiter lets nothing in; nothing asks this of one without a rate.
func untilRoom(l *rate.Limiter, now time.Time) time.Duration {
	return time.Duration((1 - l.TokensAt(now)) / float64(l.Limit()) * float64(time.Second))
}

// Inflate returns how many bytes of the next compressed batch may be inflated to look for a
// traceparent header; 0 when enough were in this second.
func (g *Gate) Inflate() int {
	if g == nil || !g.inflate.Allow() {
		return 0
	}
	return inflatedBytes
}

// grant says that the spans started in a context are sampled.
type grant struct {
	id trace.TraceID // of the trace that begins; zero: any
}

type grantKey struct{}

// Granted returns a context in which spans are sampled, because it was decided that their
// trace is: by a Gate before, or by the broker that it comes from.
func Granted(ctx context.Context) context.Context {
	return context.WithValue(ctx, grantKey{}, grant{})
}

// Granting is a tracer all of whose spans are sampled: for who is only ever told of traces that were let in.
type Granting struct{ trace.Tracer }

// Start implements trace.Tracer.
func (g Granting) Start(ctx context.Context, name string, options ...trace.SpanStartOption) (context.Context, trace.Span) {
	return g.Tracer.Start(Granted(ctx), name, options...)
}

func grantOf(ctx context.Context) (grant, bool) {
	g, in := ctx.Value(grantKey{}).(grant)
	return g, in
}

// ids makes the ids of traces and spans. A trace that a Gate let in keeps the id by which
// that was decided.
type ids struct{}

// NewIDs implements sdktrace.IDGenerator.
func (i ids) NewIDs(ctx context.Context) (trace.TraceID, trace.SpanID) {
	id := newTraceID()
	if g, in := grantOf(ctx); in && g.id.IsValid() {
		id = g.id
	}
	return id, i.NewSpanID(ctx, id)
}

// NewSpanID implements sdktrace.IDGenerator.
func (ids) NewSpanID(context.Context, trace.TraceID) (id trace.SpanID) {
	for !id.IsValid() {
		binary.BigEndian.PutUint64(id[:], rand.Uint64())
	}
	return id
}

func newTraceID() (id trace.TraceID) {
	for !id.IsValid() {
		binary.BigEndian.PutUint64(id[:8], rand.Uint64())
		binary.BigEndian.PutUint64(id[8:], rand.Uint64())
	}
	return id
}
