package api

import "sync/atomic"

// byteBudget hands out a bounded number of bytes without ever waiting: who asks
// gets less when there is less.
type byteBudget struct {
	free atomic.Int64
}

func newByteBudget(n int64) *byteBudget {
	b := &byteBudget{}
	b.free.Store(n)
	return b
}

// take returns how many of want bytes are granted: at most a quarter of what is
// free, so that the last bytes are shared by many, and at least floor, so that
// everybody makes progress.
func (b *byteBudget) take(want, floor int64) int64 {
	granted := min(want, max(b.free.Load()/4, floor))
	b.free.Add(-granted)
	return granted
}

func (b *byteBudget) give(n int64) { b.free.Add(n) }
