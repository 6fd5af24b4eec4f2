package api

import (
	"net"
	"strconv"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// metadataTopic is the name under which Kafka's tools know the log of the
// metadata. It is no topic here.
const metadataTopic = "__cluster_metadata"

// controllerListener is the name that a broker's internal port has towards Kafka's
// tools. The Java client takes none that is not upper case.
const controllerListener = "CONTROLLER"

// describeQuorum answers DescribeQuorum (KIP-595, KIP-836, KIP-853).
func describeQuorum(c *Call) kmsg.Response {
	group, err := c.API.quorum().Group(c.Context)
	return quorumDescribed(c, &group, err)
}

// refuseQuorum answers it when the leader can not be asked.
func refuseQuorum(c *Call, err error) kmsg.Response { return quorumDescribed(c, &nobody, err) }

func quorumDescribed(c *Call, group *QuorumGroup, err error) kmsg.Response {
	req := c.Request.(*kmsg.DescribeQuorumRequest)
	resp := kmsg.NewPtrDescribeQuorumResponse()
	if len(req.Topics) != 1 || req.Topics[0].Topic != metadataTopic || len(req.Topics[0].Partitions) != 1 || req.Topics[0].Partitions[0].Partition != 0 {
		unknownQuorum(resp, req)
		return resp
	}
	rt, rp := kmsg.NewDescribeQuorumResponseTopic(), kmsg.NewDescribeQuorumResponseTopicPartition()
	rt.Topic = metadataTopic
	rp.ErrorCode, rp.ErrorMessage = errorCode(err), message(err)
	rp.LeaderID, rp.LeaderEpoch, rp.HighWatermark = group.Leader, group.Epoch, group.HighWatermark
	rp.CurrentVoters, rp.Observers = replicaStates(group.Voters), replicaStates(group.Observers)
	rt.Partitions = append(rt.Partitions, rp)
	resp.Topics = append(resp.Topics, rt)
	for i := range group.Voters {
		resp.Nodes = append(resp.Nodes, quorumNode(&group.Voters[i]))
	}
	return resp
}

// unknownQuorum answers a request that is not about the log of the metadata.
func unknownQuorum(resp *kmsg.DescribeQuorumResponse, req *kmsg.DescribeQuorumRequest) {
	for i := range req.Topics {
		rt := kmsg.NewDescribeQuorumResponseTopic()
		rt.Topic = req.Topics[i].Topic
		for _, p := range req.Topics[i].Partitions {
			rp := kmsg.NewDescribeQuorumResponseTopicPartition()
			rp.Partition, rp.ErrorCode = p.Partition, kerr.UnknownTopicOrPartition.Code
			rt.Partitions = append(rt.Partitions, rp)
		}
		resp.Topics = append(resp.Topics, rt)
	}
}

func replicaStates(members []QuorumMember) []kmsg.DescribeQuorumResponseTopicPartitionReplicaState {
	out := make([]kmsg.DescribeQuorumResponseTopicPartitionReplicaState, 0, len(members))
	for i := range members {
		m := &members[i]
		s := kmsg.NewDescribeQuorumResponseTopicPartitionReplicaState()
		s.ReplicaID, s.LogEndOffset, s.LastFetchTimestamp, s.LastCaughtUpTimestamp = m.ID, m.LogEnd, m.LastFetch, m.LastCaughtUp
		out = append(out, s)
	}
	return out
}

// quorumNode says where a voter is reached. An address that is none is left out.
func quorumNode(m *QuorumMember) kmsg.DescribeQuorumResponseNode {
	n := kmsg.NewDescribeQuorumResponseNode()
	n.NodeID = m.ID
	host, port, err := net.SplitHostPort(m.Address)
	if err != nil {
		return n
	}
	number, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		return n
	}
	l := kmsg.NewDescribeQuorumResponseNodeListener()
	l.Name, l.Host, l.Port = controllerListener, host, uint16(number)
	n.Listeners = append(n.Listeners, l)
	return n
}
