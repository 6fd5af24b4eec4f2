package main

import (
	"context"
	"os"
	"path/filepath"
	"time"
)

// startupMetrics are the rows of starts with history.
var startupMetrics = []metric{
	{scenario: "startup", key: "ready_s", title: "start with 1,000 partitions and history: to the ready line", unit: "s", atMost: 1},
	{scenario: "startup", key: "ready_after_kill_s", title: "the same after SIGKILL", unit: "s", atMost: 1},
}

const (
	startupPartitions = 1000
	startupBytes      = 2 << 30
	startupBytesLong  = 10 << 30
	startupName       = "tideline-startup"
)

// startup writes a history, most of which is in the object store alone, and starts the broker on it, after a stop and after a kill.
func (b *bench) startup(ctx context.Context) error {
	total := int64(startupBytes)
	if b.options.long {
		total = startupBytesLong
	}
	of, _, err := b.startTideline(ctx, startupName, nil, nil)
	if err != nil {
		return err
	}
	defer func() {
		of.proc.kill()
		_ = os.RemoveAll(filepath.Join(b.dir, startupName)) // the whole directory goes at the end in any case
	}()
	// What is tiered leaves the local disk.
	if err := of.createTopic(ctx, "bench-startup", startupPartitions, map[string]string{"local.retention.bytes": "1", "retention.ms": "-1"}); err != nil {
		return err
	}
	if _, err := produceBulk(ctx, of, "bench-startup", startupPartitions, total, compressible(b.options.seed)); err != nil {
		return err
	}
	if err := of.settle(ctx); err != nil {
		return err
	}
	for round := 1; round <= b.options.rounds; round++ {
		values := map[string]float64{"history_bytes": float64(total), "partitions": startupPartitions}
		if err := of.proc.stop(time.Minute); err != nil {
			return err
		}
		syncDisks()
		var took time.Duration
		load := loadAverage()
		if of, took, err = b.restart(ctx, of, nil, nil); err != nil {
			return err
		}
		values["ready_s"] = took.Seconds()
		// A little more, so that the kill leaves something behind that was not tiered.
		if _, err := produceBulk(ctx, of, "bench-startup", startupPartitions, 64<<20, compressible(b.options.seed)); err != nil {
			return err
		}
		of.proc.kill()
		if of, took, err = b.restart(ctx, of, nil, nil); err != nil {
			return err
		}
		values["ready_after_kill_s"] = took.Seconds()
		b.say("  ready in %.3f s, after a kill in %.3f s", values["ready_s"], values["ready_after_kill_s"])
		if err := b.results.add("startup", tidelineName, round, load, values, nil); err != nil {
			return err
		}
	}
	return nil
}

// restart starts a broker that has ended on its data. Where that fails it returns the one that has ended.
func (b *bench) restart(ctx context.Context, of *broker, settings map[string]string, env []string) (*broker, time.Duration, error) {
	again, took, err := b.startTideline(ctx, of.proc.name, settings, env)
	if err != nil {
		return of, 0, err
	}
	return again, took, nil
}
