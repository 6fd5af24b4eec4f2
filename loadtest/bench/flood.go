package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"time"

	"github.com/tidelinehq/tideline/loadtest/latency"
)

// floodMetrics are the rows of floods: one for each.
var floodMetrics = func() (rows []metric) {
	for _, f := range floods {
		rows = append(rows, metric{scenario: "flood", key: f.name, title: f.title + ": p99 of an honest producer, beside without", unit: "×", atMost: 2})
	}
	return rows
}()

const (
	floodName    = "tideline-flood"
	floodTopic   = latencyTopic // the open loop's own
	quietTopic   = "bench-quiet"
	floodConns   = 16
	floodPerSec  = 1000
	floodWarm    = 2 * time.Second
	floodMeasure = 6 * time.Second
)

// flood looks at what each flood does to the latency of a producer that sends single records at a fixed rate. A turn without the flood
// comes right before each turn with it; a figure is the ratio of the two.
func (b *bench) flood(ctx context.Context) (err error) {
	of, _, err := b.startTideline(ctx, floodName, nil, nil)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = fmt.Errorf("%w\n--- log of %s\n%s", err, floodName, of.proc.tail())
		}
		of.proc.kill()
		_ = os.RemoveAll(filepath.Join(b.dir, floodName)) // the whole directory goes at the end in any case
	}()
	if err := of.createTopic(ctx, floodTopic, floodConns, nil); err != nil {
		return err
	}
	if err := of.createTopic(ctx, quietTopic, 1, nil); err != nil {
		return err
	}
	if _, err := b.floodTurn(ctx, of, 0); err != nil { // fills the broker's pools
		return err
	}
	for round := 1; round <= b.options.rounds; round++ {
		for _, f := range floods {
			if len(b.options.floods) > 0 && !slices.Contains(b.options.floods, f.name) {
				continue
			}
			load := loadAverage()
			calm, err := b.floodTurn(ctx, of, round)
			if err != nil {
				return err
			}
			stop, err := startFlood(f.name, of.addr)
			if err != nil {
				return err
			}
			beside, err := b.floodTurn(ctx, of, round)
			did, ending := stop()
			if err = errors.Join(err, ending); err != nil {
				return fmt.Errorf("flood %s: %w", f.name, err)
			}
			resident, err := residentBytes(of.proc.pid())
			if err != nil {
				return err
			}
			values := map[string]float64{
				f.name: beside.percentiles.P99 / calm.percentiles.P99, f.name + "_calm_p99_ms": calm.percentiles.P99, f.name + "_beside_p99_ms": beside.percentiles.P99, f.name + "_resident_mib": float64(resident >> 20),
				f.name + "_calm_sync_ms": calm.sync, f.name + "_beside_sync_ms": beside.sync,
			}
			b.say("  round %d, %-12s p99 %.2f ms, beside it %.2f ms: %.2f times; a sync %.2f and %.2f ms (broker %d MiB; %s)",
				round, f.name, calm.percentiles.P99, beside.percentiles.P99, values[f.name], calm.sync, beside.sync, resident>>20, did)
			if err := b.results.add("flood", tidelineName, round, load, values, beside.percentiles); err != nil {
				return err
			}
			if err := of.settle(ctx); err != nil {
				return err
			}
		}
	}
	return nil
}

// floodStretch is a stretch of the honest producer's work.
type floodStretch struct {
	percentiles *latency.Percentiles
	sync        float64 // ms, the mean of the broker's: where it is much longer beside a flood that does not touch the disk, that was busy with something else
}

// floodTurn is a stretch without the flood, or beside it.
func (b *bench) floodTurn(ctx context.Context, of *broker, round int) (*floodStretch, error) {
	loop, err := dialOpenLoop(ctx, of, floodTopic, floodConns, floodPerSec, b.options.seed+uint64(round))
	if err != nil {
		return nil, err
	}
	var syncs, seconds [2]float64 // at both ends of the measured part
	at := 0
	seen, _, err := loop.run(ctx, floodWarm, floodMeasure, func() (err error) {
		var counting error
		seconds[at], err = of.metric(ctx, "tideline_wal_sync_seconds_sum")
		syncs[at], counting = of.metric(ctx, "tideline_wal_sync_seconds_count")
		at++
		return errors.Join(err, counting)
	})
	if err = errors.Join(err, loop.close()); err != nil {
		return nil, fmt.Errorf("honest producer: %w", err)
	}
	return &floodStretch{percentiles: seen.Percentiles(), sync: 1e3 * (seconds[1] - seconds[0]) / max(syncs[1]-syncs[0], 1)}, nil
}

// startFlood runs a flood in a process of its own, so that its work is not the honest client's, until stop is called; that tells what the flood did.
func startFlood(name, addr string) (stop func() (did string, err error), err error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(self)
	cmd.Env = append(os.Environ(), floodVariable+"="+name+" "+addr)
	cmd.Stderr = os.Stderr
	dieWithParent(cmd)
	until, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	said, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	return func() (string, error) {
		closing := until.Close()
		line, reading := firstLine(said)
		return line, errors.Join(closing, reading, cmd.Wait())
	}, nil
}
