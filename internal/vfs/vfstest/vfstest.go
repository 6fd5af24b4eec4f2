package vfstest

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"path"
	"testing"

	"github.com/tidelinehq/tideline/internal/vfs"
)

// Run checks an implementation; dir is an empty directory of it.
func Run(t *testing.T, f vfs.FS, dir string) {
	t.Run("names", func(t *testing.T) { names(t, f, path.Join(dir, "names")) })
	t.Run("bytes", func(t *testing.T) { content(t, f, path.Join(dir, "bytes")) })
	t.Run("direct", func(t *testing.T) { direct(t, f, path.Join(dir, "direct")) })
	t.Run("lock", func(t *testing.T) { locking(t, f, path.Join(dir, "lock")) })
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func want(t *testing.T, err, target error) {
	t.Helper()
	if !errors.Is(err, target) {
		t.Fatalf("error %v, want %v", err, target)
	}
}

func names(t *testing.T, f vfs.FS, dir string) {
	a, b := path.Join(dir, "sub", "a"), path.Join(dir, "sub", "b")
	_, err := f.ReadDir(path.Dir(a))
	want(t, err, fs.ErrNotExist)
	_, err = f.Create(a, 0)
	want(t, err, fs.ErrNotExist)
	must(t, f.MkdirAll(path.Dir(a)))
	must(t, f.MkdirAll(path.Dir(a)))
	_, err = f.Open(a, 0)
	want(t, err, fs.ErrNotExist)
	h, err := f.Create(a, vfs.Exclusive)
	must(t, err)
	_, err = h.WriteAt([]byte("one"), 0)
	must(t, err)
	must(t, h.Close())
	_, err = f.Create(a, vfs.Exclusive)
	want(t, err, fs.ErrExist)
	h, err = f.OpenOrCreate(b, 0)
	must(t, err)
	_, err = h.WriteAt([]byte("second"), 0)
	must(t, err)

	infos, err := f.ReadDir(path.Dir(a))
	must(t, err)
	if len(infos) != 2 || infos[0].Name != "a" || infos[0].Size != 3 || infos[1].Name != "b" || infos[1].Size != 6 || infos[0].IsDir {
		t.Fatalf("listing %v", infos)
	}
	infos, err = f.ReadDir(dir)
	must(t, err)
	if len(infos) != 1 || !infos[0].IsDir || infos[0].Name != "sub" {
		t.Fatalf("listing %v", infos)
	}

	must(t, f.Rename(a, b)) // over an open file, which stays readable
	got := make([]byte, 6)
	_, err = h.ReadAt(got, 0)
	must(t, err)
	if string(got) != "second" {
		t.Fatalf("read %q from a replaced file", got)
	}
	must(t, h.Close())
	info, err := f.Stat(b)
	must(t, err)
	if info.Size != 3 || info.Name != "b" {
		t.Fatalf("stat %+v", info)
	}
	_, err = f.Stat(a)
	want(t, err, fs.ErrNotExist)
	want(t, f.Rename(a, b), fs.ErrNotExist)
	must(t, f.SyncDir(path.Dir(a)))
	if err := f.Remove(path.Dir(a)); err == nil {
		t.Fatal("a full directory was removed")
	}
	must(t, f.Remove(b))
	want(t, f.Remove(b), fs.ErrNotExist)
	must(t, f.Remove(path.Dir(a)))
	u, err := f.DiskUsage(dir)
	must(t, err)
	if u.Total <= 0 || u.Free < 0 || u.Free > u.Total {
		t.Fatalf("usage %+v", u)
	}
}

func content(t *testing.T, f vfs.FS, dir string) {
	must(t, f.MkdirAll(dir))
	name := path.Join(dir, "f")
	h, err := f.Create(name, 0)
	must(t, err)
	model := make([]byte, 0, 40000)
	write := func(b []byte, at int) {
		t.Helper()
		if n, err := h.WriteAt(b, int64(at)); err != nil || n != len(b) {
			t.Fatalf("wrote %d: %v", n, err)
		}
		if need := at + len(b); need > len(model) {
			model = append(model, make([]byte, need-len(model))...)
		}
		copy(model[at:], b)
	}
	check := func() {
		t.Helper()
		size, err := h.Size()
		must(t, err)
		if size != int64(len(model)) {
			t.Fatalf("size %d, want %d", size, len(model))
		}
		got := make([]byte, len(model))
		if _, err := h.ReadAt(got, 0); err != nil && !(err == io.EOF) {
			t.Fatal(err)
		}
		if !bytes.Equal(got, model) {
			t.Fatal("bytes differ")
		}
	}
	write([]byte("hello"), 0)
	write(bytes.Repeat([]byte{7}, 9000), 4090) // across pages, behind a hole
	check()
	write([]byte("over"), 2)
	must(t, h.Sync())
	check()
	must(t, h.Truncate(5000))
	model = model[:5000]
	check()
	must(t, h.Truncate(12000)) // what was cut must not come back
	model = append(model, make([]byte, 7000)...)
	check()
	must(t, h.Preallocate(0, 20000))
	model = append(model, make([]byte, 8000)...)
	check()
	must(t, h.Preallocate(0, 100)) // never shrinks
	check()
	n, err := h.ReadAt(make([]byte, 100), 19950)
	if n != 50 || err != io.EOF {
		t.Fatalf("read across the end: %d %v", n, err)
	}
	must(t, h.Close())

	r, err := f.Open(name, vfs.ReadOnly)
	must(t, err)
	if _, err := r.WriteAt([]byte("x"), 0); err == nil {
		t.Fatal("a read-only file was written")
	}
	must(t, r.Close())
	h, err = f.Create(name, 0)
	must(t, err)
	model = model[:0]
	check()
	must(t, h.Close())
}

func direct(t *testing.T, f vfs.FS, dir string) {
	must(t, f.MkdirAll(dir))
	name := path.Join(dir, "f")
	h, err := f.Create(name, vfs.Direct)
	must(t, err)
	b := vfs.AlignedBuffer(3 * vfs.BlockSize)
	for i := range b {
		b[i] = byte(i / 7)
	}
	_, err = h.WriteAt(b, vfs.BlockSize)
	must(t, err)
	must(t, h.Sync())
	r, err := f.Open(name, vfs.ReadOnly) // buffered beside direct
	must(t, err)
	got := make([]byte, len(b))
	_, err = r.ReadAt(got, vfs.BlockSize)
	must(t, err)
	if !bytes.Equal(got, b) {
		t.Fatal("bytes differ")
	}
	b[0]++
	_, err = h.WriteAt(b[:vfs.BlockSize], vfs.BlockSize)
	must(t, err)
	_, err = r.ReadAt(got[:10], vfs.BlockSize)
	must(t, err)
	if got[0] != b[0] {
		t.Fatal("a buffered reader does not see a direct write")
	}
	if h.Direct() {
		if _, err := h.WriteAt(b[:100], 0); err == nil {
			t.Fatal("a direct file took an unaligned length")
		}
		if _, err := h.WriteAt(b[1:vfs.BlockSize+1], 0); err == nil {
			t.Fatal("a direct file took unaligned memory")
		}
	}
	must(t, r.Close())
	must(t, h.Close())
}

func locking(t *testing.T, f vfs.FS, dir string) {
	must(t, f.MkdirAll(dir))
	name := path.Join(dir, "LOCK")
	l, err := f.Lock(name)
	must(t, err)
	_, err = f.Lock(name)
	want(t, err, vfs.ErrLocked)
	must(t, l.Close())
	l, err = f.Lock(name)
	must(t, err)
	must(t, l.Close())
}
