package wal_test

import (
	"testing"

	"github.com/tidelinehq/tideline/internal/vfs/memfs"
	"github.com/tidelinehq/tideline/wal"
)

// TestAReadTellsWhereItsBytesWere: in memory while the tail has them, on disk after a restart.
func TestAReadTellsWhereItsBytesWere(t *testing.T) {
	o := wal.Options{FS: memfs.New(0), Dir: "wal", FileBytes: 4 << 20, MaxBytes: 16 << 20, TailBytes: 4 << 20}
	for _, restarted := range []bool{false, true} {
		l := open(t, o)
		p, err := l.Partition(id(1), 0)
		if err != nil {
			t.Fatal(err)
		}
		if !restarted {
			mustAppend(t, p, batch(0, 3, 1000, 1, 'a'))
			mustAppend(t, p, batch(3, 1, 1000, 1, 'b'))
		}
		c, err := p.Read(0, 4, 1<<20, true)
		if err != nil {
			t.Fatal(err)
		}
		want := 0
		if restarted {
			want = c.Bytes
		}
		if c.Bytes == 0 || c.DiskBytes != want {
			t.Errorf("restarted=%t bytes=%d of them from disk=%d", restarted, c.Bytes, c.DiskBytes)
		}
		c.Release()
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
	}
}
