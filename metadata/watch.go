package metadata

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
)

// ErrClosed is returned by a closed store or watcher.
var ErrClosed = errors.New("metadata store closed")

// publisher holds the newest image and tells subscribers about it.
type publisher struct {
	image atomic.Pointer[Image]

	mu       sync.Mutex
	watchers map[*Watcher]struct{}
	advanced chan struct{} // closed at the next image, nil when nobody waits
	closed   bool
}

func newPublisher() *publisher {
	p := &publisher{watchers: map[*Watcher]struct{}{}}
	p.image.Store(new(Image))
	return p
}

// publish makes an image the newest. Called from one goroutine at a time.
func (p *publisher) publish(m *Image, c *changes) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.image.Store(m)
	for w := range p.watchers {
		w.pending.merge(c)
		w.wake()
	}
	if p.advanced != nil {
		close(p.advanced)
		p.advanced = nil
	}
}

// next returns the newest image, and a channel that is closed at the one after.
func (p *publisher) next() (*Image, <-chan struct{}, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return nil, nil, ErrClosed
	}
	if p.advanced == nil {
		p.advanced = make(chan struct{})
	}
	return p.image.Load(), p.advanced, nil
}

func (p *publisher) close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
	for w := range p.watchers {
		w.wake()
	}
	if p.advanced != nil {
		close(p.advanced)
		p.advanced = nil
	}
}

// Watcher follows the images. It never misses the newest one; what came
// between is merged into one delta. The memory of a watcher that does not look
// is bounded by maxDelta.
type Watcher struct {
	p       *publisher
	ready   chan struct{} // capacity 1: there may be a newer image
	pending changes       // guarded by p.mu
	seen    *Image        // guarded by p.mu
	closed  bool          // guarded by p.mu
}

func (p *publisher) watch() *Watcher {
	w := &Watcher{p: p, ready: make(chan struct{}, 1), pending: changes{all: true}}
	w.wake()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.watchers[w] = struct{}{}
	return w
}

func (w *Watcher) wake() {
	select {
	case w.ready <- struct{}{}:
	default:
	}
}

// Ready returns a channel that has a value when Next would not block; for use
// in a select. Call TryNext after receiving from it.
func (w *Watcher) Ready() <-chan struct{} { return w.ready }

// TryNext returns the newest image and what changed since the one returned
// before; false when that is still the newest. The first call returns the
// current image with Delta.All.
func (w *Watcher) TryNext() (*Image, Delta, bool) {
	w.p.mu.Lock()
	m := w.p.image.Load()
	if m == w.seen {
		w.p.mu.Unlock()
		return m, Delta{}, false
	}
	c := w.pending
	w.pending, w.seen = changes{}, m
	w.p.mu.Unlock()
	return m, c.delta(), true
}

// Next waits for an image newer than the one returned before. It returns
// ErrClosed when the store or the watcher was closed, or ctx's error. It is to
// be called from one goroutine at a time.
func (w *Watcher) Next(ctx context.Context) (*Image, Delta, error) {
	for {
		if m, d, ok := w.TryNext(); ok {
			return m, d, nil
		}
		w.p.mu.Lock()
		closed := w.p.closed || w.closed
		w.p.mu.Unlock()
		if closed {
			return nil, Delta{}, ErrClosed
		}
		select {
		case <-w.ready:
		case <-ctx.Done():
			return nil, Delta{}, ctx.Err()
		}
	}
}

// Close ends the subscription and wakes a Next under way.
func (w *Watcher) Close() {
	w.p.mu.Lock()
	delete(w.p.watchers, w)
	w.closed = true
	w.p.mu.Unlock()
	w.wake()
}
