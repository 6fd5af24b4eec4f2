package codec

import "encoding/binary"

// AppendCompactLen appends a length or count of flexible structures; -1 is null.
func AppendCompactLen(dst []byte, n int) []byte { return binary.AppendUvarint(dst, uint64(n+1)) }

// AppendCompact appends a string or bytes behind their compact length.
func AppendCompact[S ~string | ~[]byte](dst []byte, s S) []byte {
	return append(AppendCompactLen(dst, len(s)), s...)
}

// AppendCompactNullable appends a string that may be null.
func AppendCompactNullable(dst []byte, s *string) []byte {
	if s == nil {
		return append(dst, 0)
	}
	return AppendCompact(dst, *s)
}

// AppendCompactStrings appends an array.
func AppendCompactStrings(dst []byte, list []string) []byte {
	dst = AppendCompactLen(dst, len(list))
	for _, s := range list {
		dst = AppendCompact(dst, s)
	}
	return dst
}

// AppendCompactInt32s appends an array.
func AppendCompactInt32s(dst []byte, list []int32) []byte {
	dst = AppendCompactLen(dst, len(list))
	for _, n := range list {
		dst = AppendInt32(dst, n)
	}
	return dst
}

// AppendCompactInt16s appends an array.
func AppendCompactInt16s(dst []byte, list []int16) []byte {
	dst = AppendCompactLen(dst, len(list))
	for _, n := range list {
		dst = AppendInt16(dst, n)
	}
	return dst
}

// Tag is a tagged field.
type Tag struct {
	Tag   uint64
	Value []byte
}

// AppendTags ends a flexible structure with its tagged fields, which ascend; most have none.
func AppendTags(dst []byte, fields ...Tag) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(fields)))
	for _, f := range fields {
		dst = binary.AppendUvarint(dst, f.Tag)
		dst = AppendBytes(dst, f.Value)
	}
	return dst
}

// CompactLen reads a length, or a count of elements that take at least elementBytes (≥ 1)
// bytes each; -1 is null. As with Count, one that the remaining bytes cannot hold fails.
func (r *Reader) CompactLen(elementBytes int) int {
	n := r.Uvarint()
	switch {
	case n == 0 && r.err == nil:
		return -1
	case n == 0: // failed
		return 0
	case n-1 > uint64(r.Remaining()/elementBytes):
		r.Fail(ErrShort)
		return 0
	}
	return int(n - 1)
}

// CompactBytes is a view of bytes behind a compact length; nil when they are null.
func (r *Reader) CompactBytes() []byte {
	n := r.CompactLen(1)
	if n < 0 {
		return nil
	}
	return r.Take(n)
}

// CompactString is a copy of a string; null is empty.
func (r *Reader) CompactString() string { return string(r.CompactBytes()) }

// CompactNullable is a copy of a string that may be null.
func (r *Reader) CompactNullable() *string {
	b := r.CompactBytes()
	if b == nil {
		return nil
	}
	s := string(b)
	return &s
}

// CompactEach calls element for each element of an array, of which each takes at least
// elementBytes (≥ 1) bytes, and stops at the first failure. A null array has none.
func (r *Reader) CompactEach(elementBytes int, element func()) {
	for range max(r.CompactLen(elementBytes), 0) {
		if r.err != nil {
			return
		}
		element()
	}
}

// CompactStrings reads an array; nil when it has no elements.
func (r *Reader) CompactStrings() (out []string) {
	r.CompactEach(1, func() { out = append(out, r.CompactString()) })
	return out
}

// CompactInt32s reads an array; nil when it has no elements.
func (r *Reader) CompactInt32s() (out []int32) {
	r.CompactEach(4, func() { out = append(out, r.Int32()) })
	return out
}

// CompactInt16s reads an array; nil when it has no elements.
func (r *Reader) CompactInt16s() (out []int16) {
	r.CompactEach(2, func() { out = append(out, r.Int16()) })
	return out
}

// Tags reads the tagged fields that end a flexible structure and gives each to known, which
// may be nil and may leave a field unread. A field whose reading fails fails r.
func (r *Reader) Tags(known func(tag uint64, field *Reader)) {
	for range r.Count(2) { // a field has a tag and a length at least
		tag := r.Uvarint()
		field := NewReader(r.Bytes())
		if r.err != nil {
			return
		}
		if known == nil {
			continue
		}
		known(tag, &field)
		if field.err != nil {
			r.Fail(field.err)
			return
		}
	}
}
