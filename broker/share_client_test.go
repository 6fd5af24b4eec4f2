package broker_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/tidelinehq/tideline/internal/record"
)

// shareJournal is what the consumers of a share group saw.
type shareJournal struct {
	mu        sync.Mutex
	delivered map[string]int32 // how often, as the broker counts
	done      map[string]bool
	faults    []string
}

func (j *shareJournal) take(r *kgo.Record) (ack kgo.AckStatus) {
	j.mu.Lock()
	defer j.mu.Unlock()
	key := string(r.Key)
	if j.done[key] {
		j.faults = append(j.faults, key+" is delivered after it was accepted")
	}
	if want := j.delivered[key] + 1; r.DeliveryCount() != want {
		j.faults = append(j.faults, fmt.Sprintf("%s: delivery %d, want %d", key, r.DeliveryCount(), want))
	}
	j.delivered[key]++
	switch n := r.Offset; {
	case n%7 == 0 && j.delivered[key] == 1:
		return kgo.AckRelease
	case n%50 == 3:
		j.done[key] = true
		return kgo.AckReject
	}
	j.done[key] = true
	return kgo.AckAccept
}

func (j *shareJournal) left(n int) bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	return len(j.done) < n
}

// shareConsumer reads as a member of a share group until ctx ends.
func shareConsumer(ctx context.Context, addr, group, topic string, j *shareJournal) error {
	var failed sync.Map
	cl, err := kgo.NewClient(kgo.SeedBrokers(addr), kgo.ShareGroup(group), kgo.ConsumeTopics(topic), kgo.ShareMaxRecords(100),
		kgo.ShareAckCallback(func(_ *kgo.Client, rs kgo.ShareAckResults) {
			if err := rs.Error(); err != nil {
				failed.Store(err.Error(), true)
			}
		}))
	if err != nil {
		return err
	}
	defer cl.Close()
	for ctx.Err() == nil {
		fetches := cl.PollFetches(ctx)
		for _, e := range fetches.Errors() {
			if !errors.Is(e.Err, context.Canceled) {
				return e.Err
			}
		}
		fetches.EachRecord(func(r *kgo.Record) { r.Ack(j.take(r)) })
	}
	flush, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := cl.FlushAcks(flush); err != nil {
		return err
	}
	failed.Range(func(k, _ any) bool { err = errors.Join(err, errors.New(k.(string))); return true })
	return err
}

// TestShareConsumers: franz-go consumes as a share group.
func TestShareConsumers(t *testing.T) {
	n := newNode(t, map[string]string{"group.share.heartbeat.interval.ms": "200", "group.share.min.heartbeat.interval.ms": "200", "share.coordinator.state.topic.num.partitions": "3", "offsets.topic.num.partitions": "3"})
	c := n.dial()
	c.create("jobs", 2, map[string]string{"retention.ms": "-1"})
	j := &shareJournal{delivered: map[string]int32{}, done: map[string]bool{}}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var members sync.WaitGroup
	for i := range 3 {
		members.Go(func() {
			if err := shareConsumer(ctx, n.addr, "g", "jobs", j); err != nil {
				t.Errorf("member %d: %v", i, err)
			}
		})
	}
	n.await("the group begins", func() bool { return strings.Count(shareOffsets(c, "g"), "start=0") == 2 })
	const records = 2000
	for i := 0; i < records; i += 10 {
		var rs []record.Record
		for k := range 10 {
			rs = append(rs, record.Record{Key: fmt.Appendf(nil, "%d", i+k), Value: make([]byte, 100), Timestamp: time.Now().UnixMilli()})
		}
		c.mustProduce("jobs", int32(i/10%2), build(record.Options{ProducerID: record.NoProducerID}, rs...))
	}
	n.await("all is accepted or rejected", func() bool { return !j.left(records) })
	cancel()
	members.Wait()
	for _, f := range j.faults {
		t.Error(f)
	}
	n.await("the start offset is at the end", func() bool { return strings.Count(shareOffsets(c, "g"), "start=1000 lag=0") == 2 })
}

// alterGroup changes settings of a group.
func (c *conn) alterGroup(group string, settings map[string]string) {
	c.tb.Helper()
	req := kmsg.NewPtrIncrementalAlterConfigsRequest()
	req.Version = 1
	r := kmsg.NewIncrementalAlterConfigsRequestResource()
	r.ResourceType, r.ResourceName = kmsg.ConfigResourceTypeGroupConfig, group
	for k, v := range settings {
		r.Configs = append(r.Configs, kmsg.IncrementalAlterConfigsRequestResourceConfig{Name: k, Value: &v})
	}
	req.Resources = append(req.Resources, r)
	if x := do[*kmsg.IncrementalAlterConfigsResponse](c, req).Resources[0]; x.ErrorCode != 0 {
		c.tb.Fatalf("settings of %s: %s", group, name(x.ErrorCode))
	}
}

// TestShareIsolation: a group that reads committed records only does not see those of
// aborted transactions, and goes past them; another sees them.
func TestShareIsolation(t *testing.T) {
	n := newNode(t, map[string]string{
		"group.share.heartbeat.interval.ms": "200", "group.share.min.heartbeat.interval.ms": "200",
		"share.coordinator.state.topic.num.partitions": "3", "offsets.topic.num.partitions": "3", "transaction.state.log.num.partitions": "3",
	})
	c := n.dial()
	c.create("jobs", 1, nil)
	c.alterGroup("all", map[string]string{"share.auto.offset.reset": "earliest"})
	c.alterGroup("committed", map[string]string{"share.auto.offset.reset": "earliest", "share.isolation.level": "read_committed"})
	producer, err := kgo.NewClient(kgo.SeedBrokers(n.addr), kgo.TransactionalID("x"), kgo.DefaultProduceTopic("jobs"))
	if err != nil {
		t.Fatal(err)
	}
	defer producer.Close()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for i := range 10 {
		if err := producer.BeginTransaction(); err != nil {
			t.Fatal(err)
		}
		for k := range 5 {
			if err := producer.ProduceSync(ctx, &kgo.Record{Key: fmt.Appendf(nil, "%d-%d", i, k)}).FirstErr(); err != nil {
				t.Fatal(err)
			}
		}
		if err := producer.EndTransaction(ctx, kgo.TransactionEndTry(i%2 == 0)); err != nil {
			t.Fatal(err)
		}
	}
	for group, want := range map[string]int{"all": 50, "committed": 25} {
		j := &shareJournal{delivered: map[string]int32{}, done: map[string]bool{}}
		reading, stop := context.WithCancel(ctx)
		var member sync.WaitGroup
		member.Go(func() {
			if err := shareConsumer(reading, n.addr, group, "jobs", j); err != nil {
				t.Errorf("%s: %v", group, err)
			}
		})
		n.await("all is done with by "+group, func() bool { return !j.left(want) })
		n.await("nothing is left for "+group, func() bool { return strings.HasSuffix(shareOffsets(c, group), "lag=0") })
		stop()
		member.Wait()
		n.await("the start offset of "+group, func() bool { return shareOffsets(c, group) == "NONE jobs/0:NONE start=60 lag=0" })
		for key := range j.done {
			if group == "committed" && (key[0]-'0')%2 != 0 {
				t.Errorf("%s was aborted and is delivered", key)
			}
		}
		if len(j.done) != want || len(j.faults) > 0 {
			t.Errorf("%s: %d records, want %d: %v", group, len(j.done), want, j.faults)
		}
	}
}
