package txn

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// fakeCluster is the brokers that a sender asks, and the metadata that it knows.
type fakeCluster struct {
	mu      sync.Mutex
	leaders map[topicPartition]int32 // -1: none; missing: no such partition
	answer  func(broker int32, producerID int64, tp topicPartition) int16
	fail    func(broker int32) error
	hold    chan struct{} // requests wait until it is closed
	asked   []string
	under   map[int32]int // requests under way
	most    int
}

func (c *fakeCluster) Leader(topic string, partition int32) (int32, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	l, ok := c.leaders[topicPartition{topic, partition}]
	return l, ok
}

func (c *fakeCluster) Level() int16 { return 2 }

func (c *fakeCluster) Ask(ctx context.Context, broker int32, req kmsg.Request) (kmsg.Response, error) {
	r := req.(*kmsg.WriteTxnMarkersRequest)
	c.mu.Lock()
	c.under[broker]++
	c.most = max(c.most, c.under[broker])
	hold := c.hold
	c.mu.Unlock()
	if hold != nil {
		select {
		case <-hold:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.under[broker]--
	if c.fail != nil {
		if err := c.fail(broker); err != nil {
			c.asked = append(c.asked, fmt.Sprintf("%d: %v", broker, err))
			return nil, err
		}
	}
	resp := kmsg.NewPtrWriteTxnMarkersResponse()
	for _, m := range r.Markers {
		rm := kmsg.NewWriteTxnMarkersResponseMarker()
		rm.ProducerID = m.ProducerID
		line := fmt.Sprintf("%d: %d:%d commit=%v epoch=%d version=%d", broker, m.ProducerID, m.ProducerEpoch, m.Committed, m.CoordinatorEpoch, m.TransactionVersion)
		for _, t := range m.Topics {
			rt := kmsg.NewWriteTxnMarkersResponseMarkerTopic()
			rt.Topic = t.Topic
			for _, p := range t.Partitions {
				rp := kmsg.NewWriteTxnMarkersResponseMarkerTopicPartition()
				rp.Partition = p
				if c.answer != nil {
					rp.ErrorCode = c.answer(broker, m.ProducerID, topicPartition{t.Topic, p})
				}
				rt.Partitions = append(rt.Partitions, rp)
				line += fmt.Sprintf(" %s/%d", t.Topic, p)
			}
			rm.Topics = append(rm.Topics, rt)
		}
		resp.Markers = append(resp.Markers, rm)
		c.asked = append(c.asked, line)
	}
	return resp, nil
}

func (c *fakeCluster) take() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	out := c.asked
	c.asked = nil
	slices.Sort(out)
	return out
}

type senderWorld struct {
	*sender
	cluster *fakeCluster
	mu      sync.Mutex
	done    []string
}

func newSenderWorld() *senderWorld {
	w := &senderWorld{cluster: &fakeCluster{leaders: map[topicPartition]int32{}, under: map[int32]int{}}}
	for n := range int32(6) {
		w.cluster.leaders[topicPartition{"t", n}] = n%3 + 1
	}
	w.sender = newSender(senderOptions{
		topics: w.cluster, brokers: func() Brokers { return w.cluster }, metrics: newMetrics(nil), logger: slog.New(slog.DiscardHandler),
		written: func(j *job) {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.done = append(w.done, j.id)
		},
	})
	return w
}

func (w *senderWorld) job(id string, producerID int64, partitions ...int32) {
	var tps []topicPartition
	for _, p := range partitions {
		tps = append(tps, topicPartition{"t", p})
	}
	w.add(&job{shard: shardID{1, 5}, id: id, producerID: producerID, epoch: 3, commit: true, version: 2}, tps)
}

func (w *senderWorld) expect(t *testing.T, what string, got, want []string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("%s:\n got %q\nwant %q", what, got, want)
	}
}

func (w *senderWorld) finished() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	out := w.done
	w.done = nil
	return out
}

func TestMarkersGoToTheLeaders(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newSenderWorld()
		defer w.close()
		w.job("x", 7, 0, 1, 3)
		synctest.Wait()
		w.expect(t, "asked", w.cluster.take(), []string{
			"1: 7:3 commit=true epoch=5 version=2 t/0 t/3",
			"2: 7:3 commit=true epoch=5 version=2 t/1",
		})
		w.expect(t, "done", w.finished(), []string{"x"})

		w.job("nothing", 8)
		w.expect(t, "done", w.finished(), []string{"nothing"})

		// A topic that is gone is not waited for.
		w.job("y", 9, 0, 17)
		synctest.Wait()
		w.expect(t, "done", w.finished(), []string{"y"})
		w.cluster.take()
	})
}

func TestMarkersAreSentAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newSenderWorld()
		defer w.close()
		// A leader moves, a partition has too few replicas, a broker does not answer.
		tries := map[topicPartition]int{}
		w.cluster.answer = func(broker int32, _ int64, tp topicPartition) int16 {
			tries[tp]++
			switch {
			case tp.partition == 0 && tries[tp] == 1:
				w.cluster.leaders[tp] = 2
				return kerr.NotLeaderForPartition.Code
			case tp.partition == 3 && tries[tp] < 4:
				return kerr.NotEnoughReplicas.Code
			}
			return 0
		}
		failures := 0
		w.cluster.fail = func(broker int32) error {
			if broker == 3 && failures < 2 {
				failures++
				return errors.New("connection reset")
			}
			return nil
		}
		w.cluster.leaders[topicPartition{"t", 4}] = -1
		w.job("x", 7, 0, 2, 3, 4)
		synctest.Wait()
		w.expect(t, "done", w.finished(), nil)
		pass(time.Second)
		w.expect(t, "done", w.finished(), nil)
		w.cluster.mu.Lock()
		w.cluster.leaders[topicPartition{"t", 4}] = 1
		w.cluster.mu.Unlock()
		pass(2 * longestPause)
		w.expect(t, "done", w.finished(), []string{"x"})
		if tries[topicPartition{"t", 3}] != 4 || tries[topicPartition{"t", 2}] != 1 {
			t.Errorf("tries: %v", tries)
		}
	})
}

func TestMarkersThatAreOvertaken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newSenderWorld()
		defer w.close()
		w.cluster.answer = func(_ int32, producerID int64, tp topicPartition) int16 {
			switch {
			case producerID == 7 && tp.partition == 0:
				return kerr.TransactionCoordinatorFenced.Code
			case producerID == 8 && tp.partition == 0:
				return kerr.InvalidProducerEpoch.Code
			}
			return 0
		}
		w.job("fenced", 7, 0, 1)
		w.job("obsolete", 8, 0, 1)
		pass(time.Minute)
		w.expect(t, "done", w.finished(), []string{"obsolete"})
	})
}

func TestMarkersOfAShardThatEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newSenderWorld()
		hold := make(chan struct{})
		w.cluster.hold = hold
		for i := range 20 {
			w.job(fmt.Sprint("x", i), int64(i), 0, 3)
			synctest.Wait()
		}
		if w.cluster.most != requestsPerBroker {
			t.Errorf("%d requests to one broker are under way", w.cluster.most)
		}
		w.forget(shardID{1, 5})
		close(hold)
		pass(time.Minute)
		w.expect(t, "done", w.finished(), nil)
		w.close()
		w.job("late", 50, 0)
		pass(time.Minute)
		w.expect(t, "done", w.finished(), nil)
		if len(w.queues) != 0 {
			t.Errorf("queues are left: %d", len(w.queues))
		}
	})
}

func TestFreshIDs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var f fresh
		n := int64(0)
		block := make(chan struct{})
		f.init(func(ctx context.Context) (int64, error) {
			select {
			case <-block:
				n++
				return n, nil
			case <-ctx.Done():
				return 0, ctx.Err()
			}
		})
		var mu sync.Mutex
		got, refused := 0, 0
		for range maxWaiting + 10 {
			f.take(func(_ int64, err error) {
				mu.Lock()
				defer mu.Unlock()
				if err != nil {
					refused++
				} else {
					got++
				}
			})
		}
		synctest.Wait()
		close(block)
		synctest.Wait()
		if got+refused != maxWaiting+10 || refused < 5 || got < maxWaiting {
			t.Errorf("got %d, refused %d", got, refused)
		}
		f.close()
		f.take(func(_ int64, err error) {
			if err == nil {
				t.Error("an id after the end")
			}
		})
	})
}

// pass lets virtual time pass.
func pass(d time.Duration) { <-time.After(d) }
