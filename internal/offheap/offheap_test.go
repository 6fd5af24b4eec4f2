package offheap

import (
	"runtime"
	"testing"
	"time"
	"unsafe"
)

func TestBlock(t *testing.T) {
	before := Mapped()
	for _, size := range []int{1, 4096, 5000, 3 << 20} {
		b := Alloc(size)
		mem := b.Bytes()
		if len(mem) != size || uintptr(unsafe.Pointer(&mem[0]))%pageBytes != 0 {
			t.Fatalf("size %d: %d bytes at %p", size, len(mem), &mem[0])
		}
		for i := range mem {
			if mem[i] != 0 {
				t.Fatalf("size %d: byte %d is %d", size, i, mem[i])
			}
			mem[i] = 1
		}
		b.Free()
		if Mapped() != before || b.Bytes() != nil {
			t.Fatalf("size %d: %d bytes stay", size, Mapped()-before)
		}
	}
	if b := alignedHeap(10); len(b) != 10 || uintptr(unsafe.Pointer(&b[0]))%pageBytes != 0 {
		t.Error("memory of the heap is not aligned")
	}
}

// A block that was lost is freed by the collector.
func TestLostBlock(t *testing.T) {
	before := Mapped()
	func() { Alloc(1 << 20).Bytes()[0] = 1 }()
	deadline := time.Now().Add(time.Minute)
	for Mapped() > before && time.Now().Before(deadline) {
		runtime.GC()
		runtime.Gosched()
	}
	if n := Mapped() - before; n > 0 {
		t.Errorf("%d bytes are lost", n)
	}
}
