package replication

import (
	"maps"
	"math"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tidelinehq/tideline/wal"
)

// Replicas that catch up can be throttled, so that moving them takes no more of the network than an
// operator gives it (KIP-73). What is throttled is named by topics' settings; a follower in sync never
// is. In Kafka leaders and followers hold back for themselves. Here the leader pushes, so it keeps to
// both rates: its own for all followers together, and for each follower the part that is its own.

// Throttles say what replication may take. They do not change; see Sender.Throttle.
type Throttles struct {
	// Leader is what this broker sends to throttled followers, in bytes per second; 0: no bound.
	Leader int64
	// Followers are what it may send to each, likewise; a follower that is missing has no bound.
	Followers map[int32]int64
	// Limited says by which of them a follower of a partition is throttled.
	Limited func(id wal.ID, follower int32) (leader, self bool)
}

// throttle keeps to the rates.
type throttle struct {
	rates atomic.Pointer[Throttles] // nil: none

	mu     sync.Mutex // guards what follows
	leader bucket
	each   map[int32]*bucket
}

// bucket lets bytes through at a rate. It lets through what comes while nothing is owed, and then
// nothing until that is paid, so that one batch may be larger than a second's worth.
type bucket struct {
	owed float64 // bytes; negative: may be sent on top, a second's worth at most
	at   time.Time
}

// wait says how long nothing may be sent.
func (b *bucket) wait(rate int64, now time.Time) time.Duration {
	if !b.at.IsZero() {
		b.owed = max(b.owed-now.Sub(b.at).Seconds()*float64(rate), -float64(rate))
	}
	b.at = now
	if b.owed <= 0 {
		return 0
	}
	return time.Duration(min(b.owed/float64(rate)*float64(time.Second), math.MaxInt64/2))
}

// minTurn is what a throttled partition may send at once, at least.
const minTurn = 16 << 10

// turn says how long a feed has to wait, and else how much it may send.
func (t *throttle) turn(f *feed, now time.Time) (bytes int, wait time.Duration) {
	rates := t.rates.Load()
	if rates == nil || f.p.InISR(f.link.broker) {
		return turnBytes, 0
	}
	bytes = turnBytes
	t.limits(rates, f, func(b *bucket, rate int64) {
		wait = max(wait, b.wait(rate, now))
		bytes = min(bytes, max(int(min(rate, turnBytes)), minTurn))
	})
	return bytes, wait
}

// sent counts what a feed has sent.
func (t *throttle) sent(f *feed, bytes int) {
	rates := t.rates.Load()
	if rates == nil || f.p.InISR(f.link.broker) {
		return
	}
	t.limits(rates, f, func(b *bucket, _ int64) { b.owed += float64(bytes) })
}

// limits calls do for the rates by which a feed is throttled.
func (t *throttle) limits(rates *Throttles, f *feed, do func(b *bucket, rate int64)) {
	leader, self := rates.Limited(f.p.ID(), f.link.broker)
	t.mu.Lock()
	defer t.mu.Unlock()
	if leader && rates.Leader > 0 {
		do(&t.leader, rates.Leader)
	}
	if rate := rates.Followers[f.link.broker]; self && rate > 0 {
		b := t.each[f.link.broker]
		if b == nil {
			b = new(bucket)
			if t.each == nil {
				t.each = make(map[int32]*bucket)
			}
			t.each[f.link.broker] = b
		}
		do(b, rate)
	}
}

// Throttle has replication keep to these rates from now on; nil: to none. What waits is looked at
// again.
func (s *Sender) Throttle(rates *Throttles) {
	before := s.throttle.rates.Swap(rates)
	if before == nil && rates == nil {
		return
	}
	if before == nil || rates == nil || before.Leader != rates.Leader || !maps.Equal(before.Followers, rates.Followers) {
		s.throttle.mu.Lock()
		s.throttle.leader, s.throttle.each = bucket{}, nil // what is owed was owed at another rate
		s.throttle.mu.Unlock()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, o := range s.outlets {
		for _, f := range o.feeds {
			if f.resting.Swap(false) {
				f.link.queue(f)
			}
		}
	}
}

// throttled reports whether a feed has to wait, and has it looked at again when it need not any more. Else
// it returns how much it may send.
func (s *Sender) throttled(f *feed) (bytes int, wait bool) {
	bytes, rest := s.throttle.turn(f, s.o.Now())
	if rest <= 0 {
		return bytes, false
	}
	if !f.resting.Swap(true) { // one timer for a feed, however often it has more to send
		s.m.throttled.Inc()
		time.AfterFunc(rest, func() {
			f.resting.Store(false)
			f.link.queue(f)
		})
	}
	return 0, true
}
