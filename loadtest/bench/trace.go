package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/tidelinehq/tideline/internal/otlptest"
)

// traceMetrics are the rows of what tracing costs.
var traceMetrics = []metric{
	{scenario: "trace", key: "large_ratio", title: "traced, batches to 1 MiB: broker CPU per GB, beside without", unit: "×", atMost: 1.02},
	{scenario: "trace", key: "small_ratio", title: "traced, batches to 16 KiB: broker CPU per GB, beside without", unit: "×", atMost: 1.02},
	{scenario: "trace", key: "large_core_percent", title: "the same, batches to 1 MiB: of one core, while the load runs", unit: "%"},
	{scenario: "trace", key: "small_core_percent", title: "the same, batches to 16 KiB: of one core, while the load runs", unit: "%"},
	{scenario: "trace", key: "small_us_per_trace", title: "the same, batches to 16 KiB: a trace", unit: "µs"},
	{scenario: "trace", key: "large_off_ratio", title: "not traced, batches to 1 MiB: broker CPU per GB, beside the binary of -against", unit: "×"},
	{scenario: "trace", key: "small_off_ratio", title: "not traced, batches to 16 KiB: broker CPU per GB, beside the binary of -against", unit: "×"},
}

const (
	traceTopic   = "bench-trace"
	traceBytes   = 256 << 20 // of values, a turn
	tracedName   = "tideline-on"
	tracedRecord = 100 // one record in so many is in a sampled trace
)

// traceLoads are what the brokers are given.
var traceLoads = []struct {
	name  string
	batch int32
}{{"large", 1 << 20}, {"small", 16 << 10}}

// trace gives the same load, of which one record in a hundred names a sampled trace, to a broker that traces and exports all
// of it to a receiver, to one that does not, and with -against to one of another build that does not. They run side by side
// and take turns: first one way round, then the other, so that what changes on the machine meanwhile meets all alike. What
// is compared is processor time, of the uploads too.
//
// The number of traces is bounded in each second, not in each GB: on a machine that others load, a GB takes longer and has more
// of them. So the difference is told as a share of one core, too, and for each trace.
func (b *bench) trace(ctx context.Context) (err error) {
	receiver, err := otlptest.Start()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, receiver.Close()) }()
	var env []string
	for k, v := range receiver.Environment("grpc") {
		if k != "OTEL_BSP_SCHEDULE_DELAY" { // as users have it
			env = append(env, k+"="+v)
		}
	}
	var all []*broker
	defer func() {
		for _, of := range all {
			of.proc.kill()
			_ = os.RemoveAll(filepath.Join(b.dir, of.proc.name)) // the whole directory goes at the end in any case
		}
	}()
	launch := func(name, binary string, env []string) error {
		usual := b.options.binary
		b.options.binary = binary
		of, _, err := b.startTideline(ctx, name, nil, env)
		b.options.binary = usual
		if err != nil {
			return err
		}
		all = append(all, of)
		return of.createTopic(ctx, traceTopic, bulkPartitions, map[string]string{"retention.bytes": "67108864"})
	}
	err = errors.Join(launch("tideline-off", b.options.binary, nil), launch(tracedName, b.options.binary, env))
	if b.options.against != "" {
		err = errors.Join(err, launch("tideline-against", b.options.against, nil))
	}
	if err != nil {
		return err
	}
	values := incompressible(b.options.seed)
	for round := range b.options.rounds + 1 { // the first fills the brokers' pools
		for _, load := range traceLoads {
			busy := loadAverage()
			perGB, took := make([]float64, len(all)), 0.0
			before := traces(receiver)
			for range 2 {
				for i := range all {
					used, long, err := traceTurn(ctx, all[i], load.batch, values)
					if err != nil {
						return fmt.Errorf("%s: %w\n%s", all[i].proc.name, err, all[i].proc.tail())
					}
					perGB[i] += used.Seconds() / (2 * traceBytes / 1e9)
					if all[i].proc.name == tracedName {
						took += long.Seconds()
					}
				}
				for i, j := 0, len(all)-1; i < j; i, j = i+1, j-1 {
					all[i], all[j], perGB[i], perGB[j] = all[j], all[i], perGB[j], perGB[i]
				}
			}
			if round == 0 {
				continue
			}
			got := map[string]float64{load.name + "_ratio": perGB[1] / perGB[0], load.name + "_off_cpu_s_per_gb": perGB[0], load.name + "_on_cpu_s_per_gb": perGB[1]}
			more, n := (perGB[1]-perGB[0])*2*traceBytes/1e9, traces(receiver)-before
			got[load.name+"_core_percent"], got[load.name+"_us_per_trace"] = 100*more/took, 1e6*more/float64(max(n, 1))
			got[load.name+"_traces"], got[load.name+"_mb_per_s"] = float64(n), 2*traceBytes/1e6/took
			if len(all) > 2 {
				got[load.name+"_off_ratio"] = perGB[0] / perGB[2]
			}
			b.say("  round %d, %s batches: %.3f CPU s/GB off, %.3f on: %.3f times; %d traces at %.0f MB/s: %.2f %% of a core (load average %.1f)",
				round, load.name, perGB[0], perGB[1], perGB[1]/perGB[0], n, got[load.name+"_mb_per_s"], got[load.name+"_core_percent"], busy)
			if err := b.results.add("trace", tidelineName, round, busy, got, nil); err != nil {
				return err
			}
		}
	}
	seen := map[string]int{}
	for _, s := range receiver.Spans() {
		seen[s.Name]++
	}
	b.say("  spans that came: %v, and %d more", seen, receiver.Dropped())
	if seen["kafka.Produce"] == 0 || seen["wal.sync"] == 0 {
		return errors.New("nothing was traced: there is nothing to compare")
	}
	return nil
}

// traces is how many produce requests the receiver knows of.
func traces(r *otlptest.Receiver) (n int) {
	for _, s := range r.Spans() {
		if s.Name == "kafka.Produce" {
			n++
		}
	}
	return n
}

// traceTurn is one turn of one broker: the processor time that it takes until all is in the object store, and how long it is
// under load.
func traceTurn(ctx context.Context, of *broker, batch int32, values *payload) (used, long time.Duration, err error) {
	if err := of.settle(ctx); err != nil {
		return 0, 0, err
	}
	before, err := of.cpu()
	if err != nil {
		return 0, 0, err
	}
	began := time.Now()
	if err := produceInTraces(ctx, of, batch, values); err != nil {
		return 0, 0, err
	}
	long = time.Since(began)
	if err := of.settle(ctx); err != nil {
		return 0, 0, err
	}
	after, err := of.cpu()
	return after - before, long, err
}

// produceInTraces sends values of 1 KiB as fast as it goes, some of them in traces.
func produceInTraces(ctx context.Context, of *broker, batch int32, values *payload) error {
	client, err := kgo.NewClient(kgo.SeedBrokers(of.addr), kgo.ProducerBatchMaxBytes(batch), kgo.ProducerBatchCompression(kgo.NoCompression()),
		kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.ProducerLinger(5*time.Millisecond), kgo.MaxBufferedRecords(64<<10), kgo.RecordDeliveryTimeout(time.Minute))
	if err != nil {
		return err
	}
	defer client.Close()
	var failed atomic.Pointer[error]
	done := func(_ *kgo.Record, err error) {
		if err != nil {
			failed.CompareAndSwap(nil, &err)
		}
	}
	for i := range int64(traceBytes / recordBytes) {
		if failed.Load() != nil {
			break
		}
		r := &kgo.Record{Topic: traceTopic, Partition: int32(i) % bulkPartitions, Value: values.next(recordBytes)}
		if rand.IntN(tracedRecord) == 0 {
			r.Headers = []kgo.RecordHeader{{Key: "traceparent", Value: fmt.Appendf(nil, "00-%016x%016x-%016x-01", rand.Uint64()|1, rand.Uint64(), rand.Uint64()|1)}}
		}
		client.Produce(ctx, r, done)
	}
	if err := client.Flush(ctx); err != nil {
		return err
	}
	if err := failed.Load(); err != nil {
		return *err
	}
	return nil
}
