package cache

import (
	"container/list"
	"context"
	"errors"
	"fmt"
	"math/bits"
	"sync"
	"sync/atomic"

	"github.com/tidelinehq/tideline/internal/offheap"
)

// ErrBusy means that the memory budget was used up for as long as the caller could wait. It is worth repeating.
var ErrBusy = errors.New("memory budget of cold reads is used up")

// Size classes: four per doubling from minClass on, so that at most a fifth of a buffer is unused.
const (
	minClassBits = 12 // 4 KiB
	maxClassBits = 27 // 128 MiB, the largest block
	classes      = (maxClassBits-minClassBits)*4 + 1
)

// classOf is the number of the least class that holds n bytes, and its size.
func classOf(n int) (class, size int) {
	if n <= 1<<minClassBits {
		return 0, 1 << minClassBits
	}
	shift := bits.Len(uint(n-1)) - 3 // n-1 is in [4<<shift, 8<<shift)
	quarter := (n-1)>>shift + 1      // 5…8
	class = (shift-(minClassBits-2))*4 + quarter - 4
	return class, quarter << shift
}

// Pool hands out reference-counted buffers and is the budget of all memory that cold reads use: blocks in the cache, blocks
// being filled, blocks that a consumer's socket still reads from. A buffer counts from Alloc until its last Release, once,
// however many hold it. What is kept for reuse counts too: used and idle bytes together never exceed the limit. One
// exception makes progress possible: an allocation above the whole limit is granted when nothing else is in use, and
// counts as the limit.
type Pool struct {
	limit    int64
	pressure func(need int64)

	mu      sync.Mutex // guards what follows; nothing is called while it is held
	used    int64
	idle    int64
	peak    int64 // greatest used + idle
	waits   int64
	waiters list.List // of *waiter, oldest first
	free    [classes][]*Buffer
}

type waiter struct {
	need    int64
	granted chan struct{}
}

// NewPool makes a Pool of limit bytes.
func NewPool(limit int64) *Pool { return &Pool{limit: limit} }

// OnPressure names a function that is called, without locks held, each time an allocation has to wait: it should release what
// can be spared. To be set before the first allocation.
func (p *Pool) OnPressure(f func(need int64)) { p.pressure = f }

// Stats are a Pool's counters in bytes, except Waits.
type Stats struct {
	Limit, Used, Idle, Peak int64
	Waits                   int64 // allocations that had to wait
	Waiting                 int   // allocations that wait now
}

// Stats returns the counters of this moment.
func (p *Pool) Stats() Stats {
	p.mu.Lock()
	defer p.mu.Unlock()
	return Stats{p.limit, p.used, p.idle, p.peak, p.waits, p.waiters.Len()}
}

// charges sums what sizes cost, at most the limit.
func (p *Pool) charges(sizes []int) (need int64) {
	for _, n := range sizes {
		_, size := classOf(n)
		need += int64(size)
	}
	return min(need, p.limit)
}

// Alloc returns one buffer per size, all or none, so that nobody holds some while waiting for the rest. It waits in turn
// until the budget allows it or ctx ends, which is ErrBusy. Buffers have the length asked for, arbitrary content, and one
// reference.
func (p *Pool) Alloc(ctx context.Context, sizes ...int) ([]*Buffer, error) {
	need := p.charges(sizes)
	if p.reserve(need) {
		return p.take(sizes), nil
	}
	w := &waiter{need, make(chan struct{})}
	p.mu.Lock()
	e := p.waiters.PushBack(w)
	p.waits++
	p.grant()
	p.mu.Unlock()
	if p.pressure != nil {
		p.pressure(need)
	}
	select {
	case <-w.granted:
		return p.take(sizes), nil
	case <-ctx.Done():
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	select {
	case <-w.granted: // granted in the meantime: give it back
		p.used -= need
	default:
		p.waiters.Remove(e)
	}
	p.grant()
	return nil, fmt.Errorf("%w: need=%d limit=%d: %w", ErrBusy, need, p.limit, context.Cause(ctx))
}

// TryAlloc is Alloc for those who would rather go without than wait. It never takes the turn of one who waits.
func (p *Pool) TryAlloc(sizes ...int) ([]*Buffer, bool) {
	if !p.reserve(p.charges(sizes)) {
		return nil, false
	}
	return p.take(sizes), true
}

func (p *Pool) reserve(need int64) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.waiters.Len() > 0 || p.used+need > p.limit {
		return false
	}
	p.used += need
	return true
}

// grant lets waiters in, oldest first. The caller holds mu.
func (p *Pool) grant() {
	for e := p.waiters.Front(); e != nil; e = p.waiters.Front() {
		w := e.Value.(*waiter)
		if p.used+w.need > p.limit {
			return
		}
		p.used += w.need
		p.waiters.Remove(e)
		close(w.granted)
	}
}

// take makes the buffers whose charge is reserved.
func (p *Pool) take(sizes []int) []*Buffer {
	out := make([]*Buffer, len(sizes))
	left := p.limit
	p.mu.Lock()
	for i, n := range sizes {
		class, size := classOf(n)
		if f := p.free[class]; len(f) > 0 {
			out[i] = f[len(f)-1]
			f[len(f)-1] = nil
			p.free[class] = f[:len(f)-1]
			p.idle -= int64(size)
		} else {
			out[i] = &Buffer{pool: p, class: class}
		}
		b := out[i]
		b.charge = min(int64(size), left)
		left -= b.charge
		b.n = n
		b.refs.Store(1)
	}
	p.shedIdle()
	p.peak = max(p.peak, p.used+p.idle)
	p.mu.Unlock()
	for _, b := range out {
		if b.mem == nil {
			_, size := classOf(b.n)
			b.allocate(size)
		}
	}
	return out
}

// shedIdle drops kept buffers, largest first, until they fit beside what is used. The caller holds mu.
func (p *Pool) shedIdle() {
	for class := classes - 1; class >= 0 && p.used+p.idle > p.limit; class-- {
		for f := p.free[class]; len(f) > 0 && p.used+p.idle > p.limit; f = p.free[class] {
			b := f[len(f)-1]
			p.idle -= int64(len(b.mem))
			b.free()
			f[len(f)-1] = nil
			p.free[class] = f[:len(f)-1]
		}
	}
}

// Trim gives the memory that is kept for reuse back to the runtime.
func (p *Pool) Trim() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for class, f := range p.free {
		for _, b := range f {
			b.free()
		}
		p.free[class] = nil
	}
	p.idle = 0
}

func (p *Pool) put(b *Buffer) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.used -= b.charge
	p.free[b.class] = append(p.free[b.class], b)
	p.idle += int64(len(b.mem))
	p.grant()
	p.shedIdle()
}

// Buffer is memory shared by reference count. Its bytes may be written by whoever allocated it, until the first time it is
// shared; from then on they never change until the last Release.
type Buffer struct {
	pool   *Pool
	class  int
	charge int64
	n      int
	block  *offheap.Block // nil below offheapBytes
	mem    []byte
	refs   atomic.Int32
}

// offheapBytes is the least buffer that is worth a mapping of its own.
const offheapBytes = 64 << 10

func (b *Buffer) allocate(size int) {
	if size < offheapBytes {
		b.mem = make([]byte, size)
		return
	}
	b.block = offheap.Alloc(size)
	b.mem = b.block.Bytes()
}

func (b *Buffer) free() {
	b.mem = nil
	if b.block != nil {
		b.block.Free()
	}
}

// Bytes are the buffer's bytes, of the length that was asked for.
func (b *Buffer) Bytes() []byte { return b.mem[:b.n:b.n] }

// Retain adds a reference. The caller holds one already, or the lock under which somebody else does.
func (b *Buffer) Retain() {
	if b.refs.Add(1) <= 1 {
		panic("cache: buffer retained after its last release")
	}
}

// Release drops a reference; the bytes must not be touched afterwards.
func (b *Buffer) Release() {
	switch n := b.refs.Add(-1); {
	case n == 0:
		b.pool.put(b)
	case n < 0:
		panic("cache: buffer released twice")
	}
}
