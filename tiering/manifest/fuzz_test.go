package manifest

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"math/rand/v2"
	"reflect"
	"testing"
)

// reseal gives bytes from the fuzzer a right length and checksum, so that it gets past the frame.
func reseal(b []byte) []byte {
	if len(b) < pageMinSize {
		return b
	}
	b = bytes.Clone(b)
	copy(b, pageMagic[:])
	b[4] = pageVersion
	binary.LittleEndian.PutUint32(b[32:], uint32(len(b)-pageMinSize))
	binary.LittleEndian.PutUint32(b[len(b)-4:], crc32.Checksum(b[:len(b)-4], castagnoli))
	return b
}

func FuzzLeaf(f *testing.F) {
	rnd := rand.New(rand.NewPCG(1, 2))
	for _, n := range []int{1, 3} {
		b, err := AppendLeaf(nil, testID, run(rnd, 10, n))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, b := range [][]byte{b, reseal(b)} {
			id, _, _, _, err := openPage(b)
			if err != nil {
				continue
			}
			segs, err := DecodeLeaf(b, PageRef{}, id)
			if err != nil {
				continue
			}
			again, err := AppendLeaf(nil, id, segs)
			if err != nil {
				t.Fatalf("decoded what cannot be encoded: %v", err)
			}
			back, err := DecodeLeaf(again, PageRef{}, id)
			if err != nil || !reflect.DeepEqual(back, segs) {
				t.Fatalf("round trip: %v", err)
			}
		}
	})
}

func FuzzInner(f *testing.F) {
	rnd := rand.New(rand.NewPCG(1, 2))
	a, b := run(rnd, 0, 4), []Segment(nil)
	b = run(rnd, a[3].End, 2)
	page, err := AppendInner(nil, testID, []LeafRef{
		Summarize(PageRef{Object: [16]byte{1}, Position: 24, Size: 400, CRC: 5}, a), Summarize(PageRef{Object: [16]byte{2}, Position: 24, Size: 300, CRC: 6}, b)})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(page)
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, b := range [][]byte{b, reseal(b)} {
			id, _, _, _, err := openPage(b)
			if err != nil {
				continue
			}
			leaves, err := DecodeInner(b, PageRef{}, id)
			if err != nil {
				continue
			}
			again, err := AppendInner(nil, id, leaves)
			if err != nil {
				t.Fatalf("decoded what cannot be encoded: %v", err)
			}
			back, err := DecodeInner(again, PageRef{}, id)
			if err != nil || !reflect.DeepEqual(back, leaves) {
				t.Fatalf("round trip: %v", err)
			}
		}
	})
}

func FuzzDirectory(f *testing.F) {
	object := [16]byte{1, 2, 3}
	var buf bytes.Buffer
	w := NewObjectWriter(&buf, object)
	page, err := AppendLeaf(nil, testID, run(rand.New(rand.NewPCG(1, 2)), 0, 1))
	if err != nil {
		f.Fatal(err)
	}
	if _, err := w.Add(testID, KindLeaf, page); err != nil {
		f.Fatal(err)
	}
	if _, err := w.Close(); err != nil {
		f.Fatal(err)
	}
	f.Add(buf.Bytes())
	f.Fuzz(func(t *testing.T, b []byte) {
		entries, err := ReadDirectory(bytes.NewReader(b), int64(len(b)), object)
		if err != nil {
			return
		}
		for _, e := range entries {
			if e.Ref.Position < 0 || e.Ref.Position+int64(e.Ref.Size) > int64(len(b)) {
				t.Fatalf("page outside the object: %+v", e)
			}
		}
	})
}
