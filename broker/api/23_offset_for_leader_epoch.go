package api

import (
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/tidelinehq/tideline/broker/partition"
)

// offsetForLeaderEpoch answers OffsetForLeaderEpoch (KIP-320): where an epoch
// ended, so that a consumer can see whether its position was truncated away.
func offsetForLeaderEpoch(c *Call) kmsg.Response {
	req := c.Request.(*kmsg.OffsetForLeaderEpochRequest)
	resp := kmsg.NewPtrOffsetForLeaderEpochResponse()
	for _, t := range req.Topics {
		rt := kmsg.NewOffsetForLeaderEpochResponseTopic()
		rt.Topic = t.Topic
		for _, p := range t.Partitions {
			rt.Partitions = append(rt.Partitions, c.API.epochEnd(t.Topic, p))
		}
		resp.Topics = append(resp.Topics, rt)
	}
	return resp
}

func (a *API) epochEnd(topic string, p kmsg.OffsetForLeaderEpochRequestTopicPartition) kmsg.OffsetForLeaderEpochResponseTopicPartition {
	rp := kmsg.NewOffsetForLeaderEpochResponseTopicPartition()
	rp.Partition = p.Partition
	rp.LeaderEpoch, rp.EndOffset = -1, -1
	led := a.Partitions.Get(topic, p.Partition)
	if !leads(led) {
		rp.ErrorCode = a.missing(topic, p.Partition)
		return rp
	}
	if err := led.CheckEpoch(p.CurrentLeaderEpoch); err != nil {
		rp.ErrorCode = errorCode(err)
		return rp
	}
	if p.LeaderEpoch < 0 {
		return rp
	}
	rp.LeaderEpoch, rp.EndOffset = led.EndOfEpoch(p.LeaderEpoch)
	return rp
}

// leads reports whether this broker leads a partition, nil being one that it does not have.
func leads(p *partition.Partition) bool { return p != nil && p.Leads() }

// missing says why this broker does not serve a partition: it does not exist, or
// another broker leads it.
func (a *API) missing(topic string, partition int32) int16 {
	image := a.Metadata.Image()
	if t, ok := image.Topic(topic); ok && partition >= 0 && partition < t.Partitions {
		return kerr.NotLeaderForPartition.Code
	}
	return kerr.UnknownTopicOrPartition.Code
}
