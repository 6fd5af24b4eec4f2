package server

import "sync"

// smallFrame divides the lanes: frames up to this size are small.
const smallFrame = 64 << 10

// proofFrame is the size up to which frames of strangers are like others: every proof fits but some tokens, and as many of them as there may be strangers fit beside
// what others send.
const proofFrame = 4 << 10

// admission bounds the bytes of request frames in memory. Small frames have a
// lane of their own, three sixteenths of the whole, so that a queue of great ones does
// not hold them up. Within a lane it is first come, first served, so that great
// frames are not starved by less great ones. A frame above the whole lane is
// admitted once the lane is empty.
//
// Strangers have a lane of their own, a sixteenth, for all that is more than a proof takes: what they announce, and send slowly or never, holds up
// nobody who has proved who he is, nor who does so.
type admission struct {
	small, large, strangers lane
}

func newAdmission(bytes int64) *admission {
	a := new(admission)
	a.small.capacity = max(bytes/4-bytes/16, 1)
	a.strangers.capacity = max(bytes/16, 1)
	a.large.capacity = max(bytes-bytes/4, 1)
	return a
}

// lane is where a frame of so many bytes is admitted.
func (a *admission) lane(bytes int, stranger bool) *lane {
	if stranger && bytes > proofFrame {
		return &a.strangers
	}
	if bytes <= smallFrame {
		return &a.small
	}
	return &a.large
}

func (a *admission) all() [3]*lane { return [3]*lane{&a.small, &a.large, &a.strangers} }

func (a *admission) used() (bytes int64) {
	for _, l := range a.all() {
		bytes += l.inUse()
	}
	return bytes
}

func (a *admission) waiting() (n int) {
	for _, l := range a.all() {
		n += l.queued()
	}
	return n
}

type lane struct {
	capacity int64

	mu      sync.Mutex
	used    int64
	partial int64              // of used: frames that have not arrived as a whole
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

// arriving counts bytes of frames that have begun to arrive, or, below zero, that have ended it.
func (l *lane) arriving(bytes int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.partial += bytes
}

// excess is by how much the frames that have not arrived hold up others: what they have above half of the lane while somebody waits.
func (l *lane) excess() int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.waiters) == 0 {
		return 0
	}
	return l.partial - l.capacity/2
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
