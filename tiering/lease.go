package tiering

import (
	"sync/atomic"
	"time"

	"github.com/tidelinehq/tideline/tiering/manifest"
)

// Lease ties a led partition to the engine, from the moment this broker leads until Close. Its methods may be called from
// any goroutine, with any lock of the caller's held: they take only leaf locks and never call the Source.
type Lease struct {
	e   *Engine
	src Source
	id  manifest.ID

	hint      atomic.Int64 // pending bytes, as far as the engine was told; corrected by each look at the source
	rollBytes atomic.Int64
	closed    atomic.Bool
	queued    atomic.Bool // is in the engine's inbox
	fault     atomic.Pointer[error]

	// All below belongs to the scheduler.
	settings    Settings
	rollAt      time.Time
	rollIndex   int // in the heap of roll times; -1: nothing pending
	retainAt    time.Time
	retainIndex int // in the heap of retention times; -1: nothing expires
	busy        bool
	retry       backoff // of uploads that fail for this partition's own reasons
	retainRetry backoff
	head        *head

	compactAt    time.Time // when compaction looks again; zero: not before something changes
	compactRetry backoff
}

// head is what retention knows of the oldest live segment of a partition whose oldest segments are in pages.
type head struct {
	end, logBytes int64
	timestamp     int64 // greatest of the first segment that has one; -1 when none of those looked at has
}

// Advanced says that the high watermark moved over n more bytes of record batches. It costs one atomic addition, unless
// that made the partition pending or full.
func (l *Lease) Advanced(n int64) {
	l.e.advanced.Add(n)
	after := l.hint.Add(n)
	before := after - n
	if full := l.rollBytes.Load(); before <= 0 || before < full && after >= full {
		l.Changed()
	}
}

// Changed says that settings, log start, or anything else the engine looks at is new.
func (l *Lease) Changed() {
	if !l.queued.CompareAndSwap(false, true) {
		return
	}
	l.e.mu.Lock()
	l.e.inbox = append(l.e.inbox, l) // bounded: each lease is in it at most once
	l.e.mu.Unlock()
	l.e.kick()
}

// Close ends the lease: this broker leads no more. What is on its way for the partition is dropped, or refused by the ledger.
// It does not wait.
func (l *Lease) Close() {
	if l.closed.Swap(true) {
		return
	}
	l.e.mu.Lock()
	if l.e.leases[l.id] == l {
		delete(l.e.leases, l.id)
	}
	l.e.mu.Unlock()
	l.Changed()
}

// setFault says why the partition is not uploaded, nil that it is, and reports whether that is news.
func (l *Lease) setFault(err error) (changed bool) {
	if err == nil {
		return l.fault.Swap(nil) != nil
	}
	return l.fault.Swap(&err) == nil
}

// rollHeap orders leases by roll time, retainHeap by retention time. Both let a lease be moved or taken out.
type (
	rollHeap   []*Lease
	retainHeap []*Lease
)

func (h rollHeap) Len() int           { return len(h) }
func (h rollHeap) Less(i, j int) bool { return h[i].rollAt.Before(h[j].rollAt) }
func (h rollHeap) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].rollIndex, h[j].rollIndex = i, j
}
func (h *rollHeap) Push(x any) {
	l := x.(*Lease)
	l.rollIndex = len(*h)
	*h = append(*h, l)
}
func (h *rollHeap) Pop() any {
	old := *h
	l := old[len(old)-1]
	old[len(old)-1] = nil
	*h = old[:len(old)-1]
	l.rollIndex = -1
	return l
}

// due returns the leases whose time has come, at a cost of their number.
func (h rollHeap) due(now time.Time) (out []*Lease) {
	for next := []int{0}; len(next) > 0; {
		i := next[len(next)-1]
		next = next[:len(next)-1]
		if i < len(h) && !h[i].rollAt.After(now) {
			out = append(out, h[i])
			next = append(next, 2*i+1, 2*i+2)
		}
	}
	return out
}

func (h retainHeap) Len() int           { return len(h) }
func (h retainHeap) Less(i, j int) bool { return h[i].retainAt.Before(h[j].retainAt) }
func (h retainHeap) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].retainIndex, h[j].retainIndex = i, j
}
func (h *retainHeap) Push(x any) {
	l := x.(*Lease)
	l.retainIndex = len(*h)
	*h = append(*h, l)
}
func (h *retainHeap) Pop() any {
	old := *h
	l := old[len(old)-1]
	old[len(old)-1] = nil
	*h = old[:len(old)-1]
	l.retainIndex = -1
	return l
}
