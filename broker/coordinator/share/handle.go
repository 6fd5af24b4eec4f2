package share

import (
	"slices"
	"sync"

	"github.com/tidelinehq/tideline/broker/coordinator"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// A request is about many share partitions, which are of many shards. Its response
// is filled in as they answer, and sent when the last has.

// countdown calls done when it was told n times, from any goroutines.
type countdown struct {
	mu   sync.Mutex
	left int
	done func()
}

// parts returns a countdown for as many partitions as n topics have; none is done at once.
func parts(n int, of func(i int) int, done func()) *countdown {
	c := &countdown{done: done}
	for i := range n {
		c.left += of(i)
	}
	if c.left == 0 {
		done()
	}
	return c
}

// call is one whose answer is put away by put.
func (c *countdown) call(put func(body any)) *coordinator.Call {
	return coordinator.NewCall(func(body any) {
		c.mu.Lock()
		put(body)
		c.left--
		last := c.left == 0
		c.mu.Unlock()
		if last {
			c.done()
		}
	})
}

func refuseAnswer(err error) any { return refusal(err) }
func refuseRead(err error) any   { return readAnswer{answer: refusal(err)} }

// Of a request without a group, or with one that is none, nothing is answered, as in
// Kafka: such requests are no broker's.

func (c *Coordinator) initialize(req *kmsg.InitializeShareGroupStateRequest, reply func(kmsg.Response)) {
	resp := kmsg.NewPtrInitializeShareGroupStateResponse()
	resp.Version = req.Version
	if !validGroup(req.GroupID) {
		reply(resp)
		return
	}
	resp.Topics = make([]kmsg.InitializeShareGroupStateResponseTopic, len(req.Topics))
	left := parts(len(req.Topics), func(i int) int { return len(req.Topics[i].Partitions) }, func() { reply(resp) })
	for i, t := range req.Topics {
		resp.Topics[i].TopicID = t.TopicID
		resp.Topics[i].Partitions = make([]kmsg.InitializeShareGroupStateResponseTopicPartition, len(t.Partitions))
		for j, p := range t.Partitions {
			rp := &resp.Topics[i].Partitions[j]
			rp.Partition = p.Partition
			call := left.call(func(body any) {
				a := body.(answer)
				rp.ErrorCode, rp.ErrorMessage = a.code, a.message
			})
			b := &initialize{request: c.about(req.GroupID, t.TopicID, p.Partition, call), stateEpoch: p.StateEpoch, start: p.StartOffset}
			c.submit(&b.request, coordinator.Exclusive, b, refuseAnswer)
		}
	}
}

func (c *Coordinator) write(req *kmsg.WriteShareGroupStateRequest, reply func(kmsg.Response)) {
	resp := kmsg.NewPtrWriteShareGroupStateResponse()
	resp.Version = req.Version
	if !validGroup(req.GroupID) {
		reply(resp)
		return
	}
	resp.Topics = make([]kmsg.WriteShareGroupStateResponseTopic, len(req.Topics))
	left := parts(len(req.Topics), func(i int) int { return len(req.Topics[i].Partitions) }, func() { reply(resp) })
	for i, t := range req.Topics {
		resp.Topics[i].TopicID = t.TopicID
		resp.Topics[i].Partitions = make([]kmsg.WriteShareGroupStateResponseTopicPartition, len(t.Partitions))
		for j, p := range t.Partitions {
			rp := &resp.Topics[i].Partitions[j]
			rp.Partition = p.Partition
			call := left.call(func(body any) {
				a := body.(answer)
				rp.ErrorCode, rp.ErrorMessage = a.code, a.message
			})
			b := &write{
				request:    c.about(req.GroupID, t.TopicID, p.Partition, call),
				stateEpoch: p.StateEpoch, leaderEpoch: p.LeaderEpoch, start: max(p.StartOffset, unchanged), complete: p.DeliveryCompleteCount,
			}
			if req.Version < 1 {
				b.complete = unknownComplete
			}
			for _, x := range p.StateBatches {
				b.batches = append(b.batches, StateBatch{First: x.FirstOffset, Last: x.LastOffset, State: x.DeliveryState, DeliveryCount: x.DeliveryCount})
			}
			c.submit(&b.request, coordinator.Exclusive, b, refuseAnswer)
		}
	}
}

func (c *Coordinator) read(req *kmsg.ReadShareGroupStateRequest, reply func(kmsg.Response)) {
	resp := kmsg.NewPtrReadShareGroupStateResponse()
	resp.Version = req.Version
	if !validGroup(req.GroupID) {
		reply(resp)
		return
	}
	resp.Topics = make([]kmsg.ReadShareGroupStateResponseTopic, len(req.Topics))
	left := parts(len(req.Topics), func(i int) int { return len(req.Topics[i].Partitions) }, func() { reply(resp) })
	for i, t := range req.Topics {
		resp.Topics[i].TopicID = t.TopicID
		resp.Topics[i].Partitions = make([]kmsg.ReadShareGroupStateResponseTopicPartition, len(t.Partitions))
		for j, p := range t.Partitions {
			rp := &resp.Topics[i].Partitions[j]
			rp.Partition = p.Partition
			call := left.call(func(body any) {
				a := body.(readAnswer)
				rp.ErrorCode, rp.ErrorMessage = a.code, a.message
				if a.state == nil {
					return
				}
				rp.StateEpoch, rp.StartOffset = a.state.stateEpoch, a.state.start
				for _, x := range a.state.batches {
					rp.StateBatches = append(rp.StateBatches, kmsg.ReadShareGroupStateResponseTopicPartitionStateBatch{
						FirstOffset: x.First, LastOffset: x.Last, DeliveryState: x.State, DeliveryCount: x.DeliveryCount,
					})
				}
			})
			b := &read{request: c.about(req.GroupID, t.TopicID, p.Partition, call), leaderEpoch: p.LeaderEpoch}
			c.submit(&b.request, coordinator.Exclusive, b, refuseRead)
		}
	}
}

func (c *Coordinator) remove(req *kmsg.DeleteShareGroupStateRequest, reply func(kmsg.Response)) {
	resp := kmsg.NewPtrDeleteShareGroupStateResponse()
	resp.Version = req.Version
	if !validGroup(req.GroupID) {
		reply(resp)
		return
	}
	resp.Topics = make([]kmsg.DeleteShareGroupStateResponseTopic, len(req.Topics))
	left := parts(len(req.Topics), func(i int) int { return len(req.Topics[i].Partitions) }, func() { reply(resp) })
	for i, t := range req.Topics {
		resp.Topics[i].TopicID = t.TopicID
		resp.Topics[i].Partitions = make([]kmsg.DeleteShareGroupStateResponseTopicPartition, len(t.Partitions))
		for j, p := range t.Partitions {
			rp := &resp.Topics[i].Partitions[j]
			rp.Partition = p.Partition
			call := left.call(func(body any) {
				a := body.(answer)
				rp.ErrorCode, rp.ErrorMessage = a.code, a.message
			})
			b := &remove{request: c.about(req.GroupID, t.TopicID, p.Partition, call)}
			c.submit(&b.request, coordinator.Exclusive, b, refuseAnswer)
		}
	}
}

func (c *Coordinator) summarize(req *kmsg.ReadShareGroupStateSummaryRequest, reply func(kmsg.Response)) {
	resp := kmsg.NewPtrReadShareGroupStateSummaryResponse()
	resp.Version = req.Version
	if !validGroup(req.GroupID) {
		reply(resp)
		return
	}
	resp.Topics = make([]kmsg.ReadShareGroupStateSummaryResponseTopic, len(req.Topics))
	left := parts(len(req.Topics), func(i int) int { return len(req.Topics[i].Partitions) }, func() { reply(resp) })
	for i, t := range req.Topics {
		resp.Topics[i].TopicID = t.TopicID
		resp.Topics[i].Partitions = slices.Repeat([]kmsg.ReadShareGroupStateSummaryResponseTopicPartition{kmsg.NewReadShareGroupStateSummaryResponseTopicPartition()}, len(t.Partitions))
		for j, p := range t.Partitions {
			rp := &resp.Topics[i].Partitions[j]
			rp.Partition = p.Partition
			call := left.call(func(body any) {
				a := body.(readAnswer)
				rp.ErrorCode, rp.ErrorMessage = a.code, a.message
				if s := a.state; s != nil {
					rp.StateEpoch, rp.LeaderEpoch, rp.StartOffset, rp.DeliveryCompleteCount = s.stateEpoch, s.leaderEpoch, s.start, s.complete
				}
			})
			b := &summary{c.about(req.GroupID, t.TopicID, p.Partition, call)}
			c.submit(&b.request, coordinator.Read, b, refuseRead)
		}
	}
}
