package broker_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/kversion"
)

// protocols are clients that let the epoch change with each transaction (KIP-890), and older ones.
var protocols = map[string]func() []kgo.Opt{
	"epoch per transaction": func() []kgo.Opt { return nil },
	"older": func() []kgo.Opt {
		v := kversion.Stable()
		v.SetMaxKeyVersion(26, 4)
		v.SetMaxKeyVersion(0, 11)
		return []kgo.Opt{kgo.MaxVersions(v)}
	},
}

func (c *cluster) client(opts ...kgo.Opt) *kgo.Client {
	c.tb.Helper()
	var seeds []string
	for _, n := range c.nodes {
		if n.b != nil {
			seeds = append(seeds, n.addr)
		}
	}
	cl, err := kgo.NewClient(append([]kgo.Opt{kgo.SeedBrokers(seeds...), kgo.RetryTimeout(60 * time.Second), kgo.MetadataMinAge(100 * time.Millisecond)}, opts...)...)
	if err != nil {
		c.tb.Fatal(err)
	}
	return cl
}

// committed reads what a consumer of committed records only gets to see of a topic.
func (c *cluster) committed(topic string, want int) []string {
	c.tb.Helper()
	cl := c.client(kgo.ConsumeTopics(topic), kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	defer cl.Close()
	ctx, cancel := context.WithTimeout(c.tb.Context(), patience)
	defer cancel()
	var got []string
	for len(got) < want {
		fs := cl.PollFetches(ctx)
		if err := ctx.Err(); err != nil {
			c.tb.Fatalf("read %d of %d records: %v", len(got), want, err)
		}
		fs.EachRecord(func(r *kgo.Record) { got = append(got, string(r.Value)) })
	}
	slices.Sort(got)
	return got
}

func must(tb testing.TB, err error) {
	tb.Helper()
	if err != nil {
		tb.Fatal(err)
	}
}

// TestTransactions: transactions of several partitions, committed and aborted in turn by one
// producer, and what a consumer sees of them.
func TestTransactions(t *testing.T) {
	for name, opts := range protocols {
		t.Run(name, func(t *testing.T) {
			c := newCluster(t, 1, map[string]string{"cluster.seeds": "", "default.replication.factor": "1", "min.insync.replicas": "1", "transaction.state.log.num.partitions": "3"})
			c.nodes[0].dial().create("t", 3, nil)
			producer := c.client(append(opts(), kgo.TransactionalID("tx"), kgo.RecordPartitioner(kgo.RoundRobinPartitioner()), kgo.DefaultProduceTopic("t"))...)
			defer producer.Close()
			var want []string
			for i := range 12 {
				must(t, producer.BeginTransaction())
				for j := range 6 {
					value := fmt.Sprintf("%02d %d", i, j)
					must(t, producer.ProduceSync(t.Context(), &kgo.Record{Value: []byte(value)}).FirstErr())
					if i%3 != 1 {
						want = append(want, value)
					}
				}
				must(t, producer.EndTransaction(t.Context(), i%3 != 1))
			}
			if got := c.committed("t", len(want)); !slices.Equal(got, want) {
				t.Errorf("got  %v\nwant %v", got, want)
			}
			n := c.nodes[0]
			n.await("all markers are written", func() bool { return n.gauge("tideline_transaction_coordinator_markers_pending") == 0 })
		})
	}
}

// TestZombieIsFenced: a second producer with the same transactional id takes over; what the first
// had begun is aborted, and it can not go on.
func TestZombieIsFenced(t *testing.T) {
	for name, opts := range protocols {
		t.Run(name, func(t *testing.T) {
			c := newCluster(t, 1, map[string]string{"cluster.seeds": "", "default.replication.factor": "1", "min.insync.replicas": "1"})
			c.nodes[0].dial().create("t", 1, nil)
			all := append(opts(), kgo.TransactionalID("tx"), kgo.DefaultProduceTopic("t"))
			zombie, heir := c.client(all...), c.client(all...)
			defer zombie.Close()
			defer heir.Close()
			put := func(cl *kgo.Client, value string) error {
				return cl.ProduceSync(t.Context(), &kgo.Record{Value: []byte(value)}).FirstErr()
			}
			must(t, zombie.BeginTransaction())
			must(t, put(zombie, "begun"))
			must(t, heir.BeginTransaction())
			must(t, put(heir, "taken over"))
			err := put(zombie, "late")
			if err == nil {
				err = zombie.EndTransaction(t.Context(), kgo.TryCommit)
			}
			if !errors.Is(err, kerr.ProducerFenced) && !errors.Is(err, kerr.InvalidProducerEpoch) && !errors.Is(err, kerr.TransactionAbortable) {
				t.Errorf("the zombie goes on: %v", err)
			}
			must(t, heir.EndTransaction(t.Context(), kgo.TryCommit))
			if got := c.committed("t", 1); !slices.Equal(got, []string{"taken over"}) {
				t.Errorf("got %v", got)
			}
		})
	}
}

// TestTransactionTimesOut: a producer that goes away leaves a transaction that the coordinator aborts.
func TestTransactionTimesOut(t *testing.T) {
	c := newCluster(t, 1, map[string]string{
		"cluster.seeds": "", "default.replication.factor": "1", "min.insync.replicas": "1",
		"transaction.abort.timed.out.transaction.cleanup.interval.ms": "100",
	})
	c.nodes[0].dial().create("t", 1, nil)
	gone := c.client(kgo.TransactionalID("gone"), kgo.TransactionTimeout(500*time.Millisecond), kgo.DefaultProduceTopic("t"))
	must(t, gone.BeginTransaction())
	must(t, gone.ProduceSync(t.Context(), &kgo.Record{Value: []byte("lost")}).FirstErr())
	gone.CloseAllowingRebalance()
	plain := c.client(kgo.DefaultProduceTopic("t"))
	defer plain.Close()
	must(t, plain.ProduceSync(t.Context(), &kgo.Record{Value: []byte("behind it")}).FirstErr())
	if got := c.committed("t", 1); !slices.Equal(got, []string{"behind it"}) {
		t.Errorf("got %v", got)
	}
	resp := do[*kmsg.DescribeTransactionsResponse](c.nodes[0].dial(), &kmsg.DescribeTransactionsRequest{TransactionalIDs: []string{"gone", "unknown"}})
	if s := resp.TransactionStates; len(s) != 2 || s[0].State != "CompleteAbort" && s[0].State != "PrepareAbort" || s[1].ErrorCode != kerr.TransactionalIDNotFound.Code {
		t.Errorf("described as %+v", s)
	}
	list := do[*kmsg.ListTransactionsResponse](c.nodes[0].dial(), kmsg.NewPtrListTransactionsRequest())
	if len(list.TransactionStates) != 1 || list.TransactionStates[0].TransactionalID != "gone" {
		t.Errorf("listed %+v", list.TransactionStates)
	}
}

// TestExactlyOnce reads numbers from one topic and writes them to another, offsets and all in
// transactions, while the brokers that coordinate stop and start: each number arrives once.
func TestExactlyOnce(t *testing.T) {
	for name, opts := range protocols {
		t.Run(name, func(t *testing.T) {
			c := newCluster(t, 3, map[string]string{"transaction.state.log.num.partitions": "3"})
			c.create("in")
			c.create("out")
			const count = 400
			feed := c.client(kgo.DefaultProduceTopic("in"))
			for i := range count {
				feed.Produce(t.Context(), &kgo.Record{Value: []byte(strconv.Itoa(i))}, func(_ *kgo.Record, err error) {
					if err != nil {
						t.Error(err)
					}
				})
			}
			must(t, feed.Flush(t.Context()))
			feed.Close()

			var seeds []string
			for _, n := range c.nodes {
				seeds = append(seeds, n.addr)
			}
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			var running sync.WaitGroup
			var mu sync.Mutex
			committed := 0
			for k := range 2 {
				running.Go(func() {
					begin := func() *kgo.GroupTransactSession {
						s, err := kgo.NewGroupTransactSession(append(opts(), kgo.SeedBrokers(seeds...), kgo.TransactionalID("copy "+strconv.Itoa(k)),
							kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.ConsumerGroup("g"), kgo.ConsumeTopics("in"), kgo.DefaultProduceTopic("out"),
							kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.FetchMaxPartitionBytes(700),
							kgo.MetadataMinAge(100*time.Millisecond))...)
						if err != nil {
							panic(err) // not reachable: the options are good
						}
						return s
					}
					s := begin()
					defer func() { s.Close() }()
					for ctx.Err() == nil {
						fs := s.PollRecords(ctx, 20)
						n := fs.NumRecords()
						if n == 0 {
							continue
						}
						if err := s.Begin(); err != nil {
							t.Logf("session %d begins anew: %v", k, err)
							s.Close() // and with it what was read and not committed
							s = begin()
							continue
						}
						fs.EachRecord(func(r *kgo.Record) { s.Produce(ctx, &kgo.Record{Value: r.Value}, nil) })
						ok, err := s.End(ctx, kgo.TryCommit)
						if err != nil && ctx.Err() == nil {
							t.Logf("session %d: %v", k, err)
						}
						if ok {
							mu.Lock()
							if committed += n; committed >= count {
								cancel()
							}
							mu.Unlock()
						}
					}
				})
			}
			for round := range 3 {
				mu.Lock()
				at := committed
				mu.Unlock()
				c.nodes[0].await("something is committed", func() bool {
					mu.Lock()
					defer mu.Unlock()
					return committed > at || ctx.Err() != nil
				})
				n := c.nodes[round%3]
				if round%2 == 0 {
					n = c.coordinator("g")
				}
				n.stop()
				n.start()
			}
			running.Wait()
			var want []string
			for i := range count {
				want = append(want, strconv.Itoa(i))
			}
			slices.Sort(want)
			if got := c.committed("out", count); !slices.Equal(got, want) {
				t.Errorf("%d numbers arrived: %v", len(got), got)
			}
		})
	}
}
