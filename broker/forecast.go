package broker

import (
	"context"
	"math"
	"sync"
	"time"
)

// The window of a forecast. Files of the write-ahead log come and go in a saw's teeth, as rolls free them: a window much longer than
// tier.roll.ms sees the trend and not the tooth.
const (
	forecastSamples  = 60
	forecastInterval = 15 * time.Second
)

// sample is how much was used at a moment.
type sample struct {
	at   time.Time
	used int64
}

// forecast remembers how the use of something that is bounded grew, to tell when the bound is reached.
type forecast struct {
	mu      sync.Mutex // guards samples
	samples []sample   // the newest forecastSamples, oldest first
}

func newForecast() *forecast { return &forecast{samples: make([]sample, 0, forecastSamples)} }

// add takes in a sample, and forgets the oldest if it must.
func (f *forecast) add(s sample) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.samples) == forecastSamples {
		f.samples = append(f.samples[:0], f.samples[1:]...)
	}
	f.samples = append(f.samples, s)
}

// fullIn returns the seconds until limit is reached.
func (f *forecast) fullIn(limit int64) float64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	return fullIn(f.samples, limit)
}

// fullIn returns the seconds from the last sample until limit is reached along the line of least squares through all of them: 0 when it
// is, +Inf when the line does not rise, or when there are too few samples to tell.
func fullIn(samples []sample, limit int64) float64 {
	n := len(samples)
	if n == 0 {
		return math.Inf(1)
	}
	last := samples[n-1]
	if last.used >= limit {
		return 0
	}
	var meanT, meanU float64
	for _, s := range samples {
		meanT += s.at.Sub(samples[0].at).Seconds() / float64(n)
		meanU += float64(s.used) / float64(n)
	}
	var above, below float64
	for _, s := range samples {
		t := s.at.Sub(samples[0].at).Seconds() - meanT
		above += t * (float64(s.used) - meanU)
		below += t * t
	}
	if below <= 0 || above <= 0 {
		return math.Inf(1)
	}
	return float64(limit-last.used) / (above / below)
}

// watch takes samples until the context ends.
func (f *forecast) watch(ctx context.Context, used func() int64, now func() time.Time) {
	tick := time.NewTicker(forecastInterval)
	defer tick.Stop()
	for {
		f.add(sample{now(), used()})
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}
