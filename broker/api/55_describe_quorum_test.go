package api

import (
	"context"
	"fmt"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/tidelinehq/tideline/metadata"
	"github.com/tidelinehq/tideline/metadata/quorum"
)

// madeUp is a Quorum of which broker 1 is the leader.
type madeUp struct {
	QuorumGroup
	fail error
	did  []string
}

func newGroup() *madeUp {
	return &madeUp{QuorumGroup: QuorumGroup{
		Leader: 1, Epoch: 5, HighWatermark: 100,
		Voters:    []QuorumMember{{1, "h:9193", 100, 7, 7}, {2, "[::1]:9194", 90, 6, 5}},
		Observers: []QuorumMember{{3, "", -1, -1, -1}},
	}}
}

// Group implements Quorum.
func (g *madeUp) Group(context.Context) (QuorumGroup, error) { return g.QuorumGroup, g.fail }

// AddVoter implements Quorum.
func (g *madeUp) AddVoter(_ context.Context, id int32) error {
	g.did = append(g.did, fmt.Sprint("add ", id))
	return g.fail
}

// RemoveVoter implements Quorum.
func (g *madeUp) RemoveVoter(_ context.Context, id int32) error {
	g.did = append(g.did, fmt.Sprint("remove ", id))
	return g.fail
}

func quorumRequest(topic string, partitions ...int32) *kmsg.DescribeQuorumRequest {
	req := kmsg.NewPtrDescribeQuorumRequest()
	t := kmsg.NewDescribeQuorumRequestTopic()
	t.Topic = topic
	for _, index := range partitions {
		p := kmsg.NewDescribeQuorumRequestTopicPartition()
		p.Partition = index
		t.Partitions = append(t.Partitions, p)
	}
	req.Topics = append(req.Topics, t)
	return req
}

func TestDescribeQuorum(t *testing.T) {
	c := newCluster(t, 3)
	c.api.Quorum = newGroup()
	const members = "{1 100 7 7}{2 90 6 5} / {3 -1 -1 -1}"
	for version, want := range map[int16]string{
		0: "NONE NONE 1 5 100 {1 100 -1 -1}{2 90 -1 -1} / {3 -1 -1 -1}",
		1: "NONE NONE 1 5 100 " + members,
		2: "NONE NONE 1 5 100 " + members + " 1=CONTROLLER h:9193 2=CONTROLLER ::1:9194",
	} {
		resp := ask[*kmsg.DescribeQuorumResponse](c, version, quorumRequest(metadataTopic, 0))
		p := resp.Topics[0].Partitions[0]
		got := fmt.Sprint(code(resp.ErrorCode), " ", code(p.ErrorCode), " ", p.LeaderID, " ", p.LeaderEpoch, " ", p.HighWatermark, " ")
		show := func(states []kmsg.DescribeQuorumResponseTopicPartitionReplicaState) {
			for _, s := range states {
				got += fmt.Sprintf("{%d %d %d %d}", s.ReplicaID, s.LogEndOffset, s.LastFetchTimestamp, s.LastCaughtUpTimestamp)
			}
		}
		show(p.CurrentVoters)
		got += " / "
		show(p.Observers)
		for _, n := range resp.Nodes {
			for _, l := range n.Listeners {
				got += fmt.Sprintf(" %d=%s %s:%d", n.NodeID, l.Name, l.Host, l.Port)
			}
		}
		if got != want {
			t.Errorf("v%d: %s", version, got)
		}
	}
	for _, req := range []*kmsg.DescribeQuorumRequest{quorumRequest("a", 0), quorumRequest(metadataTopic, 1), quorumRequest(metadataTopic, 0, 1)} {
		resp := ask[*kmsg.DescribeQuorumResponse](c, 2, req)
		for _, p := range resp.Topics[0].Partitions {
			if code(p.ErrorCode) != "UNKNOWN_TOPIC_OR_PARTITION" {
				t.Errorf("%+v: %s", req.Topics, code(p.ErrorCode))
			}
		}
	}
	if resp := ask[*kmsg.DescribeQuorumResponse](c, 2, kmsg.NewPtrDescribeQuorumRequest()); len(resp.Topics) != 0 {
		t.Errorf("about nothing: %+v", resp.Topics)
	}
	c.api.Quorum.(*madeUp).fail = quorum.ErrNotLeader
	if p := ask[*kmsg.DescribeQuorumResponse](c, 2, quorumRequest(metadataTopic, 0)).Topics[0].Partitions[0]; code(p.ErrorCode) != "NOT_CONTROLLER" || p.ErrorMessage == nil {
		t.Errorf("without a leader: %s", code(p.ErrorCode))
	}
	c.api.Quorum = nil
	if p := ask[*kmsg.DescribeQuorumResponse](c, 2, quorumRequest(metadataTopic, 0)).Topics[0].Partitions[0]; code(p.ErrorCode) != "UNSUPPORTED_VERSION" || p.LeaderID != -1 {
		t.Errorf("without a group: %s", code(p.ErrorCode))
	}
}

func TestRaftVoters(t *testing.T) {
	add := func(cluster string, id int32) *kmsg.AddRaftVoterRequest {
		req := kmsg.NewPtrAddRaftVoterRequest()
		req.TimeoutMillis, req.VoterID, req.VoterDirectoryID = 10_000, id, [16]byte{7}
		if cluster != "" {
			req.ClusterID = &cluster
		}
		return req
	}
	remove := func(cluster string, id int32) *kmsg.RemoveRaftVoterRequest {
		req := kmsg.NewPtrRemoveRaftVoterRequest()
		req.VoterID, req.VoterDirectoryID = id, [16]byte{7}
		if cluster != "" {
			req.ClusterID = &cluster
		}
		return req
	}
	for name, x := range map[string]struct {
		fail error
		req  kmsg.Request
		code string
		did  string
	}{
		"add":                   {nil, add("cluster", 3), "NONE", "[add 3]"},
		"add, any cluster":      {nil, add("", 3), "NONE", "[add 3]"},
		"add, other cluster":    {nil, add("other", 3), "INCONSISTENT_CLUSTER_ID", "[]"},
		"add, no id":            {nil, add("", -1), "INVALID_REQUEST", "[]"},
		"add, votes":            {metadata.ErrNoChange, add("", 2), "DUPLICATE_VOTER", "[add 2]"},
		"add, not a member":     {metadata.ErrNotMember, add("", 9), "INVALID_REQUEST", "[add 9]"},
		"add, behind":           {metadata.ErrNotNow, add("", 3), "REQUEST_TIMED_OUT", "[add 3]"},
		"add, no leader":        {quorum.ErrNotLeader, add("", 3), "NOT_CONTROLLER", "[add 3]"},
		"remove":                {nil, remove("cluster", 2), "NONE", "[remove 2]"},
		"remove, other cluster": {nil, remove("other", 2), "INCONSISTENT_CLUSTER_ID", "[]"},
		"remove, does not vote": {metadata.ErrNoChange, remove("", 3), "VOTER_NOT_FOUND", "[remove 3]"},
		"remove, not a member":  {metadata.ErrNotMember, remove("", 9), "VOTER_NOT_FOUND", "[remove 9]"},
		"remove, the only one":  {metadata.ErrRefused, remove("", 1), "INVALID_REQUEST", "[remove 1]"},
		"remove, no majority":   {metadata.ErrNotNow, remove("", 2), "REQUEST_TIMED_OUT", "[remove 2]"},
	} {
		c := newCluster(t, 3)
		g := newGroup()
		g.fail = x.fail
		c.api.Quorum = g
		var got int16
		var text *string
		switch req := x.req.(type) {
		case *kmsg.AddRaftVoterRequest:
			resp := ask[*kmsg.AddRaftVoterResponse](c, 1, req)
			got, text = resp.ErrorCode, resp.ErrorMessage
		case *kmsg.RemoveRaftVoterRequest:
			resp := ask[*kmsg.RemoveRaftVoterResponse](c, 0, req)
			got, text = resp.ErrorCode, resp.ErrorMessage
		}
		if code(got) != x.code || fmt.Sprint(g.did) != x.did || (text == nil) != (got == 0) {
			t.Errorf("%s: %s %v, want %s %s", name, code(got), g.did, x.code, x.did)
		}
	}
	c := newCluster(t, 1)
	for _, v := range []int16{ask[*kmsg.AddRaftVoterResponse](c, 0, add("", 1)).ErrorCode, ask[*kmsg.RemoveRaftVoterResponse](c, 0, remove("", 1)).ErrorCode} {
		if code(v) != "UNSUPPORTED_VERSION" {
			t.Errorf("without a group: %s", code(v))
		}
	}
}
