package api

import (
	"context"
	"fmt"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"

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
func (g *madeUp) AddVoter(_ context.Context, id int32, address string) error {
	g.did = append(g.did, fmt.Sprint("add ", id, " ", address))
	return nil
}

// RemoveVoter implements Quorum.
func (g *madeUp) RemoveVoter(_ context.Context, id int32) error {
	g.did = append(g.did, fmt.Sprint("remove ", id))
	return nil
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
	add := func(cluster string, id int32, listeners ...string) *kmsg.AddRaftVoterRequest {
		req := kmsg.NewPtrAddRaftVoterRequest()
		req.TimeoutMillis, req.VoterID, req.VoterDirectoryID = 10_000, id, [16]byte{7}
		if cluster != "" {
			req.ClusterID = &cluster
		}
		for _, name := range listeners {
			l := kmsg.NewAddRaftVoterRequestListener()
			l.Name, l.Host, l.Port = name, "new", 9999
			req.Listeners = append(req.Listeners, l)
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
	nowhere := add("", 9, controllerListener)
	nowhere.Listeners[0].Port = 0
	none := func(*madeUp) {}
	for name, x := range map[string]struct {
		prepare func(g *madeUp)
		req     kmsg.Request
		code    string
		did     string
	}{
		"add":                    {none, add("cluster", 3), "NONE", "[add 3 host:9194]"},
		"add, any cluster":       {none, add("", 3, controllerListener), "NONE", "[add 3 host:9194]"},
		"add, other cluster":     {none, add("other", 3), "INCONSISTENT_CLUSTER_ID", "[]"},
		"add, votes":             {none, add("", 2), "DUPLICATE_VOTER", "[]"},
		"add, no id":             {none, add("", -1), "INVALID_REQUEST", "[]"},
		"add, not registered":    {none, add("", 9), "INVALID_REQUEST", "[]"},
		"add, with its address":  {none, add("", 9, "OTHER", controllerListener), "NONE", "[add 9 new:9999]"},
		"add, other listener":    {none, add("", 9, "OTHER"), "INVALID_REQUEST", "[]"},
		"add, no port":           {none, nowhere, "INVALID_REQUEST", "[]"},
		"add, no leader":         {func(g *madeUp) { g.fail = quorum.ErrNotLeader }, add("", 3), "NOT_CONTROLLER", "[]"},
		"remove":                 {none, remove("cluster", 2), "NONE", "[remove 2]"},
		"remove, other cluster":  {none, remove("other", 2), "INCONSISTENT_CLUSTER_ID", "[]"},
		"remove, does not vote":  {none, remove("", 3), "VOTER_NOT_FOUND", "[]"},
		"remove, the only one":   {func(g *madeUp) { g.Voters = g.Voters[:1] }, remove("", 1), "INVALID_REQUEST", "[]"},
		"remove, without leader": {func(g *madeUp) { g.fail = quorum.ErrNotLeader }, remove("", 2), "NOT_CONTROLLER", "[]"},
	} {
		c := newCluster(t, 3)
		g := newGroup()
		x.prepare(g)
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
}
