package segment

import "sort"

// FindOffset is the number of the first block whose end lies above offset, so the one that holds it or, in a sparse
// section, the one with the next record. It is len(Blocks) when there is none.
func (x *Index) FindOffset(offset int64) int {
	return sort.Search(len(x.Blocks), func(i int) bool { return x.Blocks[i].End > offset })
}

// FindTimestamp is the number of the first block with a data batch whose MaxTimestamp is at least ts (ms), or
// len(Blocks). Timestamps need not grow with offsets: the search is over the running maximum, which does.
func (x *Index) FindTimestamp(ts int64) int {
	return sort.Search(len(x.runningMax), func(i int) bool { return x.runningMax[i] != NoTimestamp && x.runningMax[i] >= ts })
}

// AbortedIn appends to dst the aborted transactions that overlap the offsets [from, to).
func (x *Index) AbortedIn(dst []AbortedTxn, from, to int64) []AbortedTxn {
	i := sort.Search(len(x.Aborted), func(i int) bool { return x.Aborted[i].LastOffset >= from })
	for _, a := range x.Aborted[i:] {
		if a.FirstOffset < to {
			dst = append(dst, a)
		}
	}
	return dst
}

// EpochAt is the leader epoch that the batch at offset was written in, by the section's epoch list; false when the list
// begins above it.
func (x *Index) EpochAt(offset int64) (int32, bool) {
	i := sort.Search(len(x.Epochs), func(i int) bool { return x.Epochs[i].Start > offset })
	if i == 0 {
		return 0, false
	}
	return x.Epochs[i-1].Epoch, true
}
