package api

import (
	"cmp"
	"slices"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/tidelinehq/tideline/broker/partition"
)

// describeProducers answers DescribeProducers: who writes to a partition, and which transactions are open
// on it. Any replica answers.
func describeProducers(c *Call) kmsg.Response {
	req := c.Request.(*kmsg.DescribeProducersRequest)
	resp := kmsg.NewPtrDescribeProducersResponse()
	resp.Topics = make([]kmsg.DescribeProducersResponseTopic, len(req.Topics))
	for i := range req.Topics {
		t, rt := &req.Topics[i], &resp.Topics[i]
		rt.Topic, rt.Partitions = t.Topic, make([]kmsg.DescribeProducersResponseTopicPartition, len(t.Partitions))
		for j, index := range t.Partitions {
			rp := &rt.Partitions[j]
			rp.Partition = index
			p := c.API.Partitions.Get(t.Topic, index)
			if p == nil {
				rp.ErrorCode = c.API.missing(t.Topic, index)
				rp.ErrorMessage = message(kerr.ErrorForCode(rp.ErrorCode))
				continue
			}
			rp.ActiveProducers = activeProducers(p)
		}
	}
	return resp
}

func activeProducers(p *partition.Partition) []kmsg.DescribeProducersResponseTopicPartitionActiveProducer {
	states := p.Producers()
	slices.SortFunc(states, func(a, b partition.ProducerState) int { return cmp.Compare(a.ID, b.ID) })
	out := make([]kmsg.DescribeProducersResponseTopicPartitionActiveProducer, len(states))
	for i, s := range states {
		out[i] = kmsg.DescribeProducersResponseTopicPartitionActiveProducer{
			ProducerID: s.ID, ProducerEpoch: int32(s.Epoch), LastSequence: s.LastSequence, LastTimestamp: s.LastTimestamp,
			CoordinatorEpoch: s.CoordinatorEpoch, CurrentTxnStartOffset: s.TxnStart,
		}
	}
	return out
}
