package manifest

import (
	"encoding/binary"
	"fmt"
	"math"
	"sort"
)

// leafEntryMin is the least number of bytes of a leaf entry; it bounds what a count may allocate.
const leafEntryMin = 16 + 9 + 4 + 32

// AppendLeaf appends a leaf page with the given entries, which have to be sane, contiguous, and between 1 and
// MaxLeafSegments.
func AppendLeaf(dst []byte, id ID, segs []Segment) ([]byte, error) {
	if len(segs) == 0 || len(segs) > MaxLeafSegments {
		return dst, fmt.Errorf("%w: leaf: count=%d", ErrCorrupt, len(segs))
	}
	if err := checkRun(segs); err != nil {
		return dst, err
	}
	return appendPage(dst, id, KindLeaf, len(segs), func(b []byte) []byte {
		b = binary.AppendUvarint(b, uint64(segs[0].Base))
		var before Segment
		for i := range segs {
			s := &segs[i]
			b = append(b, s.Object[:]...)
			b = binary.AppendUvarint(b, uint64(s.End-s.Base))
			b = binary.AppendUvarint(b, uint64(s.Position))
			b = binary.AppendUvarint(b, uint64(s.Size))
			b = binary.AppendUvarint(b, uint64(s.LogBytes))
			b = binary.AppendVarint(b, s.MinTimestamp-before.MinTimestamp) // differences wrap, and wrap back
			b = binary.AppendVarint(b, s.MaxTimestamp-s.MinTimestamp)
			b = binary.AppendVarint(b, s.MaxTimestampOffset-s.Base)
			b = binary.AppendVarint(b, int64(s.Epoch)-int64(before.Epoch))
			b = binary.AppendUvarint(b, uint64(s.Flags))
			b = binary.LittleEndian.AppendUint32(b, s.CRC)
			b = append(b, s.Chain[:]...)
			before = *s
		}
		return b
	}), nil
}

// DecodeLeaf reads a leaf page of the partition. A non-zero ref has to name exactly this page.
func DecodeLeaf(b []byte, ref PageRef, id ID) ([]Segment, error) {
	count, payload, err := openAs(b, ref, id, KindLeaf)
	if err != nil {
		return nil, err
	}
	if count > len(payload)/leafEntryMin {
		return nil, fmt.Errorf("%w: leaf: count=%d payload=%d", ErrCorrupt, count, len(payload))
	}
	c := cursor{b: payload}
	segs := make([]Segment, count)
	base := c.uvarint()
	var before Segment
	for i := range segs {
		s := &segs[i]
		c.bytes(s.Object[:])
		s.Base = base
		s.End = base + c.uvarint() // an overflow is negative, and Check refuses it
		s.Position = c.uvarint()
		s.Size = c.uvarint()
		s.LogBytes = c.uvarint()
		s.MinTimestamp = before.MinTimestamp + c.varint()
		s.MaxTimestamp = s.MinTimestamp + c.varint()
		s.MaxTimestampOffset = base + c.varint()
		epoch, flags := int64(before.Epoch)+c.varint(), c.uvarint()
		if epoch < math.MinInt32 || epoch > math.MaxInt32 || flags > math.MaxUint32 {
			c.fail()
		}
		s.Epoch, s.Flags = int32(epoch), uint32(flags)
		s.CRC = c.uint32()
		c.bytes(s.Chain[:])
		if c.err != nil {
			return nil, c.err
		}
		base, before = s.End, *s
	}
	if err := c.end(); err != nil {
		return nil, err
	}
	if err := checkRun(segs); err != nil {
		return nil, err
	}
	return segs, nil
}

// FindOffset returns the index of the entry that holds offset, or false.
func FindOffset(segs []Segment, offset int64) (int, bool) {
	i := sort.Search(len(segs), func(i int) bool { return segs[i].End > offset })
	return i, i < len(segs) && segs[i].Base <= offset
}

// FindTime returns the index of the first entry that ends above from and whose greatest timestamp is ts or later.
func FindTime(segs []Segment, from, ts int64) (int, bool) {
	for i := sort.Search(len(segs), func(i int) bool { return segs[i].End > from }); i < len(segs); i++ {
		if segs[i].MaxTimestampOffset >= 0 && segs[i].MaxTimestamp >= ts {
			return i, true
		}
	}
	return 0, false
}
