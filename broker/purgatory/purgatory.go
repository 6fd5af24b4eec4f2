package purgatory

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/tidelinehq/tideline/broker/partition"
)

// Purgatory is the set of parked requests.
type Purgatory struct {
	max     int64
	metrics *metrics

	mu     sync.Mutex // guards closed and parked
	closed bool
	parked map[*Parked]struct{}
}

// Parked is one waiting request.
type Parked struct {
	home  *Purgatory
	parts []*partition.Partition
	need  int64 // bytes
	got   atomic.Int64
	state atomic.Int32 // armed | fired
	last  atomic.Bool
	timer *time.Timer // set before the request is armed
	wake  func(last bool)
}

// A request leaves when it is both armed, that is known to all its partitions, and
// fired. Whatever sets the second of the two bits sees to that. So a request that
// is fired while Park still goes from partition to partition is taken out of all
// of them.
const (
	armed = 1 << iota
	fired
)

// Park keeps a request until need more bytes are readable in parts, at most for
// wait, and then calls wake in a goroutine of its own. seen are the high
// watermarks that the request has looked at, one per part: if any has moved since,
// the request is woken at once. last tells wake that there is no use in waiting
// once more: the time is up, a partition stopped being served, or the purgatory
// was closed. Park reports false when there is no room; wake is not called then.
func (u *Purgatory) Park(parts []*partition.Partition, seen []int64, need int64, wait time.Duration, wake func(last bool)) bool {
	return u.park((*partition.Partition).Watch, parts, seen, need, wait, wake) != nil
}

// ParkStable is Park for a request that reads committed records only: it waits for the last stable
// offsets, and seen are those. A transaction that ends may make more readable than need, or less: it
// wakes the request in any case, which looks how much.
func (u *Purgatory) ParkStable(parts []*partition.Partition, seen []int64, need int64, wait time.Duration, wake func(last bool)) bool {
	return u.park((*partition.Partition).WatchStable, parts, seen, need, wait, wake) != nil
}

// Hold is Park, or ParkStable, for a request that waits for something else, too: whoever
// sees that happen calls Wake of what is returned, which is nil when there is no room.
func (u *Purgatory) Hold(stable bool, parts []*partition.Partition, seen []int64, need int64, wait time.Duration, wake func(last bool)) *Parked {
	if stable {
		return u.park((*partition.Partition).WatchStable, parts, seen, need, wait, wake)
	}
	return u.park((*partition.Partition).Watch, parts, seen, need, wait, wake)
}

func (u *Purgatory) park(watch func(*partition.Partition, partition.Waiter) int64, parts []*partition.Partition, seen []int64, need int64, wait time.Duration, wake func(last bool)) *Parked {
	w := &Parked{home: u, parts: parts, need: need, wake: wake}
	if !u.admit(w) {
		return nil
	}
	moved := false
	for i, p := range parts {
		if watch(p, w) != seen[i] {
			moved = true
		}
	}
	w.timer = time.AfterFunc(wait, w.end)
	if moved {
		w.fire()
	}
	if w.state.Or(armed)&fired != 0 {
		go w.leave()
	}
	return w
}

// Wake wakes the request, unless it is awake. It may be called by any goroutine,
// any number of times, and does not block.
func (w *Parked) Wake() { w.fire() }

// End wakes the request for the last time: there is no use in waiting for anything.
func (w *Parked) End() { w.end() }

func (u *Purgatory) admit(w *Parked) bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.closed || int64(len(u.parked)) >= u.max {
		u.metrics.refused.Inc()
		return false
	}
	u.parked[w] = struct{}{}
	u.metrics.parked.Set(float64(len(u.parked)))
	return true
}

// Advanced implements partition.Waiter.
func (w *Parked) Advanced(_ *partition.Partition, bytes int) {
	switch {
	case bytes < 0:
		w.end()
	case w.got.Add(int64(bytes)) >= w.need:
		w.fire()
	}
}

// end wakes the request for the last time.
func (w *Parked) end() {
	w.last.Store(true)
	w.fire()
}

// fire wakes the request, once.
func (w *Parked) fire() {
	if w.state.Or(fired) == armed {
		go w.leave()
	}
}

// leave takes the request out of everything that knows it and lets it go on.
func (w *Parked) leave() {
	for _, p := range w.parts {
		p.Unwatch(w)
	}
	w.home.mu.Lock()
	delete(w.home.parked, w)
	w.home.metrics.parked.Set(float64(len(w.home.parked)))
	w.home.mu.Unlock()
	w.timer.Stop()
	w.wake(w.last.Load())
}

// Close wakes all that is parked and takes in nothing more.
func (u *Purgatory) Close() {
	u.mu.Lock()
	u.closed = true
	all := make([]*Parked, 0, len(u.parked))
	for w := range u.parked {
		all = append(all, w)
	}
	u.mu.Unlock()
	for _, w := range all {
		w.end()
	}
}
