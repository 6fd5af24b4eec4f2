package api

import (
	"net"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"

	"github.com/tidelinehq/tideline/broker/server"
	"github.com/tidelinehq/tideline/broker/wire"
)

// traced makes the span of a request that is about to be answered: it began when
// the request had arrived. Nothing is kept for it meanwhile, so that requests cost
// nothing more when tracing is off. It returns the span for server.Response.Span; nil: there is none.
func (a *API) traced(r *server.Request) *trace.SpanContext {
	ctx, in := a.Gate.Begin(a.ctx)
	if !in {
		return nil
	}
	_, span := a.Tracer.Start(ctx, "kafka."+wire.KeyName(r.Key),
		trace.WithTimestamp(r.Received), trace.WithSpanKind(trace.SpanKindServer),
		trace.WithAttributes(requestAttributes(r)...))
	span.End()
	return exemplar(span)
}

// exemplar is a span as server.Response.Span has it; nil is none.
func exemplar(span trace.Span) *trace.SpanContext {
	if span == nil || !span.SpanContext().IsSampled() {
		return nil
	}
	at := span.SpanContext()
	return &at
}

// requestAttributes says what any request is, in the names of OpenTelemetry's conventions.
func requestAttributes(r *server.Request) []attribute.KeyValue {
	return appendRequest(make([]attribute.KeyValue, 0, 8), r)
}

func appendRequest(out []attribute.KeyValue, r *server.Request) []attribute.KeyValue {
	out = append(out,
		attribute.String("messaging.system", "kafka"),
		attribute.Int("kafka.api.version", int(r.Version)),
		attribute.Int("messaging.message.body.size", len(r.Body)))
	if r.ClientID != nil {
		out = append(out, attribute.String("messaging.client.id", *r.ClientID))
	}
	if tcp, ok := r.Conn.RemoteAddr().(*net.TCPAddr); ok {
		return append(out, attribute.String("network.peer.address", tcp.IP.String()), attribute.Int("network.peer.port", tcp.Port))
	}
	return append(out, attribute.String("network.peer.address", hostOf(r.Conn.RemoteAddr())))
}
