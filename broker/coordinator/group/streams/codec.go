package streams

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// Values are flexible: lengths and counts are unsigned varints, one higher, and tagged
// fields follow. What is read is bounded by the bytes that are there.

func appendCount(b []byte, n int) []byte { return binary.AppendUvarint(b, uint64(n)+1) }

func appendString(b []byte, s string) []byte { return append(appendCount(b, len(s)), s...) }

func appendNullable(b []byte, s *string) []byte {
	if s == nil {
		return append(b, 0)
	}
	return appendString(b, *s)
}

func appendStrings(b []byte, ss []string) []byte {
	b = appendCount(b, len(ss))
	for _, s := range ss {
		b = appendString(b, s)
	}
	return b
}

func appendInt16(b []byte, v int16) []byte { return binary.BigEndian.AppendUint16(b, uint16(v)) }
func appendInt32(b []byte, v int32) []byte { return binary.BigEndian.AppendUint32(b, uint32(v)) }
func appendInt64(b []byte, v int64) []byte { return binary.BigEndian.AppendUint64(b, uint64(v)) }

func appendInt16s(b []byte, vs []int16) []byte {
	b = appendCount(b, len(vs))
	for _, v := range vs {
		b = appendInt16(b, v)
	}
	return b
}

func appendKeyValues(b []byte, kvs []KeyValue) []byte {
	b = appendCount(b, len(kvs))
	for _, kv := range kvs {
		b = append(appendString(appendString(b, kv.Key), kv.Value), 0)
	}
	return b
}

// appendTag writes one tagged field; the number of them goes before the first.
func appendTag(b []byte, tag uint64, field []byte) []byte {
	b = binary.AppendUvarint(b, tag)
	return append(binary.AppendUvarint(b, uint64(len(field))), field...)
}

var errTorn = errors.New("value ends early")

// reader reads a flexible value. After bytes ran out everything it reads is zero.
type reader struct {
	b   []byte
	bad bool
}

func (r *reader) fail() { r.bad, r.b = true, nil }

func (r *reader) take(n int) []byte {
	if n < 0 || n > len(r.b) {
		r.fail()
		return nil
	}
	out := r.b[:n:n]
	r.b = r.b[n:]
	return out
}

func (r *reader) int8() int8 {
	if b := r.take(1); b != nil {
		return int8(b[0])
	}
	return 0
}

func (r *reader) int16() int16 {
	if b := r.take(2); b != nil {
		return int16(binary.BigEndian.Uint16(b))
	}
	return 0
}

func (r *reader) int32() int32 {
	if b := r.take(4); b != nil {
		return int32(binary.BigEndian.Uint32(b))
	}
	return 0
}

func (r *reader) int64() int64 {
	if b := r.take(8); b != nil {
		return int64(binary.BigEndian.Uint64(b))
	}
	return 0
}

// size reads a length or count; -1 is null. What is counted has at least one byte each.
func (r *reader) size() int {
	v, n := binary.Uvarint(r.b)
	if n <= 0 || v > uint64(len(r.b)-n)+1 {
		r.fail()
		return 0
	}
	r.b = r.b[n:]
	return int(v) - 1
}

func (r *reader) nullable() *string {
	n := r.size()
	if n < 0 {
		return nil
	}
	s := string(r.take(n))
	return &s
}

func (r *reader) string() string {
	if s := r.nullable(); s != nil {
		return *s
	}
	return ""
}

// each calls fn for the elements of an array until they or the bytes end.
func (r *reader) each(fn func()) {
	for range max(r.size(), 0) {
		if r.bad {
			return
		}
		fn()
	}
}

func (r *reader) strings() (out []string) {
	r.each(func() { out = append(out, r.string()) })
	return out
}

func (r *reader) int16s() (out []int16) {
	r.each(func() { out = append(out, r.int16()) })
	return out
}

func (r *reader) int32s() (out []int32) {
	r.each(func() { out = append(out, r.int32()) })
	return out
}

func (r *reader) keyValues() (out []KeyValue) {
	r.each(func() {
		kv := KeyValue{r.string(), r.string()}
		r.tags(nil)
		out = append(out, kv)
	})
	return out
}

// tags reads tagged fields and gives each to known, which may be nil.
func (r *reader) tags(known func(tag uint64, field *reader)) {
	count, n := binary.Uvarint(r.b)
	if n <= 0 || count > uint64(len(r.b)-n)/2 { // a field has two bytes at least
		r.fail()
		return
	}
	r.b = r.b[n:]
	for range count {
		tag, n := binary.Uvarint(r.b)
		r.take(n)
		size, m := binary.Uvarint(r.b)
		if r.bad || n <= 0 || m <= 0 || size > uint64(len(r.b)-m) {
			r.fail()
			return
		}
		r.take(m)
		field := reader{b: r.take(int(size))}
		if known != nil {
			known(tag, &field)
			r.bad = r.bad || field.bad
		}
	}
}

func (r *reader) end() error {
	switch {
	case r.bad:
		return errTorn
	case len(r.b) > 0:
		return fmt.Errorf("%d bytes after the value", len(r.b))
	}
	return nil
}
