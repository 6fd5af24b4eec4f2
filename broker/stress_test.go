package broker_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/tidelinehq/tideline/internal/record"
)

var stressTime = flag.Duration("stress.time", 3*time.Second, "how long the stress test runs")

// TestStress has many clients at work while topics come and go, and looks
// afterwards for what they left behind.
func TestStress(t *testing.T) {
	baseline := runtime.NumGoroutine()
	n := newNode(t, map[string]string{"log.retention.ms": "-1", "log.retention.check.interval.ms": "50"})
	budget := n.gauge("tideline_api_response_budget_free_bytes")
	admin := n.dial()
	ids := map[string]*atomic.Pointer[[16]byte]{}
	for i := range 4 {
		topic := fmt.Sprint("s", i)
		id := admin.create(topic, 4, map[string]string{"local.retention.bytes": "0"})
		ids[topic] = new(atomic.Pointer[[16]byte])
		ids[topic].Store(&id)
	}
	ctx, cancel := context.WithTimeout(t.Context(), *stressTime)
	defer cancel()
	s := &stress{t: t, n: n, ids: ids}
	var work sync.WaitGroup
	for i := range 16 {
		work.Go(func() { s.client(ctx, uint64(i), s.produce) })
		work.Go(func() { s.client(ctx, uint64(100+i), s.consumer(i)) })
	}
	work.Go(func() { s.churn(ctx, admin) })
	work.Wait()
	t.Logf("produced %d, fetched %d bytes, codes %v", s.produced.Load(), s.fetched.Load(), s.codes())
	if s.produced.Load() == 0 || s.fetched.Load() == 0 {
		t.Error("nothing was done")
	}
	n.await("nothing is parked", func() bool { return n.gauge("tideline_purgatory_parked_requests") == 0 })
	n.await("the response budget is whole", func() bool { return n.gauge("tideline_api_response_budget_free_bytes") == budget })
	if panics := n.gauge("tideline_api_panics_total"); panics != 0 {
		t.Errorf("%v panics", panics)
	}
	_ = admin.net.Close()
	n.stop()
	n.await("the goroutines have ended", func() bool { return runtime.NumGoroutine() <= baseline+2 || !brokerGoroutines() })
}

// brokerGoroutines reports whether any goroutine of the product is left.
func brokerGoroutines() bool {
	buf := make([]byte, 4<<20)
	for _, g := range strings.Split(string(buf[:runtime.Stack(buf, true)]), "\n\n") {
		if strings.Contains(g, "tidelinehq/tideline/") && !strings.Contains(g, "broker_test.") && !strings.Contains(g, "testing.") {
			return true
		}
	}
	return false
}

type stress struct {
	t                 *testing.T
	n                 *node
	ids               map[string]*atomic.Pointer[[16]byte]
	produced, fetched atomic.Int64

	mu   sync.Mutex
	seen map[int16]int
}

func (s *stress) code(code int16) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.seen == nil {
		s.seen = map[int16]int{}
	}
	s.seen[code]++
}

func (s *stress) codes() map[string]int {
	out := map[string]int{}
	for code, n := range s.seen {
		out[name(code)] += n
	}
	return out
}

// client runs do on one connection after the other until the time is up.
func (s *stress) client(ctx context.Context, seed uint64, do func(context.Context, *conn, *rand.Rand) error) {
	r := rand.New(rand.NewPCG(seed, 1))
	for ctx.Err() == nil {
		c, err := dial(s.n.addr)
		if err != nil {
			s.t.Error(err)
			return
		}
		err = do(ctx, c, r)
		_ = c.net.Close()
		if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, net.ErrClosed) && !errors.Is(err, syscall.ECONNRESET) {
			s.t.Error(err)
			return
		}
	}
}

func (s *stress) topic(r *rand.Rand) string { return fmt.Sprint("s", r.IntN(4)) }

// produce keeps several requests under way and now and then leaves without
// waiting for the answers.
func (s *stress) produce(ctx context.Context, c *conn, r *rand.Rand) error {
	for ctx.Err() == nil {
		var sent []kmsg.Request
		first := c.id + 1
		for range 1 + r.IntN(4) {
			topic := s.topic(r)
			req := produceRequest(topic, r.Int32N(4), values(1+r.IntN(4000), "x"))
			if r.IntN(2) == 0 {
				req.Version, req.Topics[0].TopicID = 13, *s.ids[topic].Load()
			}
			if err := c.send(req); err != nil {
				return err
			}
			sent = append(sent, req)
		}
		if r.IntN(20) == 0 {
			return nil
		}
		for i, req := range sent {
			resp, err := c.receive(req, first+int32(i))
			if err != nil {
				return err
			}
			p := resp.(*kmsg.ProduceResponse).Topics[0].Partitions[0]
			s.code(p.ErrorCode)
			switch {
			case p.ErrorCode == 0:
				s.produced.Add(1)
			case p.ErrorCode != kerr.UnknownTopicID.Code && p.ErrorCode != kerr.UnknownTopicOrPartition.Code && p.ErrorCode != kerr.NotLeaderForPartition.Code:
				return fmt.Errorf("produce: %s", name(p.ErrorCode))
			}
		}
	}
	return nil
}

// consumer reads all partitions: the even ones in sessions, the others in old
// versions without.
func (s *stress) consumer(i int) func(context.Context, *conn, *rand.Rand) error {
	return func(ctx context.Context, c *conn, r *rand.Rand) error {
		session, epoch := int32(0), int32(0)
		offsets := map[string]map[int32]int64{}
		for topic := range s.ids {
			offsets[topic] = map[int32]int64{}
		}
		for ctx.Err() == nil {
			var asked []at
			for topic := range s.ids {
				for p := range int32(4) {
					asked = append(asked, at{topic: topic, index: p, offset: offsets[topic][p], max: 64 << 10})
				}
			}
			version := int16(4)
			if i%2 == 0 {
				version = 12
			}
			req := fetchRequest(version, asked...)
			req.SessionID, req.SessionEpoch = session, epoch
			req.MaxBytes, req.MinBytes, req.MaxWaitMillis = 256<<10, 1+r.Int32N(100_000), r.Int32N(50)
			if err := c.send(req); err != nil {
				return err
			}
			if r.IntN(50) == 0 {
				return nil // leaves while the fetch waits
			}
			got, err := c.receive(req, c.id)
			if err != nil {
				return err
			}
			resp := got.(*kmsg.FetchResponse)
			if version == 12 {
				session, epoch = resp.SessionID, epoch+1
				if resp.ErrorCode != 0 || session == 0 {
					session, epoch = 0, 0
				}
			}
			for _, t := range resp.Topics {
				for _, p := range t.Partitions {
					s.code(p.ErrorCode)
					switch kerr.ErrorForCode(p.ErrorCode) {
					case nil:
						next, err := s.read(&p, offsets[t.Topic][p.Partition])
						if err != nil {
							return err
						}
						offsets[t.Topic][p.Partition] = next
					case kerr.OffsetOutOfRange, kerr.UnknownTopicOrPartition, kerr.NotLeaderForPartition:
						offsets[t.Topic][p.Partition] = 0
					default:
						return fmt.Errorf("fetch: %s", name(p.ErrorCode))
					}
				}
			}
		}
		return nil
	}
}

// read checks what came and returns the next offset.
func (s *stress) read(p *kmsg.FetchResponseTopicPartition, offset int64) (int64, error) {
	s.fetched.Add(int64(len(p.RecordBatches)))
	for b, err := range record.All(p.RecordBatches) {
		if err != nil {
			return 0, err
		}
		if err := b.Validate(); err != nil {
			return 0, err
		}
		if b.BaseOffset() > offset || b.NextOffset() <= offset {
			return 0, fmt.Errorf("batch [%d,%d) for offset %d", b.BaseOffset(), b.NextOffset(), offset)
		}
		offset = b.NextOffset()
	}
	return offset, nil
}

// churn deletes topics under the feet of the others and makes them again.
func (s *stress) churn(ctx context.Context, c *conn) {
	r := rand.New(rand.NewPCG(7, 7))
	pause := time.NewTicker(50 * time.Millisecond)
	defer pause.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-pause.C:
		}
		topic := s.topic(r)
		c.delete(topic)
		id := c.create(topic, 4, map[string]string{"local.retention.bytes": "0"})
		s.ids[topic].Store(&id)
	}
}
