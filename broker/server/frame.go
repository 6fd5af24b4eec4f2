package server

import (
	"math/bits"
	"sync"
	"sync/atomic"
)

// frame is the bytes of one request after its size, in pooled memory, counted
// against the admission.
type frame struct {
	buf  []byte // of the class's capacity; length is what was read
	lane *lane
	size int64        // admitted bytes
	refs atomic.Int32 // 1 until Respond, and 1 per Retain
}

// Size classes: powers of two up to 64 KiB, then four steps to each doubling,
// since a producer's frame is its batch of a power of two and a few bytes more.
const (
	minClassBits  = 9  // 512 B
	fineClassBits = 16 // 64 KiB
	maxClassBits  = 23 // 8 MiB; greater buffers are left to the collector
	coarseClasses = fineClassBits - minClassBits + 1
	classes       = coarseClasses + 4*(maxClassBits-fineClassBits)
)

var framePools [classes]sync.Pool

// classOf is the least class that holds n bytes; classes when none does.
func classOf(n int) int {
	if n <= 1<<minClassBits {
		return 0
	}
	b := bits.Len(uint(n - 1)) // n ≤ 1<<b
	if b <= fineClassBits {
		return b - minClassBits
	}
	if b > maxClassBits {
		return classes
	}
	quarter := 1 << (b - 3) // steps between 1<<(b-1) and 1<<b
	steps := (n - 1<<(b-1) + quarter - 1) / quarter
	return coarseClasses + 4*(b-1-fineClassBits) + steps - 1
}

// classSize is the capacity of a class's buffers.
func classSize(class int) int {
	if class < coarseClasses {
		return 1 << (minClassBits + class)
	}
	class -= coarseClasses
	base := 1 << (fineClassBits + class/4)
	return base + base/4*(class%4+1)
}

// cost is what a frame of n bytes counts in the admission: the memory it will have.
func cost(n int) int64 {
	if c := classOf(n); c < classes {
		return int64(classSize(c))
	}
	return int64(n)
}

// newFrame makes an empty frame with room for n bytes. The bytes were admitted
// by the caller, who sets lane and size.
func newFrame(n int) *frame {
	c := classOf(n)
	if c == classes {
		return &frame{buf: make([]byte, 0, n)}
	}
	if f, ok := framePools[c].Get().(*frame); ok {
		return f
	}
	return &frame{buf: make([]byte, 0, classSize(c))}
}

// recycle gives the memory back to its pool.
func (f *frame) recycle() {
	if c := classOf(cap(f.buf)); c < classes && classSize(c) == cap(f.buf) {
		f.buf, f.lane, f.size = f.buf[:0], nil, 0
		framePools[c].Put(f)
	}
}

// grow makes room for n bytes in all, keeping what was read.
func (f *frame) grow(n int) *frame {
	g := newFrame(n)
	g.buf = append(g.buf, f.buf...)
	g.lane, g.size = f.lane, f.size
	f.recycle()
	return g
}

// stage is the room that a frame of size bytes gets when have of them were
// read: sixteen times what came, so that a byte is copied at most 1/15 times on
// average and a peer must send what it wants to occupy.
func stage(size, have int) int {
	if size <= smallFrame {
		return size
	}
	return min(size, max(smallFrame, 16*have))
}

// chunk is a buffer for one read.
type chunk struct{ b [chunkBytes]byte }

// chunkBytes is what one read may bring: a batch.size of 16 KiB with its
// request in one piece, or many small requests.
const chunkBytes = 32 << 10

var chunkPool = sync.Pool{New: func() any { return new(chunk) }}
