package txn

import (
	"context"
	"errors"
	"sync"
)

// fresh takes producer ids for decisions that need one, which must not wait for it: one
// goroutine, which runs only while somebody waits.
type fresh struct {
	newID  func(context.Context) (int64, error)
	ctx    context.Context
	cancel context.CancelFunc
	wg     sync.WaitGroup

	mu      sync.Mutex // guards the fields below
	waiting []func(int64, error)
	running bool
}

// maxWaiting bounds who waits for a producer id. Each is a request under way, or a transaction
// that ran out of time and asks again.
const maxWaiting = 4096

var errTooManyWait = errors.New("too many wait for a producer id")

func (f *fresh) init(take func(context.Context) (int64, error)) {
	f.newID = take
	f.ctx, f.cancel = context.WithCancel(context.Background())
}

// take hands a producer id to done, or the reason why not, maybe before it returns.
func (f *fresh) take(done func(int64, error)) {
	f.mu.Lock()
	if f.ctx.Err() != nil || len(f.waiting) >= maxWaiting {
		f.mu.Unlock()
		done(noProducerID, errTooManyWait)
		return
	}
	f.waiting = append(f.waiting, done)
	if !f.running {
		f.running = true
		f.wg.Go(f.run)
	}
	f.mu.Unlock()
}

func (f *fresh) run() {
	for {
		f.mu.Lock()
		if len(f.waiting) == 0 {
			f.running, f.waiting = false, nil
			f.mu.Unlock()
			return
		}
		next := f.waiting[0]
		f.waiting[0] = nil
		f.waiting = f.waiting[1:]
		f.mu.Unlock()
		next(f.newID(f.ctx))
	}
}

// close ends what waits; everybody is told.
func (f *fresh) close() {
	f.mu.Lock()
	f.cancel()
	f.mu.Unlock()
	f.wg.Wait()
}
