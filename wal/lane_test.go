package wal_test

import (
	"context"
	"errors"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/tidelinehq/tideline/internal/vfs"
	"github.com/tidelinehq/tideline/internal/vfs/memfs"
	"github.com/tidelinehq/tideline/wal"
)

// stuckFS is a disk whose reads of log files can be held up.
type stuckFS struct {
	vfs.FS
	gate atomic.Pointer[chan struct{}] // nil: open
	at   atomic.Int64                  // reads that are held up
}

type stuckFile struct {
	vfs.File
	fs *stuckFS
}

func (fs *stuckFS) wrap(f vfs.File, err error) (vfs.File, error) {
	if err != nil {
		return nil, err
	}
	return stuckFile{f, fs}, nil
}

func (fs *stuckFS) Open(name string, flags vfs.Flag) (vfs.File, error) {
	return fs.wrap(fs.FS.Open(name, flags))
}

func (fs *stuckFS) Create(name string, flags vfs.Flag) (vfs.File, error) {
	return fs.wrap(fs.FS.Create(name, flags))
}

func (f stuckFile) ReadAt(b []byte, at int64) (int, error) {
	if gate := f.fs.gate.Load(); gate != nil {
		f.fs.at.Add(1)
		<-*gate
		f.fs.at.Add(-1)
	}
	return f.File.ReadAt(b, at)
}

func closeLog(t *testing.T, l *wal.Log) {
	t.Helper()
	if err := l.Close(); err != nil {
		t.Error(err)
	}
}

// TestReadsOfConsumersTakeTurns has a crowd read what only the disk has.
func TestReadsOfConsumersTakeTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fs := &stuckFS{FS: memfs.New(0)}
		registry := prometheus.NewRegistry()
		o := wal.Options{FS: fs, Dir: "wal", FileBytes: 8 << 20, MaxBytes: 64 << 20, TailBytes: 1, Registerer: registry}
		l := open(t, o)
		defer closeLog(t, l)
		parts := partitions(t, l, 1)
		const batches = 64
		for n := range int64(batches) {
			appendAll(t, parts, n, []int{60 << 10})
		}
		p, slots := parts[0], max(4, runtime.GOMAXPROCS(0))
		gate := make(chan struct{})
		fs.gate.Store(&gate)

		// More than have slots: the others wait, each in its turn.
		var crowd sync.WaitGroup
		for range 10 * slots {
			crowd.Go(func() {
				c, err := p.ReadInTurn(t.Context(), 3, batches, 100<<10, true)
				if err != nil {
					t.Error(err)
					return
				}
				if c.Base != 3 || c.NextOffset != 4 || c.DiskBytes != c.Bytes {
					t.Errorf("read from %d to %d, %d of %d bytes from disk", c.Base, c.NextOffset, c.DiskBytes, c.Bytes)
				}
				c.Release()
			})
		}
		synctest.Wait()
		if n := fs.at.Load(); n != int64(slots) {
			t.Errorf("%d reads are at the disk, want %d", n, slots)
		}
		if n := gauge(t, registry, "tideline_wal_readers"); n != float64(slots) {
			t.Errorf("%v readers are told of, want %d", n, slots)
		}
		if n := gauge(t, registry, "tideline_wal_readers_waiting"); n != float64(9*slots) {
			t.Errorf("%v are told to wait, want %d", n, 9*slots)
		}

		// One that has something already does not wait; one that goes away does not either; nobody waits for ever.
		if _, err := p.ReadInTurn(t.Context(), 3, batches, 100<<10, false); !errors.Is(err, wal.ErrBusy) {
			t.Errorf("with others before it: %v", err)
		}
		gone, cancel := context.WithCancelCause(t.Context())
		cancel(errors.New("the client has gone"))
		if _, err := p.ReadInTurn(gone, 3, batches, 100<<10, true); !errors.Is(err, wal.ErrBusy) || !strings.Contains(err.Error(), "gone") {
			t.Errorf("without a client: %v", err)
		}
		searched := 0
		search := func() error { searched++; return nil }
		if err := p.InTurn(gone, search); !errors.Is(err, wal.ErrBusy) || searched > 0 {
			t.Errorf("a search whose turn did not come: %v, begun: %d", err, searched)
		}
		// The broker's own reads have the disk at once.
		var own sync.WaitGroup
		own.Go(func() {
			c, err := p.Read(3, batches, 100<<10, true)
			if err != nil {
				t.Error(err)
				return
			}
			c.Release()
		})
		synctest.Wait()
		if n := fs.at.Load(); n != int64(slots)+1 {
			t.Errorf("%d reads are at the disk, want %d", n, slots+1)
		}

		fs.gate.Store(nil)
		close(gate)
		crowd.Wait()
		own.Wait()
		if n := gauge(t, registry, "tideline_wal_readers"); n != 0 {
			t.Errorf("%v slots are taken when nobody reads", n)
		}
		if err := p.InTurn(gone, search); err != nil || searched != 1 {
			t.Errorf("a search with nobody before it: %v, begun: %d", err, searched)
		}
	})
}

// TestATurnEnds: who reads much from the disk lets others have it, and nobody waits for longer than two seconds.
func TestATurnEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fs := &stuckFS{FS: memfs.New(0)}
		l := open(t, wal.Options{FS: fs, Dir: "wal", FileBytes: 8 << 20, MaxBytes: 64 << 20, TailBytes: 1})
		defer closeLog(t, l)
		parts := partitions(t, l, 1)
		const batches = 96
		for n := range int64(batches) {
			appendAll(t, parts, n, []int{60 << 10})
		}
		p, slots := parts[0], max(4, runtime.GOMAXPROCS(0))
		var reads sync.WaitGroup
		read := func(least, most int) {
			reads.Go(func() {
				c, err := p.ReadInTurn(t.Context(), 0, batches, 5<<20, true)
				if err != nil {
					t.Error(err)
					return
				}
				if c.Bytes < least || c.Bytes > most {
					t.Errorf("a turn has brought %d bytes, want %d to %d", c.Bytes, least, most)
				}
				c.Release()
			})
		}
		stuck, first := make(chan struct{}), make(chan struct{})
		fs.gate.Store(&stuck)
		for range slots - 1 {
			read(0, 6<<20)
		}
		synctest.Wait()
		fs.gate.Store(&first)
		read(1<<20, 3<<20)
		synctest.Wait()
		began := time.Now()
		if _, err := p.ReadInTurn(t.Context(), 0, batches, 5<<20, true); !errors.Is(err, wal.ErrBusy) {
			t.Errorf("with a disk that does not answer: %v", err)
		}
		if took := time.Since(began); took != 2*time.Second {
			t.Errorf("it waited for %v", took)
		}
		read(4<<20, 6<<20) // when it has its turn, nobody waits any more
		synctest.Wait()
		fs.gate.Store(nil)
		close(first)
		synctest.Wait()
		close(stuck)
		reads.Wait()
	})
}
