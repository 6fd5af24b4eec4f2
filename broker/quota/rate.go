package quota

import (
	"math"
	"time"
)

// Window is what a rate is taken over: Samples of Size, the last of which is being filled.
type Window struct {
	Samples int
	Size    time.Duration
}

// millis is the size of a sample. All of a rate's arithmetic is in whole milliseconds, as Kafka's, so that both throttle alike.
func (w Window) millis() int64 { return max(w.Size.Milliseconds(), 1) }

// capacity is what a window lets through at a limit, without the sample that is being filled.
func (w Window) capacity(limit float64) float64 {
	return limit * float64(w.Samples-1) * float64(w.millis()) / 1000
}

// sample is what was recorded from start to last.
type sample struct {
	value       float64
	start, last int64 // ms
}

// rate is what was recorded in the samples of a window. The zero value has recorded nothing.
type rate struct {
	samples []sample // a ring of at most Samples+1, since a sample that began before the window may reach into it
	current int
}

func (r *rate) record(w Window, value float64, now int64) {
	if len(r.samples) == 0 {
		r.samples = append(r.samples, sample{start: now})
		r.current = 0
	} else if now-r.samples[r.current].start >= w.millis() {
		r.advance(w, now)
	}
	s := &r.samples[r.current]
	s.value += value
	s.last = now
}

// advance begins a new sample in the place of the oldest.
func (r *rate) advance(w Window, now int64) {
	r.current = (r.current + 1) % (w.Samples + 1)
	if r.current >= len(r.samples) {
		r.current = len(r.samples)
		r.samples = append(r.samples, sample{})
	}
	r.samples[r.current] = sample{start: now, last: now}
}

// measure returns the rate per second, and the time that it was taken over.
func (r *rate) measure(w Window, now int64) (perSecond float64, span int64) {
	age := int64(w.Samples) * w.millis()
	oldest := now
	for i := range r.samples {
		s := &r.samples[i]
		if now-s.last >= age {
			*s = sample{start: now, last: now}
		}
		perSecond += s.value
		oldest = min(oldest, s.start)
	}
	// A client that has only begun is measured as if it had been silent before: one burst is no rate.
	span = now - oldest
	if full, least := span/w.millis(), int64(w.Samples-1); full < least {
		span += (least - full) * w.millis()
	}
	if span <= 0 {
		span = w.millis() // a window of one sample that has just begun
	}
	return perSecond * 1000 / float64(span), span
}

// throttle returns how long nothing must be recorded until the rate is down to a limit.
func (r *rate) throttle(w Window, limit float64, now int64) time.Duration {
	perSecond, span := r.measure(w, now)
	if perSecond <= limit {
		return 0
	}
	return millis((perSecond - limit) / limit * float64(span))
}

// bucket is a bucket of tokens. The zero value is full.
type bucket struct {
	tokens float64
	last   int64 // ms of the last refill
}

func (b *bucket) refill(w Window, limit float64, now int64) {
	burst := limit * float64(w.Samples) * float64(w.millis()) / 1000
	b.tokens = min(burst, b.tokens+limit*float64(now-b.last)/1000)
	b.last = now
}

// take takes n tokens, which may leave fewer than none.
func (b *bucket) take(w Window, limit, n float64, now int64) {
	b.refill(w, limit, now)
	b.tokens -= n
}

// throttle returns how long it takes until the bucket has no debt.
func (b *bucket) throttle(w Window, limit float64, now int64) time.Duration {
	b.refill(w, limit, now)
	if b.tokens >= 0 {
		return 0
	}
	return millis(-b.tokens / limit * 1000)
}

// maxThrottle bounds what a client is told to wait: the protocol has 31 bits of milliseconds, and a client that is told to wait for days
// is one that somebody set a wrong limit for.
const maxThrottle = time.Hour

// millis rounds to whole milliseconds, which is what the protocol has.
func millis(ms float64) time.Duration {
	if !(ms < float64(maxThrottle/time.Millisecond)) { // also what is no number
		return maxThrottle
	}
	return time.Duration(math.Round(ms)) * time.Millisecond
}
