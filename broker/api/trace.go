package api

import (
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"

	"github.com/tidelinehq/tideline/broker/server"
	"github.com/tidelinehq/tideline/broker/wire"
)

// traced makes the span of a request that is about to be answered: it began when
// the request had arrived. Nothing is kept for it meanwhile, so that requests cost
// nothing more when tracing is off.
func (a *API) traced(r *server.Request) {
	if a.Tracer == nil {
		return
	}
	_, span := a.Tracer.Start(a.ctx, "kafka."+wire.KeyName(r.Key),
		trace.WithTimestamp(r.Received), trace.WithSpanKind(trace.SpanKindServer),
		trace.WithAttributes(
			attribute.String("messaging.system", "kafka"),
			attribute.Int("kafka.api.version", int(r.Version)),
			attribute.Int("messaging.message.body.size", len(r.Body)),
			attribute.String("network.peer.address", hostOf(r.Conn.RemoteAddr())),
		))
	span.End()
}
