package wal_test

import (
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/tidelinehq/tideline/internal/vfs/memfs"
	"github.com/tidelinehq/tideline/wal"
)

// gauge is the value of one that has no labels.
func gauge(t *testing.T, r *prometheus.Registry, name string) float64 {
	t.Helper()
	families, err := r.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() == name {
			return f.GetMetric()[0].GetGauge().GetValue()
		}
	}
	t.Fatalf("no metric %s", name)
	return 0
}

// appendAll makes a batch durable in each partition in turn.
func appendAll(t *testing.T, parts []*wal.Partition, n int64, bytes []int) {
	t.Helper()
	for i, p := range parts {
		w := newWaiter()
		if err := p.Append(&wal.Append{Batches: batch(n, 1, bytes[i], n, byte(i)), Done: w}); err != nil {
			t.Fatal(err)
		}
		if err := w.wait(); err != nil {
			t.Fatal(err)
		}
	}
}

func partitions(t *testing.T, l *wal.Log, n int) (parts []*wal.Partition) {
	t.Helper()
	for i := range n {
		p, err := l.Partition(id(i), 0)
		if err != nil {
			t.Fatal(err)
		}
		parts = append(parts, p)
	}
	return parts
}

// TestReadBetweenOthers reads a partition whose small batches lie between great ones of
// another, from disk: the reader holds what it asked for, not what lies between.
func TestReadBetweenOthers(t *testing.T) {
	o := crashOptions(memfs.New(0), wal.SyncAlways)
	o.FileBytes, o.MaxBytes, o.TailBytes = 8<<20, 64<<20, 1
	l := open(t, o)
	parts := partitions(t, l, 2)
	const batches = 64
	for n := range int64(batches) {
		appendAll(t, parts, n, []int{500, 14 << 10})
	}
	c, err := parts[0].Read(0, batches, 1<<20, true)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Release()
	if c.NextOffset != batches {
		t.Fatalf("read up to %d", c.NextOffset)
	}
	if c.Held() > 3*c.Bytes {
		t.Errorf("%d bytes are held for %d", c.Held(), c.Bytes)
	}
	at := 0
	for _, b := range c.Buffers {
		at += len(b)
	}
	if at != c.Bytes {
		t.Errorf("%d bytes in buffers of %d", at, c.Bytes)
	}
}

// TestTailHeld has readers that keep what they read for good: the memory which has left the
// tail for their sake stays within bounds, and all of them have the right bytes.
func TestTailHeld(t *testing.T) {
	o := crashOptions(memfs.New(0), wal.SyncAlways)
	o.FileBytes, o.MaxBytes, o.TailBytes = 8<<20, 256<<20, 1<<20
	registry := prometheus.NewRegistry()
	o.Registerer = registry
	l := open(t, o)
	parts := partitions(t, l, 1)
	var held []*wal.Chunk
	for n := range int64(400) {
		appendAll(t, parts, n, []int{30 << 10})
		c, err := parts[0].Read(n, n+1, 1, true)
		if err != nil || c.NextOffset != n+1 {
			t.Fatalf("read %d: %v", n, err)
		}
		held = append(held, c)
	}
	if pinned := gauge(t, registry, "tideline_wal_tail_pinned_bytes"); pinned > 2<<20 {
		t.Errorf("%v bytes have left a tail of %d and are held", pinned, o.TailBytes)
	}
	for n, c := range held {
		want := batch(int64(n), 1, 30<<10, int64(n), 0)
		if got := c.Buffers[0]; len(got) != len(want) || string(got[100:]) != string(want[100:]) {
			t.Fatalf("batch %d is not what was written", n)
		}
		c.Release()
	}
	if pinned := gauge(t, registry, "tideline_wal_tail_pinned_bytes"); pinned != 0 {
		t.Errorf("%v bytes are held when nobody does", pinned)
	}
}
