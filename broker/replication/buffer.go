package replication

import (
	"math/bits"
	"sync"
)

// buffer is memory for one append frame, pooled by powers of two. Larger ones than the
// pools have are left to the garbage collector: they are rare.
type buffer struct {
	b    []byte
	pool *sync.Pool
}

const (
	minBufferBits = 10
	maxBufferBits = 22
)

var buffers [maxBufferBits - minBufferBits + 1]sync.Pool

func getBuffer(n int) *buffer {
	class := max(bits.Len(uint(max(n, 1)-1)), minBufferBits) - minBufferBits
	if class >= len(buffers) {
		return &buffer{b: make([]byte, n)}
	}
	pool := &buffers[class]
	if b, ok := pool.Get().(*buffer); ok {
		b.b = b.b[:n]
		return b
	}
	return &buffer{b: make([]byte, n, 1<<(class+minBufferBits)), pool: pool}
}

func (b *buffer) release() {
	if b.pool != nil {
		b.pool.Put(b)
	}
}
