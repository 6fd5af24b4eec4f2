package wal

import (
	"testing"
	"unsafe"

	"github.com/tidelinehq/tideline/internal/vfs/memfs"
)

// TestIdlePartitionIsSmall keeps a hundred thousand of them affordable.
func TestIdlePartitionIsSmall(t *testing.T) {
	if n := unsafe.Sizeof(Partition{}); n > 300 {
		t.Fatalf("a partition takes %d bytes", n)
	}
}

// TestAppendAllocations appends without garbage: what is allocated are index entries, by doubling.
func TestAppendAllocations(t *testing.T) {
	l, err := Open(Options{FS: memfs.New(0), Dir: "/wal", FileBytes: 64 << 20, TailBytes: 1 << 20, Sync: SyncOS})
	if err != nil {
		t.Fatal(err)
	}
	p, err := l.Partition(ID{}, 0)
	if err != nil {
		t.Fatal(err)
	}
	b := testBatch(0, "value")
	o := &op{}
	allocs := testing.AllocsPerRun(100, func() {
		*o = op{kind: opBatches, p: p, payload: b}
		if _, _, err := o.split(1 << 20); err != nil {
			t.Fatal(err)
		}
		if err := l.admit(o.size); err != nil {
			t.Fatal(err)
		}
	})
	if allocs > 0 {
		t.Fatalf("%v allocations before an append is queued", allocs)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
}
