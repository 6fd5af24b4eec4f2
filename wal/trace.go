package wal

import (
	"context"
	"slices"
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

// trace tells those who asked when the group was written, and shows it in their traces. Where one trace alone has part in the
// group, that is a span in it, which has all that there is to say. Where several have, it is in addition a trace of its own:
//
//	trace of a producer          trace of the group             trace of another producer
//	  Contexts[0]   ◀── links ──   wal.sync  ──── links ────▶     Contexts[0]
//	    └─ wal.sync  ─── links ──▶   (bytes, frames)  ◀── links ─── └─ wal.sync
//
// The spans below the producers' have the times of the one in the middle, so that who knows
// no links sees the sync, too. A trace has one of them, however many of its appends are in the
// group. The caller holds nothing.
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
			if c.IsSampled() && len(contexts) < maxGroupTraces && !slices.ContainsFunc(contexts, func(x trace.SpanContext) bool { return x.TraceID() == c.TraceID() }) {
				contexts = append(contexts, c)
			}
		}
	}
	tracer := w.l.opts.Tracer
	if tracer == nil || len(contexts) == 0 {
		return
	}
	from, to := trace.WithTimestamp(g.written), trace.WithTimestamp(g.durable)
	about := trace.WithAttributes(
		attribute.Int64("tideline.bytes", g.bytes),
		attribute.Int("tideline.wal.frames", g.frames),
		attribute.Bool("tideline.wal.synced", g.sync),
	)
	ctx := context.Background()
	if len(contexts) == 1 {
		_, own := tracer.Start(trace.ContextWithRemoteSpanContext(ctx, contexts[0]), "wal.sync", from, about)
		own.End(to)
		return
	}
	links := make([]trace.Link, len(contexts))
	for i, c := range contexts {
		links[i].SpanContext = c
	}
	_, shared := tracer.Start(ctx, "wal.sync", trace.WithNewRoot(), from, trace.WithLinks(links...), about)
	link := trace.WithLinks(trace.Link{SpanContext: shared.SpanContext()})
	for _, c := range contexts {
		_, own := tracer.Start(trace.ContextWithRemoteSpanContext(ctx, c), "wal.sync", from, link)
		own.End(to)
	}
	shared.End(to)
}
