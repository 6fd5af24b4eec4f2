package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

const (
	// eachRequests is how many requests a turn of everyRequest has, of each of its clients, of which there is one for a partition.
	eachRequests = 1500
	eachRounds   = 2
)

// everyRequest gives brokers requests of one record, each with a trace of its own: to one that traces all of them, and to one that
// does not trace. The difference is the processor time of a trace, from the header to the exporter, with its share of the uploads,
// which are told to sixteen traces each.
func (x *traceBench) everyRequest(ctx context.Context) error {
	const n = eachRequests * bulkPartitions
	all := []*broker{x.off, x.each}
	wait := x.profile(ctx, x.each, "trace-each", 20)
	for round := range eachRounds + 1 { // the first fills the brokers' pools
		busy := loadAverage()
		used := map[*broker]float64{}
		came := len(x.receiver.Spans()) + x.receiver.Dropped()
		for range 2 {
			for _, of := range all {
				took, err := x.eachTurn(ctx, of)
				if err != nil {
					return fmt.Errorf("%s: %w\n%s", of.proc.name, err, of.proc.tail())
				}
				used[of] += 1e6 * took.Seconds() / (2 * n)
			}
			all[0], all[1] = all[1], all[0]
		}
		all[0], all[1] = all[1], all[0]
		if round == 0 {
			continue
		}
		spans := float64(len(x.receiver.Spans())+x.receiver.Dropped()-came) / (2 * n)
		x.say("  round %d, each request in a trace: %.0f µs a request off, %.0f µs on: %.1f µs a trace of %.1f spans (load average %.1f)",
			round, used[x.off], used[x.each], used[x.each]-used[x.off], spans, busy)
		got := map[string]float64{"each_us_per_trace": used[x.each] - used[x.off], "each_off_us_per_request": used[x.off], "each_spans_per_trace": spans}
		if err := x.results.add("trace", tidelineName, round, busy, got, nil); err != nil {
			return err
		}
	}
	return wait()
}

// eachTurn is the processor time that a broker takes for its requests, until all is exported and in the object store.
func (x *traceBench) eachTurn(ctx context.Context, of *broker) (time.Duration, error) {
	if err := of.settle(ctx); err != nil {
		return 0, err
	}
	before, err := of.cpu()
	if err != nil {
		return 0, err
	}
	failed := make([]error, bulkPartitions)
	var clients sync.WaitGroup
	for i := range failed {
		value := x.values.next(recordBytes)
		clients.Go(func() { failed[i] = oneByOne(ctx, of, int32(i), value) })
	}
	clients.Wait()
	if err := errors.Join(errors.Join(failed...), of.settle(ctx)); err != nil {
		return 0, err
	}
	after, err := of.cpu()
	return after - before, err
}

// oneByOne sends records to a partition, each when the one before is acknowledged.
func oneByOne(ctx context.Context, of *broker, partition int32, value []byte) error {
	client, err := kgo.NewClient(kgo.SeedBrokers(of.addr), kgo.ProducerBatchCompression(kgo.NoCompression()), kgo.RecordPartitioner(kgo.ManualPartitioner()),
		kgo.ProducerLinger(0), kgo.RecordDeliveryTimeout(time.Minute))
	if err != nil {
		return err
	}
	defer client.Close()
	for range eachRequests {
		r := &kgo.Record{Topic: traceTopic, Partition: partition, Value: value, Headers: []kgo.RecordHeader{someParent()}}
		if err := client.ProduceSync(ctx, r).FirstErr(); err != nil {
			return err
		}
	}
	return nil
}
