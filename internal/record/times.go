package record

import "fmt"

// Times yields offset and timestamp of each record, in offset order, until f returns
// false. Offsets may have gaps. Like ValidateRecords it borrows one of a fixed number of
// scratch buffers to decompress, at most maxBytes, and slices nothing: any number of
// callers together use bounded memory. f must not wait for anything.
func (b Batch) Times(maxBytes int, f func(offset, timestamp int64) bool) error {
	if len(b) < HeaderSize {
		return ErrShort
	}
	body := []byte(b[HeaderSize:])
	if b.Codec() != None {
		s, err := inflate(b.Codec(), body, maxBytes)
		if err != nil {
			return err
		}
		defer s.release()
		body = s.b
	}
	c := cursor{b: body}
	base, first := b.BaseOffset(), b.FirstTimestamp()
	appendTime, stamped := b.MaxTimestamp(), b.LogAppendTime()
	last := int64(-1)
	for i := int32(0); i < b.Count(); i++ {
		end, timeDelta, offsetDelta := c.begin()
		if c.bad || int64(offsetDelta) <= last || offsetDelta > b.LastOffsetDelta() {
			return fmt.Errorf("%w: record head at position=%d index=%d base_offset=%d", ErrCorrupt, c.pos, i, base)
		}
		last = int64(offsetDelta)
		timestamp := first + timeDelta
		if stamped {
			timestamp = appendTime
		}
		if !f(base+last, timestamp) {
			return nil
		}
		c.pos = end
	}
	if c.pos != len(body) {
		return fmt.Errorf("%w: bytes after the last record, count=%d base_offset=%d", ErrCorrupt, len(body)-c.pos, base)
	}
	return nil
}
