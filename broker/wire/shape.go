package wire

import (
	"encoding/binary"
	"fmt"
	"math"
)

// MaxElements bounds the array elements and tagged fields of one request: more
// than one broker has partitions, and little memory even when each element is a
// structure.
const MaxElements = 200_000

// Shape is what CheckRequest found out about a body.
type Shape struct {
	// Size is the number of bytes that the schema accounts for. Bytes behind them
	// mean nothing; Apache Kafka ignores them, too.
	Size int
	// Elements is the number of array elements and tagged fields, at all depths.
	Elements int
	// Tags is how many of these are tagged fields.
	Tags int
	// Memory estimates, from above, the bytes that the decoded request takes.
	Memory int64
}

// CheckRequest walks over the body of a request without decoding it, and makes
// sure that a decoder that trusts its input may be let loose on it: all lengths
// and counts are within the body, tags ascend, strings have at most 32767 bytes
// and null is only where the schema has it; there are at most MaxElements
// elements. It takes time linear in the length of the body and allocates nothing.
//
// The error is ErrMalformed, also for a key or version that has no schema here;
// ShapeVersions tells which have.
func CheckRequest(key, version int16, body []byte) (Shape, error) {
	s := stepsOf(key, version)
	if s == nil {
		return Shape{}, fmt.Errorf("%w: no schema: api_key=%d version=%d", ErrMalformed, key, version)
	}
	w := walker{b: body, flexible: s.tags, memory: s.memory + requestBytes}
	if !w.structure(s) {
		return Shape{}, fmt.Errorf("%w: %s version=%d field=%s position=%d: %s", ErrMalformed, KeyName(key), version, w.where, w.at, w.why)
	}
	return Shape{Size: w.at, Elements: w.elements, Tags: w.tagged, Memory: w.memory}, nil
}

// WithoutTags returns a body that CheckRequest accepted, without its tagged fields. No
// request that is checked here has one of its own, so what they say is known to nobody; but
// a decoder keeps each of them in a map, tens of thousands for as many bytes as one topic's
// name may have.
func WithoutTags(key, version int16, body []byte) []byte {
	s := stepsOf(key, version)
	if s == nil {
		return body
	}
	w := walker{b: body, flexible: s.tags, strip: true, without: make([]byte, 0, len(body))}
	if !w.structure(s) {
		return body // it was not accepted
	}
	return append(w.without, body[w.kept:w.at]...)
}

// ShapeVersions returns the versions of an API whose requests CheckRequest knows.
func ShapeVersions(key int16) (least, greatest int16, ok bool) {
	if key < 0 || key > MaxKey || compiled[key].versions == nil {
		return 0, 0, false
	}
	c := &compiled[key]
	return c.min, c.min + int16(len(c.versions)) - 1, true
}

// compiled has the steps of every key and version in the table of schemas.
var compiled = func() (c [MaxKey + 1]struct {
	min      int16
	versions []*steps
}) {
	for i := range schemas {
		s := &schemas[i]
		c[s.key].min = s.min
		for v := s.min; v <= s.max; v++ {
			c[s.key].versions = append(c[s.key].versions, compile(s.fields, v, Flexible(s.key, v), ""))
		}
	}
	return c
}()

func stepsOf(key, version int16) *steps {
	least, greatest, ok := ShapeVersions(key)
	if !ok || version < least || version > greatest {
		return nil
	}
	return compiled[key].versions[version-least]
}

// What decoding allocates besides the structures themselves. Allocations are
// rounded up to size classes, by an eighth at most once they are not tiny.
const (
	requestBytes  = 32 // version, and the rounding up of the structure that has all others
	roundingBytes = 16
	firstTagBytes = 384 // unknown tags are kept in a map
	tagBytes      = 128
)

// walker passes over a body by the steps of its schema. Its methods return false
// at the first thing that is wrong.
type walker struct {
	b        []byte
	at       int
	flexible bool
	elements int
	tagged   int
	memory   int64
	// without is the body as far as it was walked, without its tagged fields, from kept on
	// what lies in b; only for WithoutTags.
	without []byte
	kept    int
	strip   bool

	where, why string // of what is wrong
}

// Reasons to refuse a body.
const (
	whyShort    = "the bytes end early"
	whyLength   = "bad length"
	whyNull     = "null is not allowed"
	whyLong     = "longer than a string may be"
	whyElements = "too many elements"
	whyMarker   = "neither null nor a structure"
	whyTags     = "tags do not ascend"
)

func (w *walker) fail(where, why string) bool {
	w.where, w.why = where, why
	return false
}

func (w *walker) structure(s *steps) bool {
	for i := range s.list {
		if st := &s.list[i]; st.kind == kindFixed {
			if len(w.b)-w.at < st.size {
				return w.fail(st.path, whyShort)
			}
			w.at += st.size
		} else if !w.step(st) {
			return false
		}
	}
	if !s.tags {
		return true
	}
	if w.at < len(w.b) && w.b[w.at] == 0 { // as good as always
		w.at++
		return true
	}
	return w.tags()
}

// step passes over one field.
func (w *walker) step(st *step) bool {
	switch st.kind {
	case kindFixed:
		if len(w.b)-w.at < st.size {
			return w.fail(st.path, whyShort)
		}
		w.at += st.size
		return true
	case kindString:
		return w.text(st)
	case kindBytes:
		n, ok := w.length(st, 4)
		if !ok || n < 0 {
			return ok
		}
		return w.skip(st, n)
	case kindStruct:
		return w.object(st)
	}
	return w.elementsOf(st)
}

func (w *walker) text(st *step) bool {
	n, ok := w.length(st, 2)
	if !ok || n < 0 {
		return ok
	}
	if n > math.MaxInt16 {
		return w.fail(st.path, whyLong)
	}
	w.memory += int64(n + n/8 + roundingBytes)
	if st.nullable {
		w.memory += stringBytes // what the pointer points at
	}
	return w.skip(st, n)
}

// object passes over a structure that may be null; tests for null are by one byte
// whatever the version.
func (w *walker) object(st *step) bool {
	if w.at >= len(w.b) {
		return w.fail(st.path, whyShort)
	}
	marker := int8(w.b[w.at])
	w.at++
	switch {
	case marker == 1:
		w.memory += st.memory + roundingBytes
		return w.structure(st.steps)
	case marker == -1 && st.nullable:
		return true
	case marker == -1:
		return w.fail(st.path, whyNull)
	}
	return w.fail(st.path, whyMarker)
}

// elementsOf passes over a list or an array.
func (w *walker) elementsOf(st *step) bool {
	n, ok := w.length(st, 4)
	if !ok || n <= 0 {
		return ok
	}
	if n > (len(w.b)-w.at)/st.size {
		return w.fail(st.path, whyShort)
	}
	if !w.count(st.path, n) {
		return false
	}
	memory := int64(n) * st.memory
	w.memory += memory + memory/8 + roundingBytes
	switch {
	case st.kind == kindList && st.elem.kind == kindFixed, st.kind == kindArray && st.steps.constant:
		w.at += n * st.size
	case st.kind == kindList:
		for ; n > 0; n-- {
			if !w.step(st.elem) {
				return false
			}
		}
	default:
		for ; n > 0; n-- {
			if !w.structure(st.steps) {
				return false
			}
		}
	}
	return true
}

// count adds n elements.
func (w *walker) count(where string, n int) bool {
	if n > MaxElements-w.elements {
		return w.fail(where, whyElements)
	}
	w.elements += n
	return true
}

// tags passes over tagged fields. A decoder keeps those it does not know.
func (w *walker) tags() bool {
	const where = "tagged_fields"
	begin := w.at
	n, ok := w.uvarint(where)
	if !ok {
		return false
	}
	if int64(n) > int64(len(w.b)-w.at)/2 {
		return w.fail(where, whyShort)
	}
	if !w.count(where, int(n)) {
		return false
	}
	if n > 0 {
		w.memory += firstTagBytes + int64(n)*tagBytes
		w.tagged += int(n)
	}
	previous := int64(-1)
	for ; n > 0; n-- {
		tag, ok := w.uvarint(where)
		if !ok {
			return false
		}
		if int64(tag) <= previous {
			return w.fail(where, whyTags)
		}
		previous = int64(tag)
		size, ok := w.uvarint(where)
		if !ok {
			return false
		}
		if int64(size) > int64(len(w.b)-w.at) {
			return w.fail(where, whyShort)
		}
		w.at += int(size)
	}
	if w.strip {
		w.without = append(append(w.without, w.b[w.kept:begin]...), 0) // none
		w.kept = w.at
	}
	return true
}

// length reads a length of width bytes, or a compact one; -1 for null where that
// is allowed.
func (w *walker) length(st *step, width int) (n int, ok bool) {
	switch {
	case w.flexible:
		u, ok := w.uvarint(st.path)
		if !ok {
			return 0, false
		}
		if u > math.MaxInt32 {
			return 0, w.fail(st.path, whyLength)
		}
		n = int(u) - 1
	case len(w.b)-w.at < width:
		return 0, w.fail(st.path, whyShort)
	case width == 2:
		n = int(int16(binary.BigEndian.Uint16(w.b[w.at:])))
		w.at += 2
	default:
		n = int(int32(binary.BigEndian.Uint32(w.b[w.at:])))
		w.at += 4
	}
	if n >= 0 {
		return n, true
	}
	if !st.nullable {
		return 0, w.fail(st.path, whyNull)
	}
	return -1, true // any negative length is null, as for Apache Kafka
}

func (w *walker) skip(st *step, n int) bool {
	if n > len(w.b)-w.at {
		return w.fail(st.path, whyShort)
	}
	w.at += n
	return true
}

// uvarint reads an unsigned varint of at most 32 bits in at most five bytes.
func (w *walker) uvarint(where string) (v uint32, ok bool) {
	if w.at < len(w.b) && w.b[w.at] < 0x80 {
		v = uint32(w.b[w.at])
		w.at++
		return v, true
	}
	for shift := 0; shift < 35; shift += 7 {
		if w.at >= len(w.b) {
			return 0, w.fail(where, whyShort)
		}
		c := w.b[w.at]
		w.at++
		if shift == 28 && c > 0x0f {
			break
		}
		v |= uint32(c&0x7f) << shift
		if c < 0x80 {
			return v, true
		}
	}
	return 0, w.fail(where, whyLength)
}
