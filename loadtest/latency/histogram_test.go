package latency

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

func TestBucketsCoverEveryValueOnce(t *testing.T) {
	for ns := int64(0); ns < 1<<44; ns += 1 + ns/97 {
		b := bucketOf(ns)
		if ns > upper(b) || (b > 0 && ns <= upper(b-1)) {
			t.Fatalf("value=%d bucket=%d upper=%d", ns, b, upper(b))
		}
		if width := upper(b) - ns; width*steps > ns {
			t.Fatalf("bucket=%d is too wide for value=%d", b, ns)
		}
	}
}

func TestQuantilesOfMergedHistograms(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	var parts [3]Histogram
	var all []int64
	for i := range 30000 {
		ns := int64(rng.ExpFloat64() * float64(time.Millisecond))
		parts[i%3].Record(ns)
		all = append(all, ns)
	}
	var h Histogram
	for i := range parts {
		h.Merge(&parts[i])
	}
	slices.Sort(all)
	for _, q := range []float64{0, .5, .9, .99, .999} {
		want := all[int(q*float64(len(all)))]
		got := h.Quantile(q).Nanoseconds()
		if got < want || got > want+want/steps+1 {
			t.Errorf("quantile %v: %d, want %d", q, got, want)
		}
	}
	if got := h.Quantile(1).Nanoseconds(); got != all[len(all)-1] {
		t.Errorf("maximum %d, want %d", got, all[len(all)-1])
	}
}
