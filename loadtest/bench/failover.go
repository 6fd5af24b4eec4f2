package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/tidelinehq/tideline/loadtest/verify"
)

// failoverMetrics are the rows of brokers that die.
var failoverMetrics = []metric{
	{scenario: "failover", key: "leader_gap_ms", title: "SIGKILL of a leader: acknowledgement gap of its partitions", unit: "ms", apart: true},
	{scenario: "failover", key: "leader_other_gap_ms", title: "the same: of partitions that it did not lead", unit: "ms", apart: true},
	{scenario: "failover", key: "controller_gap_ms", title: "SIGKILL of the metadata's leader: gap of its partitions", unit: "ms", apart: true},
	{scenario: "failover", key: "controller_other_gap_ms", title: "the same: of partitions that it did not lead", unit: "ms", apart: true},
	{scenario: "failover", key: "steady_gap_ms", title: "two seconds without a fault: longest gap of any partition", unit: "ms", apart: true},
	{scenario: "failover", key: "in_sync_s", title: "a broker that was killed: from its start until all is in sync", unit: "s", apart: true},
}

const (
	defaultKills       = 10
	failoverPartitions = 6
	failoverPerSec     = 1000
	failoverWarm       = 10 * failoverPerSec // records, before the first kill
	// failoverSteady is how long all goes well before and after each fault, so that neighbouring gaps are not taken for one.
	failoverSteady = 2 * time.Second
	failoverLimit  = 2 * time.Minute // for acknowledgements to come again
)

// failover kills brokers of a cluster while producers write, first leaders of partitions, then the leader of the metadata, and looks at how
// long nothing was acknowledged. The systems do this one after the other, each with the machine for itself.
func (b *bench) failover(ctx context.Context) error {
	for _, system := range b.options.systems {
		if err := b.failoverOf(ctx, system); err != nil {
			return fmt.Errorf("system=%s: %w", system, err)
		}
	}
	return nil
}

func (b *bench) failoverOf(ctx context.Context, system string) (err error) {
	name := system + "-failover"
	c, err := b.startCluster(ctx, system, name)
	if err != nil {
		return err
	}
	history := filepath.Join(b.dir, name+"-history")
	defer func() {
		if err != nil {
			err = fmt.Errorf("%w%s", err, c.lastWords())
		}
		err = errors.Join(err, c.close(), os.RemoveAll(history))
	}()
	seen := newAcks(failoverPartitions)
	run, err := verify.Start(ctx, verify.Options{
		Brokers: c.addresses(), Dir: history, Partitions: failoverPartitions, ReplicationFactor: clusterSize, MinInSync: 2,
		Rate: failoverPerSec, Command: b.command(), Client: []kgo.Opt{kgo.WithHooks(seen)},
	})
	if err != nil {
		return err
	}
	stopped := false
	defer func() {
		if !stopped { // something failed; nobody waits for what is missing
			ended, cancel := context.WithCancel(ctx)
			cancel()
			err = errors.Join(err, run.Stop(ended))
		}
	}()
	warm, cancel := context.WithTimeout(ctx, failoverLimit)
	defer cancel()
	if err := run.Await(warm, failoverWarm); err != nil {
		return err
	}
	k := &killing{bench: b, cluster: c, run: run, seen: seen, random: rand.New(rand.NewPCG(b.options.seed, 0x6b696c6c))}
	for _, kind := range []string{"leader", "controller"} {
		for n := 1; n <= b.options.kills; n++ {
			if err := k.once(ctx, kind, n); err != nil {
				return fmt.Errorf("kill of a %s round=%d: %w", kind, n, err)
			}
		}
	}
	stopped = true
	if err := run.Stop(ctx); err != nil {
		return err
	}
	result, err := run.Check(ctx)
	if err != nil {
		return err
	}
	return b.failoverVerdict(system, result)
}

// killing is a series of kills of one cluster.
type killing struct {
	bench   *bench
	cluster *cluster
	run     *verify.Run
	seen    *acks
	random  *rand.Rand
}

// once takes the cluster through one fault, from rest to rest:
//
//	elect ── steady ── kill ── fenced, all acknowledged again ── steady ── restart ── in sync
//	         ├ gaps ┤  ├──────────────────── gaps ─────────────────────┤
func (k *killing) once(ctx context.Context, kind string, round int) error {
	c := k.cluster
	if err := c.rest(ctx, 100*time.Millisecond); err != nil {
		return err
	}
	// After a restart a broker leads nothing, and in the end one would lead all. The mark tells the checker whose gap this is.
	if err := k.run.Mark("elect"); err != nil {
		return err
	}
	if err := c.electPreferred(ctx); err != nil {
		return err
	}
	k.seen.watch()
	if err := pause(ctx, failoverSteady); err != nil {
		return err
	}
	steady := slices.Max(k.seen.gaps())
	node, led, err := k.choose(ctx, kind)
	if err != nil {
		return err
	}
	load := loadAverage()
	k.seen.watch()
	if err := k.run.Mark(fmt.Sprintf("kill-%s node.id=%d", kind, node+1)); err != nil {
		return err
	}
	killed := time.Now()
	c.kill(node)
	if err := c.fenced(ctx, node, 100*time.Millisecond); err != nil {
		return err
	}
	fenced := time.Now()
	err = until(ctx, "acknowledgements of all partitions", failoverLimit, 20*time.Millisecond, func() (bool, error) { return k.seen.silent(fenced) == 0, nil })
	if err != nil {
		return err
	}
	if err := pause(ctx, failoverSteady); err != nil {
		return err
	}
	values := map[string]float64{"fenced_s": fenced.Sub(killed).Seconds(), "steady_gap_ms": milliseconds(steady)}
	for partition, gap := range k.seen.gaps() {
		key := kind + "_other_gap_ms"
		if slices.Contains(led, int32(partition)) {
			key = kind + "_gap_ms"
		}
		values[key] = max(values[key], milliseconds(gap))
	}
	if err := k.run.Mark(fmt.Sprintf("restart node.id=%d", node+1)); err != nil {
		return err
	}
	began := time.Now()
	ready, err := c.restart(ctx, node)
	if err != nil {
		return err
	}
	if err := c.rest(ctx, 100*time.Millisecond); err != nil {
		return err
	}
	values["ready_s"], values["in_sync_s"] = ready.Seconds(), time.Since(began).Seconds()
	k.bench.say("  %-8s kill of a %-10s %2d: gap %.0f ms of what it led, %.0f ms of the rest (%.0f ms before it); ready after %.1f s, in sync after %.1f s",
		c.name, kind, round, values[kind+"_gap_ms"], values[kind+"_other_gap_ms"], values["steady_gap_ms"], values["ready_s"], values["in_sync_s"])
	return k.bench.results.add("failover", c.name, round, load, values, nil)
}

func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// choose picks the broker to kill and returns the partitions that it leads. Who leads the metadata is only killed as such, so
// that the two kinds do not mix.
func (k *killing) choose(ctx context.Context, kind string) (node int, led []int32, err error) {
	controller, err := k.cluster.controller(ctx)
	if err != nil {
		return 0, nil, err
	}
	node = controller
	if kind != "controller" {
		node = (controller + 1 + k.random.IntN(clusterSize-1)) % clusterSize
	}
	s, err := k.cluster.state(ctx, controller)
	if err != nil {
		return 0, nil, err
	}
	for _, p := range s.of(k.run.Topic()) {
		if p.leader == int32(node+1) {
			led = append(led, p.partition)
		}
	}
	if len(led) == 0 || len(led) == failoverPartitions {
		return 0, nil, fmt.Errorf("leaders are not spread node.id=%d leads=%d of=%d", node+1, len(led), failoverPartitions)
	}
	return node, led, nil
}

// failoverVerdict tells what the checker found. A broken promise ends the run; its figures are worth nothing.
func (b *bench) failoverVerdict(system string, result *verify.Result) error {
	var summary strings.Builder
	result.WriteSummary(&summary)
	if !result.OK() {
		return fmt.Errorf("promises were broken\n%s", summary.String())
	}
	b.say("%s", summary.String())
	values := map[string]float64{"acked": float64(result.Acked), "sent": float64(result.Sent), "violations": 0, "silent_seconds": float64(result.SilentSeconds)}
	// The checker's own figures for the same: the longest gap of any partition after each mark.
	for _, f := range result.FaultGaps {
		key := "checker_" + strings.ReplaceAll(f.Kind, "-", "_")
		values[key+"_count"], values[key+"_median_ms"], values[key+"_min_ms"], values[key+"_max_ms"] = float64(f.Count), f.MedianMS, f.MinMS, f.MaxMS
	}
	return b.results.add("failover-verdict", system, 1, loadAverage(), values, result.LatencyMS)
}
