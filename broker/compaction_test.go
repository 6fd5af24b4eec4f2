package broker_test

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
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
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
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
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
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
	// The last record marks the end, and what is not in the object store yet follows it there.
	cleaned := func() int64 {
		topic, _ := n.b.Image().Topic("c")
		part, _ := n.b.Image().Partition(topic.ID, 0)
		return part.Ledger.Cleaned
	}
	n.await("all compacted", func() bool { return cleaned() == end })
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
