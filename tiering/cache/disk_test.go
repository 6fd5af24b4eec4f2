package cache

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tidelinehq/tideline/internal/vfs"
	"github.com/tidelinehq/tideline/internal/vfs/memfs"
)

// settle waits until the disk has written what was offered.
func (d *Disk) settle(t testing.TB) {
	t.Helper()
	deadline := time.After(time.Minute)
	for {
		d.mu.Lock()
		n := len(d.pending)
		d.mu.Unlock()
		if n == 0 {
			break
		}
		select {
		case <-deadline:
			t.Fatal("the disk does not write")
		case <-time.After(time.Millisecond):
		}
	}
	d.mu.Lock() // the last write may not have been entered yet
	writing := false
	for _, e := range d.ring.entries {
		writing = writing || !e.ready
	}
	d.mu.Unlock()
	if writing {
		select {
		case <-deadline:
			t.Fatal("the disk does not finish")
		case <-time.After(time.Millisecond):
			d.settle(t)
		}
	}
}

func openDisk(t testing.TB, dir string, set func(*DiskOptions)) *Disk {
	t.Helper()
	o := DiskOptions{FS: vfs.OS(), Dir: dir, Bytes: 64 * testBlock, SlotBytes: testBlock, WriteBytesPerSecond: 1 << 40}
	if set != nil {
		set(&o)
	}
	d, err := OpenDisk(o)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func keep(t testing.TB, d *Disk, p *Pool, n, size int) {
	t.Helper()
	b := block(t, p, key(n), size)
	d.Offer(key(n), b)
	b.Release()
	d.settle(t)
}

// there tells whether block n can be read back exactly.
func there(t testing.TB, d *Disk, n int) bool {
	t.Helper()
	size, ok := d.Has(key(n))
	if !ok {
		return false
	}
	dst := make([]byte, size)
	if !d.Read(key(n), dst) {
		return false
	}
	if dst[0] != byte(n) {
		t.Fatalf("block %d has the content of %d", n, dst[0])
	}
	return true
}

func TestDiskKeepsTheNewest(t *testing.T) {
	p := NewPool(1 << 20)
	d := openDisk(t, t.TempDir(), nil)
	for i := range 200 {
		keep(t, d, p, i, testBlock+1) // two slots
		if !there(t, d, i) {
			t.Fatalf("block %d was not kept", i)
		}
		d.mu.Lock()
		d.ring.entries[key(i)].used = false
		d.mu.Unlock()
	}
	for i := range 200 {
		if got := there(t, d, i); got != (i >= 200-32) {
			t.Errorf("block %d there=%v", i, got)
		}
	}
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	if err := d.Close(); err != nil {
		t.Error("second close", err)
	}
	if s := p.Stats(); s.Used != 0 {
		t.Errorf("%+v", s)
	}
}

func TestDiskPassesOverWhatIsRead(t *testing.T) {
	p := NewPool(1 << 20)
	d := openDisk(t, t.TempDir(), nil)
	defer d.Close()
	for i := range 1000 {
		keep(t, d, p, i, testBlock)
		if i > 3 && (!there(t, d, 1) || !there(t, d, 2)) {
			t.Fatalf("a block that is read all the time went at %d", i)
		}
	}
}

func TestDiskAfterRestart(t *testing.T) {
	p := NewPool(1 << 20)
	dir := t.TempDir()
	d := openDisk(t, dir, nil)
	for i := range 100 {
		keep(t, d, p, i, testBlock+1)
	}
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	d = openDisk(t, dir, nil)
	for i := range 100 {
		if got := there(t, d, i); got != (i >= 100-32) {
			t.Errorf("clean restart: block %d there=%v", i, got)
		}
	}
	keep(t, d, p, 100, testBlock)
	if !there(t, d, 100) {
		t.Error("does not go on after a restart")
	}

	// A crash: no table. And a table of a cache of another size is of no use.
	crashed := openDisk(t, dir, nil)
	if crashed.Len() != 0 {
		t.Error("blocks after a crash")
	}
	if err := errors.Join(d.Close(), crashed.Close()); err != nil {
		t.Fatal(err)
	}
	smaller := openDisk(t, dir, func(o *DiskOptions) { o.Bytes /= 2 })
	if smaller.Len() != 0 {
		t.Error("blocks of another geometry")
	}
	if err := smaller.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestDamagedBlockIsAMiss(t *testing.T) {
	p := NewPool(1 << 20)
	dir := t.TempDir()
	d := openDisk(t, dir, nil)
	defer d.Close()
	keep(t, d, p, 1, testBlock)
	f, err := os.OpenFile(filepath.Join(dir, dataName), os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteAt([]byte{0xff}, 77); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	if d.Read(key(1), make([]byte, testBlock)) {
		t.Fatal("served a damaged block")
	}
	if _, ok := d.Has(key(1)); ok {
		t.Error("a damaged block is still listed")
	}
	if d.Read(key(1), make([]byte, 10)) || d.Read(key(2), make([]byte, 10)) {
		t.Error("read what is not there")
	}
}

// faultyFS fails writes of the data file while it is told to.
type faultyFS struct {
	vfs.FS
	fail atomic.Bool
}

type faultyFile struct {
	vfs.File
	fs *faultyFS
}

func (f *faultyFS) OpenOrCreate(name string, flags vfs.Flag) (vfs.File, error) {
	file, err := f.FS.OpenOrCreate(name, flags)
	return faultyFile{file, f}, err
}

var errDisk = errors.New("input/output error")

func (f faultyFile) WriteAt(b []byte, at int64) (int, error) {
	if f.fs.fail.Load() {
		return 0, errDisk
	}
	return f.File.WriteAt(b, at)
}

func (f faultyFile) ReadAt(b []byte, at int64) (int, error) {
	if f.fs.fail.Load() {
		return 0, errDisk
	}
	return f.File.ReadAt(b, at)
}

func TestDiskErrors(t *testing.T) {
	p := NewPool(1 << 20)
	fs := &faultyFS{FS: vfs.OS()}
	var logged bytes.Buffer
	d := openDisk(t, t.TempDir(), func(o *DiskOptions) {
		o.FS, o.Logger = fs, slog.New(slog.NewTextHandler(&logged, nil))
	})
	defer d.Close()
	keep(t, d, p, 1, testBlock)
	fs.fail.Store(true)
	if there(t, d, 1) {
		t.Error("read through an error")
	}
	for i := range maxWriteErrors - 1 {
		keep(t, d, p, 2+i, testBlock)
	}
	fs.fail.Store(false)
	keep(t, d, p, 50, testBlock)
	if !there(t, d, 50) {
		t.Error("errors that passed turned it off")
	}
	fs.fail.Store(true)
	for i := range maxWriteErrors {
		keep(t, d, p, 100+i, testBlock)
	}
	fs.fail.Store(false)
	keep(t, d, p, 60, testBlock)
	if there(t, d, 60) || !bytes.Contains(logged.Bytes(), []byte("turned off")) {
		t.Error("still on after errors in a row")
	}
	if !there(t, d, 50) {
		t.Error("what was written is not read any more")
	}
}

func TestDiskRate(t *testing.T) {
	now := time.Unix(1000, 0)
	p := NewPool(1 << 20)
	d := openDisk(t, t.TempDir(), func(o *DiskOptions) {
		o.WriteBytesPerSecond, o.Now = 4*testBlock, func() time.Time { return now }
	})
	defer d.Close()
	for i := range 10 {
		keep(t, d, p, i, testBlock)
	}
	if d.Len() != 4 {
		t.Errorf("wrote %d blocks in the first instant", d.Len())
	}
	now = now.Add(500 * time.Millisecond)
	for i := range 10 {
		keep(t, d, p, 10+i, testBlock)
	}
	if d.Len() != 6 {
		t.Errorf("%d blocks after half a second", d.Len())
	}
	now = now.Add(time.Hour)
	for i := range 10 {
		keep(t, d, p, 20+i, testBlock)
	}
	if d.Len() != 10 {
		t.Errorf("%d blocks: an hour's idleness was saved up", d.Len())
	}
}

func TestDiskRefuses(t *testing.T) {
	for _, o := range []DiskOptions{
		{FS: vfs.OS(), Dir: t.TempDir(), Bytes: 100},
		{FS: vfs.OS(), Dir: t.TempDir(), Bytes: 1 << 20, SlotBytes: 1},
		{FS: vfs.OS(), Dir: t.TempDir(), Bytes: 1 << 62, SlotBytes: 512},
	} {
		if _, err := OpenDisk(o); err == nil {
			t.Errorf("opened bytes=%d slot_bytes=%d", o.Bytes, o.SlotBytes)
		}
	}
	p := NewPool(1 << 30)
	d := openDisk(t, t.TempDir(), nil)
	defer d.Close()
	keep(t, d, p, 1, 17*testBlock) // above a quarter
	if d.Len() != 0 {
		t.Error("one block may not take so much")
	}
}

// A cache must not take the room that the log needs: it did, down to the last byte.
func TestDiskLeavesRoom(t *testing.T) {
	fs := memfs.New(100 * testBlock)
	var logged bytes.Buffer
	open := func(blocks int64) (*Disk, error) {
		return OpenDisk(DiskOptions{FS: fs, Dir: "/cache", Bytes: blocks * testBlock, SlotBytes: testBlock, Logger: slog.New(slog.NewTextHandler(&logged, nil))})
	}
	reopen := func(blocks, want int64) {
		t.Helper()
		d, err := open(blocks)
		if err != nil {
			t.Fatal(err)
		}
		if got := d.Capacity(); got/testBlock != want {
			t.Errorf("asked for %d blocks and has %d, want %d", blocks, got/testBlock, want)
		}
		if err := d.Close(); err != nil {
			t.Fatal(err)
		}
		if err := fs.Remove("/cache/" + tableName); err != nil { // it takes room of its own
			t.Fatal(err)
		}
	}
	reopen(40, 40)
	if logged.Len() != 0 {
		t.Errorf("it fits, and says %s", logged.Bytes())
	}
	reopen(1000, 50)
	if !bytes.Contains(logged.Bytes(), []byte("has no more room to give")) {
		t.Errorf("says %s", logged.Bytes())
	}
	fs.SetTotal(60 * testBlock)
	reopen(1000, 50) // what it has it keeps
	reopen(20, 20)
	reopen(1000, 30)
	if err := fs.Remove("/cache/" + dataName); err != nil {
		t.Fatal(err)
	}
	fs.SetTotal(2 * (minDiskSlots - 1) * testBlock)
	if _, err := open(1000); err == nil || !strings.Contains(err.Error(), "no room") {
		t.Errorf("opened a cache of nothing: %v", err)
	}
}

// Readers while the ring goes round below them: a read gives the right bytes or is a miss.
func TestDiskReadsWhileOverwritten(t *testing.T) {
	p := NewPool(8 << 20)
	d := openDisk(t, t.TempDir(), func(o *DiskOptions) { o.Bytes = 16 * testBlock })
	defer d.Close()
	done := make(chan struct{})
	var group sync.WaitGroup
	for range 2 {
		group.Go(func() {
			for i := 0; ; i++ {
				select {
				case <-done:
					return
				default:
					there(t, d, i%100)
				}
			}
		})
	}
	for i := range 2000 {
		b := block(t, p, key(i%100), testBlock*3-5)
		d.Offer(key(i%100), b)
		b.Release()
	}
	close(done)
	group.Wait()
}

func TestSecondFillGoesToDisk(t *testing.T) {
	p := NewPool(1 << 20)
	d := openDisk(t, t.TempDir(), nil)
	defer d.Close()
	c := New(Options{MemoryBytes: 10 * testBlock, Pool: p, Disk: d})
	for i := range 30 {
		get(t, c, p, key(i))
	}
	d.settle(t)
	if d.Len() != 0 {
		t.Errorf("a scan wrote %d blocks", d.Len())
	}
	for i := range 30 {
		get(t, c, p, key(i))
		d.settle(t)
	}
	if d.Len() < 20 {
		t.Errorf("only %d blocks were written when they came again", d.Len())
	}
	c.Clear()
}

// The ring against a model: runs never overlap, stay inside, and what was given out last is there.
func TestRing(t *testing.T) {
	rng := rand.New(rand.NewPCG(4, 4))
	for range 50 {
		slots := uint32(16 + rng.IntN(50))
		r := newRing(slots)
		for n := range 500 {
			if rng.IntN(5) == 0 && len(r.entries) > 0 {
				for _, e := range r.entries {
					r.remove(e)
					break
				}
			}
			for _, e := range r.entries {
				e.used = e.used || rng.IntN(4) == 0
			}
			e := r.allocate(key(n), 1+uint32(rng.IntN(int(slots)/4)))
			e.ready = true
			if r.entries[key(n)] != e {
				t.Fatal("allocated and gone")
			}
			checkRing(t, &r)
		}
	}
}

func checkRing(t *testing.T, r *ring) {
	t.Helper()
	free, count := uint32(0), 0
	var next *ringEntry
	for e := r.head; e != nil; e = e.list {
		if e.start < free || e.start+e.count > r.slots || r.entries[e.key] != e {
			t.Fatalf("entry start=%d count=%d behind=%d", e.start, e.count, free)
		}
		if e.start < r.hand && e.start+e.count > r.hand {
			t.Fatal("the hand is inside an entry")
		}
		if next == nil && e.start >= r.hand {
			next = e
		}
		free = e.start + e.count
		count++
	}
	if count != len(r.entries) || next != r.next {
		t.Fatalf("list has %d of %d, next is wrong: %v", count, len(r.entries), next != r.next)
	}
}

func TestDiskInABubble(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := openDisk(t, t.TempDir(), func(o *DiskOptions) { o.WriteBytesPerSecond = 0 })
		p := NewPool(1 << 20)
		b := block(t, p, key(1), testBlock)
		d.Offer(key(1), b)
		d.Offer(key(1), b) // pending already
		synctest.Wait()
		d.Offer(key(1), b) // there already
		b.Release()
		if !there(t, d, 1) {
			t.Error("not written")
		}
		if err := d.Close(); err != nil {
			t.Error(err)
		}
		d.Offer(key(2), block(t, p, key(2), 10))
		if there(t, d, 1) {
			t.Error("closed and still serving")
		}
	})
}

func BenchmarkDiskRead(b *testing.B) {
	p := NewPool(64 << 20)
	d := openDisk(b, b.TempDir(), func(o *DiskOptions) { o.Bytes, o.SlotBytes = 32<<20, 64<<10 })
	defer d.Close()
	bufs, err := p.Alloc(context.Background(), 1<<20)
	if err != nil {
		b.Fatal(err)
	}
	d.Offer(key(1), bufs[0])
	d.settle(b)
	dst := make([]byte, 1<<20)
	b.SetBytes(1 << 20)
	b.ReportAllocs()
	for b.Loop() {
		if !d.Read(key(1), dst) {
			b.Fatal("miss")
		}
	}
}
