package retry

import (
	"sync"
	"time"
)

// bucket is a token bucket that is filled by use and, slowly, by time. It begins full.
type bucket struct {
	max, perUse, perSecond float64
	now                    func() time.Time

	mu     sync.Mutex
	tokens float64
	last   time.Time // when time last filled it
}

func newBucket(max, perUse, perSecond float64, now func() time.Time) *bucket {
	return &bucket{max: max, perUse: perUse, perSecond: perSecond, now: now, tokens: max, last: now()}
}

// earn counts one use.
func (b *bucket) earn() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.tokens = min(b.max, b.tokens+b.perUse)
}

// take spends one token, or reports that there is none.
func (b *bucket) take() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	now := b.now()
	if elapsed := now.Sub(b.last); elapsed > 0 {
		b.tokens = min(b.max, b.tokens+elapsed.Seconds()*b.perSecond)
		b.last = now
	}
	if b.tokens < 1 {
		return false
	}
	b.tokens--
	return true
}

// level is how many tokens there are, without those that time would add.
func (b *bucket) level() float64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.tokens
}
