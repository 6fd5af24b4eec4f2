package api

import (
	"slices"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/tidelinehq/tideline/broker/security/acl"
	"github.com/tidelinehq/tideline/metadata"
)

// describeTopicPartitions answers DescribeTopicPartitions (KIP-966): topics in
// name order, page by page.
func describeTopicPartitions(c *Call) kmsg.Response {
	req := c.Request.(*kmsg.DescribeTopicPartitionsRequest)
	resp := kmsg.NewPtrDescribeTopicPartitionsResponse()
	image := c.API.Metadata.Image()
	from, fromPartition := "", int32(0)
	if req.Cursor != nil {
		from, fromPartition = req.Cursor.Topic, req.Cursor.Partition
		if fromPartition < 0 || len(req.Topics) > 0 && !slices.ContainsFunc(req.Topics, func(t kmsg.DescribeTopicPartitionsRequestTopic) bool { return t.Topic == from }) {
			return describeTopicPartitionsError(req, kerr.InvalidRequest.Code)
		}
	}
	names := make([]string, 0, len(req.Topics))
	for _, t := range req.Topics {
		names = append(names, t.Topic)
	}
	all := len(req.Topics) == 0
	if all {
		for t := range image.TopicsFrom(from) {
			names = append(names, t.Name)
		}
	}
	slices.Sort(names)
	names = slices.Compact(names)
	room := max(min(c.API.Config.MaxDescribedPartitions, req.ResponsePartitionLimit), 1)
	for _, name := range names {
		if name < from || all && !c.sees(acl.Describe, acl.Topic, name) {
			continue
		}
		first := int32(0)
		if name == from {
			first = fromPartition
		}
		if room == 0 {
			resp.NextCursor = nextCursor(name, first)
			return resp
		}
		rt, next := describePartitionsOf(image, name, c.Listener, first, room)
		resp.Topics = append(resp.Topics, rt)
		room -= int32(len(rt.Partitions))
		if next >= 0 {
			resp.NextCursor = nextCursor(name, next)
			return resp
		}
	}
	return resp
}

func nextCursor(topic string, partition int32) *kmsg.DescribeTopicPartitionsResponseNextCursor {
	n := kmsg.NewDescribeTopicPartitionsResponseNextCursor()
	n.Topic, n.Partition = topic, partition
	return &n
}

func describeTopicPartitionsError(req *kmsg.DescribeTopicPartitionsRequest, code int16) *kmsg.DescribeTopicPartitionsResponse {
	resp := kmsg.NewPtrDescribeTopicPartitionsResponse()
	for _, t := range req.Topics {
		rt := kmsg.NewDescribeTopicPartitionsResponseTopic()
		name := t.Topic
		rt.Topic, rt.ErrorCode, rt.AuthorizedOperations = &name, code, noOperations
		resp.Topics = append(resp.Topics, rt)
	}
	return resp
}

// describePartitionsOf describes at most room partitions of a topic; next is the
// first that did not fit, or -1.
func describePartitionsOf(image *metadata.Image, name, listener string, first, room int32) (rt kmsg.DescribeTopicPartitionsResponseTopic, next int32) {
	rt = kmsg.NewDescribeTopicPartitionsResponseTopic()
	rt.Topic, rt.AuthorizedOperations = &name, noOperations
	t, ok := image.Topic(name)
	if !ok {
		rt.ErrorCode = kerr.UnknownTopicOrPartition.Code
		if !validTopicName(name) {
			rt.ErrorCode = kerr.InvalidTopicException.Code
		}
		return rt, -1
	}
	rt.TopicID, rt.IsInternal = t.ID, isInternal(name)
	for i := first; i < t.Partitions; i++ {
		if i-first == room {
			return rt, i
		}
		p, ok := image.PartitionOf(t, i)
		if !ok {
			continue
		}
		rp := kmsg.NewDescribeTopicPartitionsResponseTopicPartition()
		rp.Partition, rp.LeaderID, rp.LeaderEpoch = p.Index, p.Leader, p.LeaderEpoch
		rp.Replicas, rp.ISR, rp.OfflineReplicas = p.Replicas, p.ISR, offline(image, p, listener)
		// Null would mean that nothing is known of them.
		rp.EligibleLeaderReplicas, rp.LastKnownELR = append([]int32{}, p.ELR...), append([]int32{}, p.LastKnownELR...)
		if leaderError(image, p, listener, 0) != nil {
			rp.LeaderID = metadata.NoLeader // which says it: Kafka has no error code here
		}
		rt.Partitions = append(rt.Partitions, rp)
	}
	return rt, -1
}
