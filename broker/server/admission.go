package server

import "sync"

// smallFrame divides the lanes: frames up to this size are small.
const smallFrame = 64 << 10

// admission bounds the bytes of request frames in memory. Small frames have a
// lane of their own, a quarter of the whole, so that a queue of great ones does
// not hold them up. Within a lane it is first come, first served, so that great
// frames are not starved by less great ones. A frame above the whole lane is
// admitted once the lane is empty.
type admission struct {
	small, large lane
}

func newAdmission(bytes int64) *admission {
	a := new(admission)
	a.small.capacity = max(bytes/4, 1)
	a.large.capacity = max(bytes-bytes/4, 1)
	return a
}

func (a *admission) lane(bytes int) *lane {
	if bytes <= smallFrame {
		return &a.small
	}
	return &a.large
}

func (a *admission) used() int64 { return a.small.inUse() + a.large.inUse() }

func (a *admission) waiting() int { return a.small.queued() + a.large.queued() }

type lane struct {
	capacity int64

	mu      sync.Mutex
	used    int64
	waiters []*admissionWaiter // at most one per connection, in order of arrival
}

type admissionWaiter struct {
	bytes   int64
	granted chan struct{} // closed under lane.mu
}

func (l *lane) inUse() int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.used
}

func (l *lane) queued() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.waiters)
}

func (l *lane) fits(bytes int64) bool { return l.used == 0 || l.used+bytes <= l.capacity }

// try takes bytes if that needs no waiting.
func (l *lane) try(bytes int64) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.waiters) > 0 || !l.fits(bytes) {
		return false
	}
	l.used += bytes
	return true
}

// wait takes bytes when it is their turn; false when one of the channels closed
// first, and then nothing is taken.
func (l *lane) wait(bytes int64, closed, draining <-chan struct{}) bool {
	l.mu.Lock()
	if len(l.waiters) == 0 && l.fits(bytes) {
		l.used += bytes
		l.mu.Unlock()
		return true
	}
	w := &admissionWaiter{bytes: bytes, granted: make(chan struct{})}
	l.waiters = append(l.waiters, w)
	l.mu.Unlock()
	select {
	case <-w.granted:
		return true
	case <-closed:
	case <-draining:
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for i := range l.waiters {
		if l.waiters[i] == w {
			l.waiters = append(l.waiters[:i], l.waiters[i+1:]...)
			l.grant() // those behind may be smaller
			return false
		}
	}
	l.used -= w.bytes // granted meanwhile
	l.grant()
	return false
}

func (l *lane) release(bytes int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.used -= bytes; l.used < 0 {
		panic("server: more request bytes released than admitted")
	}
	l.grant()
}

// grant admits from the front of the queue what fits; l.mu is held.
func (l *lane) grant() {
	for len(l.waiters) > 0 && l.fits(l.waiters[0].bytes) {
		w := l.waiters[0]
		l.waiters[0] = nil
		l.waiters = l.waiters[1:]
		l.used += w.bytes
		close(w.granted)
	}
}
