package record

import (
	"fmt"
	"iter"
)

// Header is one header of a record. Value nil means null, which differs from
// empty; the key is never null.
type Header struct {
	Key   []byte
	Value []byte
}

// Record is one message. Key or Value nil means null, which differs from empty.
type Record struct {
	Offset    int64 // absolute
	Timestamp int64 // ms since the epoch; NoTimestamp: none
	Key       []byte
	Value     []byte
	Headers   []Header
}

// Records yields the records in offset order. maxBytes bounds the decompressed
// size. A failure (ErrCorrupt, ErrTooLarge, ErrCodec) is yielded last, with a
// zero Record. Offsets may have gaps, as compaction leaves them.
//
// Key, Value and header slices alias the batch's memory, or that of the
// decompressed copy, which is the iteration's own: they stay valid as long as
// the batch's bytes do. The Headers slice itself is fresh for each record.
func (b Batch) Records(maxBytes int) iter.Seq2[Record, error] {
	return func(yield func(Record, error) bool) {
		if len(b) < HeaderSize {
			yield(Record{}, ErrShort)
			return
		}
		body := []byte(b[HeaderSize:])
		if codec := b.Codec(); codec != None {
			var err error
			if body, err = codec.Decompress(nil, body, maxBytes); err != nil {
				yield(Record{}, err)
				return
			}
		}
		c := cursor{b: body}
		base, first := b.BaseOffset(), b.FirstTimestamp()
		appendTime, stamped := b.MaxTimestamp(), b.LogAppendTime()
		last := int64(-1)
		for i := int32(0); i < b.Count(); i++ {
			end, timeDelta, offsetDelta := c.begin()
			r := Record{Offset: base + int64(offsetDelta), Timestamp: first + timeDelta}
			if stamped {
				r.Timestamp = appendTime
			}
			r.Key = c.bytes()
			r.Value = c.bytes()
			r.Headers = c.headers(end)
			if c.bad || c.pos != end {
				yield(Record{}, fmt.Errorf("%w: record at position=%d index=%d base_offset=%d", ErrCorrupt, c.pos, i, base))
				return
			}
			if int64(offsetDelta) <= last || offsetDelta > b.LastOffsetDelta() {
				yield(Record{}, fmt.Errorf("%w: offset delta=%d after %d, last=%d base_offset=%d", ErrCorrupt, offsetDelta, last, b.LastOffsetDelta(), base))
				return
			}
			last = int64(offsetDelta)
			if !yield(r, nil) {
				return
			}
		}
		if c.pos != len(body) {
			yield(Record{}, fmt.Errorf("%w: bytes after the last record, count=%d base_offset=%d", ErrCorrupt, len(body)-c.pos, base))
		}
	}
}

func (c *cursor) headers(end int) []Header {
	n := c.headerCount(end)
	if c.bad || n == 0 {
		return nil
	}
	// Sixteen at first: a count is cheap to claim, two bytes each.
	headers := make([]Header, 0, min(n, 16))
	for ; n > 0; n-- {
		h := Header{Key: c.bytes()}
		if h.Key == nil {
			c.bad = true
		}
		h.Value = c.bytes()
		if c.bad {
			return nil
		}
		headers = append(headers, h)
	}
	return headers
}
