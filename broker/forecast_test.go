package broker

import (
	"math"
	"testing"
	"time"
)

func TestForecast(t *testing.T) {
	at := time.UnixMilli(0)
	line := func(n int, used func(i int) int64) (out []sample) {
		for i := range n {
			out = append(out, sample{at.Add(time.Duration(i) * 10 * time.Second), used(i)})
		}
		return out
	}
	for _, c := range []struct {
		name    string
		samples []sample
		limit   int64
		want    float64
	}{
		{"nothing is known", nil, 100, math.Inf(1)},
		{"one sample is no trend", line(1, func(int) int64 { return 50 }), 100, math.Inf(1)},
		{"ten bytes a second", line(10, func(i int) int64 { return int64(i) * 100 }), 1900, 100},
		{"it does not grow", line(10, func(int) int64 { return 50 }), 100, math.Inf(1)},
		{"it shrinks", line(10, func(i int) int64 { return 1000 - int64(i) }), 2000, math.Inf(1)},
		{"it is full", line(3, func(i int) int64 { return 100 + int64(i) }), 100, 0},
		{"teeth without a trend", line(60, func(i int) int64 { return 30 - int64(i%3)*10 }), 100, math.Inf(1)},
		{"two samples at one moment", []sample{{at, 1}, {at, 2}}, 100, math.Inf(1)},
	} {
		got := fullIn(c.samples, c.limit)
		if math.Abs(got-c.want) > 1e-6 && got != c.want {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
	}
}

// What is older than the window has no say any more.
func TestForecastForgets(t *testing.T) {
	f, at := newForecast(), time.UnixMilli(0)
	for i := range 3 * forecastSamples {
		used := int64(0)
		if i >= 2*forecastSamples {
			used = int64(i-2*forecastSamples) * 10
		}
		f.add(sample{at.Add(time.Duration(i) * time.Second), used})
	}
	if n := len(f.samples); n != forecastSamples || cap(f.samples) != forecastSamples {
		t.Fatalf("%d samples are kept, with room for %d", n, cap(f.samples))
	}
	if got, want := f.fullIn(1590), 100.0; math.Abs(got-want) > 1e-6 {
		t.Errorf("full in %v s, want %v", got, want)
	}
}
