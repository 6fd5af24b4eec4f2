package broker_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/tidelinehq/tideline/broker/api"
	"github.com/tidelinehq/tideline/metadata"
)

// kafkaClient is a real client of the node.
func (n *node) kafkaClient(opts ...kgo.Opt) *kgo.Client {
	n.tb.Helper()
	c, err := kgo.NewClient(append([]kgo.Opt{kgo.SeedBrokers(n.addr)}, opts...)...)
	if err != nil {
		n.tb.Fatal(err)
	}
	n.tb.Cleanup(c.Close)
	return c
}

// put produces one value for each of some keys; a nil value is a tombstone.
func put(tb testing.TB, c *kgo.Client, topic string, values map[int][]byte) {
	tb.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	for k, v := range values {
		c.Produce(ctx, &kgo.Record{Topic: topic, Key: fmt.Append(nil, "key", k), Value: v}, func(_ *kgo.Record, err error) {
			if err != nil {
				tb.Error(err)
			}
		})
	}
	if err := c.Flush(ctx); err != nil {
		tb.Fatal(err)
	}
}

// readAll reads a partition from offset 0 to its end, as a consumer does, and returns the records.
func (n *node) readAll(topic string, end int64) []*kgo.Record {
	n.tb.Helper()
	c := n.kafkaClient(kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{topic: {0: kgo.NewOffset().At(0)}}), kgo.FetchMaxWait(100*time.Millisecond))
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	var out []*kgo.Record
	for {
		fetches := c.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			n.tb.Fatalf("read %s: %v", topic, err)
		}
		out = append(out, fetches.Records()...)
		if len(out) > 0 && out[len(out)-1].Offset >= end-1 {
			return out
		}
	}
}

// TestCompactedTopicIsReadFromZero: a consumer that begins at offset 0 sees the last value of each key, at its offset, while the
// write-ahead log still has all the old ones; tombstones are there at first, and gone after their time.
func TestCompactedTopicIsReadFromZero(t *testing.T) {
	n := newNode(t, map[string]string{"log.cleaner.backoff.ms": "20"})
	n.dial().create("c", 1, map[string]string{
		"cleanup.policy": "compact", "min.cleanable.dirty.ratio": "0.01", "delete.retention.ms": "1", "local.retention.bytes": "-2",
	})
	p := n.kafkaClient(kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.ProducerLinger(0), kgo.RequiredAcks(kgo.AllISRAcks()))
	want := map[string]string{}
	end := int64(0)
	for round := range 30 {
		values := map[int][]byte{}
		for k := range 40 {
			if (k+round)%3 == 0 {
				continue
			}
			values[k] = fmt.Append(nil, "value ", round, " of ", k)
			if (k*7+round)%5 == 0 {
				values[k] = nil
			}
		}
		put(t, p, "c", values)
		for k, v := range values {
			want["key"+strconv.Itoa(k)] = string(v)
			if v == nil {
				delete(want, "key"+strconv.Itoa(k))
			}
			end++
		}
	}
	n.await("all compacted", func() bool { return n.ledger("c").Cleaned == end })
	// The last record marks the end.
	put(t, p, "c", map[int][]byte{1000: []byte("end")})
	end++
	// Each round meets the tombstones of the one before when their time is over.
	n.await("tombstones gone", func() bool {
		return !slices.ContainsFunc(n.readAll("c", end), func(r *kgo.Record) bool { return r.Value == nil })
	})
	got := map[string]string{}
	last := int64(-1)
	records := n.readAll("c", end)
	for _, r := range records {
		if r.Offset <= last {
			t.Fatalf("offset %d after %d", r.Offset, last)
		}
		last = r.Offset
		if old, twice := got[string(r.Key)]; twice {
			t.Errorf("%s is there twice: %q and %q", r.Key, old, r.Value)
		}
		got[string(r.Key)] = string(r.Value)
	}
	if len(got) != len(want)+1 {
		t.Errorf("%d keys, want %d", len(got), len(want)+1)
	}
	for k, v := range want {
		if got[k] != v {
			t.Errorf("%s is %q, want %q", k, got[k], v)
		}
	}
	if n.gauge("tideline_tiering_compact_rounds_total") == 0 {
		t.Error("no round was counted")
	}
}

// ledger is that of a topic's first partition.
func (n *node) ledger(topic string) metadata.Ledger {
	image := n.b.Image()
	t, ok := image.Topic(topic)
	if !ok {
		return metadata.Ledger{}
	}
	p, _ := image.Partition(t.ID, 0)
	return p.Ledger
}

// lastValues fails unless the records are the last ones of their keys, and all of them.
func lastValues(tb testing.TB, records []*kgo.Record, want map[string]string) {
	tb.Helper()
	got := map[string]string{}
	for _, r := range records {
		got[string(r.Key)] = string(r.Value)
	}
	for k, v := range want {
		if got[k] != v {
			tb.Errorf("%s is %q, want %q", k, got[k], v)
		}
	}
	if len(got) != len(want) {
		tb.Errorf("%d keys, want %d", len(got), len(want))
	}
}

// TestCoordinatorsLoadWhatCompactionLeft: committed offsets are there after a restart, though all but the last commit of each
// group is gone from the log.
func TestCoordinatorsLoadWhatCompactionLeft(t *testing.T) {
	n := newNode(t, map[string]string{
		"log.cleaner.backoff.ms": "20", "log.cleaner.min.cleanable.ratio": "0.01", "offsets.topic.num.partitions": "1", "log.local.retention.bytes": "-2",
	})
	m := &model{t: t, n: n, c: n.dial(), r: rand.New(rand.NewPCG(1, 1))}
	m.c.create("a", 1, nil)
	find := kmsg.NewPtrFindCoordinatorRequest()
	find.Version, find.CoordinatorKeys = 4, []string{"g0"}
	if code := do[*kmsg.FindCoordinatorResponse](m.c, find).Coordinators[0].ErrorCode; code != 0 {
		t.Fatalf("find coordinator: %s", name(code))
	}
	for round := range int64(20) {
		for i := range 5 {
			req := kmsg.NewPtrOffsetCommitRequest()
			req.Version, req.Group, req.Generation = 8, fmt.Sprint("g", i), -1
			ct := kmsg.NewOffsetCommitRequestTopic()
			ct.Topic = "a"
			p := kmsg.NewOffsetCommitRequestTopicPartition()
			p.Offset = 100*round + int64(i)
			ct.Partitions = append(ct.Partitions, p)
			req.Topics = append(req.Topics, ct)
			m.retry(req.Group, func() int16 { return do[*kmsg.OffsetCommitResponse](m.c, req).Topics[0].Partitions[0].ErrorCode })
		}
	}
	end := m.listOffset(&modelTopic{name: api.OffsetsTopic}, 0, -1).Offset
	n.await("the offsets are compacted", func() bool { return n.ledger(api.OffsetsTopic).Cleaned == end })
	if l := n.ledger(api.OffsetsTopic); l.LogBytes > 5000 {
		t.Errorf("%d bytes are left of the commits of 5 groups", l.LogBytes)
	}
	m.restart()
	for i := range 5 {
		req := kmsg.NewPtrOffsetFetchRequest()
		req.Version, req.Group = 7, fmt.Sprint("g", i)
		ft := kmsg.NewOffsetFetchRequestTopic()
		ft.Topic, ft.Partitions = "a", []int32{0}
		req.Topics = append(req.Topics, ft)
		var got *kmsg.OffsetFetchResponse
		m.retry(req.Group, func() int16 {
			got = do[*kmsg.OffsetFetchResponse](m.c, req)
			return got.ErrorCode
		})
		if o := got.Topics[0].Partitions[0].Offset; o != 1900+int64(i) {
			t.Errorf("%s is at %d", req.Group, o)
		}
	}
}

// TestCompactionGoesOnAfterAFailover: whoever leads compacts, every replica forgets what compaction took out, and a reader finds the last
// values whoever answers.
func TestCompactionGoesOnAfterAFailover(t *testing.T) {
	c := newCluster(t, 3, map[string]string{"log.cleaner.backoff.ms": "20", "log.cleaner.min.cleanable.ratio": "0.01", "log.cleanup.policy": "compact"})
	c.create("c")
	end, want := int64(0), map[string]string{}
	for round := range 2 {
		leader := c.settled("c", 0, len(c.up()))
		p := leader.kafkaClient(kgo.ProducerLinger(0))
		for i := range 20 {
			values := map[int][]byte{}
			for k := range 10 {
				values[k] = fmt.Append(nil, "round ", round, " try ", i, " key ", k)
				want["key"+strconv.Itoa(k)] = string(values[k])
			}
			put(t, p, "c", values)
			end += 10
		}
		for _, x := range c.up() {
			x.await("compacted, as every broker knows", func() bool { return x.ledger("c").Cleaned == end })
		}
		if l := leader.ledger("c"); l.Segments != 1 || l.LogBytes > 20*200 {
			t.Errorf("round %d: %d bytes in %d segments", round, l.LogBytes, l.Segments)
		}
		put(t, p, "c", map[int][]byte{99: fmt.Append(nil, round)})
		want["key99"] = strconv.Itoa(round)
		end++
		lastValues(t, leader.readAll("c", end), want)
		if round == 0 {
			leader.stop()
		}
	}
}

// TestCompactionFollowsThePolicy: a topic of any age is compacted when its policy says so, and retention goes on beside it.
func TestCompactionFollowsThePolicy(t *testing.T) {
	n := newNode(t, map[string]string{"log.cleaner.backoff.ms": "20", "log.retention.check.interval.ms": "50"})
	c := n.dial()
	c.create("p", 1, map[string]string{"min.cleanable.dirty.ratio": "0.01"})
	p := n.kafkaClient(kgo.ProducerLinger(0))
	end, want := int64(0), map[string]string{}
	write := func() {
		for i := range 10 {
			for k := range 5 {
				want["key"+strconv.Itoa(k)] = fmt.Sprint(end, " ", i)
				put(t, p, "p", map[int][]byte{k: []byte(want["key"+strconv.Itoa(k)])})
				end++
			}
		}
	}
	write()
	n.await("all tiered", func() bool { return n.ledger("p").Tiered == end })
	if got := len(n.readAll("p", end)); int64(got) != end {
		t.Errorf("%d records of %d without compaction", got, end)
	}
	c.alter("p", "cleanup.policy", "compact")
	n.await("all compacted", func() bool { return n.ledger("p").Cleaned == end })
	lastValues(t, n.readAll("p", end), want)
	c.alter("p", "cleanup.policy", "delete")
	cleaned := end
	write()
	n.await("all tiered again", func() bool { return n.ledger("p").Tiered == end })
	if got := len(n.readAll("p", end)); got != 55 || n.ledger("p").Cleaned != cleaned {
		t.Errorf("%d records, cleaned to %d", got, n.ledger("p").Cleaned)
	}
	c.alter("p", "cleanup.policy", "compact,delete")
	n.await("all compacted again", func() bool { return n.ledger("p").Cleaned == end })
	lastValues(t, n.readAll("p", end), want)
	c.alter("p", "retention.ms", "1")
	n.await("all expired", func() bool { l := n.ledger("p"); return l.LogStart == end && l.Segments == 0 })
}

// alter sets one key of a topic.
func (c *conn) alter(topic, key, value string) {
	c.tb.Helper()
	req := kmsg.NewPtrIncrementalAlterConfigsRequest()
	req.Version = 1
	r := kmsg.NewIncrementalAlterConfigsRequestResource()
	r.ResourceType, r.ResourceName = kmsg.ConfigResourceTypeTopic, topic
	kv := kmsg.NewIncrementalAlterConfigsRequestResourceConfig()
	kv.Name, kv.Value = key, &value
	r.Configs = append(r.Configs, kv)
	req.Resources = append(req.Resources, r)
	if code := do[*kmsg.IncrementalAlterConfigsResponse](c, req).Resources[0].ErrorCode; code != 0 {
		c.tb.Fatalf("alter %s of %s: %s", key, topic, name(code))
	}
}
