package codec

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math"
	"testing"
)

func TestReadBack(t *testing.T) {
	var b []byte
	b = AppendBool(b, true)
	b = AppendBool(b, false)
	b = append(b, 0xfe)
	b = binary.BigEndian.AppendUint16(b, 0xfffe)
	b = binary.BigEndian.AppendUint32(b, 0xfffffffe)
	b = binary.BigEndian.AppendUint64(b, 0xfffffffffffffffe)
	b = append(b, bytes.Repeat([]byte{7}, 16)...)
	b = binary.AppendUvarint(b, math.MaxUint64)
	b = binary.AppendUvarint(b, math.MaxUint32)
	b = binary.AppendVarint(b, math.MinInt64)
	b = AppendBytes(b, []byte{})
	b = AppendString(b, "tide")
	b = binary.AppendUvarint(b, 2)
	b = append(b, 1, 2)
	r := NewReader(b)
	if !r.Bool() || r.Bool() || r.Int8() != -2 || r.Int16() != -2 || r.Int32() != -2 || r.Int64() != -2 || r.UUID()[15] != 7 ||
		r.Uvarint() != math.MaxUint64 || r.Uvarint32() != math.MaxUint32 || r.Varint() != math.MinInt64 {
		t.Fatal(r.Err(), r.Offset())
	}
	if e := r.Bytes(); e == nil || len(e) != 0 {
		t.Fatal(e)
	}
	if s := r.String(); s != "tide" {
		t.Fatal(s)
	}
	if n := r.Count(1); n != 2 {
		t.Fatal(n)
	}
	if err := r.Finish(); !errors.Is(err, ErrInvalid) {
		t.Fatal(err)
	}
	if rest := r.Rest(); len(rest) != 2 || cap(rest) != 2 || r.Finish() != nil {
		t.Fatal(rest)
	}
}

func TestFailures(t *testing.T) {
	for name, c := range map[string]struct {
		in   []byte
		read func(*Reader)
		err  error
	}{
		"short int":       {[]byte{1, 2, 3}, func(r *Reader) { r.Int32() }, ErrShort},
		"short uuid":      {make([]byte, 15), func(r *Reader) { r.UUID() }, ErrShort},
		"negative take":   {nil, func(r *Reader) { r.Take(-1) }, ErrInvalid},
		"short varint":    {[]byte{0x80}, func(r *Reader) { r.Uvarint() }, ErrShort},
		"long varint":     {bytes.Repeat([]byte{0xff}, 11), func(r *Reader) { r.Uvarint() }, ErrInvalid},
		"33 bits":         {binary.AppendUvarint(nil, 1<<32), func(r *Reader) { r.Uvarint32() }, ErrInvalid},
		"length too long": {[]byte{5, 1}, func(r *Reader) { r.Bytes() }, ErrShort},
		"2 GiB length":    {binary.AppendUvarint(nil, 1<<31), func(r *Reader) { r.Bytes() }, ErrInvalid},
		"count too great": {[]byte{2, 0, 0, 0}, func(r *Reader) { r.Count(2) }, ErrShort},
		"own":             {[]byte{1}, func(r *Reader) { r.Fail(ErrInvalid) }, ErrInvalid},
	} {
		r := NewReader(c.in)
		c.read(&r)
		if !errors.Is(r.Err(), c.err) || !errors.Is(r.Finish(), c.err) {
			t.Errorf("%s: %v, want %v", name, r.Err(), c.err)
		}
		if r.Remaining() != 0 || r.Uint8() != 0 || r.Uvarint() != 0 || r.Bytes() != nil || r.Count(1) != 0 || len(r.Rest()) != 0 {
			t.Errorf("%s: reads go on after the failure", name)
		}
	}
}

func TestUvarintLen(t *testing.T) {
	for _, v := range []uint64{0, 1, 127, 128, 1 << 14, 1<<14 - 1, math.MaxUint32, math.MaxUint64} {
		if got, want := UvarintLen(v), len(binary.AppendUvarint(nil, v)); got != want {
			t.Errorf("%d: %d, want %d", v, got, want)
		}
	}
}

func TestCRC32C(t *testing.T) {
	// The check value of RFC 3720.
	if got := CRC32C([]byte("1234"), []byte("56789")); got != 0xe3069283 {
		t.Fatalf("%08x", got)
	}
}

// FuzzReader drives a reader by a script: no panic, no view beyond the bytes.
func FuzzReader(f *testing.F) {
	f.Add([]byte{0, 1, 2, 3, 4, 5, 6, 7, 8, 9}, []byte("some bytes to read, some bytes to read"))
	f.Fuzz(func(t *testing.T, script, in []byte) {
		r := NewReader(in)
		for _, op := range script {
			switch op % 12 {
			case 0:
				r.Bool()
			case 1:
				r.Int16()
			case 2:
				r.Int32()
			case 3:
				r.Int64()
			case 4:
				r.UUID()
			case 5:
				r.Uvarint()
			case 6:
				r.Uvarint32()
			case 7:
				r.Varint()
			case 8:
				r.Bytes()
			case 9:
				_ = r.String()
			case 10:
				r.Skip(int(op))
			case 11:
				if n := r.Count(3); n*3 > len(in) {
					t.Fatal(n)
				}
			}
			if r.Offset() > len(in) || r.Remaining() > len(in) {
				t.Fatal(r.Offset())
			}
		}
	})
}
