package broker_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/tidelinehq/tideline/broker"
	"github.com/tidelinehq/tideline/broker/api"
	"github.com/tidelinehq/tideline/broker/coordinator"
)

// TestGroupsLoadFromTheObjectStore: offsets that were committed are there after a
// restart, though the local log has nothing of them any more.
func TestGroupsLoadFromTheObjectStore(t *testing.T) {
	const partitions = 3
	n := newNode(t, map[string]string{"log.local.retention.bytes": "0", "offsets.topic.num.partitions": fmt.Sprint(partitions)})
	m := &model{t: t, n: n, c: n.dial(), r: rand.New(rand.NewPCG(1, 1))}
	m.c.create("a", 1, nil)
	m.c.mustProduce("a", 0, values(10, "x"))
	find := kmsg.NewPtrFindCoordinatorRequest()
	find.Version, find.CoordinatorKeys = 4, []string{"g0"}
	if code := do[*kmsg.FindCoordinatorResponse](m.c, find).Coordinators[0].ErrorCode; code != 0 {
		t.Fatalf("find coordinator: %s", name(code))
	}
	offsets := &modelTopic{name: api.OffsetsTopic}
	for round := range int64(3) {
		for i := range 6 {
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
		for i := range partitions {
			latest := m.listOffset(offsets, i, -1).Offset
			n.await("the offsets are in the object store only", func() bool {
				return m.listPending(offsets, i) == latest && m.listOffset(offsets, i, -4).Offset == latest
			})
		}
		m.restart()
		for i := range 6 {
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
			if o := got.Topics[0].Partitions[0].Offset; o != 100*round+int64(i) {
				t.Errorf("round %d: %s (partition %d) is at %d, want %d", round, req.Group, coordinator.PartitionFor(req.Group, partitions), o, 100*round+int64(i))
			}
		}
	}
}

// retry asks until the coordinator has loaded.
func (m *model) retry(what string, ask func() int16) {
	m.t.Helper()
	m.n.await(what, func() bool {
		switch code := ask(); name(code) {
		case "NONE":
			return true
		case "COORDINATOR_LOAD_IN_PROGRESS", "NOT_COORDINATOR", "COORDINATOR_NOT_AVAILABLE":
		default:
			m.t.Fatalf("%s: %s", what, name(code))
		}
		return false
	})
}

// TestLocalLogIsLost: what the object store has is served, and the log goes on
// where that ends.
func TestLocalLogIsLost(t *testing.T) {
	n := newNode(t, map[string]string{"log.retention.ms": "-1"})
	m := &model{t: t, n: n, c: n.dial(), r: rand.New(rand.NewPCG(2, 2))}
	m.create()
	for range 2 {
		for range 20 {
			m.produce()
		}
		topic := m.topics[0]
		for i, l := range topic.logs {
			n.await("all is tiered", func() bool { return m.listPending(topic, i) == l.end() })
		}
		n.stop()
		if err := os.RemoveAll(filepath.Join(n.settings["data.dir"], "wal")); err != nil {
			t.Fatal(err)
		}
		n.start()
		m.c = n.dial()
		m.readAll()
		for range 20 {
			m.fetch()
			m.times()
		}
	}
}

// TestStopIsNoFailure: whoever waits for the end of a broker that was stopped is told of no error.
func TestStopIsNoFailure(t *testing.T) {
	n := newNode(t, nil)
	for range 50 { // so that a shutdown takes a moment
		c := n.dial()
		do[*kmsg.ApiVersionsResponse](c, kmsg.NewPtrApiVersionsRequest())
	}
	ended := make(chan error, 1)
	go func(b *broker.Broker) { ended <- b.Wait() }(n.b)
	n.stop()
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
}
