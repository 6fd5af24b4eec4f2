package broker_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/tidelinehq/tideline/broker"
	"github.com/tidelinehq/tideline/broker/config"
	"github.com/tidelinehq/tideline/internal/record"
)

// patience bounds each wait for what should come at once; it is used up when a test fails only.
const patience = 2 * time.Minute

// node is a broker in this process that can be stopped and started again.
type node struct {
	tb       testing.TB
	settings map[string]string
	b        *broker.Broker
	registry *prometheus.Registry
	addr     string
	log      syncBuffer
	deps     broker.Deps
}

// syncBuffer keeps the end of a log.
type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *syncBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.b.Len() > 256<<10 {
		s.b.Reset()
	}
	return s.b.Write(p)
}

// newNode starts a broker with small tiers: everything is uploaded soon.
func newNode(tb testing.TB, settings map[string]string) *node {
	tb.Helper()
	return newNodeWith(tb, settings, broker.Deps{})
}

// newNodeWith is newNode in a world of the test's own.
func newNodeWith(tb testing.TB, settings map[string]string, deps broker.Deps) *node {
	tb.Helper()
	n := &node{tb: tb, deps: deps, settings: map[string]string{
		"listeners": "PLAINTEXT://127.0.0.1:0", "http.listener": "127.0.0.1:0", "data.dir": tb.TempDir(),
		"tier.roll.bytes": "65536", "tier.roll.ms": "100", "log.retention.ms": "-1", // records of tests are from 1970
		"wal.sync": "os", "wal.tail.bytes": "4194304", "cache.memory.bytes": "8388608",
		"cache.disk.bytes": "0", // reserved at once; the default supposes a disk of the broker's own
	}}
	for k, v := range settings {
		n.settings[k] = v
	}
	maps.DeleteFunc(n.settings, func(_, v string) bool { return v == "" })
	n.start()
	tb.Cleanup(func() {
		if n.b != nil {
			n.stop()
		}
		if tb.Failed() {
			n.log.mu.Lock()
			tb.Logf("log of the broker:\n%s", n.log.b.Bytes())
			n.log.mu.Unlock()
		}
	})
	return n
}

func (n *node) start() {
	n.tb.Helper()
	var set []string
	for k, v := range n.settings {
		set = append(set, k+"="+v)
	}
	cfg, err := config.Load(config.Sources{Set: set, Machine: config.ThisMachine()})
	if err != nil {
		n.tb.Fatal(err)
	}
	n.registry = prometheus.NewRegistry()
	if n.b, err = broker.NewWith(cfg, slog.New(slog.NewTextHandler(&n.log, nil)), n.registry, n.deps); err != nil {
		n.tb.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := n.b.Start(ctx); err != nil {
		n.b = nil
		n.tb.Errorf("start: %v", err)
		return
	}
	n.addr, _ = n.b.Addresses()
}

func (n *node) stop() {
	n.tb.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := n.b.Stop(ctx); err != nil {
		n.tb.Errorf("stop: %v", err)
	}
	n.b = nil
}

// gauge returns the sum of a metric of the broker.
func (n *node) gauge(name string) float64 {
	n.tb.Helper()
	families, err := n.registry.Gather()
	if err != nil {
		n.tb.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() == name {
			sum := 0.0
			for _, m := range f.GetMetric() {
				sum += m.GetGauge().GetValue() + m.GetCounter().GetValue()
			}
			return sum
		}
	}
	n.tb.Fatalf("no metric %s", name)
	return 0
}

// await waits until cond holds; it asks again whenever the broker could have moved.
func (n *node) await(what string, cond func() bool) {
	n.tb.Helper()
	deadline := time.After(patience)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !cond() {
		select {
		case <-tick.C:
		case <-deadline:
			n.tb.Fatalf("still waiting: %s", what)
		}
	}
}

// conn is a client that says exactly what a test wants it to.
type conn struct {
	tb  testing.TB
	net net.Conn
	f   *kmsg.RequestFormatter
	id  int32
}

func (n *node) dial() *conn {
	n.tb.Helper()
	c, err := dial(n.addr)
	if err != nil {
		n.tb.Fatal(err)
	}
	c.tb = n.tb
	n.tb.Cleanup(func() { _ = c.net.Close() })
	return c
}

func dial(addr string) (*conn, error) {
	c, err := net.Dial("tcp", addr)
	if err != nil {
		return nil, err
	}
	return &conn{net: c, f: kmsg.NewRequestFormatter(kmsg.FormatterClientID("test"))}, nil
}

// send writes a request with the version that is set in it.
func (c *conn) send(req kmsg.Request) error {
	c.id++
	_, err := c.net.Write(c.f.AppendRequest(nil, req, c.id))
	return err
}

// receive reads the reply to req. Bytes that are left over are an error, too.
func (c *conn) receive(req kmsg.Request, id int32) (kmsg.Response, error) {
	var size [4]byte
	if err := c.net.SetReadDeadline(time.Now().Add(patience)); err != nil {
		return nil, err
	}
	if _, err := io.ReadFull(c.net, size[:]); err != nil {
		return nil, err
	}
	b := make([]byte, binary.BigEndian.Uint32(size[:]))
	if _, err := io.ReadFull(c.net, b); err != nil {
		return nil, err
	}
	if got := int32(binary.BigEndian.Uint32(b)); got != id {
		return nil, fmt.Errorf("correlation id %d, want %d", got, id)
	}
	b = b[4:]
	resp := req.ResponseKind()
	resp.SetVersion(req.GetVersion())
	if resp.IsFlexible() && req.Key() != 18 {
		if b[0] != 0 {
			return nil, fmt.Errorf("tags in a response header: %d", b[0])
		}
		b = b[1:]
	}
	if err := resp.ReadFrom(b); err != nil {
		return nil, fmt.Errorf("decode %s v%d: %w", kmsg.NameForKey(req.Key()), req.GetVersion(), err)
	}
	if again := resp.AppendTo(nil); len(again) != len(b) {
		return nil, fmt.Errorf("%s v%d: %d bytes, of which %d mean something", kmsg.NameForKey(req.Key()), req.GetVersion(), len(b), len(again))
	}
	return resp, nil
}

func (c *conn) try(req kmsg.Request) (kmsg.Response, error) {
	if err := c.send(req); err != nil {
		return nil, err
	}
	return c.receive(req, c.id)
}

// do sends a request and returns its reply.
func do[R kmsg.Response](c *conn, req kmsg.Request) R {
	c.tb.Helper()
	resp, err := c.try(req)
	if err != nil {
		c.tb.Fatalf("%s v%d: %v", kmsg.NameForKey(req.Key()), req.GetVersion(), err)
	}
	return resp.(R)
}

func name(code int16) string {
	if code == 0 {
		return "NONE"
	}
	return kerr.TypedErrorForCode(code).Message
}

// create makes a topic and returns its id.
func (c *conn) create(topic string, partitions int32, configs map[string]string) [16]byte {
	c.tb.Helper()
	req := kmsg.NewPtrCreateTopicsRequest()
	req.Version = 7
	t := kmsg.NewCreateTopicsRequestTopic()
	t.Topic, t.NumPartitions, t.ReplicationFactor = topic, partitions, 1
	for k, v := range configs {
		kv := kmsg.NewCreateTopicsRequestTopicConfig()
		kv.Name, kv.Value = k, &v
		t.Configs = append(t.Configs, kv)
	}
	req.Topics = append(req.Topics, t)
	resp := do[*kmsg.CreateTopicsResponse](c, req)
	if code := resp.Topics[0].ErrorCode; code != 0 {
		c.tb.Fatalf("create %s: %s", topic, name(code))
	}
	return resp.Topics[0].TopicID
}

func (c *conn) delete(topic string) {
	c.tb.Helper()
	req := kmsg.NewPtrDeleteTopicsRequest()
	req.Version = 5
	req.TopicNames = []string{topic}
	if code := do[*kmsg.DeleteTopicsResponse](c, req).Topics[0].ErrorCode; code != 0 {
		c.tb.Fatalf("delete %s: %s", topic, name(code))
	}
}

func produceRequest(topic string, index int32, batch []byte) *kmsg.ProduceRequest {
	req := kmsg.NewPtrProduceRequest()
	req.Version, req.Acks, req.TimeoutMillis = 9, -1, 10_000
	t := kmsg.NewProduceRequestTopic()
	t.Topic = topic
	p := kmsg.NewProduceRequestTopicPartition()
	p.Partition, p.Records = index, batch
	t.Partitions = append(t.Partitions, p)
	req.Topics = append(req.Topics, t)
	return req
}

func (c *conn) produce(topic string, index int32, batch []byte) kmsg.ProduceResponseTopicPartition {
	c.tb.Helper()
	return do[*kmsg.ProduceResponse](c, produceRequest(topic, index, batch)).Topics[0].Partitions[0]
}

// mustProduce returns the base offset.
func (c *conn) mustProduce(topic string, index int32, batch []byte) int64 {
	c.tb.Helper()
	p := c.produce(topic, index, batch)
	if p.ErrorCode != 0 {
		c.tb.Fatalf("produce to %s/%d: %s", topic, index, name(p.ErrorCode))
	}
	return p.BaseOffset
}

// build makes a batch of records.
func build(o record.Options, records ...record.Record) []byte {
	b := record.NewBuilder(o)
	for _, r := range records {
		if err := b.Add(r); err != nil {
			panic(err)
		}
	}
	return b.Build()
}

// values makes a batch without a producer id.
func values(size int, names ...string) []byte {
	var rs []record.Record
	for _, n := range names {
		rs = append(rs, record.Record{Key: []byte(n), Value: make([]byte, size), Timestamp: 1000})
	}
	return build(record.Options{ProducerID: record.NoProducerID}, rs...)
}

// at is one partition of a fetch.
type at struct {
	topic  string
	id     [16]byte
	index  int32
	offset int64
	max    int32
	epoch  int32 // last fetched, plus one: 0 is none
}

func fetchRequest(version int16, parts ...at) *kmsg.FetchRequest {
	req := kmsg.NewPtrFetchRequest()
	req.Version, req.MaxWaitMillis, req.MinBytes, req.MaxBytes = version, 0, 1, 50<<20
	for _, a := range parts {
		t := kmsg.NewFetchRequestTopic()
		t.Topic, t.TopicID = a.topic, a.id
		p := kmsg.NewFetchRequestTopicPartition()
		p.Partition, p.FetchOffset, p.PartitionMaxBytes, p.CurrentLeaderEpoch, p.LastFetchedEpoch = a.index, a.offset, a.max, -1, a.epoch-1
		if a.max == 0 {
			p.PartitionMaxBytes = 1 << 20
		}
		t.Partitions = append(t.Partitions, p)
		req.Topics = append(req.Topics, t)
	}
	return req
}

func (c *conn) fetch(req *kmsg.FetchRequest) *kmsg.FetchResponse {
	c.tb.Helper()
	return do[*kmsg.FetchResponse](c, req)
}

// parts returns the partitions of a fetch response, in order.
func parts(r *kmsg.FetchResponse) (out []kmsg.FetchResponseTopicPartition) {
	for i := range r.Topics {
		out = append(out, r.Topics[i].Partitions...)
	}
	return out
}
