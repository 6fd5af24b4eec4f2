package codec

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
)

var (
	// ErrShort means that the bytes end before the value does.
	ErrShort = errors.New("bytes end early")
	// ErrInvalid means that a value cannot be, whatever bytes may follow.
	ErrInvalid = errors.New("invalid encoding")
)

// Reader decodes values off the front of a byte slice. The zero value is at the
// end of nothing.
type Reader struct {
	buf []byte
	off int
	err error
}

// NewReader reads b, which it keeps.
func NewReader(b []byte) Reader { return Reader{buf: b} }

// Reset starts over with b.
func (r *Reader) Reset(b []byte) { *r = Reader{buf: b} }

// Err is the first failure: ErrShort or ErrInvalid, wrapped with its position.
func (r *Reader) Err() error { return r.err }

// Offset is the number of bytes read; after a failure, where it happened.
func (r *Reader) Offset() int { return r.off }

// Remaining is the number of bytes not yet read; 0 after a failure.
func (r *Reader) Remaining() int {
	if r.err != nil {
		return 0
	}
	return len(r.buf) - r.off
}

// Rest is a view of all that remains, and reads it.
func (r *Reader) Rest() []byte { return r.Take(r.Remaining()) }

// Fail makes err the reader's failure unless it has one; decoders use it for
// values that they refuse themselves.
func (r *Reader) Fail(err error) {
	if r.err == nil {
		r.err = fmt.Errorf("%w: position=%d", err, r.off)
	}
}

// Finish is Err, or ErrInvalid when bytes remain that nothing explains.
func (r *Reader) Finish() error {
	if r.err == nil && r.off != len(r.buf) {
		return fmt.Errorf("%w: bytes after the end, count=%d", ErrInvalid, len(r.buf)-r.off)
	}
	return r.err
}

// Take is a view of the next n bytes, of exactly that capacity; nil on failure.
func (r *Reader) Take(n int) []byte {
	if r.err != nil {
		return nil
	}
	if n < 0 {
		r.Fail(ErrInvalid)
		return nil
	}
	if n > len(r.buf)-r.off {
		r.Fail(ErrShort)
		return nil
	}
	b := r.buf[r.off : r.off+n : r.off+n]
	r.off += n
	return b
}

// Skip passes n bytes.
func (r *Reader) Skip(n int) { r.Take(n) }

// Uint8 reads one byte.
func (r *Reader) Uint8() uint8 {
	if b := r.Take(1); b != nil {
		return b[0]
	}
	return 0
}

// Peek is the next byte, unread; -1 at the end or after a failure.
func (r *Reader) Peek() int {
	if r.err != nil || r.off >= len(r.buf) {
		return -1
	}
	return int(r.buf[r.off])
}

// Bool reads one byte; any but 0 is true.
func (r *Reader) Bool() bool { return r.Uint8() != 0 }

// Int8 reads one byte.
func (r *Reader) Int8() int8 { return int8(r.Uint8()) }

// Uint16 reads two bytes.
func (r *Reader) Uint16() uint16 {
	if b := r.Take(2); b != nil {
		return binary.BigEndian.Uint16(b)
	}
	return 0
}

// Int16 reads two bytes.
func (r *Reader) Int16() int16 { return int16(r.Uint16()) }

// Uint32 reads four bytes.
func (r *Reader) Uint32() uint32 {
	if b := r.Take(4); b != nil {
		return binary.BigEndian.Uint32(b)
	}
	return 0
}

// Int32 reads four bytes.
func (r *Reader) Int32() int32 { return int32(r.Uint32()) }

// Uint64 reads eight bytes.
func (r *Reader) Uint64() uint64 {
	if b := r.Take(8); b != nil {
		return binary.BigEndian.Uint64(b)
	}
	return 0
}

// Int64 reads eight bytes.
func (r *Reader) Int64() int64 { return int64(r.Uint64()) }

// UUID reads sixteen bytes.
func (r *Reader) UUID() (id [16]byte) {
	copy(id[:], r.Take(16))
	return id
}

// Uvarint reads an unsigned varint of at most 64 bits.
func (r *Reader) Uvarint() uint64 {
	if r.err != nil {
		return 0
	}
	if r.off < len(r.buf) && r.buf[r.off] < 0x80 {
		r.off++
		return uint64(r.buf[r.off-1])
	}
	v, n := binary.Uvarint(r.buf[r.off:])
	switch {
	case n == 0 && len(r.buf)-r.off < binary.MaxVarintLen64:
		r.Fail(ErrShort)
		return 0
	case n <= 0:
		r.Fail(ErrInvalid)
		return 0
	}
	r.off += n
	return v
}

// Uvarint32 reads an unsigned varint of at most 32 bits.
func (r *Reader) Uvarint32() uint32 {
	v := r.Uvarint()
	if v > math.MaxUint32 {
		r.Fail(ErrInvalid)
		return 0
	}
	return uint32(v)
}

// Varint reads a zigzag varint of at most 64 bits.
func (r *Reader) Varint() int64 {
	u := r.Uvarint()
	return int64(u>>1) ^ -int64(u&1)
}

// Bytes is a view of a byte string behind its uvarint length; empty, not nil,
// when the length is 0, nil on failure.
func (r *Reader) Bytes() []byte {
	n := r.Uvarint()
	if n > math.MaxInt32 {
		r.Fail(ErrInvalid)
		return nil
	}
	return r.Take(int(n))
}

// String is a copy of a byte string behind its uvarint length.
func (r *Reader) String() string { return string(r.Bytes()) }

// ShortString is a copy of a string behind a length of two bytes.
func (r *Reader) ShortString() string { return string(r.Take(int(r.Int16()))) }

// Count reads a uvarint number of elements, of which each takes at least
// elementBytes (≥ 1) bytes; a count that the remaining bytes cannot hold fails,
// so that the caller may make room for it.
func (r *Reader) Count(elementBytes int) int {
	n := r.Uvarint()
	if n > uint64(r.Remaining()/elementBytes) {
		r.Fail(ErrShort)
		return 0
	}
	return int(n)
}
