package retry

import (
	"context"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"
)

// Keys of what the spans of operations and their events tell.
const (
	keyObject    = attribute.Key("tideline.object.key")
	keyKind      = attribute.Key("tideline.object.kind")
	keyBytes     = attribute.Key("tideline.bytes")
	keyAttempts  = attribute.Key("tideline.object.attempts")
	keyOutcome   = attribute.Key("tideline.object.outcome")
	keyHedge     = attribute.Key("tideline.object.hedge")
	keyErrorType = attribute.Key("error.type")
)

// watch begins the span of an operation, where it is part of a trace that is recorded. There is none else, and nothing is
// allocated: what nobody traces, such as read-ahead for itself and upkeep, begins no traces of its own.
func (o *operation) watch(ctx context.Context) {
	if o.s.opts.Tracer == nil || !trace.SpanContextFromContext(ctx).IsSampled() {
		return
	}
	_, o.span = o.s.opts.Tracer.Start(ctx, "objstore."+o.op, trace.WithSpanKind(trace.SpanKindClient), trace.WithTimestamp(o.s.opts.Now()),
		trace.WithAttributes(keyKind.String(o.kind), keyObject.String(o.key)))
}

// failed notes an attempt that will, or will not, be followed by another.
func (o *operation) failed(err error) {
	if o.span == nil {
		return
	}
	o.status = statusOf(err)
	o.span.AddEvent("attempt failed", trace.WithTimestamp(o.s.opts.Now()),
		trace.WithAttributes(keyAttempts.Int(o.attempt), keyErrorType.String(o.status)))
}

// hedged notes how the second request for a slow read went: won, lost or denied.
func (o *operation) hedged(how string) {
	if o.span != nil {
		o.span.SetAttributes(keyHedge.String(how))
	}
}

// watched ends the span. An answer that says no, such as that there is no such object, is an answer and no failure.
func (o *operation) watched(outcome string) {
	if o.span == nil {
		return
	}
	o.span.SetAttributes(keyAttempts.Int(o.attempt), keyOutcome.String(outcome), keyBytes.Int64(o.bytes))
	switch outcome {
	case outcomeOK, outcomeRecovered:
	default:
		if o.status != "" {
			o.span.SetAttributes(keyErrorType.String(o.status))
		}
		if outcome != outcomeRefused {
			o.span.SetStatus(codes.Error, outcome)
		}
	}
	o.span.End(trace.WithTimestamp(o.s.opts.Now()))
	o.span = nil
}
