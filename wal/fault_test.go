package wal_test

import (
	"errors"
	"fmt"
	"path"
	"syscall"
	"testing"
	"testing/synctest"

	"github.com/tidelinehq/tideline/internal/vfs/errfs"
	"github.com/tidelinehq/tideline/internal/vfs/memfs"
	"github.com/tidelinehq/tideline/wal"
)

// TestFatal fails one write or sync of log data: the appends that it covered and all later ones fail, the owner is
// told once, nothing is tried again, and a restart finds what was acknowledged before.
func TestFatal(t *testing.T) {
	for _, f := range []errfs.Fault{
		{Op: errfs.Write, Match: "*.wal", Skip: 4, Err: syscall.EIO},
		{Op: errfs.Write, Match: "*.wal", Skip: 4, Err: syscall.EIO, Short: 4096},
		{Op: errfs.Sync, Match: "*.wal", Skip: 4, Count: 1, Err: syscall.EIO}, // a second sync would succeed
	} {
		t.Run(fmt.Sprintf("%s-%d", f.Op, f.Short), func(t *testing.T) {
			mem := memfs.New(0)
			efs := errfs.New(mem)
			fatal := make(chan error, 10)
			o := crashOptions(mem, wal.SyncAlways)
			o.FS = efs
			o.OnFatal = func(err error) { fatal <- err }
			l := open(t, o)
			p, err := l.Partition(id(1), 0)
			if err != nil {
				t.Fatal(err)
			}
			mustAppend(t, p, batch(0, 1, 500, 1, 'a'))
			efs.Inject(f)
			acked := int64(1)
			for n := int64(1); ; n++ {
				w := newWaiter()
				err := p.Append(&wal.Append{Batches: batch(n, 1, 500, 1, 'a'), Done: w})
				if err == nil {
					err = w.wait()
				}
				if err != nil {
					if !errors.Is(err, wal.ErrFatal) || !errors.Is(err, syscall.EIO) {
						t.Fatalf("append: %v", err)
					}
					break
				}
				acked = n + 1
			}
			if err := <-fatal; !errors.Is(err, wal.ErrFatal) {
				t.Fatalf("told %v", err)
			}
			if err := p.Append(&wal.Append{Batches: batch(acked+1, 1, 500, 1, 'a'), Done: newWaiter()}); !errors.Is(err, wal.ErrFatal) {
				t.Fatalf("append afterwards: %v", err)
			}
			if _, err := l.Partition(id(2), 0); !errors.Is(err, wal.ErrFatal) {
				t.Fatalf("partition afterwards: %v", err)
			}
			truncated := make(chan error, 1)
			p.Truncate(0, nil, func(err error) { truncated <- err })
			if err := <-truncated; !errors.Is(err, wal.ErrFatal) {
				t.Fatalf("truncate afterwards: %v", err)
			}
			if n := efs.Fired(f.Op); n != 1 {
				t.Fatalf("%d calls failed, so something was tried again", n)
			}
			if err := l.Close(); !errors.Is(err, wal.ErrFatal) {
				t.Fatalf("close: %v", err)
			}
			if len(fatal) != 0 {
				t.Fatal("told twice")
			}
			o.FS = mem.Crash(memfs.LoseAll)
			l = open(t, o)
			ps := l.Partitions()
			if len(ps) != 1 || ps[0].End() < acked {
				t.Fatalf("%d partitions, end %d, acknowledged %d", len(ps), ps[0].End(), acked)
			}
			readAll(t, ps[0], 0, 1<<20)
			if err := l.Close(); err != nil {
				t.Fatal(err)
			}
		})
	}
}

// TestDiskFull fills the disk under the log: accepted appends wait and are kept, new ones are refused, and when there
// is room again everything goes on.
func TestDiskFull(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		mem := memfs.New(0)
		o := crashOptions(mem, wal.SyncAlways)
		l := open(t, o)
		p, err := l.Partition(id(1), 0)
		if err != nil {
			t.Fatal(err)
		}
		mustAppend(t, p, batch(0, 1, 500, 1, 'a'))
		synctest.Wait()
		mem.SetTotal(1) // no new file from here on
		var waiting []waiter
		next := int64(1)
		for {
			w := newWaiter()
			err := p.Append(&wal.Append{Batches: batch(next, 1, 3000, 1, 'a'), Done: w})
			if errors.Is(err, wal.ErrFull) {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			waiting = append(waiting, w)
			next++
			synctest.Wait()
		}
		if u := l.Usage(); !u.NoSpace {
			t.Fatalf("usage %+v", u)
		}
		mem.SetTotal(1 << 30)
		for _, w := range waiting { // the retry is on the bubble's clock
			if err := w.wait(); err != nil {
				t.Fatal(err)
			}
		}
		if err := l.WaitRoom(t.Context(), 0); err != nil {
			t.Fatal(err)
		}
		mustAppend(t, p, batch(next, 1, 3000, 1, 'a'))
		if p.End() != next+1 {
			t.Fatalf("end %d, want %d", p.End(), next+1)
		}
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
	})
}

// TestLimit fills the log up to MaxBytes: appends are refused, states and truncations are not, and raising the start
// makes room.
func TestLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := open(t, crashOptions(memfs.New(0), wal.SyncAlways))
		p, err := l.Partition(id(1), 0)
		if err != nil {
			t.Fatal(err)
		}
		q, err := l.Partition(id(2), 0)
		if err != nil {
			t.Fatal(err)
		}
		q.AppendState([]byte("idle"))
		next := int64(0)
		fill := func() {
			for {
				w := newWaiter()
				err := p.Append(&wal.Append{Batches: batch(next, 1, 5000, 1, 'a'), Done: w})
				if errors.Is(err, wal.ErrFull) {
					return
				}
				if err != nil {
					t.Fatal(err)
				}
				if err := w.wait(); err != nil {
					t.Fatal(err)
				}
				next++
			}
		}
		for range 3 {
			fill()
			if u := l.Usage(); u.Bytes > u.MaxBytes || u.Bytes < u.MaxBytes/2 {
				t.Fatalf("usage %+v", u)
			}
			held, err := l.Holding(5)
			if err != nil || len(held) != 1 || held[0].Partition != p || held[0].Until <= p.Start() {
				t.Fatalf("holding %v %v", held, err)
			}
			woken := make(chan error)
			go func() { woken <- l.WaitRoom(t.Context(), 0) }()
			synctest.Wait()
			p.AppendState([]byte("full"))
			p.SetStart(p.End())
			synctest.Wait()
			if err := <-woken; err != nil {
				t.Fatal(err)
			}
			if u := l.Usage(); u.Files > 2 {
				t.Fatalf("usage after freeing %+v", u)
			}
		}
		// The idle partition's state was carried along.
		if s, _ := q.State(); string(s) != "idle" {
			t.Fatalf("state %q", s)
		}
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
	})
}

// TestDamage flips bits of acknowledged frames: only their own offsets are refused.
func TestDamage(t *testing.T) {
	for _, sealed := range []bool{true, false} {
		t.Run(fmt.Sprintf("sealed=%v", sealed), func(t *testing.T) {
			mem := memfs.New(0)
			o := crashOptions(mem, wal.SyncAlways)
			l := open(t, o)
			p, err := l.Partition(id(1), 0)
			if err != nil {
				t.Fatal(err)
			}
			for n := range int64(8) {
				mustAppend(t, p, batch(n, 1, 2000, n, 'a'))
			}
			if sealed {
				if err := l.Close(); err != nil {
					t.Fatal(err)
				}
			} else {
				mem = mem.Clone()
			}
			// Groups begin at whole blocks; the first holds the registration. Batch 3 is damaged in its body.
			if err := mem.Corrupt(path.Join(o.Dir, "0000000000000001.wal"), 4096*5+1000, 0x10); err != nil {
				t.Fatal(err)
			}
			o.FS = mem
			l = open(t, o)
			p = l.Partitions()[0]
			if p.End() != 8 {
				t.Fatalf("end %d", p.End())
			}
			lost := 0
			for n := range int64(8) {
				c, err := p.Read(n, n+1, 1, true)
				if errors.Is(err, wal.ErrCorrupt) {
					var ce *wal.CorruptError
					if !errors.As(err, &ce) || ce.ID != p.ID() || ce.From != n || ce.To != n+1 || ce.File == "" {
						t.Fatalf("error %v", err)
					}
					lost++
					continue
				}
				if err != nil {
					t.Fatal(err)
				}
				if c.Bytes == 0 || c.Base != n {
					t.Fatalf("read %d: %+v", n, c)
				}
				c.Release()
			}
			if lost != 1 {
				t.Fatalf("%d batches are refused", lost)
			}
			if err := l.Close(); err != nil {
				t.Fatal(err)
			}
		})
	}
}

func TestMissingFile(t *testing.T) {
	mem := memfs.New(0)
	o := crashOptions(mem, wal.SyncAlways)
	l := open(t, o)
	p, err := l.Partition(id(1), 0)
	if err != nil {
		t.Fatal(err)
	}
	for n := range int64(60) {
		mustAppend(t, p, batch(n, 1, 4000, n, 'a'))
	}
	if _, err := wal.Open(o); err == nil {
		t.Fatal("opened twice")
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if err := mem.Remove(path.Join(o.Dir, "0000000000000002.wal")); err != nil {
		t.Fatal(err)
	}
	if _, err := wal.Open(o); !errors.Is(err, wal.ErrMissing) {
		t.Fatalf("open: %v", err)
	}
}
