package tiering

import (
	"context"
	"time"

	"go.opentelemetry.io/otel/attribute"

	"github.com/tidelinehq/tideline/tiering/manifest"
)

const (
	// releaseSegments is how many segments one command releases at most: it bounds the command to some 50 KB.
	releaseSegments = 1000
	// releaseSteps is how many commands one turn of retention or purge proposes for a partition, so that a large backlog
	// does not hold up the others.
	releaseSteps = 16
)

// retain releases what expired of one partition, and returns what it learned of the oldest segment that stays: nil when
// it has to look again.
func (e *Engine) retain(ctx context.Context, id manifest.ID, settings Settings) (*head, error) {
	for range releaseSteps {
		start := e.o.Now()
		view, ok := e.o.Ledger.View(id.Topic, id.Partition)
		if !ok || view.Segments == 0 {
			return nil, nil
		}
		x := newExpiry(&view, settings, e.o.Now())
		segs, h, err := expired(ctx, e.o.Locator, id, &view, x)
		if err != nil {
			return nil, err
		}
		if len(segs) == 0 {
			return h, nil
		}
		r, err := e.release(ctx, id, &view, segs, len(segs) == releaseSegments)
		if err != nil {
			return nil, err
		}
		if err := e.o.Ledger.Retain(ctx, id.Topic, id.Partition, r); err != nil {
			return nil, err
		}
		e.m.retainedSegments.Add(float64(len(segs)))
		var bytes int64
		for i := range segs {
			bytes += segs[i].LogBytes
		}
		e.m.retainedBytes.Add(float64(bytes))
		e.traceDone(ctx, "tiering.retain", start, partitionOf(id),
			attribute.Int("tideline.segments", len(segs)), attribute.Int64("tideline.bytes", bytes))
	}
	return nil, nil
}

// expired returns the oldest live segments that go, at most releaseSegments, and the head when there are none.
func expired(ctx context.Context, loc *manifest.Locator, id manifest.ID, view *manifest.Ledger, x *expiry) ([]manifest.Segment, *head, error) {
	var segs []manifest.Segment
	for s, err := range loc.Walk(ctx, id, view, 0) {
		if err != nil {
			return nil, nil, err
		}
		segs = append(segs, s)
		if !x.offer(&s) || len(segs) == releaseSegments {
			break
		}
	}
	if x.dropped > 0 || len(segs) == 0 {
		return segs[:x.dropped], nil, nil
	}
	h := &head{end: segs[0].End, logBytes: segs[0].LogBytes, timestamp: -1}
	for i := range segs {
		if segs[i].MaxTimestampOffset >= 0 && segs[i].MaxTimestamp >= 0 {
			h.timestamp = segs[i].MaxTimestamp
			break
		}
	}
	return nil, h, nil
}

// release makes the command that takes the given oldest live segments away; more: others that go follow in another one.
func (e *Engine) release(ctx context.Context, id manifest.ID, view *manifest.Ledger, segs []manifest.Segment, more bool) (Release, error) {
	r := Release{Generation: view.Generation, Due: e.due(), PagedMaxTimestamp: -1, PagedMaxTimestampOffset: -1}
	if len(segs) > 0 {
		r.Cut = segs[len(segs)-1].End
	}
	if !more {
		r.Cut = max(r.Cut, view.LogStart)
	}
	paged := view.PagedSegments()
	if paged == 0 || len(segs) == 0 {
		return r, nil
	}
	leaves, err := e.o.Locator.Tree(ctx, id, view)
	if err != nil {
		return r, err
	}
	first, skip, err := manifest.FirstLive(leaves, paged)
	if err != nil {
		return r, err
	}
	n := min(int64(len(segs)), paged)
	r.Released = sumObjects(segs[:n])
	left := n + skip // entries of leaves[first:] that are released then
	for ; first < len(leaves) && left >= leaves[first].Segments; first++ {
		left -= leaves[first].Segments
		r.ReleasedPages = append(r.ReleasedPages, leaves[first].Ref)
	}
	if first == len(leaves) {
		r.ReleasedPages = append(r.ReleasedPages, view.Root)
		return r, nil
	}
	// The greatest timestamp of what stays in pages, for a ledger whose greatest goes.
	stays, err := e.o.Locator.Leaf(ctx, id, leaves[first])
	if err != nil {
		return r, err
	}
	best := manifest.Summarize(manifest.PageRef{}, stays[left:])
	r.PagedMaxTimestamp, r.PagedMaxTimestampOffset = best.MaxTimestamp, best.MaxTimestampOffset
	for _, l := range leaves[first+1:] {
		if l.MaxTimestampOffset >= 0 && (r.PagedMaxTimestampOffset < 0 || l.MaxTimestamp > r.PagedMaxTimestamp) {
			r.PagedMaxTimestamp, r.PagedMaxTimestampOffset = l.MaxTimestamp, l.MaxTimestampOffset
		}
	}
	return r, nil
}

// sumObjects adds up what is released of each object, in the order of first mention.
func sumObjects(segs []manifest.Segment) []ObjectRef {
	at := make(map[[16]byte]int, len(segs))
	out := make([]ObjectRef, 0, len(segs))
	for i := range segs {
		s := &segs[i]
		j, ok := at[s.Object]
		if !ok {
			j = len(out)
			at[s.Object] = j
			out = append(out, ObjectRef{Object: s.Object})
		}
		out[j].Bytes += s.Size
		out[j].LogBytes += s.LogBytes
		out[j].Segments++
	}
	return out
}

// overdue is how long garbage is past its due time.
func overdue(now time.Time, g Garbage) time.Duration { return max(now.Sub(g.Due), 0) }
