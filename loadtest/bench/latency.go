package main

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// latencyMetrics are the rows of the open-loop scenario.
var latencyMetrics = []metric{
	{scenario: "latency", key: "p50", title: "produce 1 KiB unbatched, 10,000/s: p50", unit: "ms"},
	{scenario: "latency", key: "p99", title: "produce 1 KiB unbatched, 10,000/s: p99", unit: "ms", atMost: 1.5},
	{scenario: "latency", key: "p999", title: "produce 1 KiB unbatched, 10,000/s: p99.9", unit: "ms"},
	{scenario: "latency", key: "cpu_us_per_request", title: "produce 1 KiB unbatched: broker CPU per request", unit: "µs", atMost: 0.6},
}

const (
	latencyConns   = 64
	latencyPerSec  = 10000
	latencyTopic   = "bench-latency"
	latencyWarm    = time.Second
	latencyMeasure = 8 * time.Second
)

// latency sends single records at a fixed rate and looks at how late the acknowledgements are.
func (b *bench) latency(ctx context.Context) error {
	for _, of := range b.both() {
		if err := of.createTopic(ctx, latencyTopic, latencyConns, nil); err != nil {
			return err
		}
		// The JVM compiles what is hot; a Go broker fills its pools. Both get the same time for it.
		if _, err := b.sendOpenLoop(ctx, of, 0, b.options.warmUp, time.Second); err != nil {
			return err
		}
		if err := of.settle(ctx); err != nil {
			return err
		}
	}
	return b.turns(ctx, func(of *broker, round int) error {
		wait := b.profile(ctx, of, fmt.Sprintf("latency-%d", round), int((latencyWarm+latencyMeasure).Seconds())-2)
		load := loadAverage()
		s, err := b.sendOpenLoop(ctx, of, round, latencyWarm, latencyMeasure)
		if err = errors.Join(err, wait()); err != nil {
			return err
		}
		return b.results.add("latency", of.name, round, load, s.Values, s.Latency)
	})
}

// sendOpenLoop is one turn of one broker.
func (b *bench) sendOpenLoop(ctx context.Context, of *broker, round int, warm, measure time.Duration) (*Sample, error) {
	loop, err := dialOpenLoop(ctx, of, latencyTopic, latencyConns, latencyPerSec, b.options.seed+uint64(round))
	if err != nil {
		return nil, err
	}
	var edges []time.Duration
	var syncs []float64
	seen, n, err := loop.run(ctx, warm, measure, func() error {
		if of.http != "" {
			count, err := of.metric(ctx, "tideline_wal_sync_seconds_count")
			if err != nil {
				return err
			}
			syncs = append(syncs, count)
		}
		used, err := of.cpu()
		edges = append(edges, used)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("open loop broker=%s: %w", of.name, errors.Join(err, loop.close()))
	}
	if err := loop.close(); err != nil {
		return nil, err
	}
	p := seen.Percentiles()
	b.say("  %-8s p50 %.2f  p99 %.2f  p99.9 %.2f  max %.1f ms, %.1f µs CPU a request, %d requests (generator late: p99 %.2f ms)",
		of.name, p.P50, p.P99, p.P999, p.Max, float64((edges[1]-edges[0]).Microseconds())/float64(n), n, loop.late.Percentiles().P99)
	s := &Sample{Latency: p, Values: map[string]float64{
		"p50": p.P50, "p99": p.P99, "p999": p.P999, "cpu_us_per_request": float64((edges[1] - edges[0]).Microseconds()) / float64(n),
		"requests_per_second": float64(n) / measure.Seconds(), "generator_late_p99_ms": loop.late.Percentiles().P99,
	}}
	if len(syncs) == 2 && syncs[1] > syncs[0] {
		s.Values["requests_per_sync"] = float64(n) / (syncs[1] - syncs[0])
		b.say("           %.1f requests share one sync", s.Values["requests_per_sync"])
	}
	return s, nil
}
