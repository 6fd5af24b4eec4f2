package wal_test

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"testing"

	"github.com/tidelinehq/tideline/internal/record"
	"github.com/tidelinehq/tideline/internal/vfs/memfs"
	"github.com/tidelinehq/tideline/wal"
)

// TestAgainstModel holds every read against a plain list of batches, over unsealed files, sealed ones, and after a
// restart, with and without a tail to read from.
func TestAgainstModel(t *testing.T) {
	for _, tail := range []int64{0, 64 << 10, 4 << 20} {
		first, n := rounds(t, 3)
		for seed := first; seed < first+n; seed++ {
			againstModel(t, uint64(seed), tail)
		}
	}
}

func againstModel(t *testing.T, seed uint64, tail int64) {
	fs := memfs.New(0)
	o := crashOptions(fs, wal.SyncAlways)
	o.TailBytes = max(tail, 1)
	o.MaxBytes = 16 << 20
	d := newDriver(seed)
	d.maxBatch = 1500
	o.OnRoll = d.roll
	for range 3 {
		l, err := wal.Open(o)
		if err != nil {
			t.Fatal(err)
		}
		if err := d.attach(l, ackedOf); err != nil {
			t.Fatalf("seed=%d: %v", seed, err)
		}
		for range 300 {
			if err := d.step(3); err != nil {
				t.Fatal(err)
			}
		}
		if err := d.settle(); err != nil {
			t.Fatal(err)
		}
		searches(t, d)
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// live returns the model's batches, one by one, that the partition still has.
func live(o outcome, start int64) []record.Batch {
	var all []record.Batch
	for _, e := range o.batches {
		for b := range record.All(e.bytes) {
			if b.NextOffset() > start {
				all = append(all, b)
			}
		}
	}
	return all
}

func searches(t *testing.T, d *driver) {
	d.mu.Lock()
	defer d.mu.Unlock()
	r := rand.New(rand.NewPCG(d.r.Uint64(), 5))
	for id, p := range d.parts {
		h := d.hist[id]
		// Creations, states and resets are not waited for.
		o := h.after(len(h.events))
		if p.End() != o.end {
			continue
		}
		start, end := p.Start(), p.End()
		batches := live(o, start)
		for range 60 {
			from := start
			limit := end
			if end > start {
				from += r.Int64N(end - start + 1)
				limit = from + r.Int64N(end-from+1)
			}
			maxBytes := r.IntN(6000)
			checkRead(t, p, batches, from, limit, maxBytes, r.IntN(2) == 0)
			checkCut(t, p, batches, from, limit, int64(maxBytes)*3)
			checkTimes(t, p, batches, from, limit, int64(r.IntN(d.serial+10)))
		}
		replayed := 0
		from := start
		if len(batches) > 0 {
			i := r.IntN(len(batches))
			from = batches[i].BaseOffset()
			batches = batches[i:]
		}
		if from < start {
			from = start
		}
		err := p.Replay(from, func(h record.Batch) error {
			if !bytes.Equal(h, batches[replayed][:record.HeaderSize]) {
				t.Fatalf("replay from %d: header %d differs", from, replayed)
			}
			replayed++
			return nil
		})
		if err != nil || replayed != len(batches) {
			t.Fatalf("replayed %d of %d: %v", replayed, len(batches), err)
		}
	}
}

func checkRead(t *testing.T, p *wal.Partition, batches []record.Batch, from, limit int64, maxBytes int, force bool) {
	t.Helper()
	c, err := p.Read(from, limit, maxBytes, force)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Release()
	var want []byte
	next := from
	for _, b := range batches {
		if b.NextOffset() <= from {
			continue
		}
		if b.NextOffset() > limit || len(want)+len(b) > maxBytes && !(force && len(want) == 0) {
			break
		}
		want = append(want, b...)
		next = b.NextOffset()
	}
	got := bytes.Join(c.Buffers, nil)
	if !bytes.Equal(got, want) || c.NextOffset != next || c.Bytes != len(got) {
		t.Fatalf("read [%d,%d) max=%d force=%v: %d bytes to %d, want %d to %d", from, limit, maxBytes, force, len(got), c.NextOffset, len(want), next)
	}
}

func checkCut(t *testing.T, p *wal.Partition, batches []record.Batch, from, limit, maxBytes int64) {
	t.Helper()
	// Cut counts whole batches from a boundary.
	for _, b := range batches {
		if b.BaseOffset() <= from && from < b.NextOffset() {
			from = max(b.BaseOffset(), p.Start())
			if from != b.BaseOffset() {
				return
			}
		}
	}
	to, n := from, int64(0)
	for _, b := range batches {
		if b.NextOffset() <= from {
			continue
		}
		if b.NextOffset() > limit || to > from && n+int64(len(b)) > maxBytes {
			break
		}
		to, n = b.NextOffset(), n+int64(len(b))
	}
	gotTo, got, err := p.Cut(from, limit, maxBytes)
	if err != nil || gotTo != to || got != n {
		t.Fatalf("cut [%d,%d) max=%d: to=%d bytes=%d %v, want to=%d bytes=%d", from, limit, maxBytes, gotTo, got, err, to, n)
	}
}

func checkTimes(t *testing.T, p *wal.Partition, batches []record.Batch, from, limit, ts int64) {
	t.Helper()
	want, found := int64(0), false
	greatest, at, any := int64(0), int64(0), false
	for _, b := range batches {
		if b.NextOffset() > limit {
			break
		}
		if !found && b.NextOffset() > from && b.MaxTimestamp() >= ts {
			want, found = b.BaseOffset(), true
		}
		if !any || b.MaxTimestamp() > greatest {
			greatest, at, any = b.MaxTimestamp(), b.BaseOffset(), true
		}
	}
	base, ok, err := p.FindTime(ts, from, limit)
	if err != nil || ok != found || ok && base != want {
		t.Fatalf("time %d in [%d,%d): %d %v %v, want %d %v", ts, from, limit, base, ok, err, want, found)
	}
	base, max, ok := p.MaxTime(limit)
	if ok != any || ok && (base != at || max != greatest) {
		t.Fatalf("greatest time below %d: %d %d %v, want %d %d %v", limit, base, max, ok, at, greatest, any)
	}
}

func TestRefusals(t *testing.T) {
	l := open(t, crashOptions(memfs.New(0), wal.SyncAlways))
	p, err := l.Partition(id(1), 10)
	if err != nil {
		t.Fatal(err)
	}
	mustAppend(t, p, batch(10, 3, 300, 1, 'a'))
	refuse := func(b []byte, want error) {
		t.Helper()
		if err := p.Append(&wal.Append{Batches: b, Done: newWaiter()}); !errors.Is(err, want) {
			t.Fatalf("append: %v, want %v", err, want)
		}
	}
	refuse(nil, wal.ErrInvalid)
	refuse(batch(13, 1, 100, 1, 'a')[:80], wal.ErrInvalid)
	refuse(batch(12, 1, 100, 1, 'a'), wal.ErrOffset)
	refuse(append(batch(13, 1, 100, 1, 'a'), batch(15, 1, 100, 1, 'a')...), wal.ErrOffset)
	refuse(batch(13, 1, 40<<10, 1, 'a'), wal.ErrTooLarge)
	if _, err := p.Read(9, 13, 100, true); !errors.Is(err, wal.ErrBelowStart) {
		t.Fatalf("read below: %v", err)
	}
	if _, err := p.Read(14, 20, 100, true); !errors.Is(err, wal.ErrAboveEnd) {
		t.Fatalf("read above: %v", err)
	}
	if err := p.Replay(9, func(record.Batch) error { return nil }); !errors.Is(err, wal.ErrBelowStart) {
		t.Fatalf("replay below: %v", err)
	}
	c, err := p.Read(13, 20, 100, true)
	if err != nil || c.Bytes != 0 || c.NextOffset != 13 {
		t.Fatalf("read at the end: %+v %v", c, err)
	}
	c.Release()
	p.Drop()
	refuse(batch(13, 1, 100, 1, 'a'), wal.ErrDropped)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := l.Partition(id(2), 0); !errors.Is(err, wal.ErrClosed) {
		t.Fatalf("partition after close: %v", err)
	}
}
