package wal

import (
	"context"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"
)

// Trace asks what became of an append. Whoever appends fills Contexts, the log the times,
// before AppendDone.
type Trace struct {
	// Contexts are the traces that the records belong to: of each, the span that those of the
	// log are children of. None: only the times are wanted.
	Contexts []trace.SpanContext
	// Written is when the log began to write the group that completes the append, Durable
	// when the write and, under SyncAlways, the sync were done. Zero: it failed.
	Written, Durable time.Time
}

// maxGroupTraces bounds the traces in which one group is shown.
const maxGroupTraces = 16

// trace tells those who asked when the group was written, and shows it in their traces:
//
//	trace of a producer          trace of the group             trace of another producer
//	  Contexts[0]                  wal.sync  ──── links ────▶     Contexts[0]
//	    └─ wal.sync  ◀── links ──▶   (bytes, frames)  ◀── links ──▶ └─ wal.sync
//
// The spans below the producers' have the times of the one in the middle, so that who knows
// no links sees the sync, too. The caller holds nothing.
func (w *writer) trace(g *group) {
	var contexts []trace.SpanContext
	for i := range g.placed {
		pl := &g.placed[i]
		if !pl.done || pl.op.append == nil || pl.op.append.Trace == nil {
			continue
		}
		t := pl.op.append.Trace
		t.Written, t.Durable = g.written, g.durable
		for _, c := range t.Contexts {
			if c.IsSampled() && len(contexts) < maxGroupTraces {
				contexts = append(contexts, c)
			}
		}
	}
	tracer := w.l.opts.Tracer
	if tracer == nil || len(contexts) == 0 {
		return
	}
	links := make([]trace.Link, len(contexts))
	for i, c := range contexts {
		links[i].SpanContext = c
	}
	ctx := context.Background()
	times := trace.WithTimestamp(g.written)
	_, shared := tracer.Start(ctx, "wal.sync", trace.WithNewRoot(), times, trace.WithLinks(links...), trace.WithAttributes(
		attribute.Int64("tideline.bytes", g.bytes),
		attribute.Int("tideline.wal.frames", g.frames),
		attribute.Bool("tideline.wal.synced", g.sync),
	))
	end := trace.WithTimestamp(g.durable)
	for _, c := range contexts {
		_, own := tracer.Start(trace.ContextWithRemoteSpanContext(ctx, c), "wal.sync", times,
			trace.WithLinks(trace.Link{SpanContext: shared.SpanContext()}))
		shared.AddLink(trace.Link{SpanContext: own.SpanContext()})
		own.End(end)
	}
	shared.End(end)
}
