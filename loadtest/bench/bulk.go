package main

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/tidelinehq/tideline/loadtest/latency"
)

// bulkMetrics are the rows of the large batches.
var bulkMetrics = []metric{
	{scenario: "bulk", key: "produce_mb_per_s", title: "produce, batches to 1 MiB: throughput", unit: "MB/s"},
	{scenario: "bulk", key: "produce_cpu_s_per_gb", title: "produce, batches to 1 MiB: broker CPU per GB", unit: "s/GB", atMost: 0.8},
	{scenario: "bulk", key: "produce_and_tier_cpu_s_per_gb", title: "the same, with the upload to the object store", unit: "s/GB"},
	{scenario: "bulk", key: "tail_cpu_s_per_gb", title: "produce at 100 MB/s with a consumer at the tail: broker CPU per GB", unit: "s/GB", atMost: 0.8},
	{scenario: "bulk", key: "tail_p99_ms", title: "the same: end to end p99", unit: "ms"},
	{scenario: "bulk", key: "start_mb_per_s", title: "consume from the start: throughput", unit: "MB/s"},
	{scenario: "bulk", key: "start_cpu_s_per_gb", title: "consume from the start: broker CPU per GB", unit: "s/GB", atMost: 0.8},
}

const (
	bulkPartitions = 6
	bulkBytes      = 1 << 30 // of values, a turn
	bulkBytesLong  = 4 << 30
	tailPerSec     = 100e6 // bytes of values
	tailTime       = 4 * time.Second
	batchBytes     = 1 << 20
)

// bulk produces large batches as fast as it goes, reads them back from the start, then produces at a steady rate with a
// consumer at the tail.
func (b *bench) bulk(ctx context.Context) error {
	total := int64(bulkBytes)
	if b.options.long {
		total = bulkBytesLong
	}
	values := incompressible(b.options.seed)
	for _, of := range b.both() {
		// Warm: the same work, until the JVM has compiled it.
		if _, err := b.bulkTurn(ctx, of, "bench-bulk-warm", total, values); err != nil {
			return err
		}
		if err := of.settle(ctx); err != nil {
			return err
		}
	}
	return b.turns(ctx, func(of *broker, round int) error {
		load := loadAverage()
		got, err := b.bulkTurn(ctx, of, fmt.Sprintf("bench-bulk-%d", round), total, values)
		if err != nil {
			return err
		}
		b.say("  %-8s produce %.0f MB/s at %.2f CPU s/GB (%.2f with tiering), from the start %.0f MB/s at %.2f, tail %.2f, end to end p99 %.1f ms", of.name,
			got["produce_mb_per_s"], got["produce_cpu_s_per_gb"], got["produce_and_tier_cpu_s_per_gb"], got["start_mb_per_s"], got["start_cpu_s_per_gb"],
			got["tail_cpu_s_per_gb"], got["tail_p99_ms"])
		return b.results.add("bulk", of.name, round, load, got, nil)
	})
}

// bulkTurn is one turn of one broker, on a topic of its own, which is deleted at the end.
func (b *bench) bulkTurn(ctx context.Context, of *broker, topic string, total int64, values *payload) (map[string]float64, error) {
	if err := of.createTopic(ctx, topic, bulkPartitions, nil); err != nil {
		return nil, err
	}
	got := map[string]float64{}
	gb := float64(total) / 1e9

	wait := b.profile(ctx, of, topic+"-produce", 2)
	before, err := of.cpu()
	if err != nil {
		return nil, err
	}
	took, err := produceBulk(ctx, of, topic, bulkPartitions, total, values)
	if err != nil {
		return nil, fmt.Errorf("produce broker=%s: %w", of.name, errors.Join(err, wait()))
	}
	after, err := of.cpu()
	if err := errors.Join(err, wait()); err != nil {
		return nil, err
	}
	got["produce_mb_per_s"], got["produce_cpu_s_per_gb"] = float64(total)/1e6/took.Seconds(), (after-before).Seconds()/gb

	wait = b.profile(ctx, of, topic+"-tier", 8)
	if err := of.settle(ctx); err != nil {
		return nil, errors.Join(err, wait())
	}
	after, err = of.cpu()
	if err := errors.Join(err, wait()); err != nil {
		return nil, err
	}
	got["produce_and_tier_cpu_s_per_gb"] = (after - before).Seconds() / gb

	wait = b.profile(ctx, of, topic+"-start", 2)
	if before, err = of.cpu(); err != nil {
		return nil, err
	}
	if took, err = consumeAll(ctx, of, topic, bulkPartitions, total/recordBytes); err != nil {
		return nil, fmt.Errorf("consume broker=%s: %w", of.name, errors.Join(err, wait()))
	}
	after, err = of.cpu()
	if err := errors.Join(err, wait()); err != nil {
		return nil, err
	}
	got["start_mb_per_s"], got["start_cpu_s_per_gb"] = float64(total)/1e6/took.Seconds(), (after-before).Seconds()/gb
	if err := of.deleteTopic(ctx, topic); err != nil {
		return nil, err
	}

	topic += "-tail"
	if err := of.createTopic(ctx, topic, bulkPartitions, nil); err != nil {
		return nil, err
	}
	wait = b.profile(ctx, of, topic, 3)
	if before, err = of.cpu(); err != nil {
		return nil, err
	}
	seen, n, err := tail(ctx, of, topic, bulkPartitions, values)
	if err != nil {
		return nil, fmt.Errorf("tail broker=%s: %w", of.name, errors.Join(err, wait()))
	}
	after, err = of.cpu()
	if err := errors.Join(err, wait()); err != nil {
		return nil, err
	}
	got["tail_cpu_s_per_gb"] = (after - before).Seconds() / (float64(n) * recordBytes / 1e9)
	got["tail_p50_ms"], got["tail_p99_ms"] = seen.Percentiles().P50, seen.Percentiles().P99
	return got, of.deleteTopic(ctx, topic)
}

// producer makes a client as users have it: idempotent, acks=all. Partitions are chosen by hand, so that both brokers get
// the same bytes in the same partitions.
func producer(of *broker) (*kgo.Client, error) {
	return kgo.NewClient(kgo.SeedBrokers(of.addr), kgo.RequiredAcks(kgo.AllISRAcks()), kgo.ProducerBatchMaxBytes(batchBytes), kgo.ProducerBatchCompression(kgo.NoCompression()),
		kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.ProducerLinger(5*time.Millisecond), kgo.MaxBufferedRecords(64<<10), kgo.RecordDeliveryTimeout(time.Minute))
}

// produceBulk sends that many bytes of values in records of 1 KiB and returns when all are acknowledged.
func produceBulk(ctx context.Context, of *broker, topic string, partitions int, total int64, values *payload) (time.Duration, error) {
	client, err := producer(of)
	if err != nil {
		return 0, err
	}
	defer client.Close()
	if err := client.Ping(ctx); err != nil {
		return 0, err
	}
	var failed atomic.Pointer[error]
	done := func(_ *kgo.Record, err error) {
		if err != nil {
			failed.CompareAndSwap(nil, &err)
		}
	}
	began := time.Now()
	for i := range total / recordBytes {
		if failed.Load() != nil {
			break
		}
		client.Produce(ctx, &kgo.Record{Topic: topic, Partition: int32(i) % int32(partitions), Value: values.next(recordBytes)}, done)
	}
	if err := client.Flush(ctx); err != nil {
		return 0, err
	}
	took := time.Since(began)
	if err := failed.Load(); err != nil {
		return 0, *err
	}
	return took, nil
}

// consumer makes a client that reads all partitions from an offset, with Kafka's default sizes of a fetch.
func consumer(of *broker, topic string, partitions int, from kgo.Offset) (*kgo.Client, error) {
	offsets := map[int32]kgo.Offset{}
	for p := range partitions {
		offsets[int32(p)] = from
	}
	return kgo.NewClient(kgo.SeedBrokers(of.addr), kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{topic: offsets}))
}

// consumeAll reads so many records from the start.
func consumeAll(ctx context.Context, of *broker, topic string, partitions int, records int64) (time.Duration, error) {
	client, err := consumer(of, topic, partitions, kgo.NewOffset().AtStart())
	if err != nil {
		return 0, err
	}
	defer client.Close()
	ctx, cancel := context.WithTimeout(ctx, 3*time.Minute)
	defer cancel()
	began := time.Now()
	for n := int64(0); n < records; {
		fetches := client.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			return 0, fmt.Errorf("after records=%d of=%d: %w", n, records, err)
		}
		n += int64(fetches.NumRecords())
	}
	return time.Since(began), nil
}

// tail produces at a steady rate while a consumer follows, and looks at the time from one to the other. The first eight
// bytes of a value are the time at which it was handed to the producer.
func tail(ctx context.Context, of *broker, topic string, partitions int, values *payload) (*latency.Histogram, int64, error) {
	in, err := consumer(of, topic, partitions, kgo.NewOffset().AtStart())
	if err != nil {
		return nil, 0, err
	}
	defer in.Close()
	out, err := producer(of)
	if err != nil {
		return nil, 0, err
	}
	defer out.Close()
	ctx, cancel := context.WithTimeoutCause(ctx, tailTime+time.Minute, errors.New("the tail was not read in time"))
	defer cancel()
	records := int64(tailPerSec / recordBytes * tailTime.Seconds())
	var failed atomic.Pointer[error]
	done := func(_ *kgo.Record, err error) {
		if err != nil {
			failed.CompareAndSwap(nil, &err)
		}
	}
	go func() {
		const step = time.Millisecond
		perStep := int64(tailPerSec / recordBytes * step.Seconds())
		begin := time.Now()
		for i := int64(0); i < records && ctx.Err() == nil; i++ {
			if i%perStep == 0 {
				// Behind schedule it does not pause: the rate is kept, not the gap.
				if pause(ctx, time.Until(begin.Add(time.Duration(i/perStep)*step))) != nil {
					return
				}
			}
			value := append([]byte(nil), values.next(recordBytes)...)
			binary.LittleEndian.PutUint64(value, uint64(monotonic()))
			out.Produce(ctx, &kgo.Record{Topic: topic, Partition: int32(i) % int32(partitions), Value: value}, done)
		}
	}()
	var seen latency.Histogram
	for n := int64(0); n < records; {
		fetches := in.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			return nil, 0, fmt.Errorf("after records=%d of=%d: %w", n, records, err)
		}
		if err := failed.Load(); err != nil {
			return nil, 0, *err
		}
		now := monotonic()
		fetches.EachRecord(func(r *kgo.Record) {
			seen.Record(now - int64(binary.LittleEndian.Uint64(r.Value)))
		})
		n += int64(fetches.NumRecords())
	}
	return &seen, records, nil
}
