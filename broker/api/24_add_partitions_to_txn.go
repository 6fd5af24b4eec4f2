package api

import (
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// addBatched is the first version of AddPartitionsToTxn that is of many transactions, and for
// brokers only.
const addBatched = 4

// addPartitionsToTxn answers AddPartitionsToTxn. Partitions that a client names must exist: all or
// none are added. A broker has looked at its own.
func addPartitionsToTxn(c *Call) kmsg.Response {
	req := c.Request.(*kmsg.AddPartitionsToTxnRequest)
	if req.Version >= addBatched {
		return toTransactions(c)
	}
	resp := kmsg.NewPtrAddPartitionsToTxnResponse()
	failed := false
	image := c.API.Metadata.Image()
	for _, t := range req.Topics {
		topic, ok := image.Topic(t.Topic)
		rt := kmsg.NewAddPartitionsToTxnResponseTopic()
		rt.Topic = t.Topic
		for _, p := range t.Partitions {
			rp := kmsg.NewAddPartitionsToTxnResponseTopicPartition()
			rp.Partition, rp.ErrorCode = p, kerr.OperationNotAttempted.Code
			if !ok || p < 0 || p >= topic.Partitions {
				rp.ErrorCode, failed = kerr.UnknownTopicOrPartition.Code, true
			}
			rt.Partitions = append(rt.Partitions, rp)
		}
		resp.Topics = append(resp.Topics, rt)
	}
	if failed {
		return resp
	}
	return toTransactions(c)
}
