package wal

import (
	"context"
	"sync"
)

// room wakes those who wait until an append may fit again.
type room struct {
	mu      sync.Mutex
	changed chan struct{} // closed when there is more room; nil when nobody waits
}

func (r *room) wait() <-chan struct{} {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.changed == nil {
		r.changed = make(chan struct{})
	}
	return r.changed
}

func (r *room) grew() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.changed != nil {
		close(r.changed)
		r.changed = nil
	}
}

// WaitRoom waits while Append would answer ErrFull to so many bytes of batches, until a file was freed, the disk has
// space again, or the queue was written. It returns ctx's error, or nil at once when the log has failed or is closed,
// which the next Append will tell.
func (l *Log) WaitRoom(ctx context.Context, bytes int) error {
	n := int64(bytes)
	n += (n/frameTarget + 2) * blockSize // no less than the frames around it
	for {
		changed := l.room.wait()
		if !l.full(n) {
			return nil
		}
		select {
		case <-changed:
		case <-l.quit:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
