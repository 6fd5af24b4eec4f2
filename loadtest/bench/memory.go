package main

import (
	"context"
	"time"
)

// memoryMetrics are the rows of idle brokers.
var (
	memoryMetrics      = []metric{{scenario: "memory", key: "rss_mb", title: "resident memory, idle after start", unit: "MB", atMost: 0.25}}
	memoryAfterMetrics = []metric{{scenario: "memory-after", key: "rss_mb", title: "resident memory, idle after the load", unit: "MB"}}
)

// idleTime is how long a broker may tidy up before its memory is looked at.
const idleTime = 5 * time.Second

func (b *bench) memory(ctx context.Context) error      { return b.resident(ctx, "memory") }
func (b *bench) memoryAfter(ctx context.Context) error { return b.resident(ctx, "memory-after") }

// resident looks at the memory of both brokers while they have nothing to do.
func (b *bench) resident(ctx context.Context, scenario string) error {
	for _, of := range b.both() {
		if err := of.quiet(ctx); err != nil {
			return err
		}
	}
	if err := pause(ctx, idleTime); err != nil {
		return err
	}
	for _, of := range b.both() {
		rss, err := residentBytes(of.proc.pid())
		if err != nil {
			return err
		}
		if err := b.heapProfile(ctx, of, scenario); err != nil {
			return err
		}
		b.say("  %-8s %.0f MB", of.name, float64(rss)/1e6)
		if err := b.results.add(scenario, of.name, 1, loadAverage(), map[string]float64{"rss_mb": float64(rss) / 1e6}, nil); err != nil {
			return err
		}
	}
	return nil
}
