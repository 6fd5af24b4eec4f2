package wal

import (
	"sort"
	"sync"
	"sync/atomic"

	"github.com/tidelinehq/tideline/internal/offheap"
)

// A slab is aligned memory that mirrors a contiguous range of one file. The writer lays groups into it one
// after the other and writes them to disk from there; afterwards it stays as the tail cache, and readers take
// slices of it without copying.
//
// References: one by the tail while the slab is in it, one by the writer while it fills it, one by each group
// that is being written and by each Chunk that points into it. The memory is used again when all are gone, or freed.
type slab struct {
	tail     *tail
	block    *offheap.Block
	buf      []byte // the block's
	refs     atomic.Int32
	sequence uint64 // of the file; fixed while refs > 0
	position int64  // in the file, of buf[0]; fixed while refs > 0
	used     int    // owned by the writer
}

func (s *slab) acquire() { s.refs.Add(1) }

// tryAcquire takes a reference unless the slab is on its way to reuse.
func (s *slab) tryAcquire() bool {
	for {
		n := s.refs.Load()
		if n == 0 {
			return false
		}
		if s.refs.CompareAndSwap(n, n+1) {
			return true
		}
	}
}

func (s *slab) release() {
	switch n := s.refs.Add(-1); {
	case n == 0:
		s.tail.recycle(s)
	case n < 0:
		panic("wal: a chunk was released twice")
	}
}

// tail is the ring of the newest slabs.
type tail struct {
	budget int64 // bytes of slabs kept
	size   int   // bytes of a normal slab
	m      *metrics

	// list is replaced as a whole by the writer; oldest first.
	list atomic.Pointer[[]*slab]
	held int64 // bytes in list; owned by the writer

	// pinned is the bytes of slabs that have left the list and are held by readers.
	pinned atomic.Int64

	mu   sync.Mutex
	free []*slab // guarded by mu; at most maxFreeSlabs
}

const (
	minSlabBytes = 64 << 10
	maxSlabBytes = 4 << 20
	// maxFreeSlabs is what the writer may need before the next eviction, when a reader gave several back at once; more is
	// freed, and memory that is mapped anew costs a pass of zeroing.
	maxFreeSlabs = 16
)

func newTail(budget int64, m *metrics) *tail {
	t := &tail{budget: budget, m: m}
	t.size = int(alignBlock(min(max(budget/16, minSlabBytes), maxSlabBytes)))
	t.list.Store(new([]*slab))
	return t
}

// take returns a slab for the writer that mirrors the file from position, adds it to the tail, and lets the
// oldest go. Larger needs get a slab of their own size.
func (t *tail) take(sequence uint64, position int64, need int) *slab {
	s := t.reuse(need)
	if s == nil {
		block := offheap.Alloc(int(alignBlock(int64(max(need, t.size)))))
		s = &slab{tail: t, block: block, buf: block.Bytes()}
	}
	s.sequence, s.position, s.used = sequence, position, 0
	s.refs.Store(2) // the tail and the writer

	old := *t.list.Load()
	t.held += int64(len(s.buf))
	drop := 0
	for drop < len(old) && t.held > t.budget {
		t.held -= int64(len(old[drop].buf))
		drop++
	}
	list := make([]*slab, 0, len(old)-drop+1)
	list = append(append(list, old[drop:]...), s)
	t.list.Store(&list)
	for _, o := range old[:drop] {
		t.pinned.Add(int64(len(o.buf)))
		o.release()
	}
	t.m.tailBytes.Set(float64(t.held))
	return s
}

func (t *tail) reuse(need int) *slab {
	t.mu.Lock()
	defer t.mu.Unlock()
	if n := len(t.free); n > 0 && need <= t.size {
		s := t.free[n-1]
		t.free = t.free[:n-1]
		return s
	}
	return nil
}

// crowded reports whether readers hold so much of what has left the tail that the next ones should copy what they
// read. All together then hold at most what was in the tail at that moment, and this.
func (t *tail) crowded() bool { return t.pinned.Load() > t.budget/4 }

func (t *tail) recycle(s *slab) {
	t.pinned.Add(-int64(len(s.buf))) // only what has left the list gets here
	t.mu.Lock()
	keep := len(s.buf) == t.size && len(t.free) < maxFreeSlabs
	if keep {
		t.free = append(t.free, s)
	}
	t.mu.Unlock()
	if !keep {
		s.buf = nil
		s.block.Free()
	}
}

// find returns the bytes [position, position+n) of a file and the slab that holds them, with a reference taken,
// or nil when they have left the tail.
func (t *tail) find(sequence uint64, position int64, n int) ([]byte, *slab) {
	list := *t.list.Load()
	// Slabs of the list may be evicted and reused while we look, so their place is only read with a reference
	// held. Each probe is a few atomic operations; the list has at most some hundred slabs.
	var found []byte
	var slab *slab
	sort.Search(len(list), func(i int) bool {
		s := list[i]
		if slab != nil || !s.tryAcquire() {
			return slab != nil // gone: what we want, if anywhere, is newer
		}
		switch {
		case s.sequence > sequence || s.sequence == sequence && s.position > position:
			s.release()
			return true
		case s.sequence == sequence && position+int64(n) <= s.position+int64(len(s.buf)):
			at := int(position - s.position)
			found, slab = s.buf[at:at+n:at+n], s
			return true
		}
		s.release()
		return false
	})
	return found, slab
}
