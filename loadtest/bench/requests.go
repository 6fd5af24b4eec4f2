package main

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// requestMetrics are the rows of what a bucket's provider would bill.
var requestMetrics = []metric{
	{scenario: "requests", key: "puts_per_interval", title: "1,000 partitions, 10 MB/s: PUTs per roll interval", unit: "PUTs", atMost: 3},
	{scenario: "requests", key: "idle_requests", title: "idle broker: requests to the object store", unit: "requests", atMost: 0.5}, // none
}

const (
	requestPartitions = 1000
	requestPerSec     = 10e6
	requestName       = "tideline-requests"
)

// requests counts what the broker asks of MinIO: while 1,000 partitions receive 10 MB/s together, and while nothing happens.
func (b *bench) requests(ctx context.Context) (err error) {
	interval, intervals, idle := 20*time.Second, 2, 2*time.Minute
	if b.options.long {
		interval, intervals, idle = time.Minute, 10, 10*time.Minute
	}
	m, err := b.startMinIO(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, b.stopMinIO(m), os.RemoveAll(filepath.Join(b.dir, requestName))) }()
	of, _, err := b.startTideline(ctx, requestName, map[string]string{
		"object.store": m.url("requests"), "tier.roll.ms": strconv.FormatInt(interval.Milliseconds(), 10), "cache.disk.bytes": "0"}, m.env)
	if err != nil {
		return err
	}
	defer of.proc.kill()
	if err := of.createTopic(ctx, "bench-requests", requestPartitions, nil); err != nil {
		return err
	}
	load := loadAverage()
	count := func(labels ...string) (float64, error) {
		return of.metric(ctx, "tideline_objstore_attempts_total", labels...)
	}
	before, err := count(`operation="put"`)
	if err != nil {
		return err
	}
	if err := produceSteadily(ctx, of, "bench-requests", requestPartitions, time.Duration(intervals)*interval, incompressible(b.options.seed)); err != nil {
		return err
	}
	if err := of.settle(ctx); err != nil {
		return err
	}
	puts, err := count(`operation="put"`)
	if err != nil {
		return err
	}
	values := map[string]float64{"puts": puts - before, "intervals": float64(intervals), "interval_s": interval.Seconds(),
		"puts_per_interval": (puts - before) / float64(intervals), "idle_s": idle.Seconds()}
	// What the load left to be tidied up is done by then.
	if err := pause(ctx, 5*time.Second); err != nil {
		return err
	}
	busy, err := count()
	if err != nil {
		return err
	}
	used, err := of.cpu()
	if err != nil {
		return err
	}
	if err := pause(ctx, idle); err != nil {
		return err
	}
	after, err := count()
	if err != nil {
		return err
	}
	usedAfter, err := of.cpu()
	if err != nil {
		return err
	}
	values["idle_requests"], values["idle_cpu_percent"] = after-busy, 100*(usedAfter-used).Seconds()/idle.Seconds()
	b.say("  %.1f PUTs per interval of %v; idle for %v: %.0f requests, %.2f %% CPU", values["puts_per_interval"], interval, idle, values["idle_requests"], values["idle_cpu_percent"])
	return b.results.add("requests", tidelineName, 1, load, values, nil)
}

// produceSteadily spreads a rate of values of 1 KiB over all partitions.
func produceSteadily(ctx context.Context, of *broker, topic string, partitions int, long time.Duration, values *payload) error {
	client, err := producer(of)
	if err != nil {
		return err
	}
	defer client.Close()
	var failed atomic.Pointer[error]
	const step = 10 * time.Millisecond
	perStep := int(requestPerSec / recordBytes * step.Seconds())
	began, sent := time.Now(), 0
	for i := 0; time.Since(began) < long && failed.Load() == nil; i++ {
		for range perStep {
			client.Produce(ctx, &kgo.Record{Topic: topic, Partition: int32(sent % partitions), Value: values.next(recordBytes)}, func(_ *kgo.Record, err error) {
				if err != nil {
					failed.CompareAndSwap(nil, &err)
				}
			})
			sent++
		}
		if err := pause(ctx, time.Until(began.Add(time.Duration(i+1)*step))); err != nil {
			return err
		}
	}
	if err := client.Flush(ctx); err != nil {
		return err
	}
	if err := failed.Load(); err != nil {
		return *err
	}
	return nil
}
