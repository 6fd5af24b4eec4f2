package broker_test

import (
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// TestClusterOfOneAdministered: what the requests of a cluster's administration
// say to a broker by itself. What several brokers make of them is in package api.
func TestClusterOfOneAdministered(t *testing.T) {
	n := newNode(t, nil)
	c := n.dial()
	c.create("a", 2, nil)

	elect := kmsg.NewPtrElectLeadersRequest()
	elect.Version, elect.TimeoutMillis = 2, 10_000
	et := kmsg.NewElectLeadersRequestTopic()
	et.Topic, et.Partitions = "a", []int32{0, 2}
	elect.Topics = append(elect.Topics, et)
	answered := do[*kmsg.ElectLeadersResponse](c, elect).Topics[0].Partitions
	if a, b := name(answered[0].ErrorCode), name(answered[1].ErrorCode); a != "ELECTION_NOT_NEEDED" || b != "UNKNOWN_TOPIC_OR_PARTITION" {
		t.Errorf("elections: %s, %s", a, b)
	}

	move := kmsg.NewPtrAlterPartitionAssignmentsRequest()
	move.Version, move.TimeoutMillis = 1, 10_000
	mt := kmsg.NewAlterPartitionAssignmentsRequestTopic()
	mt.Topic = "a"
	for i, replicas := range [][]int32{{1}, {1, 2}, {1}} {
		p := kmsg.NewAlterPartitionAssignmentsRequestTopicPartition()
		p.Partition, p.Replicas = int32(i), replicas
		mt.Partitions = append(mt.Partitions, p)
	}
	move.Topics = append(move.Topics, mt)
	for i, p := range do[*kmsg.AlterPartitionAssignmentsResponse](c, move).Topics[0].Partitions {
		if want := []string{"NONE", "INVALID_REPLICA_ASSIGNMENT", "UNKNOWN_TOPIC_OR_PARTITION"}[i]; name(p.ErrorCode) != want {
			t.Errorf("replicas of partition %d: %s", i, name(p.ErrorCode))
		}
	}
	list := kmsg.NewPtrListPartitionReassignmentsRequest()
	if resp := do[*kmsg.ListPartitionReassignmentsResponse](c, list); resp.ErrorCode != 0 || len(resp.Topics) != 0 {
		t.Errorf("reassignments: %+v", resp)
	}

	unregister := kmsg.NewPtrUnregisterBrokerRequest()
	for id, want := range map[int32]string{1: "INVALID_REQUEST", 7: "BROKER_ID_NOT_REGISTERED"} {
		unregister.BrokerID = id
		if resp := do[*kmsg.UnregisterBrokerResponse](c, unregister); name(resp.ErrorCode) != want || resp.ErrorMessage == nil {
			t.Errorf("unregister %d: %s", id, name(resp.ErrorCode))
		}
	}
	c.mustProduce("a", 0, values(10, "x")) // nothing of it changed who leads
}
