package record

import "encoding/hex"

// How far TraceParent looks. A producer that traces at all puts the header on each of its
// records that is traced; one in a hundred records is then found in the first batches that
// it sends alone, and of a great batch one trace is as good as another.
const (
	traceRecords = 8
	traceHeaders = 64 // of all these records together

	// MaxTraceInflate is the most that TraceParent inflates of a compressed batch, whatever
	// it is asked for.
	MaxTraceInflate = 64 << 10
)

// TraceParent returns what the W3C trace context header `traceparent` says, of the first
// record that has a valid one among the first few: the id of the trace, that of the span in
// which the record was sent, and the flags, of which bit 0 says whether that is sampled.
//
// It trusts no byte behind the header of the batch and validates nothing but what it
// returns. The work is bounded: a few records and headers, whose values are passed over, and
// of a compressed batch at most inflate bytes of records (above MaxTraceInflate as many),
// with the block of the codec that they are in. Zero leaves compressed batches alone.
func TraceParent(b Batch, inflate int) (id [16]byte, span [8]byte, flags byte, ok bool) {
	if len(b) < HeaderSize {
		return id, span, 0, false
	}
	body := []byte(b[HeaderSize:])
	if codec := b.Codec(); codec != None {
		if inflate <= 0 || !codec.valid() {
			return id, span, 0, false
		}
		p := peeks.Get().(*peek)
		defer peeks.Put(p)
		body = codec.begin(p.b[:0:min(inflate, MaxTraceInflate)], body)
	}
	c := cursor{b: body}
	headers := traceHeaders
	for i := int32(0); i < min(b.Count(), traceRecords) && headers > 0; i++ {
		end := c.traced()
		for n := c.varint32(); n > 0 && headers > 0 && !c.bad; n-- {
			headers--
			key := c.bytes()
			value := c.bytes()
			if c.bad || string(key) != "traceparent" {
				continue
			}
			if id, span, flags, ok = parseTraceParent(value); ok {
				return id, span, flags, true
			}
		}
		if c.bad || end < c.pos || end > len(c.b) {
			break
		}
		c.pos = end
	}
	return id, span, 0, false
}

// traced passes over a record up to its headers and returns where it ends, which may be
// behind what is there of the records.
func (c *cursor) traced() (end int) {
	size := c.varint32()
	if size < 0 {
		c.bad = true
	}
	end = c.pos + int(size)
	c.skip(1)  // attributes
	c.varint() // time
	c.varint() // offset
	c.skipBytes()
	c.skipBytes()
	return end
}

// The value of a traceparent header is, in version 00:
//
//	00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01
//	version - trace id - span id - flags      lower-case hexadecimal digits
//
// A later version may only add to the end, behind a dash. ff is no version, zeros are no ids.
const (
	traceParentSize  = 55
	traceIDAt        = 3
	traceSpanAt      = 36
	traceFlagsAt     = 53
	traceSampledFlag = 1
)

func parseTraceParent(v []byte) (id [16]byte, span [8]byte, flags byte, ok bool) {
	if len(v) < traceParentSize || v[2] != '-' || v[traceSpanAt-1] != '-' || v[traceFlagsAt-1] != '-' {
		return id, span, 0, false
	}
	var version, last [1]byte
	if !lowerHex(version[:], v[:2]) || !lowerHex(id[:], v[traceIDAt:traceSpanAt-1]) ||
		!lowerHex(span[:], v[traceSpanAt:traceFlagsAt-1]) || !lowerHex(last[:], v[traceFlagsAt:traceParentSize]) {
		return [16]byte{}, [8]byte{}, 0, false
	}
	flags = last[0]
	switch {
	case version[0] == 0xff, version[0] == 0 && len(v) != traceParentSize,
		len(v) > traceParentSize && v[traceParentSize] != '-',
		id == [16]byte{}, span == [8]byte{}:
		return [16]byte{}, [8]byte{}, 0, false
	case version[0] != 0:
		flags &= traceSampledFlag // what else a later version means by them is not known
	}
	return id, span, flags, true
}

// lowerHex decodes digits of which the letters are small.
func lowerHex(dst, src []byte) bool {
	for _, x := range src {
		if x >= 'A' && x <= 'F' {
			return false
		}
	}
	_, err := hex.Decode(dst, src)
	return err == nil
}
