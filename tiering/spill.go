package tiering

import (
	"context"
	"errors"
	"fmt"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"

	"github.com/tidelinehq/tideline/tiering/manifest"
	"github.com/tidelinehq/tideline/tiering/objstore"
)

// selectSpill is how many hot entries to page out of a ledger: all but the newest keep, once there are more than half of at.
func selectSpill(hot, at, keep int) int {
	if hot <= max(at/2, keep) {
		return 0
	}
	return hot - keep
}

// spill writes the pages of many partitions as one object.
func (e *Engine) spill(ctx context.Context, leases []*Lease) (err error) {
	start := e.o.Now()
	object := e.o.NewID()
	data := newSpool(e.o.FS, e.o.Dir, fmt.Sprintf("%x", object), e.o.MemoryBytes)
	defer e.closeSpool(data)
	w := manifest.NewObjectWriter(data, object)
	var entries []SpillEntry
	var results []manifest.SpillResult
	var faults error
	for _, l := range leases {
		entry, r, err := e.spillOne(ctx, w, l.id)
		switch {
		case errors.Is(err, errSpool):
			e.spoolFailed(err)
			return err
		case ctx.Err() != nil:
			return ctx.Err()
		case err != nil: // one partition's pages must not hold up the others'
			faults = errors.Join(faults, err)
		case r.Pages > 0:
			entries, results = append(entries, entry), append(results, r)
		}
	}
	if len(entries) == 0 {
		return faults
	}
	size, err := w.Close()
	if err != nil {
		return errors.Join(faults, err)
	}
	defer e.track(object)()
	up, span := e.o.Tracer.Start(ctx, "tiering.spill", trace.WithTimestamp(start), trace.WithAttributes(
		attribute.Int("tideline.partitions", len(entries)), attribute.Int64("tideline.bytes", size)))
	defer func() { span.End(trace.WithTimestamp(e.o.Now())) }()
	if !e.put(up, object, objstore.KindPages, data) {
		span.SetStatus(codes.Error, "not put")
		return faults // the engine's health has the reason
	}
	for done := 0; done < len(entries); {
		n := min(len(entries)-done, MaxCommitEntries)
		s := Spill{Object: object, Bytes: size, Entries: entries[done : done+n], Last: done+n == len(entries), Due: e.due()}
		outcomes, _, err := propose(ctx, e, "spill", n, func() ([]Outcome, error) { return e.o.Ledger.Spill(ctx, s) })
		if err != nil {
			return errors.Join(faults, err)
		}
		for i, o := range outcomes {
			if o.Err != nil { // the ledger moved on; the next round does it
				e.m.commitRefusals.Inc()
				e.o.Logger.InfoContext(ctx, "spill refused", "partition", s.Entries[i].ID, "error", o.Err)
				continue
			}
			e.o.Locator.Keep(results[done+i])
		}
		done += n
	}
	return faults
}

// spillOne adds the pages of one partition. No pages: nothing to do.
func (e *Engine) spillOne(ctx context.Context, w *manifest.ObjectWriter, id manifest.ID) (entry SpillEntry, r manifest.SpillResult, err error) {
	view, ok := e.o.Ledger.View(id.Topic, id.Partition)
	if !ok {
		return entry, r, nil
	}
	n := selectSpill(len(view.Hot), e.o.SpillAt, e.o.SpillKeep)
	if n == 0 {
		return entry, r, nil
	}
	in := manifest.SpillInput{ID: id, Root: view.Root, Live: view.PagedSegments(), Move: view.Hot[:n]}
	if in.Leaves, err = e.o.Locator.Tree(ctx, id, &view); err != nil {
		return entry, r, err
	}
	if manifest.SpillNeedsLast(in.Leaves) {
		if in.Last, err = e.o.Locator.Leaf(ctx, id, in.Leaves[len(in.Leaves)-1]); err != nil {
			return entry, r, err
		}
	}
	if r, err = manifest.SpillPages(w, in); err != nil {
		return entry, r, err
	}
	return SpillEntry{ID: id, Generation: view.Generation, NewRoot: r.Root, NewRootEnd: r.RootEnd, Pages: r.Pages, Released: r.Released}, r, nil
}
