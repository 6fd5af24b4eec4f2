package latency

import (
	"math/bits"
	"time"
)

// Histogram counts durations in buckets that are at most 1/64 of their value wide: percentiles are right within 1.6 %.
// One goroutine records; Merge when it is done.
//
//	value < 64 ns     a bucket each
//	else              octave (position of the highest bit) × 64 steps
type Histogram struct {
	counts [buckets]uint32
	total  int64
	most   int64 // exact
}

const (
	stepBits = 6
	steps    = 1 << stepBits
	octaves  = 40 // 2^45 ns is nine hours
	buckets  = octaves * steps
)

func bucketOf(ns int64) int {
	if ns < steps {
		return int(max(ns, 0))
	}
	shift := bits.Len64(uint64(ns)) - stepBits - 1
	return min((shift+1)<<stepBits+int(ns>>shift)&(steps-1), buckets-1)
}

// upper is the largest value of a bucket.
func upper(bucket int) int64 {
	if bucket < steps {
		return int64(bucket)
	}
	shift := bucket>>stepBits - 1
	return (int64(steps+bucket&(steps-1))+1)<<shift - 1
}

// Record counts one duration.
func (h *Histogram) Record(ns int64) {
	h.counts[bucketOf(ns)]++
	h.total++
	h.most = max(h.most, ns)
}

// Count is how many were recorded.
func (h *Histogram) Count() int64 { return h.total }

// Merge adds what another has counted.
func (h *Histogram) Merge(o *Histogram) {
	for i, n := range o.counts {
		h.counts[i] += n
	}
	h.total += o.total
	h.most = max(h.most, o.most)
}

// Quantile is the value that a share q of the recorded ones does not exceed.
func (h *Histogram) Quantile(q float64) time.Duration {
	rank, seen := int64(q*float64(h.total)), int64(0)
	for i, n := range h.counts {
		if seen += int64(n); seen > rank {
			return time.Duration(min(upper(i), h.most))
		}
	}
	return time.Duration(h.most)
}

// Percentiles of a latency, in milliseconds.
type Percentiles struct {
	P50   float64 `json:"p50"`
	P90   float64 `json:"p90"`
	P99   float64 `json:"p99"`
	P999  float64 `json:"p999"`
	Max   float64 `json:"max"`
	Count int64   `json:"count"`
}

// Percentiles sums the histogram up.
func (h *Histogram) Percentiles() *Percentiles {
	ms := func(d time.Duration) float64 { return float64(d.Nanoseconds()) / 1e6 }
	return &Percentiles{ms(h.Quantile(.5)), ms(h.Quantile(.9)), ms(h.Quantile(.99)), ms(h.Quantile(.999)), ms(time.Duration(h.most)), h.total}
}
