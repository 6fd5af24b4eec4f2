package hostile

import (
	"context"
	"fmt"
	"log/slog"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/tidelinehq/tideline/broker"
	"github.com/tidelinehq/tideline/broker/config"
	"github.com/tidelinehq/tideline/internal/record"
)

// topic is the one that every test may use; it has two partitions.
const topic = "orders"

// node is a broker under attack.
type node struct {
	addr     string
	registry *prometheus.Registry
	heap     uint64 // bytes in use once it had started
}

// start runs a broker until the test ends, and checks at the end that it is well.
func start(t *testing.T, settings ...string) *node {
	t.Helper()
	return startLogging(t, slog.DiscardHandler, settings...)
}

func startLogging(t *testing.T, log slog.Handler, settings ...string) *node {
	t.Helper()
	cfg, err := config.Load(config.Sources{Machine: config.ThisMachine(), Set: append([]string{
		"listeners=PLAINTEXT://127.0.0.1:0", "http.listener=127.0.0.1:0", "data.dir=" + t.TempDir(), "wal.sync=os",
		"group.initial.rebalance.delay.ms=0", "offsets.topic.num.partitions=4", "logging.level=error",
	}, settings...)})
	if err != nil {
		t.Fatal(err)
	}
	n := &node{registry: prometheus.NewRegistry()}
	b, err := broker.New(cfg, slog.New(log), n.registry)
	if err != nil {
		t.Fatal(err)
	}
	if err := b.Start(context.Background()); err != nil {
		t.Fatal(err)
	}
	n.addr, _ = b.Addresses()
	t.Cleanup(func() {
		n.wellAfter(t, "everything")
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if err := b.Stop(ctx); err != nil {
			t.Errorf("stop: %v", err)
		}
	})
	n.createTopic(t, topic, 2)
	n.heap = heapInUse()
	return n
}

func heapInUse() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapInuse + m.StackInuse
}

func (n *node) createTopic(t *testing.T, name string, partitions int32, configs ...string) {
	t.Helper()
	c := n.dial(t)
	defer c.close()
	req := kmsg.NewPtrCreateTopicsRequest()
	req.Version, req.TimeoutMillis = 7, 10_000
	rt := kmsg.NewCreateTopicsRequestTopic()
	rt.Topic, rt.NumPartitions, rt.ReplicationFactor = name, partitions, 1
	for _, kv := range configs {
		rc := kmsg.NewCreateTopicsRequestTopicConfig()
		key, value, _ := strings.Cut(kv, "=")
		rc.Name, rc.Value = key, &value
		rt.Configs = append(rt.Configs, rc)
	}
	req.Topics = append(req.Topics, rt)
	resp := call[*kmsg.CreateTopicsResponse](t, c, req)
	if code := resp.Topics[0].ErrorCode; code != 0 {
		t.Fatalf("create %s: code=%d", name, code)
	}
}

// growthLimit bounds by how much a broker may have grown after abuse that is over: the
// rooms for great batches are kept for a while.
var growthLimit = uint64(128<<20 + record.DefaultMaxBytes*max(1, runtime.GOMAXPROCS(0)/4))

// wellAfter checks that the broker is none the worse for what was done to it.
func (n *node) wellAfter(t *testing.T, what string) {
	t.Helper()
	c := n.dial(t)
	defer c.close()
	value := fmt.Sprintf("after %s %d", what, time.Now().UnixNano())
	base := produce(t, c, topic, 0, batchOf(value))
	if got := fetch(t, c, topic, 0, base); got != value {
		t.Errorf("after %s: produced %q, fetched %q", what, value, got)
	}
	for _, counter := range []string{"tideline_api_panics_total", "tideline_server_handler_panics_total"} {
		if v := n.metric(t, counter); v != 0 {
			t.Errorf("after %s: %s=%v", what, counter, v)
		}
	}
	if now := heapInUse(); now > n.heap+growthLimit {
		t.Errorf("after %s: heap=%d MiB, was %d MiB", what, now>>20, n.heap>>20)
	}
}

// metric is the sum of a counter or gauge over its labels.
func (n *node) metric(t *testing.T, name string) (sum float64) {
	t.Helper()
	families, err := n.registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	found := false
	for _, f := range families {
		if f.GetName() != name {
			continue
		}
		found = true
		for _, m := range f.GetMetric() {
			sum += m.GetCounter().GetValue() + m.GetGauge().GetValue()
		}
	}
	if !found {
		t.Fatalf("no metric %s", name)
	}
	return sum
}

// batchOf makes an ordinary batch.
func batchOf(values ...string) record.Batch {
	b := record.NewBuilder(record.Options{ProducerID: record.NoProducerID, LeaderEpoch: record.NoLeaderEpoch})
	for _, v := range values {
		if err := b.Add(record.Record{Timestamp: time.Now().UnixMilli(), Key: []byte("k"), Value: []byte(v)}); err != nil {
			panic(err)
		}
	}
	return b.Build()
}

// produceRequest is one batch for one partition.
func produceRequest(version int16, topic string, partition int32, records []byte) *kmsg.ProduceRequest {
	req := kmsg.NewPtrProduceRequest()
	req.Version, req.Acks, req.TimeoutMillis = version, -1, 10_000
	rt := kmsg.NewProduceRequestTopic()
	rt.Topic = topic
	rp := kmsg.NewProduceRequestTopicPartition()
	rp.Partition, rp.Records = partition, records
	rt.Partitions = append(rt.Partitions, rp)
	req.Topics = append(req.Topics, rt)
	return req
}

// produce appends an ordinary batch and returns its base offset.
func produce(t *testing.T, c *conn, topic string, partition int32, batch []byte) int64 {
	t.Helper()
	resp := call[*kmsg.ProduceResponse](t, c, produceRequest(9, topic, partition, batch))
	p := resp.Topics[0].Partitions[0]
	if p.ErrorCode != 0 {
		t.Fatalf("produce: code=%d message=%v", p.ErrorCode, deref(p.ErrorMessage))
	}
	return p.BaseOffset
}

// fetchRequest asks for one partition.
func fetchRequest(version int16, topic string, partition int32, offset int64) *kmsg.FetchRequest {
	req := kmsg.NewPtrFetchRequest()
	req.Version, req.ReplicaID, req.MaxWaitMillis, req.MinBytes, req.MaxBytes = version, -1, 1, 1, 1<<20
	req.SessionEpoch = -1
	rt := kmsg.NewFetchRequestTopic()
	rt.Topic = topic
	rp := kmsg.NewFetchRequestTopicPartition()
	rp.Partition, rp.FetchOffset, rp.PartitionMaxBytes = partition, offset, 1<<20
	rt.Partitions = append(rt.Partitions, rp)
	req.Topics = append(req.Topics, rt)
	return req
}

// fetch returns the value of the record at offset.
func fetch(t *testing.T, c *conn, topic string, partition int32, offset int64) string {
	t.Helper()
	resp := call[*kmsg.FetchResponse](t, c, fetchRequest(12, topic, partition, offset))
	p := resp.Topics[0].Partitions[0]
	if p.ErrorCode != 0 {
		t.Fatalf("fetch: code=%d", p.ErrorCode)
	}
	for batch, err := range record.All(p.RecordBatches) {
		if err != nil {
			t.Fatal(err)
		}
		for r, err := range batch.Records(1 << 20) {
			if err != nil {
				t.Fatal(err)
			}
			if r.Offset == offset {
				return string(r.Value)
			}
		}
	}
	t.Fatalf("no record at offset %d", offset)
	return ""
}

func deref(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}
