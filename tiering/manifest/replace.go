package manifest

import (
	"errors"
	"fmt"
	"slices"
)

// ErrChanged says that the ledger does not have the segments that were to be replaced.
var ErrChanged = errors.New("segments are not in the ledger")

// ReplaceInput says which segments of a tree make way for which others.
type ReplaceInput struct {
	ID     ID
	Root   PageRef
	Leaves []LeafRef // of the inner page that Root names
	Live   int64     // Ledger.PagedSegments
	Hot    []Segment // Ledger.Hot

	Old []Segment // live, contiguous, the first of them in pages; the last may be the first ones of Hot
	New []Segment // the same range of offsets

	// Leaf reads the entries of a leaf.
	Leaf func(LeafRef) ([]Segment, error)
}

// ReplaceResult is what was written, and what the new tree no longer refers to.
type ReplaceResult struct {
	SpillResult
	Paged int // how many of Old were in pages; the others are the first ones of Hot
}

// ReplacePages writes the pages of a tree in which New stands in place of Old: the leaves that held entries of Old anew, all
// others as they are, and a new inner page. A small leaf in front of them is taken along, so that replacing does not leave
// ever more small leaves. ErrChanged when Old is not there as it is given, entry by entry.
func ReplacePages(w *ObjectWriter, in ReplaceInput) (ReplaceResult, error) {
	var r ReplaceResult
	if len(in.Old) == 0 || len(in.New) == 0 || in.New[0].Base != in.Old[0].Base || in.New[len(in.New)-1].End != in.Old[len(in.Old)-1].End {
		return r, fmt.Errorf("%w: replacement of another range partition=%v old=%d new=%d", ErrCorrupt, in.ID, len(in.Old), len(in.New))
	}
	live, skip, err := FirstLive(in.Leaves, in.Live)
	if err != nil {
		return r, fmt.Errorf("partition=%v: %w", in.ID, err)
	}
	read := func(i int) ([]Segment, error) {
		segs, err := in.Leaf(in.Leaves[i])
		if err == nil && i == live {
			segs = segs[skip:]
		}
		return segs, err
	}
	first := leafAt(in.Leaves, in.Old[0].Base)
	if first < live || first == len(in.Leaves) {
		return r, fmt.Errorf("%w: partition=%v base=%d", ErrChanged, in.ID, in.Old[0].Base)
	}
	var fill []Segment
	last := first // the leaf after those that are written anew
	end := in.Old[len(in.Old)-1].End
	for ; last < len(in.Leaves) && in.Leaves[last].Base < end; last++ {
		segs, err := read(last)
		if err != nil {
			return r, err
		}
		fill = append(fill, segs...)
	}
	from, found := FindOffset(fill, in.Old[0].Base)
	r.Paged = min(len(in.Old), len(fill)-from)
	hot := len(in.Old) - r.Paged
	if !found || !slices.Equal(fill[from:from+r.Paged], in.Old[:r.Paged]) || hot > len(in.Hot) || !slices.Equal(in.Hot[:hot], in.Old[r.Paged:]) {
		return r, fmt.Errorf("%w: partition=%v base=%d end=%d", ErrChanged, in.ID, in.Old[0].Base, end)
	}
	fill = slices.Concat(fill[:from], in.New, fill[from+r.Paged:])
	if first > live && in.Leaves[first-1].Segments+int64(len(fill)) <= MaxLeafSegments {
		first--
		segs, err := read(first)
		if err != nil {
			return r, err
		}
		fill = slices.Concat(segs, fill)
	}
	r.Released = append(r.Released, in.Root)
	for _, l := range in.Leaves[first:last] {
		r.Released = append(r.Released, l.Ref)
	}
	r.Leaves = slices.Clone(in.Leaves[live:first])
	if err := r.writeLeaves(w, in.ID, fill); err != nil {
		return r, err
	}
	r.Leaves = append(r.Leaves, in.Leaves[last:]...)
	return r, r.writeRoot(w, in.ID)
}

// writeLeaves writes entries as leaves, and notes them.
func (r *SpillResult) writeLeaves(w *ObjectWriter, id ID, fill []Segment) error {
	var page []byte
	for len(fill) > 0 {
		segs := fill[:min(len(fill), MaxLeafSegments)]
		fill = fill[len(segs):]
		var err error
		if page, err = AppendLeaf(page[:0], id, segs); err != nil {
			return err
		}
		ref, err := w.Add(id, KindLeaf, page)
		if err != nil {
			return err
		}
		r.Leaves = append(r.Leaves, Summarize(ref, segs))
		r.Added = append(r.Added, NewLeaf{Ref: ref, Segments: segs})
	}
	return nil
}

// writeRoot writes the inner page over all leaves noted.
func (r *SpillResult) writeRoot(w *ObjectWriter, id ID) error {
	page, err := AppendInner(nil, id, r.Leaves)
	if err != nil {
		return err
	}
	if r.Root, err = w.Add(id, KindInner, page); err != nil {
		return err
	}
	r.RootEnd = r.Leaves[len(r.Leaves)-1].End
	r.Pages = len(r.Added) + 1
	return nil
}
