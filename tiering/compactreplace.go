package tiering

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/tidelinehq/tideline/tiering/manifest"
	"github.com/tidelinehq/tideline/tiering/objstore"
)

// replaceTries is how often a replacement is tried: uploads do not disturb it, but a spill that moves its segments from the
// hot list into pages does, and then only the pages are made anew.
const replaceTries = 5

// replace has the ledger take a segment in place of those that it was made of. An error says that it did not, and will not.
func (c *compaction) replace(ctx context.Context, in []manifest.Segment, seg manifest.Segment, size int64) error {
	var err error
	for range replaceTries {
		var done bool
		if done, err = c.tryReplace(ctx, in, seg, size); done || err != nil && !errors.Is(err, ErrRefused) {
			return err
		}
		c.e.m.compactRefusals.Inc()
		if stop := c.goOn(ctx); stop != nil {
			return stop
		}
	}
	return fmt.Errorf("tiering: replacement given up base=%d end=%d tries=%d: %w", seg.Base, seg.End, replaceTries, err)
}

// tryReplace tries once with the ledger as it is now. A refusal is worth another try.
func (c *compaction) tryReplace(ctx context.Context, in []manifest.Segment, seg manifest.Segment, size int64) (done bool, err error) {
	view, ok := c.e.o.Ledger.View(c.l.id.Topic, c.l.id.Partition)
	if !ok {
		return false, errCompactStopped // deleted
	}
	r := Replace{ID: c.l.id, LeaderEpoch: c.epoch, Bytes: size, New: seg, Due: c.e.due(), PagedMaxTimestamp: -1, PagedMaxTimestampOffset: -1}
	var pages *manifest.ReplaceResult
	if at := slices.Index(view.Hot, in[0]); at >= 0 {
		if at+len(in) > len(view.Hot) || !slices.Equal(view.Hot[at:at+len(in)], in) {
			return false, fmt.Errorf("%w base=%d end=%d", manifest.ErrChanged, seg.Base, seg.End)
		}
		r.Hot = in
		if r.PagedMaxTimestamp, r.PagedMaxTimestampOffset, err = c.pagedMax(ctx, &view); err != nil {
			return false, err
		}
	} else {
		p, closePages, err := c.replacePages(ctx, &view, in, seg, &r)
		if err != nil {
			return false, err
		}
		defer closePages()
		pages = p
	}
	if err = c.command(ctx, "replace", func() error { return c.e.o.Ledger.Replace(ctx, r) }); err != nil {
		if ctx.Err() == nil && c.e.holds(ctx, c.l.id, &seg) {
			err = nil // an earlier try was applied, its answer was lost, and the ledger has moved on
		} else if pages != nil && ctx.Err() == nil {
			c.e.abort(ctx, pages.Root.Object)
		}
	}
	if err == nil && pages != nil {
		c.e.o.Locator.Keep(pages.SpillResult)
	}
	return err == nil, err
}

// command proposes until the ledger answers.
func (c *compaction) command(ctx context.Context, what string, command func() error) error {
	outcomes, _, err := propose(ctx, c.e, what, 1, func() ([]Outcome, error) {
		err := command()
		if errors.Is(err, ErrRefused) {
			return []Outcome{{Err: err}}, nil // an answer
		}
		return []Outcome{{}}, err
	})
	if err != nil {
		return err
	}
	return outcomes[0].Err
}

// replacePages puts the pages of a tree that has seg, and completes the command. closePages ends the work on their object.
func (c *compaction) replacePages(ctx context.Context, view *manifest.Ledger, in []manifest.Segment, seg manifest.Segment, r *Replace) (result *manifest.ReplaceResult, closePages func(), err error) {
	if view.Root.IsZero() {
		return nil, nil, fmt.Errorf("%w base=%d end=%d", manifest.ErrChanged, seg.Base, seg.End)
	}
	leaves, err := c.e.o.Locator.Tree(ctx, c.l.id, view)
	if err != nil {
		return nil, nil, err
	}
	object := c.e.o.NewID()
	data := newSpool(c.e.o.FS, c.e.o.Dir, fmt.Sprintf("%x", object), c.e.o.MemoryBytes)
	untrack := c.e.track(object)
	done := func() {
		untrack()
		c.e.closeSpool(data)
	}
	defer func() {
		if err != nil {
			done()
		}
	}()
	w := manifest.NewObjectWriter(data, object)
	p, err := manifest.ReplacePages(w, manifest.ReplaceInput{
		ID: c.l.id, Root: view.Root, Leaves: leaves, Live: view.PagedSegments(), Hot: view.Hot, Old: in, New: []manifest.Segment{seg},
		Leaf: func(l manifest.LeafRef) ([]manifest.Segment, error) { return c.e.o.Locator.Leaf(ctx, c.l.id, l) },
	})
	if err != nil {
		return nil, nil, err
	}
	size, err := w.Close()
	if err != nil {
		return nil, nil, err
	}
	if !c.e.put(ctx, object, objstore.KindPages, data) {
		return nil, nil, fmt.Errorf("tiering: pages of a compacted segment not put base=%d end=%d", seg.Base, seg.End)
	}
	r.Hot = in[p.Paged:]
	r.Pages = &ReplacePages{
		OldRoot: view.Root, OldSegments: view.PagedSegments(), NewRoot: p.Root, NewRootEnd: p.RootEnd, Bytes: size, Pages: p.Pages,
		Released: sumObjects(in[:p.Paged]), Gone: p.Released,
	}
	after := manifest.Ledger{Segments: view.PagedSegments() - int64(p.Paged) + 1}
	r.PagedMaxTimestamp, r.PagedMaxTimestampOffset, err = c.greatest(ctx, p.Leaves, after.PagedSegments())
	return &p, done, err
}

// pagedMax is the greatest timestamp of a ledger's live segments in pages, -1 when there is none.
func (c *compaction) pagedMax(ctx context.Context, view *manifest.Ledger) (ts, offset int64, err error) {
	leaves, err := c.e.o.Locator.Tree(ctx, c.l.id, view)
	if err != nil || len(leaves) == 0 {
		return -1, -1, err
	}
	return c.greatest(ctx, leaves, view.PagedSegments())
}

// greatest is that of the last live entries of a tree.
func (c *compaction) greatest(ctx context.Context, leaves []manifest.LeafRef, live int64) (ts, offset int64, err error) {
	first, skip, err := manifest.FirstLive(leaves, live)
	if err != nil {
		return -1, -1, err
	}
	ts, offset = -1, -1
	for i, l := range leaves[first:] {
		if i == 0 && skip > 0 {
			segs, err := c.e.o.Locator.Leaf(ctx, c.l.id, l)
			if err != nil {
				return -1, -1, err
			}
			l = manifest.Summarize(manifest.PageRef{}, segs[skip:])
		}
		if l.MaxTimestampOffset >= 0 && (offset < 0 || l.MaxTimestamp > ts) {
			ts, offset = l.MaxTimestamp, l.MaxTimestampOffset
		}
	}
	return ts, offset, nil
}
