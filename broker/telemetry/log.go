package telemetry

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"math"

	"go.opentelemetry.io/otel/trace"
)

// NewLogger returns a logger that writes lines to w. Level is debug, info, warn
// or error, and can be changed later, see WithLevels; format is text or json.
func NewLogger(w io.Writer, level, format string) (*slog.Logger, error) {
	l, err := ParseLevel(level)
	if err != nil {
		return nil, fmt.Errorf("telemetry: log level: %w", err)
	}
	options := &slog.HandlerOptions{Level: slog.Level(math.MinInt)} // what is written decides leveled
	var inner slog.Handler
	switch format {
	case "text":
		inner = slog.NewTextHandler(w, options)
	case "json":
		inner = slog.NewJSONHandler(w, options)
	default:
		return nil, fmt.Errorf("telemetry: unknown log format: format=%q", format)
	}
	return slog.New(&leveled{inner: inner, levels: newLevels(l)}), nil
}

// withSpan adds to a line the ids of the span in whose course it is written, under the names that an exemplar has them by, so that
// from a line one gets to the trace and back. A span that is not sampled is to be found nowhere, and adds nothing.
func withSpan(ctx context.Context, r slog.Record) slog.Record {
	span := trace.SpanContextFromContext(ctx)
	if !span.IsSampled() || !span.IsValid() {
		return r
	}
	r = r.Clone() // others may hold the record, too
	r.AddAttrs(slog.String(exemplarTrace, span.TraceID().String()), slog.String(exemplarSpan, span.SpanID().String()))
	return r
}
