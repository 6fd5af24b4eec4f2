package wal_test

import (
	"errors"
	"testing"
	"testing/synctest"

	"github.com/tidelinehq/tideline/internal/vfs/memfs"
	"github.com/tidelinehq/tideline/wal"
)

// A log that spans far more files than a partition remembers is readable from any offset, while its oldest files are freed
// one after the other and new ones come.
func TestReadAcrossFilesNotRemembered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const files, perFile, size = 150, 3, 17 << 10
		o := wal.Options{FS: memfs.New(1 << 30), Dir: "wal", FileBytes: 64 << 10, TailBytes: 1 << 20}
		l := open(t, o)
		p, err := l.Partition(id(1), 0)
		if err != nil {
			t.Fatal(err)
		}
		checkBytes := func(p *wal.Partition) {
			t.Helper()
			want := (p.End() - p.Start()) * int64(len(batch(0, 1, size, 0, 'x')))
			if n, err := p.Bytes(); err != nil || n != want {
				t.Fatalf("[%d, %d): %d bytes, want %d: %v", p.Start(), p.End(), n, want, err)
			}
		}
		fill := func(files int64) {
			for range files * perFile {
				mustAppend(t, p, batch(p.End(), 1, size, 0, 'x'))
			}
			synctest.Wait() // sealed
		}
		fill(files)
		for start := int64(0); start < (files-2)*perFile; start += 13 {
			p.SetStart(start)
			fill(1)
			checkBytes(p)
			for offset := max(0, start-1); offset < p.End(); offset += perFile {
				c, err := p.Read(offset, p.End(), 1, true)
				if offset < start {
					if !errors.Is(err, wal.ErrBelowStart) {
						t.Fatalf("start %d: read at %d: %v", start, offset, err)
					}
					continue
				}
				if err != nil {
					t.Fatalf("start %d: %v", start, err)
				}
				c.Release()
			}
		}
		if u := l.Usage(); u.Oldest < files/2 {
			t.Fatalf("nothing was freed: oldest file %d", u.Oldest)
		}
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		l = open(t, o)
		if p, err = l.Partition(id(1), 0); err != nil {
			t.Fatal(err)
		}
		checkBytes(p)
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
	})
}
