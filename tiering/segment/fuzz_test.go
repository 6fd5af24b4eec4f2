package segment

import (
	"bytes"
	"errors"
	"path/filepath"
	"testing"
)

// addGolden seeds with the parts of the golden objects that pick selects.
func addGolden(f *testing.F, pick func(data []byte, footer Footer)) {
	for _, name := range []string{"bundle-raw.hex", "bundle-zstd.hex"} {
		data := readGolden(f, filepath.Join("testdata", "golden", "v1", name))
		footer, err := ParseFooter(data, int64(len(data)))
		if err != nil {
			f.Fatal(err)
		}
		pick(data, footer)
	}
}

// known fails on an error that is none of the promised answers.
func known(t *testing.T, err error) {
	t.Helper()
	for _, e := range []error{ErrTorn, ErrCorrupt, ErrVersion, ErrTooLarge} {
		if errors.Is(err, e) {
			return
		}
	}
	t.Fatalf("error of no class: %v", err)
}

// An index that is accepted encodes to the same bytes, and nothing that can be asked of it fails. The input's checksum is
// made right first, so that the checks behind it get work.
func FuzzIndex(f *testing.F) {
	addGolden(f, func(data []byte, footer Footer) {
		dir, err := ParseDirectory(data[footer.DirectoryPosition:len(data)-FooterSize], footer)
		if err != nil {
			f.Fatal(err)
		}
		for _, e := range dir {
			section := data[e.Position:][:e.Size]
			n, err := IndexSize(section)
			if err != nil {
				f.Fatal(err)
			}
			f.Add(section[e.Size-n:], e.Size)
		}
	})
	f.Fuzz(func(t *testing.T, b []byte, size int64) {
		b = bytes.Clone(b)
		if n, err := IndexSize(b); err == nil && n <= int64(len(b)) {
			reseal(b[int64(len(b))-n:], int(n)-8)
		}
		x, err := ParseIndex(b, size)
		if err != nil {
			known(t, err)
			return
		}
		again := *x
		if !bytes.Equal(appendIndex(nil, &again), b[int64(len(b))-x.Size:]) {
			// Reserved fields may hold anything in a later minor revision; nothing else may differ.
			y, err := ParseIndex(appendIndex(nil, &again), size)
			if err != nil || y.Chain != x.Chain || len(y.Blocks) != len(x.Blocks) {
				t.Fatalf("index does not survive a round trip: %v", err)
			}
		}
		for _, o := range []int64{-1, 0, x.Base, x.End - 1, x.End, 1<<63 - 1} {
			if i := x.FindOffset(o); i < len(x.Blocks) && x.Blocks[i].End <= o {
				t.Fatal("block ends before the offset")
			}
			if i := x.FindTimestamp(o); i < len(x.Blocks) && x.Blocks[i].MaxTimestamp < o {
				t.Fatal("block has no such timestamp")
			}
			x.AbortedIn(nil, o, x.End)
			x.EpochAt(o)
		}
	})
}

// Whatever the bytes and the entry are, decoding stays within the entry's size and never panics.
func FuzzBlock(f *testing.F) {
	addGolden(f, func(data []byte, footer Footer) {
		r, err := Open(f.Context(), source(data))
		if err != nil {
			f.Fatal(err)
		}
		for _, e := range r.Sections() {
			s, err := r.Section(f.Context(), e)
			if err != nil {
				f.Fatal(err)
			}
			for _, k := range s.Index.Blocks {
				f.Add(data[e.Position+k.Position:][:k.Stored], k.Raw, byte(k.Codec))
			}
		}
	})
	f.Fuzz(func(t *testing.T, stored []byte, raw int32, codec byte) {
		const limit = 1 << 20
		k := Block{Stored: int32(len(stored)), Raw: raw, Codec: Codec(codec % 2)}
		k.digest(stored)
		if k.Codec == Raw {
			k.Raw = k.Stored
		}
		if k.Raw < 0 {
			return
		}
		b, err := k.Decode(nil, stored, limit)
		if err != nil {
			known(t, err)
			return
		}
		if len(b) != int(k.Raw) || len(b) > limit && k.Codec != Raw {
			t.Fatalf("decoded %d bytes, entry says %d", len(b), k.Raw)
		}
		for batch, err := range Batches(b) {
			if err != nil {
				known(t, err)
				break
			}
			batch.NextOffset()
		}
	})
}

// Footer and directory of anything at all.
func FuzzFooter(f *testing.F) {
	addGolden(f, func(data []byte, footer Footer) {
		f.Add(data[footer.DirectoryPosition:], int64(len(data)))
	})
	f.Fuzz(func(t *testing.T, tail []byte, size int64) {
		tail = bytes.Clone(tail)
		if n := len(tail); n >= FooterSize {
			reseal(tail[n-FooterSize:], 56)
		}
		footer, err := ParseFooter(tail, size)
		if err != nil {
			known(t, err)
			return
		}
		dir := tail[:len(tail)-FooterSize]
		if int64(len(dir)) > footer.DirectorySize {
			dir = dir[int64(len(dir))-footer.DirectorySize:]
		}
		if len(dir) >= dirHeaderSize+4 {
			reseal(dir, len(dir)-4)
		}
		entries, err := ParseDirectory(dir, footer)
		if err != nil {
			known(t, err)
			return
		}
		if len(entries) != footer.Sections {
			t.Fatal("entries lost")
		}
	})
}
