package ledgertest

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/tidelinehq/tideline/tiering"
	"github.com/tidelinehq/tideline/tiering/manifest"
	"github.com/tidelinehq/tideline/tiering/objstore"
)

// BeginUpload implements tiering.Ledger.
func (b *Broker) BeginUpload(ctx context.Context, object [16]byte, kind objstore.Kind) error {
	done, err := b.begin(ctx, "BeginUpload")
	if err != nil {
		return err
	}
	if i := b.intents[object]; i != nil {
		if i.broker == b.id && i.kind == kind {
			return done(nil)
		}
		return done(refusal("object exists"))
	}
	if _, ok := b.kinds[object]; ok {
		return done(refusal("object exists"))
	}
	b.intents[object] = &intent{kind: kind, broker: b.id}
	return done(nil)
}

// AbortUpload implements tiering.Ledger.
func (b *Broker) AbortUpload(ctx context.Context, object [16]byte, due time.Time) error {
	done, err := b.begin(ctx, "AbortUpload")
	if err != nil {
		return err
	}
	if b.intents[object] != nil {
		b.closeIntent(object, due)
	}
	return done(nil)
}

// CommitUpload implements tiering.Ledger.
func (b *Broker) CommitUpload(ctx context.Context, c tiering.CommitUpload) ([]tiering.Outcome, error) {
	done, err := b.begin(ctx, "CommitUpload")
	if err != nil {
		return nil, err
	}
	if len(c.Entries) > tiering.MaxCommitEntries {
		return nil, done(refusal("too many entries"))
	}
	out := make([]tiering.Outcome, len(c.Entries))
	for i := range c.Entries {
		out[i].Err = b.commitEntry(&c, &c.Entries[i])
	}
	if c.Last && b.intents[c.Object] != nil {
		b.closeIntent(c.Object, c.Due)
	}
	if err := done(nil); err != nil {
		return nil, err
	}
	return out, nil
}

func (b *Broker) commitEntry(c *tiering.CommitUpload, x *tiering.CommitEntry) error {
	p, ok := b.parts[x.ID]
	if !ok {
		return refusal("no such partition")
	}
	seg, l := &x.Segment, &p.ledger
	if err := seg.Check(); err != nil || seg.Object != c.Object || seg.Epoch != x.LeaderEpoch {
		return refusal("invalid: %v", err)
	}
	if slices.Contains(l.Hot, *seg) {
		return nil
	}
	in := b.intents[c.Object]
	switch {
	case in == nil || in.kind != objstore.KindData:
		return refusal("no open upload")
	case p.epoch != x.LeaderEpoch:
		return refusal("stale epoch")
	case l.Tiered != x.Expected:
		return refusal("tiered offset is %d, expected %d", l.Tiered, x.Expected)
	}
	if seg.Base != l.Tiered {
		if seg.Base < l.Tiered || seg.Base > l.LogStart {
			return refusal("gap")
		}
		if !l.Root.IsZero() {
			return refusal("retain first")
		}
		gone := refsOf(l.Hot, nil)
		if !b.canDrop(gone) {
			return refusal("references")
		}
		b.drop(gone, c.Due)
		l.Hot, l.LogBytes, l.StoredBytes, l.Segments = nil, 0, 0, 0
		l.MaxTimestamp, l.MaxTimestampOffset = -1, -1
	}
	if len(l.Hot) >= MaxHot {
		return fmt.Errorf("%w: %w", tiering.ErrRefused, tiering.ErrHotFull)
	}
	l.Hot = append(slices.Clone(l.Hot), *seg)
	l.Tiered, l.Chain = seg.End, seg.Chain
	l.LogBytes += seg.LogBytes
	l.StoredBytes += seg.Size
	l.Segments++
	if seg.MaxTimestamp > l.MaxTimestamp {
		l.MaxTimestamp, l.MaxTimestampOffset = seg.MaxTimestamp, seg.MaxTimestampOffset
	}
	l.Generation++
	in.refs++
	return nil
}

func refsOf(segs []manifest.Segment, pages []manifest.PageRef) map[[16]byte]int64 {
	out := map[[16]byte]int64{}
	for i := range segs {
		out[segs[i].Object]++
	}
	for i := range pages {
		out[pages[i].Object]++
	}
	return out
}

// Spill implements tiering.Ledger.
func (b *Broker) Spill(ctx context.Context, c tiering.Spill) ([]tiering.Outcome, error) {
	done, err := b.begin(ctx, "Spill")
	if err != nil {
		return nil, err
	}
	if len(c.Entries) > tiering.MaxCommitEntries {
		return nil, done(refusal("too many entries"))
	}
	out := make([]tiering.Outcome, len(c.Entries))
	for i := range c.Entries {
		out[i].Err = b.spillEntry(&c, &c.Entries[i])
	}
	if c.Last && b.intents[c.Object] != nil {
		b.closeIntent(c.Object, c.Due)
	}
	if err := done(nil); err != nil {
		return nil, err
	}
	return out, nil
}

func (b *Broker) spillEntry(c *tiering.Spill, x *tiering.SpillEntry) error {
	p, ok := b.parts[x.ID]
	if !ok {
		return refusal("no such partition")
	}
	l, in := &p.ledger, b.intents[c.Object]
	switch {
	case x.Pages < 1 || x.NewRoot.Object != c.Object:
		return refusal("invalid")
	case l.Root == x.NewRoot && l.RootEnd == x.NewRootEnd:
		return nil
	case in == nil || in.kind != objstore.KindPages:
		return refusal("no open upload")
	case l.Generation != x.Generation:
		return refusal("generation")
	}
	n := 0
	for n < len(l.Hot) && l.Hot[n].End <= x.NewRootEnd {
		n++
	}
	if n == 0 || l.Hot[n-1].End != x.NewRootEnd {
		return refusal("root end %d is not the end of a hot entry", x.NewRootEnd)
	}
	gone := refsOf(nil, x.Released)
	if !b.canDrop(gone) {
		return refusal("references")
	}
	in.refs += int64(x.Pages)
	b.drop(gone, c.Due)
	l.Hot = slices.Clone(l.Hot[n:])
	l.Root, l.RootEnd = x.NewRoot, x.NewRootEnd
	l.Generation++
	return nil
}

// Retain implements tiering.Ledger.
func (b *Broker) Retain(ctx context.Context, topic [16]byte, index int32, r tiering.Release) error {
	done, err := b.begin(ctx, "Retain")
	if err != nil {
		return err
	}
	p, ok := b.parts[manifest.ID{Topic: topic, Partition: index}]
	if !ok {
		return done(refusal("no such partition"))
	}
	return done(b.release(&p.ledger, &r))
}

func (b *Broker) release(l *manifest.Ledger, r *tiering.Release) error {
	if l.Generation != r.Generation {
		return refusal("generation is %d, expected %d", l.Generation, r.Generation)
	}
	fault := func(format string, args ...any) error {
		err := fmt.Errorf("retain: "+format, args...)
		b.faults = append(b.faults, err)
		return refusal("%w", err)
	}
	paged := !l.Root.IsZero()
	clears := paged && r.Cut >= l.RootEnd
	if !paged && len(r.Released)+len(r.ReleasedPages) > 0 || clears && !slices.Contains(r.ReleasedPages, l.Root) {
		return fault("pages do not fit the root")
	}
	n := 0
	for n < len(l.Hot) && l.Hot[n].End <= r.Cut {
		n++
	}
	if paged && !clears && n > 0 {
		return fault("hot entries before paged ones")
	}
	next := *l
	gone := refsOf(l.Hot[:n], r.ReleasedPages)
	for i := range l.Hot[:n] {
		next.LogBytes -= l.Hot[i].LogBytes
		next.StoredBytes -= l.Hot[i].Size
		next.Segments--
	}
	for _, o := range r.Released {
		gone[o.Object] += o.Segments
		next.LogBytes -= o.LogBytes
		next.StoredBytes -= o.Bytes
		next.Segments -= o.Segments
	}
	next.Hot = slices.Clone(l.Hot[n:])
	if clears {
		next.Root, next.RootEnd = manifest.PageRef{}, 0
	}
	if next.Root.IsZero() {
		var logBytes, stored int64
		for i := range next.Hot {
			logBytes, stored = logBytes+next.Hot[i].LogBytes, stored+next.Hot[i].Size
		}
		if logBytes != next.LogBytes || stored != next.StoredBytes || int64(len(next.Hot)) != next.Segments {
			return fault("totals do not agree: %+v", next)
		}
	}
	if next.LogBytes < 0 || next.StoredBytes < 0 || next.Segments < int64(len(next.Hot)) {
		return fault("totals below zero")
	}
	if !b.canDrop(gone) {
		return refusal("references")
	}
	b.drop(gone, r.Due)
	next.LogStart = max(l.LogStart, r.Cut)
	if next.MaxTimestamp >= 0 && next.MaxTimestampOffset < next.LogStart {
		next.MaxTimestamp, next.MaxTimestampOffset = -1, -1
		if !next.Root.IsZero() && r.PagedMaxTimestamp >= 0 {
			next.MaxTimestamp, next.MaxTimestampOffset = r.PagedMaxTimestamp, r.PagedMaxTimestampOffset
		}
		for i := range next.Hot {
			if s := &next.Hot[i]; s.MaxTimestamp > next.MaxTimestamp {
				next.MaxTimestamp, next.MaxTimestampOffset = s.MaxTimestamp, s.MaxTimestampOffset
			}
		}
	}
	next.Generation++
	*l = next
	return nil
}

// CollectGarbage implements tiering.Ledger.
func (b *Broker) CollectGarbage(ctx context.Context, objects [][16]byte) error {
	done, err := b.begin(ctx, "CollectGarbage")
	if err != nil {
		return err
	}
	for _, o := range objects {
		delete(b.garbage, o)
	}
	return done(nil)
}

// PurgeProgress implements tiering.Ledger.
func (b *Broker) PurgeProgress(ctx context.Context, topic [16]byte, index int32, r tiering.Release, last bool) error {
	done, err := b.begin(ctx, "PurgeProgress")
	if err != nil {
		return err
	}
	l, ok := b.purges[topic][index]
	if !ok {
		return done(nil)
	}
	if last && r.Cut < l.Tiered {
		return done(refusal("done below the tiered offset"))
	}
	if err := b.release(&l, &r); err != nil {
		return done(err)
	}
	if !last {
		b.purges[topic][index] = l
		return done(nil)
	}
	if l.Segments != 0 || !l.Root.IsZero() {
		b.faults = append(b.faults, fmt.Errorf("purge done with %d segments left", l.Segments))
	}
	delete(b.purges[topic], index)
	return done(nil)
}

// PurgeDone implements tiering.Ledger.
func (b *Broker) PurgeDone(ctx context.Context, topic [16]byte) error {
	done, err := b.begin(ctx, "PurgeDone")
	if err != nil {
		return err
	}
	if len(b.purges[topic]) > 0 {
		return done(refusal("purge pending"))
	}
	delete(b.purges, topic)
	return done(nil)
}
