package wal_test

import (
	"errors"
	"math/rand/v2"
	"sync"
	"testing"

	"github.com/tidelinehq/tideline/internal/record"
	"github.com/tidelinehq/tideline/internal/vfs/memfs"
	"github.com/tidelinehq/tideline/wal"
)

// TestReadersBesideWriters reads at random places, from a tail that turns over all the time, while files are filled, sealed,
// freed and recycled. Every batch must be whole, and the one that was asked for.
func TestReadersBesideWriters(t *testing.T) {
	o := crashOptions(memfs.New(0), wal.SyncAlways)
	o.MaxBytes = 4 << 20 // what three partitions keep, and what lags behind by turns
	l := open(t, o)
	const parts, appends = 3, 200
	var writers, readers sync.WaitGroup
	done := make(chan struct{})
	for i := range parts {
		p, err := l.Partition(id(i), 0)
		if err != nil {
			t.Fatal(err)
		}
		writers.Go(func() {
			for n := range int64(appends) {
				b := batch(n, 1, 200+int(n*311%4000), n, byte(i))
				w := newWaiter()
				err := p.Append(&wal.Append{Batches: b, Done: w})
				if errors.Is(err, wal.ErrFull) {
					err = l.WaitRoom(t.Context(), 0)
					if err == nil {
						err = p.Append(&wal.Append{Batches: b, Done: w})
					}
				}
				if err == nil {
					err = w.wait()
				}
				if err != nil {
					t.Error(err)
					return
				}
				if n%10 == 9 {
					p.AppendState([]byte("s"))
					p.SetStart(max(0, n-30))
				}
			}
		})
		for r := range 2 {
			readers.Go(func() {
				rnd := rand.New(rand.NewPCG(uint64(i), uint64(r)))
				for {
					select {
					case <-done:
						return
					default:
					}
					start, end := p.Start(), p.End()
					if end <= start {
						continue
					}
					from := start + rnd.Int64N(end-start)
					c, err := p.Read(from, end, rnd.IntN(20000), true)
					if errors.Is(err, wal.ErrBelowStart) {
						continue
					}
					if err != nil {
						t.Errorf("read %d: %v", from, err)
						return
					}
					at := from
					for _, buf := range c.Buffers {
						for b, err := range record.All(buf) {
							if err == nil {
								err = b.Validate()
							}
							if err != nil || b.BaseOffset() != at || buf[len(buf)-2] != byte(i) {
								t.Errorf("read %d: batch at %d: %v", from, at, err)
							}
							at = b.NextOffset()
						}
					}
					if at != c.NextOffset || at == from {
						t.Errorf("read %d ends at %d, says %d", from, at, c.NextOffset)
					}
					c.Release()
					if _, _, err := p.FindTime(from, p.Start(), end); err != nil && !errors.Is(err, wal.ErrBelowStart) {
						t.Errorf("time %d: %v", from, err)
					}
				}
			})
		}
	}
	writers.Wait()
	close(done)
	readers.Wait()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
}
