package group

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/tidelinehq/tideline/internal/record"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// memLog keeps __consumer_offsets in memory and commits at once.
type memLog struct {
	mu      sync.Mutex
	batches map[int32][]record.Batch
	end     map[int32]int64
}

func newMemLog() *memLog { return &memLog{batches: map[int32][]record.Batch{}, end: map[int32]int64{}} }

func (l *memLog) Append(partition, _ int32, b record.Batch, done func(int64, error)) {
	l.mu.Lock()
	base := l.end[partition]
	b.SetBaseOffset(base)
	l.end[partition] = b.NextOffset()
	l.batches[partition] = append(l.batches[partition], b)
	l.mu.Unlock()
	done(base, nil)
}

func (l *memLog) Replay(ctx context.Context, partition, _ int32, fn func(record.Batch) error) error {
	l.mu.Lock()
	batches := append([]record.Batch(nil), l.batches[partition]...)
	l.mu.Unlock()
	for _, b := range batches {
		if err := fn(b); err != nil {
			return err
		}
	}
	return ctx.Err()
}

// ask sends a request and waits for the answer.
func ask[R kmsg.Response](c *Coordinator, req kmsg.Request) R {
	ch := make(chan kmsg.Response, 1)
	c.Handle(Caller{ClientID: "c", ClientHost: "/127.0.0.1"}, req, func(r kmsg.Response) { ch <- r })
	return (<-ch).(R)
}

func commitRequest(group, topic string, partition int32, offset int64) *kmsg.OffsetCommitRequest {
	r := kmsg.NewPtrOffsetCommitRequest()
	r.Version, r.Group, r.Generation = 9, group, -1
	t := kmsg.NewOffsetCommitRequestTopic()
	p := kmsg.NewOffsetCommitRequestTopicPartition()
	p.Partition, p.Offset = partition, offset
	t.Topic, t.Partitions = topic, append(t.Partitions, p)
	r.Topics = append(r.Topics, t)
	return r
}

func newTestCoordinator(t testing.TB, log *memLog, change func(*Options)) *Coordinator {
	o := Options{Config: Defaults(), Log: log, Topics: fakeTopics{"t": {id: [16]byte{1}, partitions: 1 << 20}}, Registerer: prometheus.NewRegistry()}
	o.Config.InitialRebalanceDelay = 0
	if change != nil {
		change(&o)
	}
	c, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// TestManyGroups: requests about groups of many partitions, some of which are not here.
func TestManyGroups(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newTestCoordinator(t, newMemLog(), nil)
		defer c.Close()
		for p := range c.cfg.Partitions {
			if p%5 != 0 {
				c.Elected(p, 1)
			}
		}
		synctest.Wait()
		here := map[string]bool{}
		fetch, describe, remove := kmsg.NewPtrOffsetFetchRequest(), kmsg.NewPtrDescribeGroupsRequest(), kmsg.NewPtrDeleteGroupsRequest()
		fetch.Version, describe.Version, remove.Version = 8, 6, 2
		for i := range 200 {
			id := fmt.Sprintf("group-%d", i)
			here[id] = c.Partition(id)%5 != 0
			resp := ask[*kmsg.OffsetCommitResponse](c, commitRequest(id, "t", 7, int64(i)))
			if ok := resp.Topics[0].Partitions[0].ErrorCode == 0; ok != here[id] {
				t.Fatalf("commit of %s: %v", id, resp.Topics[0].Partitions[0].ErrorCode)
			}
			g := kmsg.NewOffsetFetchRequestGroup()
			g.Group = id
			fetch.Groups = append(fetch.Groups, g)
			describe.Groups = append(describe.Groups, id)
			remove.Groups = append(remove.Groups, id)
		}
		for i, g := range ask[*kmsg.OffsetFetchResponse](c, fetch).Groups {
			want := kerr.NotCoordinator.Code
			if here[g.Group] {
				want = 0
				if o := g.Topics[0].Partitions[0].Offset; o != int64(i) {
					t.Errorf("offset of %s is %d", g.Group, o)
				}
			}
			if g.Group != describe.Groups[i] || g.ErrorCode != want {
				t.Errorf("fetch of %s: %d", g.Group, g.ErrorCode)
			}
		}
		list := kmsg.NewPtrListGroupsRequest()
		list.Version = 5
		n := 0
		for _, g := range ask[*kmsg.ListGroupsResponse](c, list).Groups {
			if !here[g.Group] {
				t.Errorf("%s is listed", g.Group)
			}
			n++
		}
		for _, g := range ask[*kmsg.DescribeGroupsResponse](c, describe).Groups {
			if here[g.Group] != (g.ErrorCode == 0) || here[g.Group] && g.State != "Empty" {
				t.Errorf("describe of %s: %d %s", g.Group, g.ErrorCode, g.State)
			}
		}
		deleted := 0
		for _, g := range ask[*kmsg.DeleteGroupsResponse](c, remove).Groups {
			if g.ErrorCode == 0 {
				deleted++
			}
		}
		if n == 0 || deleted != n || len(ask[*kmsg.ListGroupsResponse](c, list).Groups) != 0 {
			t.Errorf("%d listed, %d deleted", n, deleted)
		}
	})
}

// TestParallel commits, joins and moves partitions from many goroutines; under
// the race detector it shows that a machine is touched by its shard only. Every
// acknowledged commit is found after the last failover.
func TestParallel(t *testing.T) {
	log := newMemLog()
	c := newTestCoordinator(t, log, func(o *Options) { o.Config.Partitions = 4 })
	for p := range int32(4) {
		c.Elected(p, 1)
	}
	var wg sync.WaitGroup
	var acked [8]atomic.Int64
	for w := range 8 {
		wg.Go(func() {
			group := fmt.Sprintf("w%d", w)
			for i := int64(1); i <= 200; {
				if ask[*kmsg.OffsetCommitResponse](c, commitRequest(group, "t", 0, i)).Topics[0].Partitions[0].ErrorCode == 0 {
					acked[w].Store(i)
					i++
				}
				join := kmsg.NewPtrJoinGroupRequest()
				join.Version, join.Group, join.SessionTimeoutMillis, join.ProtocolType = 9, fmt.Sprintf("j%d", i%5), 10_000, "consumer"
				join.Protocols = parseProtocols("range:t")
				ask[*kmsg.JoinGroupResponse](c, join)
				if w == 0 && i%5 == 0 && i/5 < 40 {
					c.Elected(int32(i/5%4), int32(1+i/5))
					c.TopicDeleted("other", [16]byte{})
				}
			}
		})
	}
	wg.Wait()
	for p := range int32(4) {
		c.Elected(p, 100)
	}
	for w := range 8 {
		for {
			f := kmsg.NewPtrOffsetFetchRequest()
			f.Version, f.Group = 7, fmt.Sprintf("w%d", w)
			resp := ask[*kmsg.OffsetFetchResponse](c, f)
			if resp.ErrorCode == kerr.CoordinatorLoadInProgress.Code {
				continue
			}
			if resp.ErrorCode != 0 || len(resp.Topics) == 0 {
				t.Fatalf("w%d: error %d, %d topics, %d was acknowledged", w, resp.ErrorCode, len(resp.Topics), acked[w].Load())
			}
			if got := resp.Topics[0].Partitions[0].Offset; got < acked[w].Load() {
				t.Errorf("w%d: offset %d, %d was acknowledged", w, got, acked[w].Load())
			}
			break
		}
	}
}

func TestConfig(t *testing.T) {
	for name, change := range map[string]func(*Config){
		"partitions": func(c *Config) { c.Partitions = 0 },
		"session":    func(c *Config) { c.MaxSessionTimeout = c.MinSessionTimeout - 1 },
		"delay":      func(c *Config) { c.InitialRebalanceDelay = -1 },
		"size":       func(c *Config) { c.MaxSize = 0 },
		"retention":  func(c *Config) { c.OffsetsRetention = 0 },
		"tombstones": func(c *Config) { c.TombstonesPerBatch = 0 },
	} {
		cfg := Defaults()
		change(&cfg)
		if _, err := New(Options{Config: cfg, Log: newMemLog(), Topics: fakeTopics{}}); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

// stableGroups makes n groups of one member each.
func stableGroups(b *testing.B, c *Coordinator, n int) []*kmsg.HeartbeatRequest {
	var out []*kmsg.HeartbeatRequest
	for i := range n {
		join := kmsg.NewPtrJoinGroupRequest()
		join.Version, join.Group, join.SessionTimeoutMillis, join.RebalanceTimeoutMillis, join.ProtocolType = 3, fmt.Sprintf("g%d", i), 60_000, 60_000, "consumer"
		join.Protocols = parseProtocols("range:t")
		var j *kmsg.JoinGroupResponse
		for j = ask[*kmsg.JoinGroupResponse](c, join); j.ErrorCode == kerr.CoordinatorLoadInProgress.Code; {
			j = ask[*kmsg.JoinGroupResponse](c, join)
		}
		sync := kmsg.NewPtrSyncGroupRequest()
		sync.Group, sync.MemberID, sync.Generation = join.Group, j.MemberID, 1
		if s := ask[*kmsg.SyncGroupResponse](c, sync); s.ErrorCode != 0 {
			b.Fatal(kerr.ErrorForCode(s.ErrorCode))
		}
		h := kmsg.NewPtrHeartbeatRequest()
		h.Version, h.Group, h.MemberID, h.Generation = 4, join.Group, j.MemberID, 1
		out = append(out, h)
	}
	return out
}

// pipelined keeps up to 1000 requests under way.
func pipelined(b *testing.B, c *Coordinator, next func(i int) kmsg.Request) {
	slots := make(chan struct{}, 1000)
	b.ReportAllocs()
	b.ResetTimer()
	for i := range b.N {
		slots <- struct{}{}
		c.Handle(Caller{}, next(i), func(kmsg.Response) { <-slots })
	}
	for range cap(slots) {
		slots <- struct{}{}
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "req/s")
}

func benchCoordinator(b *testing.B, log *memLog) *Coordinator {
	c := newTestCoordinator(b, log, nil)
	for p := range c.cfg.Partitions {
		c.Elected(p, 1)
	}
	return c
}

func BenchmarkHeartbeat(b *testing.B) {
	c := benchCoordinator(b, newMemLog())
	reqs := stableGroups(b, c, 1000)
	pipelined(b, c, func(i int) kmsg.Request { return reqs[i%len(reqs)] })
}

// discardLog commits at once and keeps nothing.
type discardLog struct{ memLog }

func (l *discardLog) Append(_, _ int32, _ record.Batch, done func(int64, error)) { done(0, nil) }

func BenchmarkCommit(b *testing.B) {
	c, err := New(Options{Config: Defaults(), Log: &discardLog{}, Topics: fakeTopics{"t": {id: [16]byte{1}, partitions: 1000}}})
	if err != nil {
		b.Fatal(err)
	}
	defer c.Close()
	for p := range c.cfg.Partitions {
		c.Elected(p, 1)
	}
	var reqs []*kmsg.OffsetCommitRequest
	for i := range 1000 {
		reqs = append(reqs, commitRequest(fmt.Sprintf("g%d", i), "t", int32(i), int64(i)))
	}
	pipelined(b, c, func(i int) kmsg.Request { return reqs[i%len(reqs)] })
}

// BenchmarkLoad replays 100,000 offsets of 1,000 groups.
func BenchmarkLoad(b *testing.B) {
	cfg := Defaults()
	var log []record.Batch
	for g := range 1000 {
		w := record.NewBuilder(record.Options{ProducerID: record.NoProducerID})
		for p := range int32(100) {
			r := offsetRecord(fmt.Sprintf("group-%d", g), topicPartition{"topic", p}, &committed{offset: 1 << 30, leaderEpoch: 3, at: goldenTime, expires: -1, topicID: goldenID})
			if err := w.Add(record.Record{Key: r.Key, Value: r.Value}); err != nil {
				b.Fatal(err)
			}
		}
		log = append(log, w.Build())
	}
	b.ReportAllocs()
	for b.Loop() {
		m := newMachine(&cfg, fakeTopics{}.Image, newMetrics(nil), nil, nil)
		for _, batch := range log {
			for r, err := range batch.Records(1 << 20) {
				if err == nil {
					err = m.Replay(batch, r.Offset, r.Key, r.Value)
				}
				if err != nil {
					b.Fatal(err)
				}
			}
		}
		if len(m.groups) != 1000 {
			b.Fatal("not loaded")
		}
	}
	b.ReportMetric(100_000*float64(b.N)/b.Elapsed().Seconds(), "offsets/s")
}

// BenchmarkJoin lets 500 members join one group, which is quadratic in what is copied.
func BenchmarkJoin(b *testing.B) {
	cfg := Defaults()
	for b.Loop() {
		w := newWorld(b, cfg)
		answered := 0
		for range 500 {
			join := kmsg.NewPtrJoinGroupRequest()
			join.Version, join.Group, join.SessionTimeoutMillis, join.RebalanceTimeoutMillis, join.ProtocolType = 3, "g", 60_000, 60_000, "consumer"
			join.Protocols = parseProtocols("range:t")
			w.co.Handle(Caller{}, join, func(kmsg.Response) { answered++ })
		}
		w.pass(time.Minute)
		if answered != 500 {
			b.Fatal(answered)
		}
	}
}
