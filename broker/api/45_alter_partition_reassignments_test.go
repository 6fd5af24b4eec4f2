package api

import (
	"errors"
	"fmt"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/tidelinehq/tideline/metadata/quorum"
	command "github.com/tidelinehq/tideline/metadata/record"
)

// reassign asks for replicas of partitions 0, 1, … of topic a.
func reassign(lists ...[]int32) *kmsg.AlterPartitionAssignmentsRequest {
	req := kmsg.NewPtrAlterPartitionAssignmentsRequest()
	req.TimeoutMillis = 10_000
	t := kmsg.NewAlterPartitionAssignmentsRequestTopic()
	t.Topic = "a"
	for i, replicas := range lists {
		p := kmsg.NewAlterPartitionAssignmentsRequestTopicPartition()
		p.Partition, p.Replicas = int32(i), replicas
		t.Partitions = append(t.Partitions, p)
	}
	req.Topics = append(req.Topics, t)
	return req
}

func reassigned(r *kmsg.AlterPartitionAssignmentsResponse) string {
	out := code(r.ErrorCode)
	for _, t := range r.Topics {
		for _, p := range t.Partitions {
			out += fmt.Sprintf(" %s-%d=%s", t.Topic, p.Partition, code(p.ErrorCode))
			if (p.ErrorMessage == nil) != (p.ErrorCode == 0) {
				out += "!message"
			}
		}
	}
	return out
}

// placed shows replicas, ISR and what a reassignment adds and removes.
func (c *cluster) placed(topic string, index int32) string {
	p := c.partition(topic, index)
	return fmt.Sprintf("%v%v+%v-%v", p.Replicas, p.ISR, p.Adding, p.Removing)
}

func TestReassignments(t *testing.T) {
	fixed := func(lists ...[]int32) *kmsg.AlterPartitionAssignmentsRequest {
		req := reassign(lists...)
		req.AllowReplicationFactorChange = false
		return req
	}
	elsewhere := reassign([]int32{1})
	elsewhere.Topics[0].Topic = "b"
	gone := reassign([]int32{2})
	gone.Topics[0].Topic = "b"
	twice := reassign([]int32{3, 2})
	twice.Topics = append(twice.Topics, reassign([]int32{4, 2}).Topics...)
	begun := func(c *cluster) { ask[*kmsg.AlterPartitionAssignmentsResponse](c, 1, reassign([]int32{3, 4})) }
	none := func(*cluster) {}
	for name, x := range map[string]struct {
		prepare func(c *cluster)
		version int16
		req     *kmsg.AlterPartitionAssignmentsRequest
		want    string
		placed  string // partition 0
	}{
		"move":                {none, 1, reassign([]int32{3, 2}), "NONE a-0=NONE", "[3 2 1][1 2]+[3]-[1]"},
		"version 0":           {none, 0, reassign([]int32{3, 2, 4}), "NONE a-0=NONE", "[3 2 4 1][1 2]+[3 4]-[1]"},
		"no change":           {none, 1, reassign([]int32{1, 2}), "NONE a-0=NONE", "[1 2][1 2]+[]-[]"},
		"other order":         {none, 1, reassign([]int32{2, 1}), "NONE a-0=NONE", "[2 1][1 2]+[]-[]"},
		"fewer":               {none, 1, reassign([]int32{2}), "NONE a-0=NONE", "[2][2]+[]-[]"},
		"fewer, not allowed":  {none, 1, fixed([]int32{2}), "NONE a-0=INVALID_REPLICATION_FACTOR", "[1 2][1 2]+[]-[]"},
		"as many":             {none, 1, fixed([]int32{3, 2}), "NONE a-0=NONE", "[3 2 1][1 2]+[3]-[1]"},
		"as many as will be":  {begun, 1, fixed([]int32{1, 4}), "NONE a-0=NONE", "[1 4 2][1 2]+[4]-[2]"},
		"second wish":         {begun, 1, reassign([]int32{2, 3}), "NONE a-0=NONE", "[2 3 1][1 2]+[3]-[1]"},
		"call off":            {begun, 1, reassign(nil), "NONE a-0=NONE", "[1 2][1 2]+[]-[]"},
		"call off, fixed":     {begun, 1, fixed(nil), "NONE a-0=NONE", "[1 2][1 2]+[]-[]"},
		"nothing to call off": {none, 1, reassign(nil), "NONE a-0=NO_REASSIGNMENT_IN_PROGRESS", "[1 2][1 2]+[]-[]"},
		"empty":               {none, 1, reassign([]int32{}), "NONE a-0=INVALID_REPLICA_ASSIGNMENT", "[1 2][1 2]+[]-[]"},
		"a broker twice":      {none, 1, reassign([]int32{1, 1}), "NONE a-0=INVALID_REPLICA_ASSIGNMENT", "[1 2][1 2]+[]-[]"},
		"unknown broker":      {none, 1, reassign([]int32{1, 9}), "NONE a-0=INVALID_REPLICA_ASSIGNMENT", "[1 2][1 2]+[]-[]"},
		"negative broker":     {none, 1, reassign([]int32{-1}), "NONE a-0=INVALID_REPLICA_ASSIGNMENT", "[1 2][1 2]+[]-[]"},
		"each for itself":     {none, 1, reassign([]int32{3}, []int32{9}, []int32{1}), "NONE a-0=NONE a-1=INVALID_REPLICA_ASSIGNMENT a-2=UNKNOWN_TOPIC_OR_PARTITION", "[3 1 2][1 2]+[3]-[1 2]"},
		"no such topic":       {none, 1, elsewhere, "NONE b-0=UNKNOWN_TOPIC_OR_PARTITION", "[1 2][1 2]+[]-[]"},
		"one partition twice": {none, 1, twice, "NONE a-0=NONE a-0=NONE", "[4 2 1][1 2]+[4]-[1]"},
		"no leader":           {func(c *cluster) { c.fail = quorum.ErrNotLeader }, 1, reassign([]int32{3, 2}), "NONE a-0=NOT_CONTROLLER", "[1 2][1 2]+[]-[]"},
		"outcome unknown":     {func(c *cluster) { c.fail = quorum.ErrUnknown }, 1, reassign([]int32{3, 2}), "NONE a-0=REQUEST_TIMED_OUT", "[1 2][1 2]+[]-[]"},
		"something else":      {func(c *cluster) { c.fail = errors.New("disk") }, 1, reassign([]int32{3, 2}), "NONE a-0=KAFKA_STORAGE_ERROR", "[1 2][1 2]+[]-[]"},
		"overtaken": {func(c *cluster) {
			c.first = func() { c.change("a", 0, func(x *command.PartitionChange) { x.Leader = 2 }) }
		}, 1, reassign([]int32{3, 2}), "NONE a-0=NONE", "[3 2 1][1 2]+[3]-[1]"},
		"topic deleted meanwhile": {func(c *cluster) {
			c.topic("b", []int32{1})
			c.first = func() { c.apply(&command.DeleteTopic{ID: c.partition("b", 0).Topic}) }
		}, 1, gone, "NONE b-0=UNKNOWN_TOPIC_OR_PARTITION", "[1 2][1 2]+[]-[]"},
	} {
		t.Run(name, func(t *testing.T) {
			c := newCluster(t, 4)
			c.topic("a", []int32{1, 2}, []int32{2, 3})
			x.prepare(c)
			resp := ask[*kmsg.AlterPartitionAssignmentsResponse](c, x.version, x.req)
			if got := reassigned(resp); got != x.want {
				t.Errorf("got  %s\nwant %s", got, x.want)
			}
			if got := c.placed("a", 0); got != x.placed {
				t.Errorf("placed=%s want=%s", got, x.placed)
			}
			if x.version == 1 && resp.AllowReplicationFactorChange != x.req.AllowReplicationFactorChange {
				t.Error("the answer says something else of the replication factor")
			}
		})
	}
}

func TestListReassignments(t *testing.T) {
	c := newCluster(t, 4)
	c.topic("b", []int32{1, 2}, []int32{2, 3}, []int32{2, 3})
	c.topic("a", []int32{1, 2}, []int32{2, 3})
	list := func(topics ...string) string {
		req := kmsg.NewPtrListPartitionReassignmentsRequest()
		req.TimeoutMillis = 10_000
		for _, name := range topics {
			t := kmsg.NewListPartitionReassignmentsRequestTopic()
			t.Topic, t.Partitions = name, []int32{0, 1, 7}
			req.Topics = append(req.Topics, t)
		}
		resp := ask[*kmsg.ListPartitionReassignmentsResponse](c, 0, req)
		out := code(resp.ErrorCode)
		for _, t := range resp.Topics {
			out += " " + t.Topic
			for _, p := range t.Partitions {
				out += fmt.Sprintf("%d%v+%v-%v", p.Partition, p.Replicas, p.AddingReplicas, p.RemovingReplicas)
			}
		}
		return out
	}
	if got := list(); got != "NONE" {
		t.Errorf("nothing under way: %s", got)
	}
	ask[*kmsg.AlterPartitionAssignmentsResponse](c, 1, reassign([]int32{3, 2}, []int32{2, 3, 4}))
	other := reassign([]int32{1, 2, 4})
	other.Topics[0].Topic, other.Topics[0].Partitions[0].Partition = "b", 2
	ask[*kmsg.AlterPartitionAssignmentsResponse](c, 1, other)
	const a, b = " a0[3 2 1]+[3]-[1]1[2 3 4]+[4]-[]", " b2[1 2 4 3]+[1 4]-[3]"
	for asked, want := range map[string]string{"": "NONE" + b + a, "a": "NONE" + a, "b": "NONE", "nix": "NONE"} {
		var topics []string
		if asked != "" {
			topics = []string{asked}
		}
		if got := list(topics...); got != want {
			t.Errorf("asked for %q: %s", asked, got)
		}
	}
	req := kmsg.NewPtrListPartitionReassignmentsRequest()
	req.Topics = []kmsg.ListPartitionReassignmentsRequestTopic{}
	if resp := ask[*kmsg.ListPartitionReassignmentsResponse](c, 0, req); len(resp.Topics) != 0 {
		t.Error("an empty list asks for nothing")
	}
}
