package tiering

import (
	"math/rand/v2"
	"time"
)

const (
	backoffFirst = 500 * time.Millisecond
	backoffLast  = time.Minute
)

// backoff is the memory of something that fails: since when, how often, and when to try again. The zero value is health.
type backoff struct {
	since    time.Time // of the first failure in a row; zero: none
	failures int
	retryAt  time.Time
	err      error
}

// failed notes a failure and sets the next try: doubling from half a second to a minute, with jitter so that the brokers
// of a cluster do not come back as one.
func (b *backoff) failed(now time.Time, err error) {
	if b.failures == 0 {
		b.since = now
	}
	b.failures++
	b.err = err
	wait := backoffLast
	if shift := b.failures - 1; shift < 7 {
		wait = min(backoffFirst<<shift, backoffLast)
	}
	b.retryAt = now.Add(wait/2 + rand.N(wait/2+1))
}

// waiting reports whether the next try is still ahead.
func (b *backoff) waiting(now time.Time) bool { return b.failures > 0 && now.Before(b.retryAt) }
