package vfs_test

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"path/filepath"
	"testing"

	"github.com/tidelinehq/tideline/internal/vfs"
	"github.com/tidelinehq/tideline/internal/vfs/memfs"
)

func TestStream(t *testing.T) {
	for name, c := range map[string]struct {
		fs  vfs.FS
		dir string
	}{"os": {vfs.OS(), t.TempDir()}, "memory": {memfs.New(0), "."}} {
		t.Run(name, func(t *testing.T) {
			for _, size := range []int{0, 1, vfs.BlockSize - 1, vfs.BlockSize, 1<<20 - 1, 1 << 20, 1<<20 + 1, 3<<20 + 17} {
				testStream(t, c.fs, filepath.Join(c.dir, "stream"), size)
			}
		})
	}
}

func testStream(t *testing.T, fs vfs.FS, name string, size int) {
	t.Helper()
	f, err := fs.Create(name, vfs.Direct)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := f.Close(); err != nil {
			t.Error(err)
		}
	}()
	want := make([]byte, size)
	rnd := rand.New(rand.NewPCG(1, uint64(size)))
	for i := range want {
		want[i] = byte(rnd.Uint32())
	}
	w := vfs.NewWriter(f)
	for rest := want; len(rest) > 0; {
		n := min(len(rest), 1+rnd.IntN(200_000))
		if _, err := w.Write(rest[:n]); err != nil {
			t.Fatal(err)
		}
		rest = rest[n:]
	}
	if err := w.Finish(); err != nil {
		t.Fatal(err)
	}
	if got, err := f.Size(); err != nil || got != int64(size) {
		t.Fatalf("size=%d err=%v, want %d", got, err, size)
	}
	r := vfs.NewReader(f, int64(size))
	defer r.Close()
	got, err := io.ReadAll(io.NewSectionReader(r, 0, int64(size)))
	if err != nil || !bytes.Equal(got, want) {
		t.Fatalf("size %d: read back differs: bytes=%d err=%v", size, len(got), err)
	}
	for range 20 {
		if size == 0 {
			break
		}
		from := rnd.IntN(size)
		b := make([]byte, rnd.IntN(size-from)+1)
		if _, err := r.ReadAt(b, int64(from)); err != nil || !bytes.Equal(b, want[from:from+len(b)]) {
			t.Fatalf("size %d: range [%d,+%d): %v", size, from, len(b), err)
		}
	}
	if _, err := r.ReadAt(make([]byte, 1), int64(size)); !errors.Is(err, io.EOF) {
		t.Errorf("at the end: %v", err)
	}
}
