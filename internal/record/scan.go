package record

import (
	"fmt"
	"math"
)

// cursor walks the varints of decompressed records. A varint that does not end,
// or that a Java client would truncate, sets bad; lengths are compared with the
// remaining bytes before anything is sliced.
type cursor struct {
	b   []byte
	pos int
	bad bool
}

// varint reads a zigzag varint of at most 64 bits.
func (c *cursor) varint() int64 {
	if c.pos < len(c.b) && c.b[c.pos] < 0x80 {
		u := uint64(c.b[c.pos])
		c.pos++
		return int64(u>>1) ^ -int64(u&1)
	}
	return c.longVarint()
}

func (c *cursor) longVarint() int64 {
	var u uint64
	for shift := uint(0); shift < 64; shift += 7 {
		if c.pos >= len(c.b) {
			break
		}
		x := c.b[c.pos]
		c.pos++
		if shift == 63 && x > 1 {
			break
		}
		u |= uint64(x&0x7f) << shift
		if x < 0x80 {
			return int64(u>>1) ^ -int64(u&1)
		}
	}
	c.bad = true
	return 0
}

// varint32 reads a varint that must fit 32 bits.
func (c *cursor) varint32() int32 {
	v := c.varint()
	if v > math.MaxInt32 || v < math.MinInt32 {
		c.bad = true
		return 0
	}
	return int32(v)
}

// skip passes n bytes; n below zero or beyond the end is bad.
func (c *cursor) skip(n int32) {
	if n < 0 || int(n) > len(c.b)-c.pos {
		c.bad = true
		return
	}
	c.pos += int(n)
}

// bytes reads a nullable length and slices the bytes; null is nil, empty is not.
func (c *cursor) bytes() []byte {
	n := c.varint32()
	if n == -1 {
		return nil
	}
	at := c.pos
	c.skip(n)
	if c.bad {
		return nil
	}
	return c.b[at:c.pos:c.pos]
}

// skipBytes passes a nullable byte string and says whether it was null.
func (c *cursor) skipBytes() (null bool) {
	n := c.varint32()
	if n == -1 {
		return true
	}
	c.skip(n)
	return false
}

// begin reads a record's length and fixed fields; end is where the record must
// stop.
func (c *cursor) begin() (end int, timeDelta int64, offsetDelta int32) {
	size := c.varint32()
	if c.bad || size < 0 || int(size) > len(c.b)-c.pos {
		c.bad = true
		return 0, 0, 0
	}
	end = c.pos + int(size)
	c.skip(1) // attributes, unused
	timeDelta = c.varint()
	offsetDelta = c.varint32()
	return end, timeDelta, offsetDelta
}

// headerCount reads the number of headers; each takes two bytes or more.
func (c *cursor) headerCount(end int) int32 {
	n := c.varint32()
	if n < 0 || int(n) > (end-c.pos)/2 {
		c.bad = true
		return 0
	}
	return n
}

// skipHeaders passes the headers of a record and returns how many there are.
func (c *cursor) skipHeaders(end int) int {
	count := c.headerCount(end)
	for n := count; n > 0 && !c.bad; n-- {
		if c.skipBytes() { // the key of a header cannot be null
			c.bad = true
		}
		c.skipBytes()
	}
	return int(count)
}

// Summary is what a pass over the records found.
type Summary struct {
	MinTimestamp      int64 // ms; the least of the records' own timestamps
	MaxTimestamp      int64 // ms; the greatest of the records' own timestamps
	MaxTimestampDelta int32 // offset delta of the first record with MaxTimestamp
	NullKeys          int32 // records without a key, which compacted topics refuse
	FirstNullKey      int32 // offset delta of the first of them; -1: none
	Bytes             int   // decompressed size of the records
	Headers           int   // of all records together
}

// scan walks count records without slicing them: offset deltas must be dense
// from 0, lengths must agree, nothing may follow the last record.
func scan(b []byte, count int32, firstTimestamp int64) (Summary, error) {
	s := Summary{MinTimestamp: math.MaxInt64, MaxTimestamp: math.MinInt64, FirstNullKey: -1, Bytes: len(b)}
	c := cursor{b: b}
	for i := int32(0); i < count; i++ {
		end, timeDelta, offsetDelta := c.begin()
		if c.bad {
			return s, fmt.Errorf("%w: record head at position=%d index=%d", ErrCorrupt, c.pos, i)
		}
		if offsetDelta != i {
			return s, fmt.Errorf("%w: offset delta=%d at index=%d", ErrInvalid, offsetDelta, i)
		}
		ts := firstTimestamp + timeDelta
		if ts < s.MinTimestamp {
			s.MinTimestamp = ts
		}
		if ts > s.MaxTimestamp {
			s.MaxTimestamp, s.MaxTimestampDelta = ts, i
		}
		if c.skipBytes() {
			if s.NullKeys == 0 {
				s.FirstNullKey = i
			}
			s.NullKeys++
		}
		c.skipBytes()
		s.Headers += c.skipHeaders(end)
		if c.bad || c.pos != end {
			return s, fmt.Errorf("%w: record body at position=%d index=%d", ErrCorrupt, c.pos, i)
		}
	}
	if c.pos != len(b) {
		return s, fmt.Errorf("%w: bytes after the last record, count=%d", ErrCorrupt, len(b)-c.pos)
	}
	return s, nil
}
