package tiering

import (
	"context"
	"errors"

	"github.com/tidelinehq/tideline/tiering/manifest"
)

// purgeCommands bounds the commands of one turn.
const purgeCommands = 256

// purge works off deleted topics: partition by partition, a bounded number of segments at a time, each step a command that
// leaves the rest to do, so that any broker can go on where another stopped. It reports whether there is more.
func (e *Engine) purge(ctx context.Context) (more bool) {
	left := purgeCommands
	for p := range e.o.Ledger.Purges() {
		done := true
		for _, q := range p.Partitions {
			id := manifest.ID{Topic: p.Topic, Partition: q.Partition}
			if left == 0 {
				return true
			}
			finished, err := e.purgePartition(ctx, id, q.Ledger)
			left--
			if err != nil {
				done = false
				if ctx.Err() != nil {
					return false
				}
				// What cannot be read cannot be released; the others go on, and this one is tried again.
				e.o.Logger.WarnContext(ctx, "deleted partition not purged", "partition", id, "error", err)
				e.m.purgeFailures.Inc()
				continue
			}
			if !finished {
				done, more = false, true
			}
		}
		if !done {
			continue
		}
		if err := e.o.Ledger.PurgeDone(ctx, p.Topic); err != nil && !errors.Is(err, ErrRefused) {
			e.o.Logger.InfoContext(ctx, "purged topic not forgotten yet", "error", err)
			return false
		}
	}
	return more
}

// purgePartition takes one step of a deleted partition: all of it, unless it has very many segments.
func (e *Engine) purgePartition(ctx context.Context, id manifest.ID, view manifest.Ledger) (finished bool, err error) {
	segs := make([]manifest.Segment, 0, min(view.Segments, releaseSegments))
	if view.Segments > 0 {
		for s, err := range e.o.Locator.Walk(ctx, id, &view, 0) {
			if err != nil {
				return false, err
			}
			segs = append(segs, s)
			if len(segs) == releaseSegments {
				break
			}
		}
	}
	finished = int64(len(segs)) == view.Segments
	r, err := e.release(ctx, id, &view, segs, !finished)
	if err != nil {
		return false, err
	}
	if finished {
		r.Cut = max(r.Cut, view.Tiered)
	}
	err = e.o.Ledger.PurgeProgress(ctx, id.Topic, id.Partition, r, finished)
	if errors.Is(err, ErrRefused) {
		return false, nil // another cleaner was faster
	}
	return finished && err == nil, err
}
