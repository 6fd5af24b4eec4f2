package coordinator

import (
	"container/heap"
	"time"
)

// timers is the one timer heap of a shard. Most timers are session timers that
// heartbeats push back long before they are due, so setting one later than its
// heap entry costs a map look-up: the entry stays where it is and is put back
// when it surfaces.
type timers struct {
	byKey map[TimerKey]*timer
	heap  timerHeap
	seq   uint64
}

type timer struct {
	key    TimerKey
	due    time.Time // when it fires; zero: cancelled
	queued time.Time // its order in the heap, never after due
	seq    uint64    // breaks ties in the order of setting, so that runs repeat
	index  int
}

func newTimers() *timers { return &timers{byKey: make(map[TimerKey]*timer)} }

func (t *timers) set(key TimerKey, at time.Time) {
	e := t.byKey[key]
	switch {
	case at.IsZero():
		if e != nil {
			delete(t.byKey, key)
			heap.Remove(&t.heap, e.index)
		}
	case e == nil:
		t.seq++
		e = &timer{key: key, due: at, queued: at, seq: t.seq}
		t.byKey[key] = e
		heap.Push(&t.heap, e)
	default:
		e.due = at
		if at.Before(e.queued) {
			e.queued = at
			heap.Fix(&t.heap, e.index)
		}
	}
}

// next returns when pop should be called next; false if no timer is set.
func (t *timers) next() (time.Time, bool) {
	if len(t.heap) == 0 {
		return time.Time{}, false
	}
	return t.heap[0].queued, true
}

// pop removes and returns one timer that is due.
func (t *timers) pop(now time.Time) (TimerKey, bool) {
	for len(t.heap) > 0 && !t.heap[0].queued.After(now) {
		e := t.heap[0]
		if e.due.After(now) {
			e.queued = e.due
			heap.Fix(&t.heap, 0)
			continue
		}
		heap.Pop(&t.heap)
		delete(t.byKey, e.key)
		return e.key, true
	}
	return TimerKey{}, false
}

type timerHeap []*timer

func (h timerHeap) Len() int { return len(h) }
func (h timerHeap) Less(i, j int) bool {
	if !h[i].queued.Equal(h[j].queued) {
		return h[i].queued.Before(h[j].queued)
	}
	return h[i].seq < h[j].seq
}
func (h timerHeap) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].index, h[j].index = i, j
}
func (h *timerHeap) Push(x any) {
	e := x.(*timer)
	e.index = len(*h)
	*h = append(*h, e)
}
func (h *timerHeap) Pop() any {
	old := *h
	e := old[len(old)-1]
	old[len(old)-1] = nil
	*h = old[:len(old)-1]
	return e
}
