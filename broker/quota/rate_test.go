package quota

import (
	"math"
	"testing"
	"time"
)

var window = Window{Samples: 11, Size: time.Second}

// TestRateByHand compares with what the formula gives: (rate - limit) / limit × window.
func TestRateByHand(t *testing.T) {
	const start = 1_000_000
	r := new(rate)
	r.record(window, 20_000, start)
	// 20,000 in a window of ten whole samples and one that has just begun.
	if perSecond, span := r.measure(window, start); perSecond != 2000 || span != 10_000 {
		t.Fatalf("rate %v over %d ms", perSecond, span)
	}
	if d := r.throttle(window, 1000, start); d != 10*time.Second {
		t.Errorf("throttled for %v", d)
	}
	if d := r.throttle(window, 2000, start); d != 0 {
		t.Errorf("throttled at the limit for %v", d)
	}
	// Having waited, it is at the limit, and not before.
	if d := r.throttle(window, 1000, start+9_999); d <= 0 {
		t.Error("free before its time")
	}
	// One that waits comes down: 20,000 over 10 s is 2,000; the sample is still in the window at 10,999 ms, and gone at 11,000.
	if perSecond, _ := r.measure(window, start+10_999); perSecond == 0 {
		t.Error("a sample went before its time")
	}
	if perSecond, _ := r.measure(window, start+11_000); perSecond != 0 {
		t.Error("a sample stayed beyond its time")
	}
}

// TestRateConverges lets a client that always waits as told take as much as it can: it gets its limit.
func TestRateConverges(t *testing.T) {
	for _, w := range []Window{window, {Samples: 2, Size: time.Second}, {Samples: 1, Size: time.Second}, {Samples: 30, Size: 2 * time.Second}} {
		for _, chunk := range []float64{100, 1000, 5000, 40_000} {
			const limit = 1000.0
			r, now, sum := new(rate), int64(1_000_000), 0.0
			begin := now
			for now < begin+1_000_000 {
				r.record(w, chunk, now)
				sum += chunk
				now += max(r.throttle(w, limit, now).Milliseconds(), 1)
			}
			got := sum * 1000 / float64(now-begin)
			// The first window is free, and a window of few samples is coarse.
			if got > 1.25*limit+float64(w.Samples)*limit/100 || chunk < limit && got < 0.7*limit {
				t.Errorf("window %v chunk %v: %v per second of %v", w, chunk, got, limit)
			}
		}
	}
}

func TestRateIsBounded(t *testing.T) {
	r := new(rate)
	for now := int64(0); now < 10_000_000; now += 700 {
		r.record(window, 1, now)
	}
	if len(r.samples) > window.Samples+1 {
		t.Errorf("%d samples", len(r.samples))
	}
	// The clock may step back.
	r.record(window, 1, 5)
	if perSecond, span := r.measure(window, 5); math.IsNaN(perSecond) || perSecond < 0 || span <= 0 {
		t.Errorf("rate %v over %d", perSecond, span)
	}
}

// TestBucket is the example of KIP-599: a burst is paid for by as long as it takes to refill what is below zero.
func TestBucket(t *testing.T) {
	w := Window{Samples: 100, Size: time.Second}
	b := new(bucket)
	const now = 1_700_000_000_000
	b.take(w, 5, 560, now)
	if b.tokens != -60 {
		t.Fatalf("%v tokens", b.tokens)
	}
	if d := b.throttle(w, 5, now); d != 12*time.Second {
		t.Errorf("throttled for %v", d)
	}
	if d := b.throttle(w, 5, now+12_000); d != 0 {
		t.Errorf("throttled after its time for %v", d)
	}
	if b.throttle(w, 5, now+100_000_000); b.tokens != 500 {
		t.Errorf("%v tokens in a full bucket", b.tokens)
	}
}

func TestThrottleIsBounded(t *testing.T) {
	r := new(rate)
	r.record(window, math.MaxFloat64, 0)
	if d := r.throttle(window, 1e-300, 0); d != maxThrottle {
		t.Errorf("throttled for %v", d)
	}
	if d := millis(math.NaN()); d != maxThrottle {
		t.Errorf("no number is %v", d)
	}
}
