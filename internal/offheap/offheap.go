package offheap

import (
	"runtime"
	"sync/atomic"
)

// Block is one buffer.
type Block struct {
	bytes   []byte
	mapped  bool
	cleanup runtime.Cleanup
}

var mapped atomic.Int64

// Mapped returns how many bytes lie outside of the heap now.
func Mapped() int64 { return mapped.Load() }

// Alloc returns a block of size bytes, at least one.
func Alloc(size int) *Block {
	b, ok := mapMemory(size)
	if !ok {
		return &Block{bytes: alignedHeap(size)}
	}
	mapped.Add(int64(len(b)))
	block := &Block{bytes: b, mapped: true}
	block.cleanup = runtime.AddCleanup(block, unmap, b)
	return block
}

// Bytes are the block's bytes. They must not be touched after Free.
func (b *Block) Bytes() []byte { return b.bytes }

// Free gives the memory back.
func (b *Block) Free() {
	if b.mapped {
		b.cleanup.Stop()
		unmap(b.bytes)
	}
	b.bytes, b.mapped = nil, false
}

func unmap(b []byte) {
	mapped.Add(-int64(len(b)))
	unmapMemory(b)
}
