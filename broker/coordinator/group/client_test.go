package group

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// clusterTopics is kfake's metadata, by asking it as a client would have.
type clusterTopics struct{ byName kadm.TopicDetails }

func (c clusterTopics) Lookup(name string) ([16]byte, int32, bool) {
	t, ok := c.byName[name]
	return t.ID, int32(len(t.Partitions)), ok
}

func (c clusterTopics) Name(id [16]byte) (string, bool) {
	for name, t := range c.byName {
		if t.ID == id {
			return name, true
		}
	}
	return "", false
}

func (c clusterTopics) Image() Image    { return c }
func (c clusterTopics) Version() uint64 { return 1 }

func (c clusterTopics) Names() iter.Seq[string] {
	return slices.Values(slices.Sorted(maps.Keys(c.byName)))
}

func (c clusterTopics) Racks(string, int32) []string { return nil }

// TestRealClient lets franz-go consume in groups that this package coordinates:
// kfake is the rest of the cluster. Members join and leave under each way of
// assigning; every record is consumed, none before the offset that was committed.
func TestRealClient(t *testing.T) {
	for _, tt := range []struct {
		name     string
		balancer kgo.GroupBalancer
		static   bool
		modern   string // which of the three consumers, 0 to 2, use the consumer protocol
	}{
		{"range", kgo.RangeBalancer(), false, ""},
		{"cooperative-sticky", kgo.CooperativeStickyBalancer(), false, ""},
		{"static", kgo.CooperativeStickyBalancer(), true, ""},
		{"consumer range", kgo.RangeBalancer(), false, "012"},
		{"consumer uniform", kgo.StickyBalancer(), false, "012"},
		{"upgrade", kgo.CooperativeStickyBalancer(), false, "2"},
		{"upgrade eager", kgo.RangeBalancer(), false, "2"},
		{"downgrade", kgo.CooperativeStickyBalancer(), false, "0"},
		{"downgrade eager", kgo.RangeBalancer(), false, "0"},
	} {
		t.Run(tt.name, func(t *testing.T) { consumeInGroup(t, tt.balancer, tt.static, tt.modern) })
	}
}

const (
	clientTopic      = "orders"
	clientPartitions = 8
	clientRecords    = 400
)

func consumeInGroup(t *testing.T, balancer kgo.GroupBalancer, static bool, modern string) {
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(clientPartitions, clientTopic))
	if err != nil {
		t.Fatal(err)
	}
	defer cluster.Close()
	admin, err := kgo.NewClient(kgo.SeedBrokers(cluster.ListenAddrs()...), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	if err != nil {
		t.Fatal(err)
	}
	defer admin.Close()
	adm := kadm.NewClient(admin)
	topics, err := adm.ListTopics(ctx)
	if err != nil {
		t.Fatal(err)
	}
	cfg := Defaults()
	cfg.InitialRebalanceDelay = 0
	cfg.Consumer.MinHeartbeatInterval, cfg.Consumer.HeartbeatInterval = 100*time.Millisecond, 100*time.Millisecond
	co, err := New(Options{Config: cfg, Log: newMemLog(), Topics: clusterTopics{topics}})
	if err != nil {
		t.Fatal(err)
	}
	defer co.Close()
	for p := range co.cfg.Partitions {
		co.Elected(p, 1)
	}
	takeOver(cluster, co)

	produce := func(from, to int) {
		for i := from; i < to; i++ {
			r := &kgo.Record{Topic: clientTopic, Partition: int32(i % clientPartitions), Value: fmt.Append(nil, i)}
			if err := admin.ProduceSync(ctx, r).FirstErr(); err != nil {
				t.Fatal(err)
			}
		}
	}
	var mu sync.Mutex
	seen := map[string]int{}
	var behind atomic.Bool
	seenAll := make(chan int, 4*clientRecords)
	consumer := func(i int) (stop func()) {
		opts := []kgo.Opt{
			kgo.SeedBrokers(cluster.ListenAddrs()...), kgo.ConsumerGroup("shop"), kgo.ConsumeTopics(clientTopic),
			kgo.Balancers(balancer), kgo.BlockRebalanceOnPoll(), kgo.DisableAutoCommit(), kgo.ClientID(fmt.Sprintf("client%d", i)),
			kgo.HeartbeatInterval(100 * time.Millisecond), kgo.FetchMaxWait(50 * time.Millisecond),
			kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		}
		if static {
			opts = append(opts, kgo.InstanceID(fmt.Sprintf("instance%d", i)))
		}
		if strings.Contains(modern, strconv.Itoa(i)) {
			opts = append(opts, kgo.ServerSideBalancer(), kgo.Balancers(kgo.StickyBalancer()))
		}
		cl, err := kgo.NewClient(opts...)
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(ctx)
		done := make(chan struct{})
		go func() {
			defer close(done)
			for ctx.Err() == nil {
				fetches := cl.PollFetches(ctx)
				fetches.EachRecord(func(r *kgo.Record) {
					mu.Lock()
					seen[string(r.Value)]++
					n := len(seen)
					mu.Unlock()
					seenAll <- n
				})
				if fetches.NumRecords() > 0 {
					// A member that lags behind the epoch in which its group becomes a classic one
					// is of no generation of it: it joins again and consumes some records again.
					err := cl.CommitUncommittedOffsets(context.WithoutCancel(ctx))
					if errors.Is(err, kerr.IllegalGeneration) && modern == "0" {
						behind.Store(true)
					} else if err != nil {
						t.Errorf("commit: %v", err)
					}
				}
				cl.AllowRebalance()
			}
		}()
		return func() { cancel(); <-done; cl.CloseAllowingRebalance() }
	}
	wait := func(want int) {
		for {
			select {
			case n := <-seenAll:
				if n >= want {
					return
				}
			case <-ctx.Done():
				t.Fatalf("not all records are consumed: %d of %d", len(seen), want)
			}
		}
	}

	stop0, stop1 := consumer(0), consumer(1)
	produce(0, clientRecords/4)
	wait(clientRecords / 4)
	stop2 := consumer(2)
	produce(clientRecords/4, clientRecords/2)
	wait(clientRecords / 2)
	stop0() // leaves, or as a static member just goes
	if static {
		stop0 = consumer(0)
	}
	produce(clientRecords/2, 3*clientRecords/4)
	wait(3 * clientRecords / 4)
	// The coordinator moves: a new leader loads what the old one wrote.
	co.Elected(co.Partition("shop"), 2)
	produce(3*clientRecords/4, clientRecords)
	wait(clientRecords)
	stop1()
	stop2()
	if static {
		stop0()
	}

	offsets, err := adm.FetchOffsets(ctx, "shop")
	if err != nil {
		t.Fatal(err)
	}
	for p := range int32(clientPartitions) {
		if o, ok := offsets.Lookup(clientTopic, p); !ok || o.At != clientRecords/clientPartitions {
			t.Errorf("partition %d is committed up to %d", p, o.At)
		}
	}
	again := 0
	for _, n := range seen {
		again += n - 1
	}
	if again > 0 && !behind.Load() {
		t.Errorf("%d records were consumed twice", again)
	}
	want := 0
	if static {
		want = 3
	}
	if members, state := groupMembers(ctx, t, adm, strings.Contains(modern, "2")); members != want {
		t.Errorf("%d members are left: %v", members, state)
	}
}

// groupMembers asks how many members the group has.
func groupMembers(ctx context.Context, t *testing.T, adm *kadm.Client, modern bool) (int, string) {
	if !modern {
		described, err := adm.DescribeGroups(ctx, "shop")
		if err != nil || described["shop"].Err != nil {
			t.Fatal(err, described["shop"].Err)
		}
		return len(described["shop"].Members), described["shop"].State
	}
	described, err := adm.DescribeConsumerGroups(ctx, "shop")
	if err != nil || described["shop"].Err != nil {
		t.Fatal(err, described["shop"].Err)
	}
	return len(described["shop"].Members), described["shop"].State
}

// takeOver answers kfake's group requests from the coordinator.
func takeOver(cluster *kfake.Cluster, co *Coordinator) {
	for _, key := range []kmsg.Key{kmsg.JoinGroup, kmsg.SyncGroup, kmsg.Heartbeat, kmsg.LeaveGroup, kmsg.OffsetCommit, kmsg.OffsetFetch, kmsg.DescribeGroups, kmsg.ListGroups, kmsg.DeleteGroups, kmsg.OffsetDelete, kmsg.ConsumerGroupHeartbeat, kmsg.ConsumerGroupDescribe} {
		cluster.ControlKey(int16(key), func(req kmsg.Request) (kmsg.Response, error, bool) {
			cluster.KeepControl()
			ch := make(chan kmsg.Response, 1)
			co.Handle(Caller{ClientID: "client", ClientHost: "/127.0.0.1"}, req, func(r kmsg.Response) { ch <- r })
			var resp kmsg.Response
			cluster.SleepControl(func() { resp = <-ch })
			return resp, nil, true
		})
	}
}
