package ledgertest

import (
	"context"
	"slices"

	"github.com/tidelinehq/tideline/tiering"
	"github.com/tidelinehq/tideline/tiering/manifest"
	"github.com/tidelinehq/tideline/tiering/objstore"
)

// Replace implements tiering.Ledger.
func (b *Broker) Replace(ctx context.Context, r tiering.Replace) error {
	done, err := b.begin(ctx, "Replace")
	if err != nil {
		return err
	}
	return done(b.replace(&r))
}

func (b *Broker) replace(r *tiering.Replace) error {
	p, ok := b.parts[r.ID]
	if !ok {
		return refusal("no such partition")
	}
	l, n := &p.ledger, &r.New
	if err := n.Check(); err != nil || n.Epoch != r.LeaderEpoch || r.Pages == nil && len(r.Hot) == 0 {
		return refusal("invalid: %v", err)
	}
	open := func(object [16]byte, kind objstore.Kind) bool {
		i := b.intents[object]
		return i != nil && i.kind == kind
	}
	switch {
	case r.Pages == nil && slices.Contains(l.Hot, *n), r.Pages != nil && l.Root == r.Pages.NewRoot:
		return nil
	case p.epoch != r.LeaderEpoch:
		return refusal("stale epoch")
	case !open(n.Object, objstore.KindData), r.Pages != nil && !open(r.Pages.NewRoot.Object, objstore.KindPages):
		return refusal("no open upload")
	}
	next := *l
	gone := refsOf(r.Hot, nil)
	for i := range r.Hot {
		next.LogBytes, next.StoredBytes, next.Segments = next.LogBytes-r.Hot[i].LogBytes, next.StoredBytes-r.Hot[i].Size, next.Segments-1
	}
	if x := r.Pages; x == nil {
		at := slices.Index(l.Hot, r.Hot[0])
		if at < 0 || at+len(r.Hot) > len(l.Hot) || !slices.Equal(l.Hot[at:at+len(r.Hot)], r.Hot) || n.Base != r.Hot[0].Base || n.End != r.Hot[len(r.Hot)-1].End {
			return refusal("segments are not there")
		}
		next.Hot = slices.Concat(l.Hot[:at], []manifest.Segment{*n}, l.Hot[at+len(r.Hot):])
	} else {
		end := l.RootEnd
		if len(r.Hot) > 0 {
			end = r.Hot[len(r.Hot)-1].End
		}
		if l.Root != x.OldRoot || l.PagedSegments() != x.OldSegments || len(r.Hot) > len(l.Hot) || !slices.Equal(l.Hot[:len(r.Hot)], r.Hot) {
			return refusal("segments are not there")
		}
		if x.NewRootEnd != end || n.End > end || n.Base >= l.RootEnd || !slices.Contains(x.Gone, x.OldRoot) || x.Pages < 1 {
			return refusal("pages do not fit")
		}
		for _, o := range x.Released {
			gone[o.Object] += o.Segments
			next.LogBytes, next.StoredBytes, next.Segments = next.LogBytes-o.LogBytes, next.StoredBytes-o.Bytes, next.Segments-o.Segments
		}
		for object, refs := range refsOf(nil, x.Gone) {
			gone[object] += refs
		}
		next.Hot = slices.Clone(l.Hot[len(r.Hot):])
		next.Root, next.RootEnd = x.NewRoot, x.NewRootEnd
	}
	if next.LogBytes < 0 || next.StoredBytes < 0 || next.Segments < int64(len(next.Hot)-1) {
		return refusal("totals below zero")
	}
	next.LogBytes, next.StoredBytes, next.Segments = next.LogBytes+n.LogBytes, next.StoredBytes+n.Size, next.Segments+1
	if !b.canDrop(gone) {
		return refusal("references")
	}
	b.intents[n.Object].refs++
	if r.Pages != nil {
		b.intents[r.Pages.NewRoot.Object].refs += int64(r.Pages.Pages)
	}
	b.drop(gone, r.Due)
	b.closeIntent(n.Object, r.Due)
	if r.Pages != nil {
		b.closeIntent(r.Pages.NewRoot.Object, r.Due)
	}
	if next.MaxTimestampOffset >= n.Base && next.MaxTimestampOffset < n.End {
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

// SetCleaned implements tiering.Ledger.
func (b *Broker) SetCleaned(ctx context.Context, c tiering.Cleaned) error {
	done, err := b.begin(ctx, "SetCleaned")
	if err != nil {
		return err
	}
	p, ok := b.parts[c.ID]
	switch {
	case !ok:
		return done(refusal("no such partition"))
	case p.epoch != c.LeaderEpoch:
		return done(refusal("stale epoch"))
	case c.Offset > p.ledger.Tiered:
		return done(refusal("above the tiered offset"))
	}
	if c.Offset >= p.ledger.Cleaned {
		p.ledger.Cleaned, p.ledger.Horizon = c.Offset, c.Horizon
		p.ledger.Generation++
	}
	return done(nil)
}
