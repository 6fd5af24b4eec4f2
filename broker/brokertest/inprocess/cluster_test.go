package inprocess_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/tidelinehq/tideline/broker/brokertest/inprocess"
)

// TestCluster has every broker of three stop and come back under a producer and a consumer, where the race detector sees all of them.
func TestCluster(t *testing.T) {
	const topic, records = "orders", 3000
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	c := inprocess.StartCluster(t, 3, map[string]string{"tier.roll.ms": "200", "wal.sync": "os"})
	client, err := kgo.NewClient(kgo.SeedBrokers(c.Addresses()...), kgo.DefaultProduceTopic(topic), kgo.UnknownTopicRetries(-1),
		kgo.RecordPartitioner(kgo.RoundRobinPartitioner()), kgo.MetadataMinAge(50*time.Millisecond),
		kgo.ConsumeTopics(topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	if _, err := kadm.NewClient(client).CreateTopic(ctx, 6, 3, nil, topic); err != nil {
		t.Fatal(err)
	}
	acked := make(chan error, records)
	for i := range records {
		client.Produce(ctx, kgo.StringRecord(fmt.Sprint(i)), func(_ *kgo.Record, err error) { acked <- err })
		if i%1000 == 500 {
			c.Stop(i / 1000)
			c.Restart(i / 1000)
		}
	}
	for range records {
		if err := <-acked; err != nil {
			t.Fatal(err)
		}
	}
	times := map[string]int{}
	for len(times) < records {
		fetches := client.PollFetches(ctx)
		if ctx.Err() != nil {
			t.Fatalf("%d of %d records were read", len(times), records)
		}
		fetches.EachRecord(func(r *kgo.Record) {
			if times[string(r.Value)]++; times[string(r.Value)] > 1 {
				t.Errorf("%q was read twice", r.Value)
			}
		})
	}
}
