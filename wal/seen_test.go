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
		const files, perFile = 300, 3
		l := open(t, wal.Options{FS: memfs.New(1 << 30), Dir: "wal", FileBytes: 64 << 10, TailBytes: 1 << 20})
		p, err := l.Partition(id(1), 0)
		if err != nil {
			t.Fatal(err)
		}
		fill := func(files int64) {
			for range files * perFile {
				mustAppend(t, p, batch(p.End(), 1, 17<<10, 0, 'x'))
			}
			synctest.Wait() // sealed
		}
		fill(files)
		for start := int64(0); start < (files-2)*perFile; start += 7 {
			p.SetStart(start)
			fill(1)
			for offset := max(0, start-1); offset < p.End(); offset += 11 {
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
	})
}
