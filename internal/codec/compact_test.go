package codec

import (
	"bytes"
	"encoding/hex"
	"errors"
	"slices"
	"strings"
	"testing"
)

// goldenCompact is a flexible structure with one of everything.
const goldenCompact = `
	0002                   int16
	00000003               int32
	0000000000000004       int64
	0001 74                short string
	05 74696465            string
	00                     null string
	03 0102                bytes
	03 02 61 03 6263       strings
	02 00000007            int32s
	03 0008 ffff           int16s
	01                     int32s, none
	02                     tagged fields
	00 02 0005             tag 0
	81 01 00               tag 129, empty
`

func golden(t testing.TB) []byte {
	var digits strings.Builder
	for line := range strings.Lines(goldenCompact) {
		for _, f := range strings.Fields(line) {
			if strings.Trim(f, "0123456789abcdef") == "" && len(f)%2 == 0 {
				digits.WriteString(f)
				continue
			}
			break
		}
	}
	b, err := hex.DecodeString(digits.String())
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestCompactBytes(t *testing.T) {
	var b []byte
	b = AppendInt16(b, 2)
	b = AppendInt32(b, 3)
	b = AppendInt64(b, 4)
	b = AppendShortString(b, "t")
	tide := "tide"
	b = AppendCompactNullable(b, &tide)
	b = AppendCompactNullable(b, nil)
	b = AppendCompact(b, []byte{1, 2})
	b = AppendCompactStrings(b, []string{"a", "bc"})
	b = AppendCompactInt32s(b, []int32{7})
	b = AppendCompactInt16s(b, []int16{8, -1})
	b = AppendCompactInt32s(b, nil)
	b = AppendTags(b, Tag{0, AppendInt16(nil, 5)}, Tag{129, nil})
	if want := golden(t); !bytes.Equal(b, want) {
		t.Fatalf("\n got %x\nwant %x", b, want)
	}
	r := NewReader(b)
	if r.Int16() != 2 || r.Int32() != 3 || r.Int64() != 4 || r.ShortString() != "t" || *r.CompactNullable() != tide || r.CompactNullable() != nil {
		t.Fatal(r.Err(), r.Offset())
	}
	if v := r.CompactBytes(); !bytes.Equal(v, []byte{1, 2}) || cap(v) != 2 {
		t.Fatal(v)
	}
	if v := r.CompactStrings(); !slices.Equal(v, []string{"a", "bc"}) {
		t.Fatal(v)
	}
	if v := r.CompactInt32s(); !slices.Equal(v, []int32{7}) {
		t.Fatal(v)
	}
	if v := r.CompactInt16s(); !slices.Equal(v, []int16{8, -1}) {
		t.Fatal(v)
	}
	if v := r.CompactInt32s(); v != nil {
		t.Fatal(v)
	}
	var tags []uint64
	r.Tags(func(tag uint64, field *Reader) {
		if tags = append(tags, tag); tag == 0 && field.Int16() != 5 {
			t.Error(field.Err())
		}
	})
	if err := r.Finish(); err != nil || !slices.Equal(tags, []uint64{0, 129}) {
		t.Fatal(err, tags)
	}
}

func TestCompactNull(t *testing.T) {
	r := NewReader([]byte{0, 0, 0, 0, 1, 1})
	if r.CompactLen(1) != -1 || r.CompactBytes() != nil || r.CompactString() != "" || r.CompactStrings() != nil {
		t.Fatal(r.Offset())
	}
	if b := r.CompactBytes(); b == nil || len(b) != 0 {
		t.Fatal("empty bytes are not null")
	}
	if s := r.CompactNullable(); s == nil || *s != "" {
		t.Fatal("an empty string is not null")
	}
	if err := r.Finish(); err != nil {
		t.Fatal(err)
	}
}

func TestCompactFailures(t *testing.T) {
	null := func(r *Reader) { r.Tags(nil) }
	for name, c := range map[string]struct {
		in   []byte
		read func(*Reader)
		err  error
	}{
		"nothing":           {nil, func(r *Reader) { r.CompactLen(1) }, ErrShort},
		"length too long":   {[]byte{4, 1, 2}, func(r *Reader) { r.CompactBytes() }, ErrShort},
		"count too great":   {[]byte{3, 0, 0, 0}, func(r *Reader) { r.CompactLen(2) }, ErrShort},
		"greatest count":    {[]byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1}, func(r *Reader) { r.CompactLen(1) }, ErrShort},
		"numbers torn":      {[]byte{3, 0, 0, 0, 1, 0, 0, 0}, func(r *Reader) { r.CompactInt32s() }, ErrShort},
		"second string":     {[]byte{3, 1, 5, 0}, func(r *Reader) { r.CompactStrings() }, ErrShort},
		"negative string":   {[]byte{0xff, 0xff, 1}, func(r *Reader) { _ = r.ShortString() }, ErrInvalid},
		"short string torn": {[]byte{0, 2, 1}, func(r *Reader) { _ = r.ShortString() }, ErrShort},
		"many tags":         {[]byte{0xff, 0xff, 0xff, 0xff, 0x0f, 0, 0}, null, ErrShort},
		"tag too long":      {[]byte{1, 0, 5, 1}, null, ErrShort},
		"field torn":        {[]byte{1, 0, 1, 1}, func(r *Reader) { r.Tags(func(_ uint64, f *Reader) { f.Int32() }) }, ErrShort},
	} {
		r := NewReader(c.in)
		if c.read(&r); !errors.Is(r.Err(), c.err) {
			t.Errorf("%s: %v, want %v", name, r.Err(), c.err)
		}
		if r.CompactLen(1) != 0 || r.CompactBytes() != nil || r.CompactNullable() != nil || r.CompactStrings() != nil || r.ShortString() != "" {
			t.Errorf("%s: reads go on after the failure", name)
		}
		r.CompactEach(1, func() { t.Errorf("%s: an element after the failure", name) })
		r.Tags(func(uint64, *Reader) { t.Errorf("%s: a field after the failure", name) })
	}
}

// FuzzCompact drives a reader by a script: no panic, and nothing larger than the bytes.
func FuzzCompact(f *testing.F) {
	f.Add([]byte{0, 1, 2, 3, 4, 5, 6, 7}, golden(f))
	f.Add([]byte{7}, []byte{1, 0, 3, 1, 2, 3})
	f.Fuzz(func(t *testing.T, script, in []byte) {
		r := NewReader(in)
		for _, op := range script {
			before := r.Remaining()
			size := 0
			switch op % 8 {
			case 0:
				size = 3 * r.CompactLen(3)
			case 1:
				size = len(r.CompactBytes())
			case 2:
				if s := r.CompactNullable(); s != nil {
					size = len(*s)
				}
			case 3:
				size = len(r.CompactStrings())
			case 4:
				size = 4 * len(r.CompactInt32s())
			case 5:
				size = 2 * len(r.CompactInt16s())
			case 6:
				size = len(r.ShortString())
			case 7:
				r.Tags(func(_ uint64, field *Reader) { size += field.Remaining() })
			}
			if size > before || r.Offset() > len(in) {
				t.Fatal(op, size, before, r.Offset())
			}
		}
	})
}
