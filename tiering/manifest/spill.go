package manifest

import "fmt"

// SpillInput is what one partition needs paged out.
type SpillInput struct {
	ID     ID
	Root   PageRef   // zero when the partition has no pages yet
	Leaves []LeafRef // of the inner page that Root names
	Live   int64     // Ledger.PagedSegments: what the old tree has before the last so many entries is left out
	Last   []Segment // entries of the last leaf, when SpillNeedsLast; else nil
	Move   []Segment // hot entries to page out, following the last leaf
}

// SpillResult says what was written for the partition, and which pages it no longer refers to.
type SpillResult struct {
	Root     PageRef
	RootEnd  int64
	Pages    int       // pages written, the root among them
	Released []PageRef // live pages of the old tree that the new one does not refer to
	Leaves   []LeafRef // of the new inner page
	Added    []NewLeaf // leaves written, for the cache
}

// NewLeaf is a leaf that a spill wrote.
type NewLeaf struct {
	Ref      PageRef
	Segments []Segment
}

// SpillNeedsLast reports whether a spill has to read the last leaf, because it has room.
func SpillNeedsLast(leaves []LeafRef) bool {
	return len(leaves) > 0 && leaves[len(leaves)-1].Segments < MaxLeafSegments
}

// SpillPages writes the pages that move in.Move out of the Raft state: the last leaf, extended until it is full, new leaves
// for the rest, and a new inner page. Leaves of the old tree without live entries are left out; they were released with
// the last of their entries.
func SpillPages(w *ObjectWriter, in SpillInput) (SpillResult, error) {
	if len(in.Move) == 0 {
		return SpillResult{}, fmt.Errorf("%w: spill of nothing partition=%v", ErrCorrupt, in.ID)
	}
	keep, fill := in.Leaves, in.Move
	if n := len(keep); n > 0 && keep[n-1].End != in.Move[0].Base {
		return SpillResult{}, fmt.Errorf("%w: spill does not follow the pages partition=%v end=%d base=%d", ErrCorrupt, in.ID, keep[n-1].End, in.Move[0].Base)
	}
	first, skip, err := FirstLive(keep, in.Live)
	if err != nil {
		return SpillResult{}, fmt.Errorf("partition=%v: %w", in.ID, err)
	}
	var r SpillResult
	if !in.Root.IsZero() {
		r.Released = append(r.Released, in.Root)
	}
	if SpillNeedsLast(keep) {
		last := keep[len(keep)-1]
		if int64(len(in.Last)) != last.Segments || in.Last[len(in.Last)-1].End != last.End {
			return SpillResult{}, fmt.Errorf("%w: spill without the last leaf partition=%v", ErrCorrupt, in.ID)
		}
		live := in.Last
		if first == len(keep)-1 {
			live = live[skip:]
		}
		keep = keep[:len(keep)-1]
		fill = make([]Segment, 0, len(live)+len(in.Move))
		fill = append(append(fill, live...), in.Move...)
		r.Released = append(r.Released, last.Ref)
	}
	keep = keep[min(first, len(keep)):]

	r.Leaves = append(make([]LeafRef, 0, len(keep)+1+len(fill)/MaxLeafSegments), keep...)
	if err := r.writeLeaves(w, in.ID, fill); err != nil {
		return SpillResult{}, err
	}
	if err := r.writeRoot(w, in.ID); err != nil {
		return SpillResult{}, err
	}
	return r, nil
}
