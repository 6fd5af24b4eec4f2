package broker_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/tidelinehq/tideline/internal/freeport"
	"github.com/tidelinehq/tideline/internal/record"
)

// cluster is a few brokers in this process.
type cluster struct {
	tb    testing.TB
	nodes []*node
}

// newCluster starts n brokers that share a directory as their bucket.
func newCluster(tb testing.TB, n int, settings map[string]string) *cluster {
	tb.Helper()
	c := &cluster{tb: tb}
	// Brokers that start again have the address that they had: a client may know no other of any of them.
	addrs := freeport.ForTest(tb, 2*n)
	seeds, listeners := addrs[:n], addrs[n:]
	bucket := "file://" + tb.TempDir()
	for i := range n {
		x := &node{tb: tb, settings: map[string]string{
			"node.id": fmt.Sprint(i + 1), "broker.rack": string(rune('a' + i)), "data.dir": tb.TempDir(), "object.store": bucket,
			"listeners": "PLAINTEXT://" + listeners[i], "http.listener": "127.0.0.1:0", "rpc.listener": seeds[i], "cluster.seeds": strings.Join(seeds, ","),
			"default.replication.factor": "3", "min.insync.replicas": "2", "offsets.topic.num.partitions": "3",
			"tier.roll.bytes": "65536", "tier.roll.ms": "100", "wal.sync": "os", "wal.tail.bytes": "4194304", "cache.memory.bytes": "8388608",
			"group.initial.rebalance.delay.ms": "0",
		}}
		for k, v := range settings {
			x.settings[k] = v
		}
		c.nodes = append(c.nodes, x)
	}
	var started sync.WaitGroup
	for _, x := range c.nodes {
		started.Go(x.start)
	}
	started.Wait()
	tb.Cleanup(func() {
		var stopped sync.WaitGroup
		for _, x := range c.nodes {
			if x.b != nil {
				stopped.Go(x.stop)
			}
		}
		stopped.Wait()
		if tb.Failed() {
			for _, x := range c.nodes {
				x.log.mu.Lock()
				tb.Logf("log of broker %s:\n%s", x.settings["node.id"], x.log.b.Bytes())
				x.log.mu.Unlock()
			}
		}
	})
	if tb.Failed() {
		tb.FailNow() // a broker did not start, and has said why
	}
	return c
}

// up returns the brokers that run.
func (c *cluster) up() (out []*node) {
	for _, x := range c.nodes {
		if x.b != nil {
			out = append(out, x)
		}
	}
	return out
}

// describe returns a partition as each running broker sees it.
func (c *cluster) describe(topic string, index int32) (out []kmsg.MetadataResponseTopicPartition) {
	c.tb.Helper()
	for _, x := range c.up() {
		req := kmsg.NewPtrMetadataRequest()
		req.Version = 12
		t := kmsg.NewMetadataRequestTopic()
		t.Topic = &topic
		req.Topics = append(req.Topics, t)
		conn := x.dial()
		resp := do[*kmsg.MetadataResponse](conn, req)
		if err := conn.net.Close(); err != nil {
			c.tb.Error(err)
		}
		if len(resp.Topics[0].Partitions) > int(index) {
			out = append(out, resp.Topics[0].Partitions[index])
		}
	}
	return out
}

// settled waits until all running brokers agree on the leader of a partition and have so many replicas
// in sync, and returns the leader.
func (c *cluster) settled(topic string, index int32, inSync int) *node {
	c.tb.Helper()
	var leader int32
	c.up()[0].await(fmt.Sprintf("%s-%d with %d in sync", topic, index, inSync), func() bool {
		all := c.describe(topic, index)
		if len(all) < len(c.up()) {
			return false
		}
		leader = all[0].Leader
		for _, p := range all {
			if p.Leader != leader || leader < 0 || len(p.ISR) != inSync {
				return false
			}
		}
		return true
	})
	return c.nodes[leader-1]
}

// create makes a topic of one partition with a replica on each broker.
func (c *cluster) create(topic string) [16]byte {
	c.tb.Helper()
	conn := c.up()[0].dial()
	req := kmsg.NewPtrCreateTopicsRequest()
	req.Version, req.TimeoutMillis = 7, 10_000
	t := kmsg.NewCreateTopicsRequestTopic()
	t.Topic, t.NumPartitions, t.ReplicationFactor = topic, 1, -1
	kv, forever := kmsg.NewCreateTopicsRequestTopicConfig(), "-1" // the records of tests are old
	kv.Name, kv.Value = "retention.ms", &forever
	t.Configs = append(t.Configs, kv)
	req.Topics = append(req.Topics, t)
	resp := do[*kmsg.CreateTopicsResponse](conn, req)
	if code := resp.Topics[0].ErrorCode; code != 0 {
		c.tb.Fatalf("create %s: %s", topic, name(code))
	}
	return resp.Topics[0].TopicID
}

// all returns the values of a partition, as far as a broker shows them to consumers.
func (n *node) all(topic string, id [16]byte) (out []string) {
	n.tb.Helper()
	conn := n.dial()
	for offset := int64(0); ; {
		p := parts(conn.fetch(fetchRequest(13, at{topic: topic, id: id, offset: offset})))[0]
		if p.ErrorCode != 0 {
			n.tb.Fatalf("fetch at %d: %s", offset, name(p.ErrorCode))
		}
		if len(p.RecordBatches) == 0 {
			return out
		}
		for b, err := range record.All(p.RecordBatches) {
			if err != nil {
				break // cut short by the limit of bytes
			}
			for r, err := range b.Records(1 << 20) {
				if err != nil {
					n.tb.Fatal(err)
				}
				if r.Offset >= offset {
					out = append(out, string(r.Key))
				}
			}
			offset = b.NextOffset()
		}
	}
}

// TestAnyBrokerKnowsWhatWasCreated: a client that created a topic by one broker finds it at once by another.
func TestAnyBrokerKnowsWhatWasCreated(t *testing.T) {
	c := newCluster(t, 3, nil)
	for i := range 20 {
		topic := fmt.Sprintf("t%d", i)
		c.create(topic)
		for _, x := range c.nodes {
			req := kmsg.NewPtrMetadataRequest()
			req.Version = 12
			rt := kmsg.NewMetadataRequestTopic()
			rt.Topic = &topic
			req.Topics = append(req.Topics, rt)
			if code := do[*kmsg.MetadataResponse](x.dial(), req).Topics[0].ErrorCode; code != 0 {
				t.Errorf("%s by broker %s: %s", topic, x.settings["node.id"], name(code))
			}
		}
	}
}

// TestClusterHandsOver: brokers that stop one after the other hand over what they lead, what was
// acknowledged is there, and who comes back gets it.
func TestClusterHandsOver(t *testing.T) {
	c := newCluster(t, 3, nil)
	id := c.create("t")
	var want []string
	for round := range 4 {
		leader := c.settled("t", 0, 3)
		for i := range 20 {
			key := fmt.Sprintf("%d-%d", round, i)
			leader.dial().mustProduce("t", 0, values(2000, key))
			want = append(want, key)
		}
		leader.stop()
		next := c.settled("t", 0, 2)
		key := fmt.Sprintf("%d-with-two", round)
		next.dial().mustProduce("t", 0, values(10, key))
		want = append(want, key)
		leader.start()
	}
	leader := c.settled("t", 0, 3)
	if got := leader.all("t", id); fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("got  %v\nwant %v", got, want)
	}
	for _, x := range c.nodes {
		x.await("the follower to show all", func() bool { return len(x.all("t", id)) == len(want) })
	}
}

// TestTooFewInSync: with one of three left, acks=all is refused, acks=1 is taken, and nobody sees what is
// not committed until another is in sync.
func TestTooFewInSync(t *testing.T) {
	c := newCluster(t, 3, map[string]string{"controller.voters": "1"})
	id := c.create("t")
	c.settled("t", 0, 3)
	for _, x := range c.nodes[1:] { // the first is the only one that votes
		x.stop()
	}
	leader := c.settled("t", 0, 1)
	if p := leader.dial().produce("t", 0, values(10, "all")); p.ErrorCode != kerr.NotEnoughReplicas.Code {
		t.Errorf("acks=all: %s", name(p.ErrorCode))
	}
	req := produceRequest("t", 0, values(10, "one"))
	req.Acks = 1
	if p := do[*kmsg.ProduceResponse](leader.dial(), req).Topics[0].Partitions[0]; p.ErrorCode != 0 {
		t.Errorf("acks=1: %s", name(p.ErrorCode))
	}
	if got := leader.all("t", id); len(got) != 0 {
		t.Errorf("what is not committed is seen: %v", got)
	}
	c.nodes[1].start()
	c.settled("t", 0, 2)
	leader.await("the high watermark to move", func() bool { return len(leader.all("t", id)) == 1 })
}

// TestAcknowledgementTakesTooLong: a request that is not replicated within its time says so, and its
// records may be there all the same.
func TestAcknowledgementTakesTooLong(t *testing.T) {
	c := newCluster(t, 3, nil)
	for _, x := range c.nodes {
		x.b.StallReplication()
	}
	c.create("t")
	leader := c.settled("t", 0, 3) // as the topic was made: nobody lags for long enough
	req := produceRequest("t", 0, values(10, "late"))
	req.TimeoutMillis = 50
	if p := do[*kmsg.ProduceResponse](leader.dial(), req).Topics[0].Partitions[0]; p.ErrorCode != kerr.RequestTimedOut.Code {
		t.Errorf("%s", name(p.ErrorCode))
	}
}

// TestConsumerReadsFromItsRack: a consumer that names its rack is sent to the follower there, which serves
// the tail and the history (KIP-392).
func TestConsumerReadsFromItsRack(t *testing.T) {
	c := newCluster(t, 3, map[string]string{"log.local.retention.ms": "0"})
	id := c.create("t")
	leader := c.settled("t", 0, 3)
	for i := range 40 {
		leader.dial().mustProduce("t", 0, values(5000, fmt.Sprint(i)))
	}
	near := c.nodes[0]
	if near == leader {
		near = c.nodes[1]
	}
	ask := func(n *node, rack string, offset int64) kmsg.FetchResponseTopicPartition {
		req := fetchRequest(13, at{topic: "t", id: id, offset: offset})
		req.Rack = rack
		return parts(n.dial().fetch(req))[0]
	}
	var nearID int32
	if _, err := fmt.Sscan(near.settings["node.id"], &nearID); err != nil {
		t.Fatal(err)
	}
	for _, offset := range []int64{0, 39} {
		p := ask(leader, near.settings["broker.rack"], offset)
		if p.ErrorCode != 0 || p.PreferredReadReplica != nearID || len(p.RecordBatches) != 0 {
			t.Errorf("offset %d: error=%s preferred=%d bytes=%d, want broker %d", offset, name(p.ErrorCode), p.PreferredReadReplica, len(p.RecordBatches), nearID)
		}
	}
	for _, rack := range []string{"", "elsewhere", leader.settings["broker.rack"]} {
		if p := ask(leader, rack, 0); p.PreferredReadReplica != -1 || len(p.RecordBatches) == 0 {
			t.Errorf("rack %q: preferred=%d bytes=%d", rack, p.PreferredReadReplica, len(p.RecordBatches))
		}
	}
	near.await("the follower to show all", func() bool { return len(near.all("t", id)) == 40 })
	old := fetchRequest(10, at{topic: "t"})
	if p := parts(near.dial().fetch(old))[0]; p.ErrorCode != kerr.NotLeaderForPartition.Code {
		t.Errorf("a client that knows leaders only: %s", name(p.ErrorCode))
	}
}

// TestHistoryOutlivesDisks: with the disks of all brokers but one lost, everything is there; what was in
// the object store is not copied.
func TestHistoryOutlivesDisks(t *testing.T) {
	c := newCluster(t, 3, nil)
	id := c.create("t")
	leader := c.settled("t", 0, 3)
	for i := range 60 {
		leader.dial().mustProduce("t", 0, values(5000, fmt.Sprint(i)))
	}
	for _, x := range c.nodes {
		if x == leader {
			continue
		}
		x.stop()
		x.settings["data.dir"] = t.TempDir()
		x.start()
		c.settled("t", 0, 3)
		// It has forgotten what it voted, and votes again only when the group has taken it in anew.
		x.await("three voters", func() bool { return x.b.Voters() == 3 })
	}
	leader.stop()
	next := c.settled("t", 0, 2)
	if got := next.all("t", id); len(got) != 60 {
		t.Errorf("%d of 60 records are left", len(got))
	}
	next.dial().mustProduce("t", 0, values(10, "one more"))
}

// TestMovedWhileDown: a broker that comes back after its replica was moved elsewhere drops what it has of it, which would keep
// files of its write-ahead log for ever.
func TestMovedWhileDown(t *testing.T) {
	c := newCluster(t, 3, map[string]string{"auto.balance.enable": "false"})
	id := c.create("t")
	leader := c.settled("t", 0, 3)
	leader.dial().mustProduce("t", 0, values(5000, "k"))
	away, stays := c.nodes[0], []int32{leader.b.NodeID()}
	if away == leader {
		away = c.nodes[1]
	}
	for _, x := range c.nodes {
		if x != away && x != leader {
			stays = append(stays, x.b.NodeID())
		}
	}
	if !away.b.HasLocal(id, 0) {
		t.Fatal("the follower has no log")
	}
	away.stop()
	c.settled("t", 0, 2)
	req := kmsg.NewPtrAlterPartitionAssignmentsRequest()
	req.TimeoutMillis = 10_000
	rt := kmsg.NewAlterPartitionAssignmentsRequestTopic()
	rt.Topic = "t"
	rt.Partitions = []kmsg.AlterPartitionAssignmentsRequestTopicPartition{{Partition: 0, Replicas: stays}}
	req.Topics = append(req.Topics, rt)
	if r := do[*kmsg.AlterPartitionAssignmentsResponse](leader.dial(), req); r.ErrorCode != 0 || r.Topics[0].Partitions[0].ErrorCode != 0 {
		t.Fatalf("reassign: %s %s", name(r.ErrorCode), name(r.Topics[0].Partitions[0].ErrorCode))
	}
	leader.await("the replica to be moved", func() bool { return len(c.describe("t", 0)[0].Replicas) == 2 })
	away.start()
	if away.b.HasLocal(id, 0) {
		t.Error("the log of a replica that was moved away is still there")
	}
}

// TestGroupMovesWithItsCoordinator: committed offsets survive the broker that coordinates.
func TestGroupMovesWithItsCoordinator(t *testing.T) {
	c := newCluster(t, 3, nil)
	c.create("t")
	commit := func(offset int64) {
		c.retry("commit", func(conn *conn) (int16, error) {
			req := kmsg.NewPtrOffsetCommitRequest()
			req.Version, req.Group, req.Generation = 7, "g", -1
			topic := kmsg.NewOffsetCommitRequestTopic()
			topic.Topic = "t"
			p := kmsg.NewOffsetCommitRequestTopicPartition()
			p.Offset = offset
			topic.Partitions = append(topic.Partitions, p)
			req.Topics = append(req.Topics, topic)
			resp, err := conn.try(req)
			if err != nil {
				return 0, err
			}
			return resp.(*kmsg.OffsetCommitResponse).Topics[0].Partitions[0].ErrorCode, nil
		})
	}
	committed := func() (offset int64) {
		c.retry("fetch the offset", func(conn *conn) (int16, error) {
			req := kmsg.NewPtrOffsetFetchRequest()
			req.Version, req.Group = 5, "g"
			topic := kmsg.NewOffsetFetchRequestTopic()
			topic.Topic, topic.Partitions = "t", []int32{0}
			req.Topics = append(req.Topics, topic)
			resp, err := conn.try(req)
			if err != nil {
				return 0, err
			}
			r := resp.(*kmsg.OffsetFetchResponse)
			offset = r.Topics[0].Partitions[0].Offset
			return r.ErrorCode, nil
		})
		return offset
	}
	for round := int64(1); round <= 3; round++ {
		commit(round)
		coordinator := c.coordinator("g")
		coordinator.stop()
		if got := committed(); got != round {
			t.Errorf("round %d: committed offset=%d", round, got)
		}
		coordinator.start()
	}
}

// coordinator finds the broker that coordinates a group.
func (c *cluster) coordinator(group string) *node {
	c.tb.Helper()
	var found *node
	c.up()[0].await("a coordinator", func() bool {
		req := kmsg.NewPtrFindCoordinatorRequest()
		req.Version, req.CoordinatorKey = 3, group
		conn := c.up()[0].dial()
		resp := do[*kmsg.FindCoordinatorResponse](conn, req)
		if err := conn.net.Close(); err != nil {
			c.tb.Error(err)
		}
		if resp.ErrorCode != 0 || c.nodes[resp.NodeID-1].b == nil {
			return false
		}
		found = c.nodes[resp.NodeID-1]
		return true
	})
	return found
}

// retry asks the coordinator until it answers without an error.
func (c *cluster) retry(what string, ask func(*conn) (int16, error)) {
	c.tb.Helper()
	ctx, cancel := context.WithTimeout(c.tb.Context(), patience)
	defer cancel()
	for {
		conn := c.coordinator("g").dial()
		code, err := ask(conn)
		if err == nil && code == 0 {
			return
		}
		if ctx.Err() != nil {
			c.tb.Fatalf("%s: %v %s", what, err, name(code))
		}
	}
}
