package segment

import (
	"bytes"
	"errors"
	"hash/crc32"
	"testing"
)

// The three answers: every cut of an object is torn or corrupt, every flipped bit is found, another version is named so.
func TestDamage(t *testing.T) {
	all, _ := log(0, 20, 2, 300, nil)
	a := part{start: SectionStart{}, end: SectionEnd{Epochs: []EpochStart{{0, 0}}, ProducerState: []byte("state")}, batches: [][]byte{all}}
	b := a
	b.start.Partition = 1
	data, _ := write(t, WriterOptions{BlockBytes: 4 << 10}, a, b)
	for n := range data {
		_, err := Verify(t.Context(), source(data[:n]), nil)
		if !errors.Is(err, ErrTorn) && !errors.Is(err, ErrCorrupt) {
			t.Fatalf("cut at %d of %d: %v", n, len(data), err)
		}
	}
	for i := range data {
		bad := bytes.Clone(data)
		bad[i] ^= 1 << (i % 8)
		_, err := Verify(t.Context(), source(bad), nil)
		if !errors.Is(err, ErrTorn) && !errors.Is(err, ErrCorrupt) {
			t.Fatalf("bit flipped at %d of %d: %v", i, len(data), err)
		}
	}
}

// reseal recomputes the checksum that lies behind b[:n].
func reseal(b []byte, n int) { le.PutUint32(b[n:], crc32.Checksum(b[:n], castagnoli)) }

func TestUnknownVersions(t *testing.T) {
	data, obj := write(t, WriterOptions{}, part{start: SectionStart{Sparse: true}, end: SectionEnd{End: 1}})
	footer := bytes.Clone(data[len(data)-FooterSize:])
	footer[52] = 2
	reseal(footer, 56)
	if _, err := ParseFooter(footer, obj.Size); !errors.Is(err, ErrVersion) {
		t.Error(err)
	}
	index := bytes.Clone(data[:obj.Sections[0].Size])
	index[len(index)-12] = 2
	reseal(index, len(index)-8)
	if _, err := ParseIndex(index, int64(len(index))); !errors.Is(err, ErrVersion) {
		t.Error(err)
	}
	f, err := ParseFooter(data, obj.Size)
	if err != nil {
		t.Fatal(err)
	}
	dir := bytes.Clone(data[f.DirectoryPosition:][:f.DirectorySize])
	dir[4] = 2
	reseal(dir, len(dir)-4)
	if _, err := ParseDirectory(dir, f); !errors.Is(err, ErrVersion) {
		t.Error(err)
	}
}

func TestDecodeIsBounded(t *testing.T) {
	all, _ := log(0, 100, 10, 1000, nil)
	data, obj := write(t, WriterOptions{}, part{batches: [][]byte{all}})
	s, err := OpenSection(t.Context(), source(data), 0, obj.Sections[0].Size)
	if err != nil {
		t.Fatal(err)
	}
	k := s.Index.Blocks[0]
	stored := data[:k.Stored]
	if _, err := k.Decode(nil, stored, int(k.Raw)-1); !errors.Is(err, ErrTooLarge) {
		t.Error(err)
	}
	if _, err := k.Decode(nil, stored[:len(stored)-1], 0); !errors.Is(err, ErrTorn) {
		t.Error(err)
	}
	bomb := k // an index that understates what is in the frame
	bomb.Raw--
	if _, err := bomb.Decode(nil, stored, 0); !errors.Is(err, ErrCorrupt) {
		t.Error(err)
	}
	over := k
	over.Raw++
	if _, err := over.Decode(nil, stored, 0); !errors.Is(err, ErrCorrupt) {
		t.Error(err)
	}
	dst := make([]byte, 0, k.Raw)
	raw, err := k.Decode(dst, stored, 0)
	if err != nil || &raw[0] != &dst[:1][0] {
		t.Errorf("decoded outside the given memory: %v", err)
	}
}
