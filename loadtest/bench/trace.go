package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
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
	{scenario: "trace", key: "large_profile_percent", title: "a profile of the same, batches to 1 MiB: tracing, beside all else", unit: "%", atMost: 2},
	{scenario: "trace", key: "small_profile_percent", title: "a profile of the same, batches to 16 KiB: tracing, beside all else", unit: "%", atMost: 2},
	{scenario: "trace", key: "each_us_per_trace", title: "a trace, where each request of one record has one: broker CPU", unit: "µs"},
	{scenario: "trace", key: "each_off_us_per_request", title: "such a request, not traced: broker CPU", unit: "µs"},
	{scenario: "trace", key: "large_off_ratio", title: "not traced, batches to 1 MiB: broker CPU per GB, beside the binary of -against", unit: "×"},
	{scenario: "trace", key: "small_off_ratio", title: "not traced, batches to 16 KiB: broker CPU per GB, beside the binary of -against", unit: "×"},
}

const (
	traceTopic   = "bench-trace"
	traceBytes   = 256 << 20 // of values, a turn
	tracedRecord = 100       // one record in so many is in a sampled trace

	offName, tracedName, againstName, eachName = "tideline-off", "tideline-on", "tideline-against", "tideline-each"
)

// traceLoads are what the brokers are given.
var traceLoads = []struct {
	name  string
	batch int32
}{{"large", 1 << 20}, {"small", 16 << 10}}

// traceBench is the brokers of the scenario trace.
type traceBench struct {
	*bench
	receiver               *otlptest.Receiver
	traced                 []string // environment of a broker that traces
	off, on, another, each *broker  // another: of the build of -against, or nil; each: traces every request
	running                []*broker
	values                 *payload
}

// trace tells in three ways what tracing costs, the exact ones last:
//
//	ratio      the same load, of which one record in a hundred names a sampled trace, goes to a broker that traces and exports all of
//	           it to a receiver, to one that does not, and with -against to one of another build that does not: processor time
//	profile    which part of a profile of the broker that traces lies in tracing
//	each       requests of one record, all of them in traces: processor time of a trace, which is as much as the request's
//
// The brokers run side by side and take turns, there and back, so that what changes on the machine meanwhile meets all alike. Who had
// the middle of one round has the ends of the next, so that what a broker has left to do of its turn before does so, too. Each round has new
// brokers: two equal ones differ by up to a tenth as long as they run, and two others differ the other way. Compared is processor
// time, of the uploads too. With few rounds the ratio is no better than several percent; the profile and the traces alone are, on
// any machine.
//
// The number of traces is bounded in each second, not in each GB: on a machine that others load, a GB takes longer and has more
// of them. So the difference is told as a share of one core, too.
func (b *bench) trace(ctx context.Context) (err error) {
	receiver, err := otlptest.Start()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, receiver.Close()) }()
	x := &traceBench{bench: b, receiver: receiver, values: incompressible(b.options.seed)}
	x.traced = []string{"OTEL_METRICS_EXPORTER=none"} // they cost what they cost, traced or not
	for k, v := range receiver.Environment("grpc") {
		if k != "OTEL_BSP_SCHEDULE_DELAY" { // as users have it
			x.traced = append(x.traced, k+"="+v)
		}
	}
	rounds := max(b.options.rounds, 1)
	for round := 1; round <= rounds; round++ {
		if err := x.round(ctx, round, round == rounds); err != nil {
			return err
		}
	}
	return nil
}

// round is a round with brokers of its own. The last one has what is measured once.
func (x *traceBench) round(ctx context.Context, round int, last bool) (err error) {
	defer x.stop()
	if x.off, err = x.launch(ctx, offName, x.options.binary, nil); err != nil {
		return err
	}
	if x.on, err = x.launch(ctx, tracedName, x.options.binary, x.traced); err != nil {
		return err
	}
	if x.options.against != "" {
		if x.another, err = x.launch(ctx, againstName, x.options.against, nil); err != nil {
			return err
		}
	}
	for _, load := range traceLoads {
		if x.options.rounds > 0 {
			if err := x.compare(ctx, round, load.name, load.batch); err != nil {
				return err
			}
		}
	}
	if !last {
		return nil
	}
	for _, load := range traceLoads {
		if err := x.share(ctx, load.name, load.batch); err != nil {
			return err
		}
	}
	seen := map[string]int{}
	for _, s := range x.receiver.Spans() {
		seen[s.Name]++
	}
	x.say("  spans that came: %v, and %d more", seen, x.receiver.Dropped())
	if seen["kafka.Produce"] == 0 || seen["wal.sync"] == 0 {
		return errors.New("nothing was traced: there is nothing to compare")
	}
	if x.each, err = x.launch(ctx, eachName, x.options.binary, append(x.traced, "OTEL_TRACES_SAMPLER=always_on")); err != nil {
		return err
	}
	return x.everyRequest(ctx)
}

func (x *traceBench) launch(ctx context.Context, name, binary string, env []string) (*broker, error) {
	usual := x.options.binary
	x.options.binary = binary
	of, _, err := x.startTideline(ctx, name, nil, env)
	x.options.binary = usual
	if err != nil {
		return nil, err
	}
	x.running = append(x.running, of)
	return of, of.createTopic(ctx, traceTopic, bulkPartitions, map[string]string{"retention.bytes": "67108864"})
}

func (x *traceBench) stop() {
	for _, of := range x.running {
		of.proc.kill()
		_ = os.RemoveAll(filepath.Join(x.dir, of.proc.name)) // the whole directory goes at the end in any case
	}
	x.running = nil
}

// compare gives the brokers one load: once to fill their pools, and then in turns.
func (x *traceBench) compare(ctx context.Context, round int, load string, batch int32) error {
	all := []*broker{x.off, x.on}
	if x.another != nil {
		all = append(all, x.another)
	}
	if round%2 == 0 {
		slices.Reverse(all)
	}
	for _, of := range all {
		if _, _, err := traceTurn(ctx, of, batch, x.values); err != nil {
			return fmt.Errorf("%s: %w\n%s", of.proc.name, err, of.proc.tail())
		}
	}
	busy := loadAverage()
	perGB, took := map[string]float64{}, 0.0
	before := traces(x.receiver)
	for range 2 {
		for _, of := range all {
			used, long, err := traceTurn(ctx, of, batch, x.values)
			if err != nil {
				return fmt.Errorf("%s: %w\n%s", of.proc.name, err, of.proc.tail())
			}
			perGB[of.proc.name] += used.Seconds() / (2 * traceBytes / 1e9)
			if of == x.on {
				took += long.Seconds()
			}
		}
		slices.Reverse(all)
	}
	off, on := perGB[offName], perGB[tracedName]
	got := map[string]float64{load + "_ratio": on / off, load + "_off_cpu_s_per_gb": off, load + "_on_cpu_s_per_gb": on}
	more, n := (on-off)*2*traceBytes/1e9, traces(x.receiver)-before
	got[load+"_core_percent"] = 100 * more / took
	got[load+"_traces"], got[load+"_mb_per_s"] = float64(n), 2*traceBytes/1e6/took
	if x.another != nil {
		got[load+"_off_ratio"] = off / perGB[againstName]
	}
	x.say("  round %d, %s batches: %.3f CPU s/GB off, %.3f on: %.3f times; %d traces at %.0f MB/s: %.2f %% of a core (load average %.1f)",
		round, load, off, on, on/off, n, got[load+"_mb_per_s"], got[load+"_core_percent"], busy)
	return x.results.add("trace", tidelineName, round, busy, got, nil)
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
			r.Headers = []kgo.RecordHeader{someParent()}
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

// someParent is the header of a record in a trace of its own.
func someParent() kgo.RecordHeader {
	return kgo.RecordHeader{Key: "traceparent", Value: fmt.Appendf(nil, "00-%016x%016x-%016x-01", rand.Uint64()|1, rand.Uint64(), rand.Uint64()|1)}
}
