package tiering

import (
	"context"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"
)

// Tuning is what of an engine's settings may change while it runs. Each means what it means in
// Options; what is zero there by default is no limit here as well.
type Tuning struct {
	UploadBytesPerSecond  int64
	CompactKeyBytes       int64
	CompactKeyLoad        float64
	CompactBytesPerSecond int64
	CompactInterval       time.Duration
}

// tuning returns what the options say.
func (o *Options) tuning() Tuning {
	return Tuning{
		UploadBytesPerSecond: o.UploadBytesPerSecond,
		CompactKeyBytes:      o.CompactKeyBytes, CompactKeyLoad: o.CompactKeyLoad,
		CompactBytesPerSecond: o.CompactBytesPerSecond, CompactInterval: o.CompactInterval,
	}
}

// Tune has the engine go on with other settings. What is under way notices within a second or so, but
// for the room of the keys, which counts from the next round of compaction on. Values that Options
// would not take are an error, and change nothing.
func (e *Engine) Tune(t Tuning) error {
	o := e.o
	o.UploadBytesPerSecond, o.CompactBytesPerSecond = t.UploadBytesPerSecond, t.CompactBytesPerSecond
	o.CompactKeyBytes, o.CompactKeyLoad, o.CompactInterval = t.CompactKeyBytes, t.CompactKeyLoad, t.CompactInterval
	if err := o.setDefaults(); err != nil {
		return err
	}
	t = o.tuning()
	e.tuned.Store(&t)
	e.uploadPace.set(t.UploadBytesPerSecond)
	e.compactPace.set(t.CompactBytesPerSecond)
	return nil
}

// pace keeps work within a rate that may change.
type pace struct{ limiter atomic.Pointer[rate.Limiter] } // nil: no limit

// maxBurst is what may pass at once after a pause, where the rate is not smaller.
const maxBurst = 1 << 20

// set changes the rate; 0 is no limit.
func (p *pace) set(bytesPerSecond int64) {
	if l := p.limiter.Load(); l != nil && l.Limit() == rate.Limit(bytesPerSecond) {
		return
	}
	if bytesPerSecond == 0 {
		p.limiter.Store(nil)
		return
	}
	p.limiter.Store(rate.NewLimiter(rate.Limit(bytesPerSecond), int(min(bytesPerSecond, maxBurst))))
}

// wait returns when n bytes more may pass, or when ctx ends. It waits piece by piece, so that another rate
// counts soon.
func (p *pace) wait(ctx context.Context, n int64) error {
	for n > 0 {
		l := p.limiter.Load()
		if l == nil {
			break
		}
		part := min(n, int64(l.Burst()))
		if err := l.WaitN(ctx, int(part)); err != nil {
			return err
		}
		n -= part
	}
	return ctx.Err()
}
