package brokertest_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/tidelinehq/tideline/broker/brokertest"
)

const (
	topic      = "orders"
	partitions = 6
	records    = 2000 // in each of the four stages
)

// TestCluster takes three brokers through what a cluster is for: the leader dies under a producer, comes back and catches up; one is
// restarted in order; all die at once. Everything that was acknowledged is there each time, at the offset that was acknowledged.
func TestCluster(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	c := brokertest.StartCluster(t, 3, brokertest.ClusterOptions{Settings: map[string]string{"tier.roll.ms": "500"}})
	c.Broker(0).Run("topic", "create", topic, "--partitions", fmt.Sprint(partitions))
	c.AwaitRest(ctx)
	w := &writer{acked: map[place]string{}}

	w.write(ctx, t, c, "calm", nil)

	leader, err := c.Leader(ctx, topic, 0)
	if err != nil {
		t.Fatal(err)
	}
	w.write(ctx, t, c, "kill", func() { c.Kill(leader) })
	w.check(ctx, t, c)
	c.Restart(leader)
	c.AwaitRest(ctx)

	next := (leader + 1) % c.Size()
	w.write(ctx, t, c, "stop", func() { c.Stop(next) })
	c.Restart(next)
	c.AwaitRest(ctx)

	w.write(ctx, t, c, "pause", func() { c.Pause(leader) })
	c.Resume(leader)
	c.AwaitRest(ctx)

	c.Kill(0, 1, 2)
	c.Restart(0, 1, 2)
	c.AwaitRest(ctx)
	w.check(ctx, t, c)
}

// TestClusterWithoutOneDisk has a broker lose all that it had: what the others have comes back to it.
func TestClusterWithoutOneDisk(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	c := brokertest.StartCluster(t, 3, brokertest.ClusterOptions{})
	c.Broker(0).Run("topic", "create", topic, "--partitions", fmt.Sprint(partitions))
	c.AwaitRest(ctx)
	w := &writer{acked: map[place]string{}}
	w.write(ctx, t, c, "before", nil)
	c.Kill(1)
	c.WipeDisk(1)
	c.Restart(1)
	c.AwaitRest(ctx)
	w.write(ctx, t, c, "after", nil)
	w.check(ctx, t, c)
}

// TestClusterStops has the brokers stop one after the other. The last has nobody to hand over to, and does not wait for anybody.
func TestClusterStops(t *testing.T) {
	c := brokertest.StartCluster(t, 3, brokertest.ClusterOptions{})
	c.Broker(0).Run("topic", "create", topic)
	for i := range c.Size() {
		c.Stop(i)
	}
	if logs := c.Logs(); strings.Contains(logs, "deadline exceeded") {
		t.Errorf("a broker waited as long as it could:%s", logs)
	}
}

// place is where a record was acknowledged.
type place struct {
	partition int32
	offset    int64
}

// writer knows what was acknowledged.
type writer struct{ acked map[place]string }

// write produces records and, half way through them, does something to the cluster. All of them must be acknowledged.
func (w *writer) write(ctx context.Context, t *testing.T, c *brokertest.Cluster, stage string, fault func()) {
	t.Helper()
	client, err := kgo.NewClient(kgo.SeedBrokers(c.Addresses()...), kgo.DefaultProduceTopic(topic), kgo.RequiredAcks(kgo.AllISRAcks()),
		kgo.RecordPartitioner(kgo.RoundRobinPartitioner()), kgo.UnknownTopicRetries(-1),
		// The client's own pauses are seconds; the cluster has a new leader long before.
		kgo.MetadataMinAge(50*time.Millisecond), kgo.ProduceRequestTimeout(time.Second), kgo.RequestTimeoutOverhead(time.Second))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	var once sync.Once
	begun := make(chan struct{})
	acks := make(chan *kgo.Record, records)
	failed := make(chan error, records)
	for i := range records {
		if i == records/2 && fault != nil {
			<-begun // a client that has not been served yet does not know whether it would ever be
			fault()
		}
		client.Produce(ctx, kgo.StringRecord(fmt.Sprintf("%s-%d", stage, i)), func(r *kgo.Record, err error) {
			if err != nil {
				failed <- err
				return
			}
			once.Do(func() { close(begun) })
			acks <- r
		})
	}
	for range records {
		select {
		case r := <-acks:
			at := place{r.Partition, r.Offset}
			if other, taken := w.acked[at]; taken {
				t.Errorf("%s: %q and %q were acknowledged at partition=%d offset=%d", stage, other, r.Value, r.Partition, r.Offset)
			}
			w.acked[at] = string(r.Value)
		case err := <-failed:
			t.Fatalf("%s: %v%s", stage, err, c.Logs())
		}
	}
}

// check reads everything from the beginning and compares it with what was acknowledged.
func (w *writer) check(ctx context.Context, t *testing.T, c *brokertest.Cluster) {
	t.Helper()
	client, err := kgo.NewClient(kgo.SeedBrokers(c.Addresses()...), kgo.ConsumeTopics(topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	found := map[place]string{}
	next := make([]int64, partitions)
	for missing := len(w.acked); missing > 0; {
		fetches := client.PollFetches(ctx)
		if err := ctx.Err(); err != nil {
			t.Fatalf("%d acknowledged records are not there: %v%s", missing, err, c.Logs())
		}
		fetches.EachRecord(func(r *kgo.Record) {
			if r.Offset != next[r.Partition] {
				t.Errorf("partition=%d offset=%d was read behind offset=%d", r.Partition, r.Offset, next[r.Partition]-1)
			}
			next[r.Partition] = r.Offset + 1
			at := place{r.Partition, r.Offset}
			if want, acked := w.acked[at]; acked {
				missing--
				if want != string(r.Value) {
					t.Errorf("partition=%d offset=%d: acknowledged %q, read %q", r.Partition, r.Offset, want, r.Value)
				}
			}
			found[at] = string(r.Value)
		})
	}
	times := map[string]int{}
	for _, value := range found {
		if times[value]++; times[value] > 1 {
			t.Errorf("%q is there %d times", value, times[value])
		}
	}
	if slices.Contains(next, 0) {
		t.Errorf("a partition is empty: %v", next)
	}
}
