package main

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// scaleMetrics are the rows of many partitions.
var scaleMetrics = []metric{
	{scenario: "scale", key: "create_s", title: "many partitions × 3: from the request until all are led and in sync", unit: "s"},
	{scenario: "scale", key: "first_write_s", title: "the same: a record to each of them, acknowledged by all replicas", unit: "s"},
	{scenario: "scale", key: "rss_kb_per_replica", title: "the same, idle: resident memory for each replica", unit: "KB"},
	{scenario: "scale", key: "idle_cpu_percent", title: "the same, idle: processor time of all brokers", unit: "% of a core"},
	{scenario: "scale", key: "ready_after_kill_s", title: "the same: start of a broker after SIGKILL", unit: "s"},
	{scenario: "scale", key: "in_sync_after_kill_s", title: "the same, until all is in sync", unit: "s"},
}

const (
	scalePartitions = 10000
	scaleTopic      = "bench-scale"
	scaleIdle       = 30 * time.Second
	scaleLook       = 250 * time.Millisecond // an answer about all partitions has hundreds of kilobytes
)

// scale creates a topic of very many partitions, lets it be, writes a record to each partition, and kills a broker.
func (b *bench) scale(ctx context.Context) (err error) {
	partitions := scalePartitions
	if b.options.partitions > 0 {
		partitions = b.options.partitions
	}
	c, err := b.startTidelineCluster(ctx, "tideline-scale", nil)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = fmt.Errorf("%w%s", err, c.lastWords())
		}
		err = errors.Join(err, c.close())
	}()
	load := loadAverage()
	values := map[string]float64{"partitions": float64(partitions), "replicas_per_broker": float64(partitions) * clusterSize / float64(len(c.nodes))}
	if err := c.idle(ctx, "empty_", values); err != nil {
		return err
	}
	took, err := c.createAll(ctx, scaleTopic, partitions)
	if err != nil {
		return err
	}
	values["create_s"] = took.Seconds()
	b.say("  %d partitions led and in sync after %.1f s", partitions, values["create_s"])
	if err := c.idle(ctx, "", values); err != nil {
		return err
	}
	perReplica(values, "")
	b.say("  idle: %.1f MB a broker, %.2f KB a replica (heap in use: %.2f KB); %.2f %% of a core for all brokers, without the topic %.2f %%", values["rss_mb"], values["rss_kb_per_replica"], values["heap_kb_per_replica"], values["idle_cpu_percent"], values["empty_idle_cpu_percent"])
	if took, err = writeEach(ctx, c.nodes[0], scaleTopic, partitions); err != nil {
		return err
	}
	values["first_write_s"] = took.Seconds()
	if err := c.rest(ctx, scaleLook); err != nil {
		return err
	}
	if err := c.settle(ctx); err != nil {
		return err
	}
	if err := c.idle(ctx, "written_", values); err != nil {
		return err
	}
	perReplica(values, "written_")
	b.say("  a record to each, acknowledged by all replicas: %.1f s; idle then: %.2f KB a replica, %.2f %% of a core", values["first_write_s"], values["written_rss_kb_per_replica"], values["written_idle_cpu_percent"])
	began := time.Now()
	c.kill(0)
	if err := c.fenced(ctx, 0, scaleLook); err != nil {
		return err
	}
	values["fenced_s"] = time.Since(began).Seconds()
	began = time.Now()
	ready, err := c.restart(ctx, 0)
	if err != nil {
		return err
	}
	if err := c.rest(ctx, scaleLook); err != nil {
		return err
	}
	values["ready_after_kill_s"], values["in_sync_after_kill_s"] = ready.Seconds(), time.Since(began).Seconds()
	b.say("  after SIGKILL ready in %.2f s, all in sync in %.1f s", values["ready_after_kill_s"], values["in_sync_after_kill_s"])
	return b.results.add("scale", tidelineName, 1, load, values, nil)
}

// createAll creates a topic in one request and returns the time until all brokers say that all is led and in sync, and all leaders
// answer for their partitions.
func (c *cluster) createAll(ctx context.Context, topic string, partitions int) (time.Duration, error) {
	adm, err := c.nodes[0].admin()
	if err != nil {
		return 0, err
	}
	defer adm.Close()
	began := time.Now()
	if _, err := adm.CreateTopic(ctx, int32(partitions), clusterSize, nil, topic); err != nil {
		return 0, fmt.Errorf("create topic=%s: %w", topic, err)
	}
	if err := c.rest(ctx, scaleLook); err != nil {
		return 0, err
	}
	err = until(ctx, "leaders of "+topic, restLimit, scaleLook, func() (bool, error) {
		offsets, err := adm.ListEndOffsets(ctx, topic)
		led := 0
		offsets.Each(func(o kadm.ListedOffset) {
			if o.Err == nil {
				led++
			}
		})
		return err == nil && led == partitions, context.Cause(ctx)
	})
	return time.Since(began), err
}

// idle lets a cluster be, and enters what it costs then: processor time of all brokers, and memory, the mean of them.
func (c *cluster) idle(ctx context.Context, prefix string, values map[string]float64) error {
	for _, of := range c.nodes {
		if err := of.quiet(ctx); err != nil {
			return err
		}
	}
	used := func() (sum time.Duration, err error) {
		for _, of := range c.nodes {
			one, err := of.cpu()
			if err != nil {
				return 0, err
			}
			sum += one
		}
		return sum, nil
	}
	before, err := used()
	if err != nil {
		return err
	}
	if err := pause(ctx, scaleIdle); err != nil {
		return err
	}
	after, err := used()
	if err != nil {
		return err
	}
	values[prefix+"idle_cpu_percent"] = 100 * (after - before).Seconds() / scaleIdle.Seconds()
	rss := 0.0
	for _, of := range c.nodes {
		one, err := residentBytes(of.proc.pid())
		if err != nil {
			return err
		}
		rss += float64(one) / 1e6 / float64(len(c.nodes))
	}
	heap, err := c.metric(ctx, c.nodes, "go_memstats_heap_inuse_bytes")
	if err != nil {
		return err
	}
	values[prefix+"rss_mb"], values[prefix+"heap_mb"] = rss, heap/1e6/float64(len(c.nodes))
	return nil
}

// perReplica enters what a replica takes: what a broker has more than without the topic.
func perReplica(values map[string]float64, prefix string) {
	for _, kind := range []string{"rss", "heap"} {
		values[prefix+kind+"_kb_per_replica"] = (values[prefix+kind+"_mb"] - values["empty_"+kind+"_mb"]) * 1000 / values["replicas_per_broker"]
	}
}

// writeEach sends a small record to every partition and returns when all replicas have them.
func writeEach(ctx context.Context, of *broker, topic string, partitions int) (time.Duration, error) {
	client, err := producer(of)
	if err != nil {
		return 0, err
	}
	defer client.Close()
	if err := client.Ping(ctx); err != nil {
		return 0, err
	}
	var failed atomic.Pointer[error]
	began := time.Now()
	for p := range int32(partitions) {
		client.Produce(ctx, &kgo.Record{Topic: topic, Partition: p, Value: []byte("first")}, func(_ *kgo.Record, err error) {
			if err != nil {
				failed.CompareAndSwap(nil, &err)
			}
		})
	}
	if err := client.Flush(ctx); err != nil {
		return 0, err
	}
	if err := failed.Load(); err != nil {
		return 0, *err
	}
	return time.Since(began), nil
}
