package wal_test

import (
	"bytes"
	"testing"

	"github.com/tidelinehq/tideline/internal/vfs/memfs"
	"github.com/tidelinehq/tideline/wal"
)

// ahead reads what it is told of before that is durable.
type ahead struct {
	waiter
	p    *wal.Partition
	from int64
	got  chan []byte
}

func (a ahead) AppendLaid(*wal.Append) {
	var all []byte
	for at := a.from; at < a.p.AheadEnd(); {
		c := a.p.ReadAhead(at, 1<<20)
		if c == nil {
			break
		}
		for _, b := range c.Buffers {
			all = append(all, b...)
		}
		at = c.NextOffset
		c.Release()
	}
	a.got <- all
}

// TestReadAhead: what is on its way to the disk can be read, by those who asked for it only, and is
// gone from there when it is durable.
func TestReadAhead(t *testing.T) {
	l := open(t, wal.Options{FS: memfs.New(0), Dir: "wal", FileBytes: 4 << 20, MaxBytes: 16 << 20, TailBytes: 4 << 20})
	defer func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	}()
	p, err := l.Partition(id(1), 0)
	if err != nil {
		t.Fatal(err)
	}
	appendAhead := func(b []byte, from int64) []byte {
		a := ahead{newWaiter(), p, from, make(chan []byte, 1)}
		if err := p.Append(&wal.Append{Batches: b, Done: a}); err != nil {
			t.Fatal(err)
		}
		if err := a.wait(); err != nil {
			t.Fatal(err)
		}
		select {
		case got := <-a.got:
			return got
		default:
			return nil
		}
	}
	if got := appendAhead(batch(0, 3, 500, 1, 'a'), 0); got != nil {
		t.Errorf("nobody asked, and got %d bytes", len(got))
	}
	p.SetEager(true)
	small := batch(3, 3, 500, 1, 'b')
	if got := appendAhead(small, 3); !bytes.Equal(got, small) {
		t.Errorf("got %d bytes of %d", len(got), len(small))
	}
	// Larger than one frame: it is told of once, when all of it can be read.
	var large []byte
	for at := int64(6); at < 36; at += 3 {
		large = append(large, batch(at, 3, 100<<10, 1, 'c')...)
	}
	if got := appendAhead(large, 6); !bytes.Equal(got, large) {
		t.Errorf("got %d bytes of %d", len(got), len(large))
	}
	if p.AheadEnd() != p.End() || p.ReadAhead(6, 1<<20) != nil {
		t.Errorf("ahead end=%d end=%d", p.AheadEnd(), p.End())
	}
	if got := readAll(t, p, 6, 1<<20); !bytes.Equal(got, large) {
		t.Error("the log has something else")
	}
}
