package manifest

import (
	"encoding/binary"
	"fmt"
	"sort"
)

// innerEntryMin is the least number of bytes of an inner entry; it bounds what a count may allocate.
const innerEntryMin = 16 + 4 + 8

// LeafRef is what an inner page says of one leaf: where it is, and enough to choose it or to sum over it unread.
type LeafRef struct {
	Ref       PageRef
	Base, End int64 // offsets [Base, End)

	// Of data batches; MaxTimestampOffset is -1 when the leaf has none.
	MaxTimestamp, MaxTimestampOffset int64

	LogBytes, StoredBytes, Segments int64 // sums over the leaf's entries
}

// Summarize returns the reference to a leaf with the given entries.
func Summarize(ref PageRef, segs []Segment) LeafRef {
	l := LeafRef{Ref: ref, Base: segs[0].Base, End: segs[len(segs)-1].End, MaxTimestamp: -1, MaxTimestampOffset: -1, Segments: int64(len(segs))}
	for i := range segs {
		s := &segs[i]
		l.LogBytes += s.LogBytes
		l.StoredBytes += s.Size
		if s.MaxTimestampOffset >= 0 && (l.MaxTimestampOffset < 0 || s.MaxTimestamp > l.MaxTimestamp) {
			l.MaxTimestamp, l.MaxTimestampOffset = s.MaxTimestamp, s.MaxTimestampOffset
		}
	}
	return l
}

func checkLeaves(leaves []LeafRef) error {
	for i := range leaves {
		l := &leaves[i]
		switch {
		case l.Base < 0 || l.End <= l.Base:
			return fmt.Errorf("%w: inner: empty or negative range base=%d end=%d", ErrCorrupt, l.Base, l.End)
		case i > 0 && l.Base != leaves[i-1].End:
			return fmt.Errorf("%w: inner: leaves are not contiguous end=%d base=%d", ErrCorrupt, leaves[i-1].End, l.Base)
		case l.Ref.IsZero() || l.Ref.Position < 0 || l.Ref.Size < pageMinSize || l.Ref.Size > MaxPageBytes:
			return fmt.Errorf("%w: inner: impossible reference position=%d size=%d", ErrCorrupt, l.Ref.Position, l.Ref.Size)
		case l.Segments < 1 || l.Segments > MaxLeafSegments || l.LogBytes < 0 || l.StoredBytes < 0:
			return fmt.Errorf("%w: inner: impossible sums segments=%d logBytes=%d storedBytes=%d", ErrCorrupt, l.Segments, l.LogBytes, l.StoredBytes)
		case l.MaxTimestampOffset != -1 && (l.MaxTimestampOffset < l.Base || l.MaxTimestampOffset >= l.End):
			return fmt.Errorf("%w: inner: offset of the greatest timestamp outside its range offset=%d", ErrCorrupt, l.MaxTimestampOffset)
		}
	}
	return nil
}

// AppendInner appends an inner page with the given leaves, which have to be contiguous and between 1 and MaxInnerLeaves.
func AppendInner(dst []byte, id ID, leaves []LeafRef) ([]byte, error) {
	if len(leaves) == 0 {
		return dst, fmt.Errorf("%w: inner: no leaves", ErrCorrupt)
	}
	if len(leaves) > MaxInnerLeaves {
		return dst, fmt.Errorf("%w: leaves=%d limit=%d", ErrFull, len(leaves), MaxInnerLeaves)
	}
	if err := checkLeaves(leaves); err != nil {
		return dst, err
	}
	return appendPage(dst, id, KindInner, len(leaves), func(b []byte) []byte {
		b = binary.AppendUvarint(b, uint64(leaves[0].Base))
		var ts int64
		for i := range leaves {
			l := &leaves[i]
			b = append(b, l.Ref.Object[:]...)
			b = binary.AppendUvarint(b, uint64(l.Ref.Position))
			b = binary.AppendUvarint(b, uint64(l.Ref.Size))
			b = binary.LittleEndian.AppendUint32(b, l.Ref.CRC)
			b = binary.AppendUvarint(b, uint64(l.End-l.Base))
			b = binary.AppendVarint(b, l.MaxTimestamp-ts)
			b = binary.AppendVarint(b, l.MaxTimestampOffset-l.Base)
			b = binary.AppendUvarint(b, uint64(l.LogBytes))
			b = binary.AppendUvarint(b, uint64(l.StoredBytes))
			b = binary.AppendUvarint(b, uint64(l.Segments))
			ts = l.MaxTimestamp
		}
		return b
	}), nil
}

// DecodeInner reads an inner page of the partition. A non-zero ref has to name exactly this page.
func DecodeInner(b []byte, ref PageRef, id ID) ([]LeafRef, error) {
	count, payload, err := openAs(b, ref, id, KindInner)
	if err != nil {
		return nil, err
	}
	if count > len(payload)/innerEntryMin {
		return nil, fmt.Errorf("%w: inner: count=%d payload=%d", ErrCorrupt, count, len(payload))
	}
	c := cursor{b: payload}
	leaves := make([]LeafRef, count)
	base := c.uvarint()
	var ts int64
	for i := range leaves {
		l := &leaves[i]
		c.bytes(l.Ref.Object[:])
		l.Ref.Position = c.uvarint()
		size := c.uvarint()
		if size > MaxPageBytes {
			c.fail()
		}
		l.Ref.Size = int32(size)
		l.Ref.CRC = c.uint32()
		l.Base = base
		l.End = base + c.uvarint()
		l.MaxTimestamp = ts + c.varint()
		l.MaxTimestampOffset = base + c.varint()
		l.LogBytes = c.uvarint()
		l.StoredBytes = c.uvarint()
		l.Segments = c.uvarint()
		if c.err != nil {
			return nil, c.err
		}
		base, ts = l.End, l.MaxTimestamp
	}
	if err := c.end(); err != nil {
		return nil, err
	}
	if err := checkLeaves(leaves); err != nil {
		return nil, err
	}
	return leaves, nil
}

// leafAt returns the index of the first leaf that ends above offset, or len(leaves).
func leafAt(leaves []LeafRef, offset int64) int {
	return sort.Search(len(leaves), func(i int) bool { return leaves[i].End > offset })
}

// FirstLive returns where the last live entries of a tree begin: the index of the leaf, and how many entries of that
// leaf come before and are released. A tree that holds fewer entries than that is corrupt.
func FirstLive(leaves []LeafRef, live int64) (leaf int, skip int64, err error) {
	for i := len(leaves) - 1; i >= 0; i-- {
		if live <= leaves[i].Segments {
			return i, leaves[i].Segments - live, nil
		}
		live -= leaves[i].Segments
	}
	if live == 0 {
		return 0, 0, nil
	}
	return 0, 0, fmt.Errorf("%w: pages hold fewer segments than the ledger counts missing=%d", ErrCorrupt, live)
}
