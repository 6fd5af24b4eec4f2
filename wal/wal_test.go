package wal_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"log/slog"
	"sync"
	"testing"

	"github.com/tidelinehq/tideline/internal/record"
	"github.com/tidelinehq/tideline/internal/vfs"
	"github.com/tidelinehq/tideline/wal"
)

// batch makes one batch of n records with about size bytes in all; its content follows from base and tag.
func batch(base int64, n int, size int, ts int64, tag byte) []byte {
	value := max(size-record.HeaderSize-n*12, n) / n
	b := record.NewBuilder(record.Options{BaseOffset: base})
	for i := range n {
		v := bytes.Repeat([]byte{tag}, value)
		binary.LittleEndian.AppendUint64(v[:0], uint64(base)+uint64(i))
		if err := b.Add(record.Record{Timestamp: ts + int64(i), Value: v}); err != nil {
			panic(err)
		}
	}
	out := b.Build()
	out.SetBaseOffset(base)
	return out
}

// waiter is a Completion that a test can wait for.
type waiter struct{ c chan error }

func newWaiter() waiter                              { return waiter{make(chan error, 1)} }
func (w waiter) AppendDone(_ *wal.Append, err error) { w.c <- err }
func (w waiter) wait() error                         { return <-w.c }

func mustAppend(t testing.TB, p *wal.Partition, b []byte) {
	t.Helper()
	w := newWaiter()
	if err := p.Append(&wal.Append{Batches: b, Done: w}); err != nil {
		t.Fatal(err)
	}
	if err := w.wait(); err != nil {
		t.Fatal(err)
	}
}

func id(n int) wal.ID { return wal.ID{Topic: [16]byte{1, byte(n >> 8), byte(n)}, Partition: int32(n)} }

func open(t testing.TB, o wal.Options) *wal.Log {
	t.Helper()
	if o.FS == nil {
		o.FS = vfs.OS()
	}
	l, err := wal.Open(o)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func readAll(t testing.TB, p *wal.Partition, from int64, maxBytes int) []byte {
	t.Helper()
	var all []byte
	for from < p.End() {
		c, err := p.Read(from, p.End(), maxBytes, true)
		if err != nil {
			t.Fatalf("read from %d: %v", from, err)
		}
		if c.Bytes == 0 {
			t.Fatalf("read from %d is empty, end %d", from, p.End())
		}
		for _, b := range c.Buffers {
			all = append(all, b...)
		}
		from = c.NextOffset
		c.Release()
	}
	return all
}

func TestAppendReadReopen(t *testing.T) {
	for _, direct := range []bool{false, true} {
		t.Run(fmt.Sprintf("direct=%v", direct), func(t *testing.T) {
			dir := t.TempDir()
			o := wal.Options{Dir: dir, FileBytes: 256 << 10, TailBytes: 1 << 20, DirectIO: direct}
			l := open(t, o)
			const parts = 5
			want := make([][]byte, parts)
			var ps []*wal.Partition
			for i := range parts {
				p, err := l.Partition(id(i), 0)
				if err != nil {
					t.Fatal(err)
				}
				ps = append(ps, p)
			}
			var wg sync.WaitGroup
			for i, p := range ps {
				wg.Go(func() {
					for n := range 300 {
						b := batch(p.End(), 1+n%3, 100+(n*977)%6000, int64(n), byte(i))
						mustAppend(t, p, b)
						want[i] = append(want[i], b...)
					}
				})
			}
			wg.Wait()
			check := func(ps []*wal.Partition) {
				for _, p := range ps {
					i := p.ID().Partition
					for _, maxBytes := range []int{1, 5000, 1 << 20} {
						if got := readAll(t, p, 0, maxBytes); !bytes.Equal(got, want[i]) {
							t.Fatalf("partition %d reads %d bytes, want %d", i, len(got), len(want[i]))
						}
					}
				}
			}
			check(ps)
			if err := l.Close(); err != nil {
				t.Fatal(err)
			}
			l = open(t, o)
			if n := len(l.Partitions()); n != parts {
				t.Fatalf("%d partitions after reopen", n)
			}
			check(l.Partitions())
			if err := l.Close(); err != nil {
				t.Fatal(err)
			}
		})
	}
}

// A partition that was dropped leaves no complaint behind, although the index of its file still lists its batches.
func TestDroppedPartitionIsNoDamage(t *testing.T) {
	var log bytes.Buffer
	o := wal.Options{Dir: t.TempDir(), FileBytes: 256 << 10, Logger: slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelWarn}))}
	l := open(t, o)
	var ps [2]*wal.Partition
	for i := range ps {
		var err error
		if ps[i], err = l.Partition(id(i), 0); err != nil {
			t.Fatal(err)
		}
		mustAppend(t, ps[i], batch(0, 1, 1000, 0, 'x'))
	}
	ps[0].Drop()
	mustAppend(t, ps[1], batch(1, 1, 1000, 0, 'y')) // behind the drop
	for range 2 {
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		l = open(t, o)
		if got := l.Partitions(); len(got) != 1 || got[0].ID() != id(1) || got[0].End() != 2 {
			t.Fatalf("%d partitions", len(got))
		}
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if log.Len() > 0 {
		t.Error(log.String())
	}
}
