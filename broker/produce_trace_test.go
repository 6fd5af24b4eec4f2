package broker_test

import (
	"context"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/tidelinehq/tideline/internal/otlptest"
	"github.com/tidelinehq/tideline/internal/record"
)

// exportTo has the brokers of a test send their spans and metrics to a receiver, by a protocol.
func exportTo(t *testing.T, protocol string) *otlptest.Receiver {
	t.Helper()
	r, err := otlptest.Start()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	})
	for k, v := range r.Environment(protocol) {
		t.Setenv(k, v)
	}
	return r
}

// until waits until check finds nothing missing any more in the spans that came.
func until(t *testing.T, r *otlptest.Receiver, check func(all spans) error) spans {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	all, err := r.Await(ctx, func(all []otlptest.Span) bool { return check(all) == nil })
	if err != nil {
		t.Fatalf("%v; there are\n%s", check(all), spans(all))
	}
	return all
}

// spans are what a receiver got.
type spans []otlptest.Span

func (all spans) String() string {
	var b strings.Builder
	for _, s := range all {
		fmt.Fprintln(&b, s)
	}
	return b.String()
}

// below returns the spans of a name whose parent is given.
func (all spans) below(trace, parent, name string) (out spans) {
	for _, s := range all {
		if s.Name == name && s.TraceID == trace && s.ParentID == parent {
			out = append(out, s)
		}
	}
	return out
}

// one is below where there has to be one.
func (all spans) one(trace, parent, name string) (otlptest.Span, error) {
	found := all.below(trace, parent, name)
	if len(found) != 1 {
		return otlptest.Span{}, fmt.Errorf("%d spans %s in trace %s below %s", len(found), name, trace, parent)
	}
	return found[0], nil
}

// synced returns the span of a write-ahead log in one trace, if it tells what there is to tell of the group: itself, or by a
// link to the span of the whole group, where several traces have part in that.
func (all spans) synced(trace, parent string) (otlptest.Span, error) {
	own, err := all.one(trace, parent, "wal.sync")
	if err != nil {
		return own, err
	}
	if own.Attributes["tideline.bytes"] != nil && len(own.Links) == 0 {
		return own, nil
	}
	i := slices.IndexFunc(all, func(s otlptest.Span) bool { return s.Name == "wal.sync" && s.ParentID == "" && own.LinksTo(s) })
	if i < 0 {
		return own, fmt.Errorf("no shared span for %v", own)
	}
	if shared := all[i]; !shared.LinksTo(otlptest.Span{TraceID: trace, SpanID: parent}) || shared.TraceID == trace || shared.Instance() != own.Instance() || !shared.Start.Equal(own.Start) || !shared.End.Equal(own.End) {
		return own, fmt.Errorf("%v is not %v in its own trace", shared, own)
	}
	return own, nil
}

// produced looks for everything that a produced record leaves in its producer's trace.
func (all spans) produced(trace, parent, leader string, followers []string, acks int64) error {
	request, err := all.one(trace, parent, "kafka.Produce")
	if err != nil {
		return err
	}
	if request.Kind != "server" || request.Instance() != leader || request.Attributes["tideline.acks"] != acks || request.Attributes["messaging.system"] != "kafka" ||
		request.Attributes["messaging.destination.name"] != "t" || request.Attributes["messaging.destination.partition.id"] != "0" || request.Error != "" {
		return fmt.Errorf("of broker %s: %v", leader, request)
	}
	if err := staged(request); err != nil {
		return err
	}
	if request.Attributes["messaging.batch.message_count"] != int64(1) {
		return fmt.Errorf("of one record: %v", request)
	}
	sync, err := all.synced(trace, parent)
	if err != nil {
		return err
	}
	if sync.Instance() != leader || sync.Start.Before(request.Start) {
		return fmt.Errorf("sync of broker %s: %v", leader, sync)
	}
	return all.replicated(trace, parent, leader, followers, acks, request.When("produce.decided"))
}

// staged looks for all stages of a request, in their order.
func staged(request otlptest.Span) error {
	at := request.Start
	for _, name := range []string{"produce.handled", "produce.validated", "produce.queued", "produce.decided"} {
		next := request.When(name)
		if next.Before(at) {
			return fmt.Errorf("%s is missing, or out of order: %v", name, request)
		}
		at = next
	}
	if request.End.Before(at) {
		return fmt.Errorf("it has ended before: %v", request)
	}
	return nil
}

// replicated looks for what leads to each follower, and is there before a record is acknowledged by all.
func (all spans) replicated(trace, parent, leader string, followers []string, acks int64, acknowledged time.Time) error {
	var to []string
	for _, sent := range all.below(trace, parent, "replicate") {
		broker := fmt.Sprint(sent.Attributes["tideline.broker.id"])
		to = append(to, broker)
		if sent.Instance() != leader || sent.Error != "" || acks == -1 && sent.End.After(acknowledged) {
			return fmt.Errorf("from broker %s, acknowledged at %v: %v", leader, acknowledged, sent)
		}
		if s, err := all.one(trace, sent.SpanID, "replicate.receive"); err != nil || s.Instance() != broker || s.When("replicate.received").Before(s.Start) {
			return fmt.Errorf("at broker %s: %v %w", broker, s, err)
		}
		if s, err := all.synced(trace, sent.SpanID); err != nil || s.Instance() != broker {
			return fmt.Errorf("at broker %s: %v %w", broker, s, err)
		}
	}
	slices.Sort(to)
	if !slices.Equal(to, followers) {
		return fmt.Errorf("sent to brokers %v of %v", to, followers)
	}
	return nil
}

// TestProduceIsTraced: one trace leads from a producer through the leader's stages to the disks of all brokers, whatever it
// waits for.
func TestProduceIsTraced(t *testing.T) {
	for _, protocol := range []string{"grpc", "http/protobuf"} {
		t.Run(protocol, func(t *testing.T) {
			r := exportTo(t, protocol)
			c := newCluster(t, 3, nil)
			c.create("t")
			leader := c.settled("t", 0, 3)
			var followers []string
			for _, x := range c.nodes {
				if x != leader {
					followers = append(followers, x.settings["node.id"])
				}
			}
			for n, way := range []struct {
				name    string
				acks    int64
				options []kgo.Opt
			}{
				{"all", -1, nil},
				{"uncompressed", -1, []kgo.Opt{kgo.ProducerBatchCompression(kgo.NoCompression())}},
				{"leader", 1, []kgo.Opt{kgo.RequiredAcks(kgo.LeaderAck()), kgo.DisableIdempotentWrite()}},
				{"none", 0, []kgo.Opt{kgo.RequiredAcks(kgo.NoAck()), kgo.DisableIdempotentWrite()}},
				{"transaction", -1, []kgo.Opt{kgo.TransactionalID("x")}},
			} {
				trace, parent := fmt.Sprintf("%032x", 0xa0+n), fmt.Sprintf("%016x", 0xb0+n)
				produceTraced(t, leader, way.options, fmt.Sprintf("00-%s-%s-00", strings.Repeat("9", 32), parent), fmt.Sprintf("00-%s-%s-01", trace, parent))
				all := until(t, r, func(all spans) error {
					return all.produced(trace, parent, leader.settings["node.id"], followers, way.acks)
				})
				if slices.ContainsFunc(all, func(s otlptest.Span) bool { return s.TraceID == strings.Repeat("9", 32) }) {
					t.Errorf("%s: a trace that is not sampled is continued:\n%s", way.name, all)
				}
			}
		})
	}
}

// produceTraced produces a record for each header, one after the other.
func produceTraced(t *testing.T, to *node, options []kgo.Opt, headers ...string) {
	t.Helper()
	client, err := kgo.NewClient(append([]kgo.Opt{kgo.SeedBrokers(to.addr), kgo.DefaultProduceTopic("t"), kgo.ClientID("producer")}, options...)...)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	transactional := client.OptValue(kgo.TransactionalID) != ""
	if transactional {
		if err := client.BeginTransaction(); err != nil {
			t.Fatal(err)
		}
	}
	for _, h := range headers {
		if err := client.ProduceSync(ctx, &kgo.Record{Value: []byte(strings.Repeat("value", 100)), Headers: []kgo.RecordHeader{{Key: "traceparent", Value: []byte(h)}}}).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	if transactional {
		if err := client.EndTransaction(ctx, kgo.TryCommit); err != nil {
			t.Fatal(err)
		}
	}
}

// parented is a batch of one record with a traceparent header, or without one.
func parented(header string) []byte {
	r := record.Record{Value: make([]byte, 100), Timestamp: 1000}
	if header != "" {
		r.Headers = []record.Header{{Key: []byte("traceparent"), Value: []byte(header)}}
	}
	return build(record.Options{ProducerID: record.NoProducerID}, r)
}

// TestProduceOfManyTraces: a request is in each of the traces that it carries records of, a refusal is seen in it, and
// one that names none begins its own now and then.
func TestProduceOfManyTraces(t *testing.T) {
	r := exportTo(t, "http/protobuf")
	n := newNode(t, nil)
	conn := n.dial()
	conn.create("t", 3, nil)
	conn.create("u", 1, map[string]string{"max.message.bytes": "100"})
	id := func(i int) (string, string) { return fmt.Sprintf("%032x", i), fmt.Sprintf("%016x", i) }
	header := func(i int) string { trace, parent := id(i); return "00-" + trace + "-" + parent + "-01" }

	req := produceRequest("t", 0, parented(header(1)))
	for i, h := range []string{header(2), ""} {
		p := kmsg.NewProduceRequestTopicPartition()
		p.Partition, p.Records = int32(i+1), parented(h)
		req.Topics[0].Partitions = append(req.Topics[0].Partitions, p)
	}
	for _, p := range do[*kmsg.ProduceResponse](conn, req).Topics[0].Partitions {
		if p.ErrorCode != 0 {
			t.Fatal(name(p.ErrorCode))
		}
	}
	if p := conn.produce("u", 0, parented(header(3))); p.ErrorCode == 0 {
		t.Fatal("a batch that is too large was taken")
	}
	until(t, r, func(all spans) error {
		for i := 1; i <= 2; i++ {
			trace, parent := id(i)
			request, err := all.one(trace, parent, "kafka.Produce")
			if err != nil {
				return err
			}
			if at := request.Attributes["messaging.destination.partition.id"]; at != fmt.Sprint(i-1) {
				return fmt.Errorf("partition of %v", request)
			}
			if err := staged(request); err != nil {
				return err
			}
			if _, err := all.synced(trace, parent); err != nil {
				return err
			}
		}
		trace, parent := id(3)
		refused, err := all.one(trace, parent, "kafka.Produce")
		if err == nil && (refused.Error != "MESSAGE_TOO_LARGE" || refused.Attributes["error.type"] != "MESSAGE_TOO_LARGE" || !refused.When("produce.queued").IsZero()) {
			err = fmt.Errorf("refused: %v", refused)
		}
		return err
	})

	own := func(all spans) error {
		for _, s := range all {
			if s.Name != "kafka.Produce" || s.ParentID != "" {
				continue
			}
			if err := staged(s); err != nil {
				return err
			}
			_, err := all.synced(s.TraceID, s.SpanID)
			return err
		}
		return fmt.Errorf("no trace of the broker's own")
	}
	n.await("a trace of the broker's own", func() bool {
		conn.mustProduce("t", 0, parented(""))
		return own(r.Spans()) == nil
	})

	families, err := n.registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	stages := map[string]uint64{}
	for _, f := range families {
		if f.GetName() == "tideline_produce_stage_seconds" {
			for _, m := range f.GetMetric() {
				stages[m.GetLabel()[0].GetValue()] = m.GetHistogram().GetSampleCount()
			}
		}
	}
	for _, stage := range []string{"queue", "decode", "append", "sync", "replicate", "acknowledge"} {
		if stages[stage] < 2 {
			t.Errorf("stages: %v", stages)
		}
	}
}

// TestNothingIsTracedUnasked: without the environment's word there is no span, no goroutine and no stream that would tell of
// traces.
func TestNothingIsTracedUnasked(t *testing.T) {
	r, err := otlptest.Start()
	if err != nil {
		t.Fatal(err)
	}
	c := newCluster(t, 3, nil)
	c.create("t")
	leader := c.settled("t", 0, 3)
	produceTraced(t, leader, nil, "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")
	stacks := make([]byte, 8<<20)
	for _, of := range []string{"otel/sdk", "otel/exporters", "ServeTraced"} {
		if strings.Contains(string(stacks[:runtime.Stack(stacks, true)]), of) {
			t.Errorf("there is a goroutine of %s", of)
		}
	}
	if err := r.Close(); err != nil || len(r.Spans()) != 0 {
		t.Errorf("%v %v", err, r.Spans())
	}
}
