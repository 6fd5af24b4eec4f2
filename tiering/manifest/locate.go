package manifest

import (
	"context"
	"fmt"
	"iter"

	"github.com/prometheus/client_golang/prometheus"
)

// LocatorOptions are what a Locator needs.
type LocatorOptions struct {
	// View returns the newest ledger of a partition, from memory. The ledger and its Hot are not changed afterwards.
	View func(topic [16]byte, partition int32) (Ledger, bool)
	// Generation returns that of the ledger which View would return, without the cost of the rest. Needed by
	// Locator.Generation alone.
	Generation func(topic [16]byte, partition int32) (uint64, bool)
	// ReadPage returns the bytes that a reference names: exactly ref.Size of them. The Locator checks them.
	ReadPage func(ctx context.Context, ref PageRef) ([]byte, error)
	// CacheBytes bounds the memory of decoded pages. At least 4 MiB are used.
	CacheBytes int64
	// Registerer may be nil.
	Registerer prometheus.Registerer
}

// Locator finds segments by offset and by timestamp. A look-up among the hot entries does no I/O; one below them reads at
// most two pages, less what is cached. For concurrent use.
type Locator struct {
	view       func([16]byte, int32) (Ledger, bool)
	generation func([16]byte, int32) (uint64, bool)
	cache      *pageCache
}

// NewLocator makes a Locator.
func NewLocator(o LocatorOptions) *Locator {
	return &Locator{view: o.View, generation: o.Generation, cache: newPageCache(o.ReadPage, o.CacheBytes, newMetrics(o.Registerer))}
}

// Generation names the state of the ledger that a look-up would find now; false when there is no such partition. As long as it
// is the same, a segment that was located is where it was.
func (l *Locator) Generation(topic [16]byte, partition int32) (uint64, bool) {
	return l.generation(topic, partition)
}

// Locate returns the segment that holds the offset. Errors: ErrUnknownPartition, ErrBelowStart, ErrNotTiered; ErrCorrupt;
// else those of ReadPage.
func (l *Locator) Locate(ctx context.Context, topic [16]byte, partition int32, offset int64) (Segment, error) {
	id := ID{topic, partition}
	v, ok := l.view(topic, partition)
	if !ok {
		return Segment{}, fmt.Errorf("%w partition=%v", ErrUnknownPartition, id)
	}
	if offset < v.LogStart {
		return Segment{}, fmt.Errorf("%w partition=%v offset=%d logStart=%d", ErrBelowStart, id, offset, v.LogStart)
	}
	if offset >= v.Tiered {
		return Segment{}, fmt.Errorf("%w partition=%v offset=%d tiered=%d", ErrNotTiered, id, offset, v.Tiered)
	}
	segs := v.Hot
	if offset < v.HotStart() {
		leaves, err := l.Leaves(ctx, id, v.Root)
		if err != nil {
			return Segment{}, err
		}
		i := leafAt(leaves, offset)
		if i == len(leaves) {
			return Segment{}, fmt.Errorf("%w: pages end below the offset partition=%v offset=%d", ErrCorrupt, id, offset)
		}
		if segs, err = l.Leaf(ctx, id, leaves[i]); err != nil {
			return Segment{}, err
		}
	}
	i, ok := FindOffset(segs, offset)
	if !ok {
		return Segment{}, fmt.Errorf("%w: no segment holds the offset partition=%v offset=%d", ErrCorrupt, id, offset)
	}
	return segs[i], nil
}

// LocateTime returns the first live segment that ends above from and holds a record of timestamp ts or later; false when
// nothing tiered does. That record may lie below from or the log start: a reader that finds none above asks again with the end
// of the segment. Errors as Locate's, without ErrBelowStart and ErrNotTiered.
func (l *Locator) LocateTime(ctx context.Context, topic [16]byte, partition int32, from, ts int64) (Segment, bool, error) {
	id := ID{topic, partition}
	v, ok := l.view(topic, partition)
	if !ok {
		return Segment{}, false, fmt.Errorf("%w partition=%v", ErrUnknownPartition, id)
	}
	from = max(from, v.LogStart)
	if from < v.HotStart() && !v.Root.IsZero() {
		leaves, err := l.Leaves(ctx, id, v.Root)
		if err != nil {
			return Segment{}, false, err
		}
		for i := leafAt(leaves, from); i < len(leaves); i++ {
			if leaves[i].MaxTimestampOffset < 0 || leaves[i].MaxTimestamp < ts {
				continue
			}
			segs, err := l.Leaf(ctx, id, leaves[i])
			if err != nil {
				return Segment{}, false, err
			}
			// Only the leaf that from lies in can fail to have one: its greatest timestamp may be below from.
			if j, ok := FindTime(segs, from, ts); ok {
				return segs[j], true, nil
			}
		}
	}
	if i, ok := FindTime(v.Hot, from, ts); ok {
		return v.Hot[i], true, nil
	}
	return Segment{}, false, nil
}

// Segments yields the segments that end above from, oldest first, across pages and hot entries. It walks the ledger as it
// was when the walk began. An error ends the walk.
func (l *Locator) Segments(ctx context.Context, topic [16]byte, partition int32, from int64) iter.Seq2[Segment, error] {
	return func(yield func(Segment, error) bool) {
		v, ok := l.view(topic, partition)
		if !ok {
			yield(Segment{}, fmt.Errorf("%w partition=%v", ErrUnknownPartition, ID{topic, partition}))
			return
		}
		for s, err := range l.Walk(ctx, ID{topic, partition}, &v, max(from, v.LogStart)) {
			if !yield(s, err) || err != nil {
				return
			}
		}
	}
}

// Walk yields the live segments of a given ledger that end above from, oldest first. Segments below the log start are live
// until they are released, so a walk from 0 sees all that the ledger refers to. The ledger may be that of a deleted partition.
func (l *Locator) Walk(ctx context.Context, id ID, v *Ledger, from int64) iter.Seq2[Segment, error] {
	return func(yield func(Segment, error) bool) {
		if from < v.HotStart() && !v.Root.IsZero() {
			leaves, err := l.Tree(ctx, id, v)
			if err != nil {
				yield(Segment{}, err)
				return
			}
			first, skip, err := FirstLive(leaves, v.PagedSegments())
			if err != nil {
				yield(Segment{}, fmt.Errorf("partition=%v: %w", id, err))
				return
			}
			for i := max(first, leafAt(leaves, from)); i < len(leaves); i++ {
				segs, err := l.Leaf(ctx, id, leaves[i])
				if err != nil {
					yield(Segment{}, err)
					return
				}
				if i == first {
					segs = segs[skip:]
				}
				if !yieldAbove(segs, from, yield) {
					return
				}
			}
		}
		yieldAbove(v.Hot, from, yield)
	}
}

// Tree returns the leaves of a ledger's tree, after checking that it ends where the ledger says. None without a root. The
// slice is shared: do not change it.
func (l *Locator) Tree(ctx context.Context, id ID, v *Ledger) ([]LeafRef, error) {
	leaves, err := l.Leaves(ctx, id, v.Root)
	if err == nil && len(leaves) > 0 && leaves[len(leaves)-1].End != v.RootEnd {
		err = fmt.Errorf("%w: pages do not end where the ledger says partition=%v end=%d rootEnd=%d",
			ErrCorrupt, id, leaves[len(leaves)-1].End, v.RootEnd)
	}
	return leaves, err
}

func yieldAbove(segs []Segment, from int64, yield func(Segment, error) bool) bool {
	for i := range segs {
		if segs[i].End > from && !yield(segs[i], nil) {
			return false
		}
	}
	return true
}

// Leaves returns what the inner page says; none for the zero reference. The slice is shared: do not change it.
func (l *Locator) Leaves(ctx context.Context, id ID, root PageRef) ([]LeafRef, error) {
	if root.IsZero() {
		return nil, nil
	}
	p, err := l.cache.get(ctx, root, id, KindInner)
	if err != nil {
		return nil, err
	}
	return p.inner, nil
}

// Leaf returns the entries of a leaf, after checking that it is the one that the inner page described. The slice is shared:
// do not change it.
func (l *Locator) Leaf(ctx context.Context, id ID, leaf LeafRef) ([]Segment, error) {
	p, err := l.cache.get(ctx, leaf.Ref, id, KindLeaf)
	if err != nil {
		return nil, err
	}
	if n := len(p.leaf); p.leaf[0].Base != leaf.Base || p.leaf[n-1].End != leaf.End || int64(n) != leaf.Segments {
		return nil, fmt.Errorf("%w: leaf is not what the inner page says partition=%v base=%d end=%d", ErrCorrupt, id, leaf.Base, leaf.End)
	}
	return p.leaf, nil
}

// Keep puts the pages of a committed spill into the cache: the next look-ups and the next spill want them.
func (l *Locator) Keep(r SpillResult) {
	l.cache.put(r.Root, &page{inner: r.Leaves})
	for _, n := range r.Added {
		l.cache.put(n.Ref, &page{leaf: n.Segments})
	}
}
