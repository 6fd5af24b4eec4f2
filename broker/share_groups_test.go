package broker_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/tidelinehq/tideline/broker/share"
)

// shareBeat sends a heartbeat of a share group's member to its coordinator.
func shareBeat(c *conn, group, member string, epoch int32, topics ...string) *kmsg.ShareGroupHeartbeatResponse {
	req := kmsg.NewPtrShareGroupHeartbeatRequest()
	req.Version, req.GroupID, req.MemberID, req.MemberEpoch, req.SubscribedTopicNames = 1, group, member, epoch, topics
	return do[*kmsg.ShareGroupHeartbeatResponse](c, req)
}

// coordinatorOf waits until a key has a coordinator that has loaded, and returns who it is.
func (n *node) coordinatorOf(kind int8, key string) int32 {
	n.tb.Helper()
	c := n.dial()
	var found int32
	n.await("coordinator of "+key, func() bool {
		req := kmsg.NewPtrFindCoordinatorRequest()
		req.Version, req.CoordinatorType, req.CoordinatorKeys = 4, kind, []string{key}
		r := do[*kmsg.FindCoordinatorResponse](c, req).Coordinators[0]
		found = r.NodeID
		return r.ErrorCode == 0
	})
	return found
}

// joinShare joins and waits until the member has what it is to have.
func joinShare(n *node, c *conn, group, member string, want int, topics ...string) (epoch int32) {
	n.tb.Helper()
	n.coordinatorOf(0, group)
	joined, had := false, 0
	n.await("assignment of "+member, func() bool {
		var r *kmsg.ShareGroupHeartbeatResponse
		if joined {
			r = shareBeat(c, group, member, epoch)
		} else {
			r = shareBeat(c, group, member, 0, topics...)
		}
		switch r.ErrorCode {
		case 0:
		case kerr.CoordinatorLoadInProgress.Code, kerr.NotCoordinator.Code, kerr.CoordinatorNotAvailable.Code:
			return false
		default:
			n.tb.Fatalf("%s at %d: %s", member, epoch, name(r.ErrorCode))
		}
		joined, epoch = true, r.MemberEpoch
		if r.Assignment != nil {
			had = 0
			for _, t := range r.Assignment.TopicPartitions {
				had += len(t.Partitions)
			}
		}
		return had == want
	})
	return epoch
}

func shareOffsets(c *conn, group string) string {
	req := kmsg.NewPtrDescribeShareGroupOffsetsRequest()
	req.Version = 1
	g := kmsg.NewDescribeShareGroupOffsetsRequestGroup()
	g.GroupID = group
	req.Groups = append(req.Groups, g)
	r := do[*kmsg.DescribeShareGroupOffsetsResponse](c, req).Groups[0]
	text := name(r.ErrorCode)
	for _, t := range r.Topics {
		for _, p := range t.Partitions {
			text += fmt.Sprintf(" %s/%d:%s start=%d lag=%d", t.Topic, p.Partition, name(p.ErrorCode), p.StartOffset, p.Lag)
		}
	}
	return text
}

// TestShareGroupMembers: members join, what they read begins, a leader's word is kept over a restart,
// offsets are altered, all goes with the group.
func TestShareGroupMembers(t *testing.T) {
	n := newNode(t, map[string]string{
		"share.coordinator.state.topic.num.partitions": "3", "offsets.topic.num.partitions": "3",
		"share.coordinator.state.topic.prune.interval.ms": "200", "share.coordinator.cold.partition.snapshot.interval.ms": "200",
	})
	c := n.dial()
	id := c.create("jobs", 2, map[string]string{"retention.ms": "-1"})
	for range 100 {
		c.mustProduce("jobs", 0, values(10, "x"))
	}
	joinShare(n, c, "g", "m1", 2, "jobs")
	if got, want := shareOffsets(c, "g"), "NONE jobs/0:NONE start=-1 lag=-1 jobs/1:NONE start=-1 lag=-1"; got != want {
		t.Errorf("begun: got %q, want %q", got, want)
	}

	// What the leader of the partition does.
	read := kmsg.NewPtrReadShareGroupStateRequest()
	read.GroupID = "g"
	read.Topics = []kmsg.ReadShareGroupStateRequestTopic{{TopicID: id, Partitions: []kmsg.ReadShareGroupStateRequestTopicPartition{{Partition: 0, LeaderEpoch: 7}}}}
	state := do[*kmsg.ReadShareGroupStateResponse](c, read).Topics[0].Partitions[0]
	if state.ErrorCode != 0 || state.StartOffset != -1 {
		t.Fatalf("read: %s %+v", name(state.ErrorCode), state)
	}
	write := kmsg.NewPtrWriteShareGroupStateRequest()
	write.Version, write.GroupID = 1, "g"
	write.Topics = []kmsg.WriteShareGroupStateRequestTopic{{TopicID: id, Partitions: []kmsg.WriteShareGroupStateRequestTopicPartition{{
		Partition: 0, StateEpoch: state.StateEpoch, LeaderEpoch: 7, StartOffset: 10, DeliveryCompleteCount: 5,
		StateBatches: []kmsg.WriteShareGroupStateRequestTopicPartitionStateBatch{{FirstOffset: 20, LastOffset: 24, DeliveryState: 2, DeliveryCount: 1}},
	}}}}
	if code := do[*kmsg.WriteShareGroupStateResponse](c, write).Topics[0].Partitions[0].ErrorCode; code != 0 {
		t.Fatalf("write: %s", name(code))
	}
	if got, want := shareOffsets(c, "g"), "NONE jobs/0:NONE start=10 lag=85 jobs/1:NONE start=-1 lag=-1"; got != want {
		t.Errorf("written: got %q, want %q", got, want)
	}
	n.await("old records are given up", func() bool { return n.gauge("tideline_share_coordinator_prunes_total") > 0 })

	n.stop()
	n.start()
	c = n.dial()
	epoch := joinShare(n, c, "g", "m1", 2, "jobs")
	n.coordinatorOf(2, "g:AAAAAAAAAAAAAAAAAAAAAA:0")
	n.await("the state is loaded", func() bool {
		state = do[*kmsg.ReadShareGroupStateResponse](c, read).Topics[0].Partitions[0]
		return state.ErrorCode == 0
	})
	if state.StartOffset != 10 || len(state.StateBatches) != 1 || state.StateBatches[0].FirstOffset != 20 || state.StateBatches[0].DeliveryState != 2 {
		t.Errorf("after the restart: %+v", state)
	}
	write.Topics[0].Partitions[0].LeaderEpoch = 6
	if code := do[*kmsg.WriteShareGroupStateResponse](c, write).Topics[0].Partitions[0].ErrorCode; code != kerr.FencedLeaderEpoch.Code {
		t.Errorf("write of an older leader: %s", name(code))
	}

	alter := kmsg.NewPtrAlterShareGroupOffsetsRequest()
	alter.GroupID = "g"
	alter.Topics = []kmsg.AlterShareGroupOffsetsRequestTopic{{Topic: "jobs", Partitions: []kmsg.AlterShareGroupOffsetsRequestTopicPartition{{Partition: 0, StartOffset: 42}}}}
	if code := do[*kmsg.AlterShareGroupOffsetsResponse](c, alter).ErrorCode; code != kerr.NonEmptyGroup.Code {
		t.Errorf("alter offsets under a member: %s", name(code))
	}
	if r := shareBeat(c, "g", "m1", -1); r.ErrorCode != 0 {
		t.Fatalf("leave at %d: %s", epoch, name(r.ErrorCode))
	}
	if r := do[*kmsg.AlterShareGroupOffsetsResponse](c, alter); r.ErrorCode != 0 || r.Topics[0].Partitions[0].ErrorCode != 0 {
		t.Fatalf("alter offsets: %+v", r)
	}
	write.Topics[0].Partitions[0].LeaderEpoch = 8
	if code := do[*kmsg.WriteShareGroupStateResponse](c, write).Topics[0].Partitions[0].ErrorCode; code != kerr.FencedStateEpoch.Code {
		t.Errorf("write under the old state epoch: %s", name(code))
	}
	if got, want := shareOffsets(c, "g"), "NONE jobs/0:NONE start=42 lag=58 jobs/1:NONE start=-1 lag=-1"; got != want {
		t.Errorf("altered: got %q, want %q", got, want)
	}
	gone := kmsg.NewPtrDeleteGroupsRequest()
	gone.Version, gone.Groups = 2, []string{"g"}
	if code := do[*kmsg.DeleteGroupsResponse](c, gone).Groups[0].ErrorCode; code != 0 {
		t.Fatalf("delete the group: %s", name(code))
	}
	if code := do[*kmsg.ReadShareGroupStateResponse](c, read).Topics[0].Partitions[0].ErrorCode; code != kerr.InvalidRequest.Code {
		t.Errorf("state of a deleted group: %s", name(code))
	}
}

// TestShareGroupInACluster: group, its states and the topic are led by different brokers, one
// of which goes.
func TestShareGroupInACluster(t *testing.T) {
	cl := newCluster(t, 3, map[string]string{"share.coordinator.state.topic.num.partitions": "6"})
	c := cl.nodes[0].dial()
	c.create("jobs", 12, nil)
	at := cl.nodes[0].coordinatorOf(0, "g")
	n := cl.nodes[at-1]
	epoch := joinShare(n, n.dial(), "g", "m1", 12, "jobs")
	if epoch < 2 {
		t.Errorf("member epoch %d", epoch)
	}
	n.stop()
	next := cl.nodes[at%3]
	next.await("another coordinator", func() bool { return next.coordinatorOf(0, "g") != at })
	now := cl.nodes[next.coordinatorOf(0, "g")-1]
	if again := joinShare(now, now.dial(), "g", "m1", 12, "jobs"); again < epoch {
		t.Errorf("member epoch goes back from %d to %d", epoch, again)
	}
}

// TestShareGroupKeepsItsWord: two members share a partition whose state is with the share
// coordinator; what was accepted or rejected is not delivered again over a restart, what was
// released or never acknowledged is, and says how often it was.
func TestShareGroupKeepsItsWord(t *testing.T) {
	n := newNode(t, map[string]string{
		"share.coordinator.state.topic.num.partitions": "3", "offsets.topic.num.partitions": "3",
		"group.share.min.record.lock.duration.ms": "1000", "group.share.record.lock.duration.ms": "3000",
	})
	c := n.dial()
	id := c.create("jobs", 1, map[string]string{"retention.ms": "-1"}) // the records are from 1970
	joinShare(n, c, "g", "a", 1, "jobs")
	joinShare(n, c, "g", "b", 1, "jobs")
	a, b := n.member("g", "a", id), n.member("g", "b", id)
	n.await("the group begins at the end", func() bool { return a.acquired(0) == "" && shareStart(c) == 0 })
	for range 20 {
		c.mustProduce("jobs", 0, values(10, "x"))
	}
	var got string
	n.await("a gets what there is", func() bool { got = a.acquired(100 * time.Millisecond); return got != "" })
	expect(t, "a has", got, "0-19:1")
	expect(t, "b has", b.acquired(100*time.Millisecond), "")
	expect(t, "a accepts", a.acknowledge(ack(0, 4, share.Accept)), "NONE")
	expect(t, "a rejects", a.acknowledge(ack(8, 9, share.Reject)), "NONE")
	expect(t, "a releases", a.acknowledge(ack(10, 14, share.Release)), "NONE")
	expect(t, "b gets what was released", b.acquired(time.Second), "10-14:2")
	expect(t, "b accepts", b.acknowledge(ack(10, 11, share.Accept)), "NONE")

	n.stop()
	n.start()
	c = n.dial()
	joinShare(n, c, "g", "c", 1, "jobs")
	m := n.member("g", "c", id)
	var all []string
	n.await("the rest is delivered again", func() bool {
		if got := m.acquired(200 * time.Millisecond); got != "" && got != "COORDINATOR_NOT_AVAILABLE" {
			all = append(all, strings.Fields(got)...)
		}
		return len(all) >= 3
	})
	expect(t, "after the restart", strings.Join(all, " "), "5-7:1 12-14:2 15-19:1") // who has to stop gives back what it handed out, as not delivered
	for _, r := range [][2]int64{{5, 7}, {12, 14}, {15, 19}} {
		expect(t, "c accepts", m.acknowledge(ack(r[0], r[1], share.Accept)), "NONE")
	}
	n.await("all is done", func() bool { return strings.Contains(shareOffsets(c, "g"), "lag=0") })
	expect(t, "nothing is left", m.acquired(100*time.Millisecond), "")
}

// shareStart is where group g has got to in jobs/0.
func shareStart(c *conn) int64 {
	req := kmsg.NewPtrDescribeShareGroupOffsetsRequest()
	g := kmsg.NewDescribeShareGroupOffsetsRequestGroup()
	g.GroupID = "g"
	req.Groups = append(req.Groups, g)
	r := do[*kmsg.DescribeShareGroupOffsetsResponse](c, req).Groups[0]
	if len(r.Topics) == 0 {
		return -2
	}
	return r.Topics[0].Partitions[0].StartOffset
}
