package wal_test

import (
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/tidelinehq/tideline/internal/record"
	"github.com/tidelinehq/tideline/internal/vfs"
	"github.com/tidelinehq/tideline/wal"
)

// benchDir is on the disk to measure; the default temporary directory may be memory.
func benchDir(b *testing.B) string {
	dir, err := os.MkdirTemp(os.Getenv("TIDELINE_BENCH_DIR"), "wal")
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			b.Error(err)
		}
	})
	return dir
}

// slot is one append in flight of a benchmark: when it is done, the partition's next append may take it.
type slot struct {
	a    wal.Append
	free chan *slot
}

func (s *slot) AppendDone(_ *wal.Append, err error) {
	if err != nil {
		panic(err)
	}
	s.free <- s
}

// benchAppend keeps depth appends in flight on each of writers partitions.
func benchAppend(b *testing.B, size, writers, depth int, mode wal.SyncMode) {
	l := open(b, wal.Options{FS: vfs.OS(), Dir: benchDir(b), DirectIO: true, MaxBytes: 2 << 30, Sync: mode})
	proto := record.Batch(batch(0, 1, size, 1, 'x'))
	b.SetBytes(int64(len(proto)))
	var left atomic.Int64
	left.Store(int64(b.N))
	var wg sync.WaitGroup
	warm, err := l.Partition(id(9999), 0)
	if err != nil {
		b.Fatal(err)
	}
	mustAppend(b, warm, batch(0, 1, 100, 1, 'w'))
	b.ReportAllocs()
	b.ResetTimer()
	for w := range writers {
		p, err := l.Partition(id(w), 0)
		if err != nil {
			b.Fatal(err)
		}
		wg.Go(func() {
			free := make(chan *slot, depth)
			for range depth {
				s := &slot{free: free}
				s.a.Batches = append([]byte(nil), proto...)
				s.a.Done = s
				free <- s
			}
			next := int64(0)
			for left.Add(-1) >= 0 {
				s := <-free
				record.Batch(s.a.Batches).SetBaseOffset(next)
				next++
				for {
					err := p.Append(&s.a)
					if err == nil {
						break
					}
					if err != wal.ErrFull {
						panic(err)
					}
				}
				if next%1024 == 0 {
					p.SetStart(p.End() - 1)
				}
			}
			for range depth {
				<-free
			}
		})
	}
	wg.Wait()
	b.StopTimer()
	if err := l.Close(); err != nil {
		b.Fatal(err)
	}
}

func BenchmarkAppend(b *testing.B) {
	for _, mode := range []wal.SyncMode{wal.SyncAlways, wal.SyncOS} {
		for _, size := range []int{1 << 10, 64 << 10, 1 << 20} {
			for _, c := range []struct{ writers, depth int }{{1, 1}, {16, 4}, {256, 4}} {
				if size == 1<<20 && c.writers > 16 {
					continue
				}
				name := fmt.Sprintf("sync=%v/size=%dKiB/writers=%d/depth=%d", mode == wal.SyncAlways, size>>10, c.writers, c.depth)
				b.Run(name, func(b *testing.B) { benchAppend(b, size, c.writers, c.depth, mode) })
			}
		}
	}
}

func BenchmarkReadTail(b *testing.B) {
	l := open(b, wal.Options{FS: vfs.OS(), Dir: benchDir(b), DirectIO: true})
	p, err := l.Partition(id(1), 0)
	if err != nil {
		b.Fatal(err)
	}
	const n = 2000
	for i := range n {
		w := newWaiter()
		if err := p.Append(&wal.Append{Batches: batch(int64(i), 1, 16<<10, 1, 'x'), Done: w}); err != nil {
			b.Fatal(err)
		}
		if i%100 == 99 || i == n-1 {
			if err := w.wait(); err != nil {
				b.Fatal(err)
			}
		}
	}
	for _, size := range []int{16 << 10, 1 << 20} {
		b.Run(fmt.Sprintf("max=%dKiB", size>>10), func(b *testing.B) {
			b.ReportAllocs()
			at := int64(0)
			for b.Loop() {
				c, err := p.Read(at, p.End(), size, true)
				if err != nil {
					b.Fatal(err)
				}
				b.SetBytes(int64(c.Bytes))
				if at = c.NextOffset; at >= n {
					at = 0
				}
				c.Release()
			}
		})
	}
	if err := l.Close(); err != nil {
		b.Fatal(err)
	}
}

// BenchmarkOpen recovers a log of many sealed files that hold frames of many partitions each.
func BenchmarkOpen(b *testing.B) {
	for _, c := range []struct{ partitions, files int }{{1000, 16}, {1000, 160}, {20000, 16}} {
		b.Run(fmt.Sprintf("partitions=%d/files=%d", c.partitions, c.files), func(b *testing.B) {
			// A file of 4 MiB has as many directory records as one of 64 MiB, and is made sooner.
			o := wal.Options{FS: vfs.OS(), Dir: benchDir(b), DirectIO: true, FileBytes: 4 << 20, MaxBytes: 8 << 30, TailBytes: 4 << 20}
			l := open(b, o)
			ps := make([]*wal.Partition, c.partitions)
			for i := range ps {
				p, err := l.Partition(id(i), 0)
				if err != nil {
					b.Fatal(err)
				}
				ps[i] = p
			}
			free := make(chan *slot, 2048)
			for range cap(free) {
				s := &slot{free: free}
				s.a.Done = s
				free <- s
			}
			for next := int64(0); l.Usage().Files < c.files; next++ {
				for i, p := range ps {
					s := <-free
					s.a.Batches = batch(next, 1, 3500*1000/c.partitions, 1, 'x')
					if err := p.Append(&s.a); err != nil {
						b.Fatal(err)
					}
					if i%8 == 0 {
						p.AppendState([]byte("some state of a partition"))
					}
				}
			}
			for range cap(free) {
				<-free
			}
			if err := l.Close(); err != nil {
				b.Fatal(err)
			}
			for b.Loop() {
				l := open(b, o)
				if n := len(l.Partitions()); n != c.partitions {
					b.Fatalf("%d partitions", n)
				}
				b.StopTimer()
				if err := l.Close(); err != nil {
					b.Fatal(err)
				}
				b.StartTimer()
			}
		})
	}
}
