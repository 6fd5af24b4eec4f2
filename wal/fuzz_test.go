package wal

import (
	"bytes"
	"os"
	"testing"

	"github.com/tidelinehq/tideline/internal/vfs/memfs"
)

func golden(f *testing.F) []byte {
	b, err := os.ReadFile(goldenFile)
	if err != nil {
		f.Fatal(err)
	}
	return unannotate(f, string(b))
}

// FuzzFrame decodes single structures: what parses must encode to the same bytes.
func FuzzFrame(f *testing.F) {
	b := golden(f)
	head, err := parseFileHeader(b)
	if err != nil {
		f.Fatal(err)
	}
	seed := head.seed()
	for at := 0; at < len(b); at += blockSize {
		f.Add(b[at:at+blockSize], uint32(at))
	}
	f.Fuzz(func(t *testing.T, b []byte, at uint32) {
		if h, ok := parseFrameHeader(b, seed, int64(at)); ok {
			again := make([]byte, frameHeaderSize)
			h.put(again, seed)
			if !bytes.Equal(again[:14], b[:14]) || !bytes.Equal(again[16:], b[16:frameHeaderSize]) {
				t.Fatalf("%x encodes to %x", b[:frameHeaderSize], again)
			}
			if len(b) > frameHeaderSize {
				parseAnchor(b[frameHeaderSize:])
			}
		}
		if a, state, ok := parseAnchor(b); ok {
			if again := a.append(nil, state); !bytes.Equal(again[4:], b[4:]) {
				t.Fatal("an anchor changes")
			}
		}
		if h, err := parseFileHeader(b); err == nil && (h.size < 2*blockSize || h.size > maxFileBytes) {
			t.Fatalf("size %d", h.size)
		}
	})
}

// FuzzIndex decodes footers and pages; what passes must lie inside the file.
func FuzzIndex(f *testing.F) {
	b := golden(f)
	head, err := parseFileHeader(b)
	if err != nil {
		f.Fatal(err)
	}
	for at := 0; at < len(b); at += blockSize {
		f.Add(b[at:at+blockSize], int64(len(b)))
	}
	f.Fuzz(func(t *testing.T, b []byte, size int64) {
		if size < 2*blockSize || size > maxFileBytes || size%blockSize != 0 {
			return // checked before anything is parsed
		}
		if foot, err := parseFileFooter(b, size); err == nil {
			for _, s := range []section{foot.metas, foot.dirs, foot.entries} {
				if s.position < foot.dataEnd || s.position > size-blockSize {
					t.Fatalf("section at %d of %d", s.position, size)
				}
			}
		}
		for kind, n := range map[pageKind]int{pageMetas: metaSize, pageDirs: dirSize, pageEntries: entrySize} {
			records, count, ok := openPage(b, head.seed(), kind, 0, n)
			if ok && len(records) != count*n {
				t.Fatal("page")
			}
		}
	})
}

// FuzzOpen recovers a file with some bytes changed: it must not panic, must not hang, and what it serves must be what
// was appended.
func FuzzOpen(f *testing.F) {
	b := golden(f)
	f.Add(uint32(4096), []byte{1})
	f.Add(uint32(4096*3+50), []byte{0xff, 0xff})
	f.Add(uint32(len(b)-blockSize+40), []byte{9})
	f.Add(uint32(0), bytes.Repeat([]byte{0}, 64))
	one, two := testBatch(100, "one"), testBatch(101, "two")
	f.Fuzz(func(t *testing.T, at uint32, change []byte) {
		broken := bytes.Clone(b)
		copy(broken[int(at)%len(broken):], change)
		fs := memfs.New(0)
		if err := fs.MkdirAll("/wal"); err != nil {
			t.Fatal(err)
		}
		file, err := fs.Create("/wal/"+fileName(1), 0)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := file.WriteAt(broken, 0); err != nil {
			t.Fatal(err)
		}
		l, err := Open(Options{FS: fs, Dir: "/wal", FileBytes: minFileBytes, MaxBytes: 1 << 20, TailBytes: 1 << 16})
		if err != nil {
			return
		}
		for _, p := range l.Partitions() {
			for at := p.Start(); at < p.End(); at++ {
				c, err := p.Read(at, at+1, 1000, true)
				if err != nil {
					continue
				}
				got := bytes.Join(c.Buffers, nil)
				if len(got) > 0 && !bytes.Equal(got, one) && !bytes.Equal(got, two) && !bytes.Equal(got, testBatch(102, "three")) {
					t.Fatalf("offset %d serves %x", at, got)
				}
				c.Release()
			}
			p.State()
		}
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
	})
}
