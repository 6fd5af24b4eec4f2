package api

import (
	"fmt"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/tidelinehq/tideline/metadata"
	command "github.com/tidelinehq/tideline/metadata/record"
)

// described is topic a as Metadata and DescribeTopicPartitions tell of it.
type described struct{ metadata, partitions, brokers string }

func describe(c *cluster, listener string, version int16) described {
	name := "a"
	req := kmsg.NewPtrMetadataRequest()
	t := kmsg.NewMetadataRequestTopic()
	t.Topic = &name
	req.Topics = append(req.Topics, t)
	var d described
	m := askOn[*kmsg.MetadataResponse](c, listener, version, req)
	for _, p := range m.Topics[0].Partitions {
		d.metadata += fmt.Sprint(code(p.ErrorCode), " leader=", p.Leader, " epoch=", p.LeaderEpoch, " ", p.Replicas, p.ISR, " offline=", p.OfflineReplicas)
	}
	for _, b := range m.Brokers {
		d.brokers += fmt.Sprint(b.NodeID, "@", b.Port, " ")
	}
	more := kmsg.NewPtrDescribeTopicPartitionsRequest()
	mt := kmsg.NewDescribeTopicPartitionsRequestTopic()
	mt.Topic = name
	more.Topics = append(more.Topics, mt)
	for _, p := range askOn[*kmsg.DescribeTopicPartitionsResponse](c, listener, 0, more).Topics[0].Partitions {
		d.partitions += fmt.Sprint(code(p.ErrorCode), " leader=", p.LeaderID, " epoch=", p.LeaderEpoch, " ", p.Replicas, p.ISR, " elr=", p.EligibleLeaderReplicas, " last=", p.LastKnownELR, " offline=", p.OfflineReplicas)
		if p.EligibleLeaderReplicas == nil || p.LastKnownELR == nil {
			d.partitions += " null"
		}
	}
	return d
}

// TestPartitionsDescribed: a partition of brokers 1, 2 and 3, of which only 1 has
// the listener INSIDE, in the states that it can be in.
func TestPartitionsDescribed(t *testing.T) {
	const inside = "INSIDE"
	none := func(*cluster) {}
	for name, x := range map[string]struct {
		prepare  func(c *cluster)
		listener string
		version  int16
		want     described
	}{
		"healthy": {none, clients, 12, described{
			metadata:   "NONE leader=1 epoch=0 [1 2 3] [1 2 3] offline=[]",
			partitions: "NONE leader=1 epoch=0 [1 2 3] [1 2 3] elr=[] last=[] offline=[]",
			brokers:    "1@9092 2@9093 3@9094 ",
		}},
		"followers without the listener": {none, inside, 12, described{
			metadata:   "NONE leader=1 epoch=0 [1 2 3] [1 2 3] offline=[2 3]",
			partitions: "NONE leader=1 epoch=0 [1 2 3] [1 2 3] elr=[] last=[] offline=[2 3]",
			brokers:    "1@9999 ",
		}},
		"leader without the listener": {ledBy2, inside, 12, described{
			metadata:   "LISTENER_NOT_FOUND leader=-1 epoch=1 [1 2 3] [1 2 3] offline=[2 3]",
			partitions: "NONE leader=-1 epoch=1 [1 2 3] [1 2 3] elr=[] last=[] offline=[2 3]",
			brokers:    "1@9999 ",
		}},
		"leader without the listener, version 5": {ledBy2, inside, 5, described{
			metadata:   "LEADER_NOT_AVAILABLE leader=-1 epoch=-1 [1 2 3] [1 2 3] offline=[2 3]",
			partitions: "NONE leader=-1 epoch=1 [1 2 3] [1 2 3] elr=[] last=[] offline=[2 3]",
			brokers:    "1@9999 ",
		}},
		"version 0": {none, clients, 0, described{
			metadata:   "NONE leader=1 epoch=-1 [1 2 3] [1 2 3] offline=[]",
			partitions: "NONE leader=1 epoch=0 [1 2 3] [1 2 3] elr=[] last=[] offline=[]",
			brokers:    "1@9092 2@9093 3@9094 ",
		}},
		"version 0, not all": {func(c *cluster) { c.fence(3) }, clients, 0, described{
			metadata:   "REPLICA_NOT_AVAILABLE leader=1 epoch=-1 [1 2] [1 2] offline=[]",
			partitions: "NONE leader=1 epoch=0 [1 2 3] [1 2 3] elr=[] last=[] offline=[3]",
			brokers:    "1@9092 2@9093 ",
		}},
		"a follower is fenced": {func(c *cluster) {
			c.change("a", 0, func(x *command.PartitionChange) { x.ISR = []int32{1, 2} })
			c.fence(3)
		}, clients, 12, described{
			metadata:   "NONE leader=1 epoch=0 [1 2 3] [1 2] offline=[3]",
			partitions: "NONE leader=1 epoch=0 [1 2 3] [1 2] elr=[] last=[] offline=[3]",
			brokers:    "1@9092 2@9093 ",
		}},
		// Until somebody else is elected the leader is named.
		"the leader is fenced": {func(c *cluster) { c.fence(1) }, clients, 12, described{
			metadata:   "NONE leader=1 epoch=0 [1 2 3] [1 2 3] offline=[1]",
			partitions: "NONE leader=1 epoch=0 [1 2 3] [1 2 3] elr=[] last=[] offline=[1]",
			brokers:    "2@9093 3@9094 ",
		}},
		"nobody leads": {func(c *cluster) {
			c.fence(1)
			c.change("a", 0, func(x *command.PartitionChange) {
				x.Leader, x.ISR, x.ELR = metadata.NoLeader, []int32{}, []int32{1, 2}
			})
			c.fence(2)
			b, _ := c.Image().Broker(2)
			c.apply(&command.RegisterBroker{ID: 2, Incarnation: metadata.ID{99}, Endpoints: b.Endpoints, LostLog: true})
		}, clients, 12, described{
			metadata:   "LEADER_NOT_AVAILABLE leader=-1 epoch=1 [1 2 3] [] offline=[1 2]",
			partitions: "NONE leader=-1 epoch=1 [1 2 3] [] elr=[1] last=[2] offline=[1 2]",
			brokers:    "3@9094 ",
		}},
		"nobody leads, version 0": {func(c *cluster) {
			c.change("a", 0, func(x *command.PartitionChange) {
				x.Leader, x.ISR, x.ELR = metadata.NoLeader, []int32{}, []int32{1, 2}
			})
		}, clients, 0, described{
			metadata:   "LEADER_NOT_AVAILABLE leader=-1 epoch=-1 [1 2 3] [] offline=[]",
			partitions: "NONE leader=-1 epoch=1 [1 2 3] [] elr=[1 2] last=[] offline=[]",
			brokers:    "1@9092 2@9093 3@9094 ",
		}},
	} {
		t.Run(name, func(t *testing.T) {
			c := newCluster(t, 3)
			b, _ := c.Image().Broker(1)
			c.apply(&command.RegisterBroker{ID: 1, Incarnation: b.Incarnation, Endpoints: append(b.Endpoints[:2:2], command.Endpoint{Listener: inside, Host: "inside", Port: 9999})})
			c.topic("a", []int32{1, 2, 3})
			x.prepare(c)
			if got := describe(c, x.listener, x.version); got != x.want {
				t.Errorf("metadata    %s\nwant        %s\npartitions  %s\nwant        %s\nbrokers %s want %s",
					got.metadata, x.want.metadata, got.partitions, x.want.partitions, got.brokers, x.want.brokers)
			}
		})
	}
}

func ledBy2(c *cluster) { c.change("a", 0, func(x *command.PartitionChange) { x.Leader = 2 }) }

// TestClusterDescribed: fenced brokers are told of when that is asked for, from
// version 2 on; a broker without the client's listener is not.
func TestClusterDescribed(t *testing.T) {
	c := newCluster(t, 2)
	c.register(&command.RegisterBroker{ID: 3, Endpoints: []command.Endpoint{{Listener: "INSIDE", Host: "inside", Port: 1}}})
	c.register(&command.RegisterBroker{ID: 4, Rack: "r", Endpoints: []command.Endpoint{{Listener: clients, Host: "host", Port: 4}}})
	c.fence(2)
	c.fence(4)
	for _, x := range []struct {
		version int16
		fenced  bool
		want    string
	}{
		{0, false, "1@9092 "}, {1, false, "1@9092 "}, {2, false, "1@9092 "}, {2, true, "1@9092 2@9093 fenced 4@4 fenced r "},
	} {
		req := kmsg.NewPtrDescribeClusterRequest()
		req.IncludeFencedBrokers = x.fenced
		resp := ask[*kmsg.DescribeClusterResponse](c, x.version, req)
		got := ""
		for _, b := range resp.Brokers {
			got += fmt.Sprint(b.NodeID, "@", b.Port, " ")
			if b.IsFenced {
				got += "fenced "
			}
			if b.Rack != nil {
				got += *b.Rack + " "
			}
		}
		if got != x.want || resp.ControllerID != 1 || resp.ClusterID != "cluster" {
			t.Errorf("v%d: %s", x.version, got)
		}
	}
}
