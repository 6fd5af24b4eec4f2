package share

import (
	"sync"

	"github.com/tidelinehq/tideline/broker/coordinator"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// A request is about many share partitions, which are of many shards. Its response
// is filled in as they answer, and sent when the last has.

// countdown calls done when all calls it gave out are answered, from any goroutines, and
// it was told that there are no more.
type countdown struct {
	mu   sync.Mutex
	left int // calls, and one for those to come
	done func()
}

func newCountdown(done func()) *countdown { return &countdown{left: 1, done: done} }

// call is one whose answer is put away by put.
func (c *countdown) call(put func(body any)) *coordinator.Call {
	c.mu.Lock()
	c.left++
	c.mu.Unlock()
	return coordinator.NewCall(func(body any) { c.down(func() { put(body) }) })
}

// asked says that there are no more calls.
func (c *countdown) asked() { c.down(func() {}) }

func (c *countdown) down(put func()) {
	c.mu.Lock()
	put()
	c.left--
	last := c.left == 0
	c.mu.Unlock()
	if last {
		c.done()
	}
}

// topicsOf are the topics of a request. Of one without a group, or with one that is none,
// nothing is answered, as in Kafka: such requests are no broker's.
func topicsOf[T any](group string, topics []T) []T {
	if !validGroup(group) {
		return nil
	}
	return topics
}

// ask has each partition of a topic asked for; to is where its answer goes.
func ask[P, A any](parts []P, each func(p *P, to *A)) []A {
	answers := make([]A, len(parts))
	for i := range parts {
		each(&parts[i], &answers[i])
	}
	return answers
}

func refuseAnswer(err error) any { return refusal(err) }
func refuseRead(err error) any   { return readAnswer{answer: refusal(err)} }

// change asks for a change of a share partition. Answered is only what came of it.
func (c *Coordinator) change(b asked, left *countdown, code *int16, message **string) {
	call := left.call(func(body any) {
		a := body.(answer)
		*code, *message = a.code, a.message
	})
	c.submit(b, coordinator.Exclusive, call, refuseAnswer)
}

// look asks for the state of a share partition, which put gets if there is one.
func (c *Coordinator) look(b asked, access coordinator.Access, left *countdown, code *int16, message **string, put func(*state)) {
	call := left.call(func(body any) {
		a := body.(readAnswer)
		*code, *message = a.code, a.message
		if a.state != nil {
			put(a.state)
		}
	})
	c.submit(b, access, call, refuseRead)
}

func (c *Coordinator) initialize(req *kmsg.InitializeShareGroupStateRequest, reply func(kmsg.Response)) {
	resp := kmsg.NewPtrInitializeShareGroupStateResponse()
	resp.Version = req.Version
	left := newCountdown(func() { reply(resp) })
	for _, t := range topicsOf(req.GroupID, req.Topics) {
		rt := kmsg.InitializeShareGroupStateResponseTopic{TopicID: t.TopicID}
		rt.Partitions = ask(t.Partitions, func(p *kmsg.InitializeShareGroupStateRequestTopicPartition, to *kmsg.InitializeShareGroupStateResponseTopicPartition) {
			to.Partition = p.Partition
			b := &initialize{request: c.about(req.GroupID, t.TopicID, p.Partition), stateEpoch: p.StateEpoch, start: p.StartOffset}
			c.change(b, left, &to.ErrorCode, &to.ErrorMessage)
		})
		resp.Topics = append(resp.Topics, rt)
	}
	left.asked()
}

func (c *Coordinator) write(req *kmsg.WriteShareGroupStateRequest, reply func(kmsg.Response)) {
	resp := kmsg.NewPtrWriteShareGroupStateResponse()
	resp.Version = req.Version
	left := newCountdown(func() { reply(resp) })
	for _, t := range topicsOf(req.GroupID, req.Topics) {
		rt := kmsg.WriteShareGroupStateResponseTopic{TopicID: t.TopicID}
		rt.Partitions = ask(t.Partitions, func(p *kmsg.WriteShareGroupStateRequestTopicPartition, to *kmsg.WriteShareGroupStateResponseTopicPartition) {
			to.Partition = p.Partition
			b := &write{
				request:    c.about(req.GroupID, t.TopicID, p.Partition),
				stateEpoch: p.StateEpoch, leaderEpoch: p.LeaderEpoch, start: max(p.StartOffset, unchanged), complete: p.DeliveryCompleteCount,
			}
			if req.Version < 1 {
				b.complete = unknownComplete
			}
			for _, x := range p.StateBatches {
				b.batches = append(b.batches, StateBatch{First: x.FirstOffset, Last: x.LastOffset, State: x.DeliveryState, DeliveryCount: x.DeliveryCount})
			}
			c.change(b, left, &to.ErrorCode, &to.ErrorMessage)
		})
		resp.Topics = append(resp.Topics, rt)
	}
	left.asked()
}

func (c *Coordinator) read(req *kmsg.ReadShareGroupStateRequest, reply func(kmsg.Response)) {
	resp := kmsg.NewPtrReadShareGroupStateResponse()
	resp.Version = req.Version
	left := newCountdown(func() { reply(resp) })
	for _, t := range topicsOf(req.GroupID, req.Topics) {
		rt := kmsg.ReadShareGroupStateResponseTopic{TopicID: t.TopicID}
		rt.Partitions = ask(t.Partitions, func(p *kmsg.ReadShareGroupStateRequestTopicPartition, to *kmsg.ReadShareGroupStateResponseTopicPartition) {
			to.Partition = p.Partition
			b := &read{request: c.about(req.GroupID, t.TopicID, p.Partition), leaderEpoch: p.LeaderEpoch}
			c.look(b, coordinator.Exclusive, left, &to.ErrorCode, &to.ErrorMessage, func(s *state) {
				to.StateEpoch, to.StartOffset = s.stateEpoch, s.start
				for _, x := range s.batches {
					to.StateBatches = append(to.StateBatches, kmsg.ReadShareGroupStateResponseTopicPartitionStateBatch{
						FirstOffset: x.First, LastOffset: x.Last, DeliveryState: x.State, DeliveryCount: x.DeliveryCount,
					})
				}
			})
		})
		resp.Topics = append(resp.Topics, rt)
	}
	left.asked()
}

func (c *Coordinator) remove(req *kmsg.DeleteShareGroupStateRequest, reply func(kmsg.Response)) {
	resp := kmsg.NewPtrDeleteShareGroupStateResponse()
	resp.Version = req.Version
	left := newCountdown(func() { reply(resp) })
	for _, t := range topicsOf(req.GroupID, req.Topics) {
		rt := kmsg.DeleteShareGroupStateResponseTopic{TopicID: t.TopicID}
		rt.Partitions = ask(t.Partitions, func(p *kmsg.DeleteShareGroupStateRequestTopicPartition, to *kmsg.DeleteShareGroupStateResponseTopicPartition) {
			to.Partition = p.Partition
			c.change(&remove{c.about(req.GroupID, t.TopicID, p.Partition)}, left, &to.ErrorCode, &to.ErrorMessage)
		})
		resp.Topics = append(resp.Topics, rt)
	}
	left.asked()
}

func (c *Coordinator) summarize(req *kmsg.ReadShareGroupStateSummaryRequest, reply func(kmsg.Response)) {
	resp := kmsg.NewPtrReadShareGroupStateSummaryResponse()
	resp.Version = req.Version
	left := newCountdown(func() { reply(resp) })
	for _, t := range topicsOf(req.GroupID, req.Topics) {
		rt := kmsg.ReadShareGroupStateSummaryResponseTopic{TopicID: t.TopicID}
		rt.Partitions = ask(t.Partitions, func(p *kmsg.ReadShareGroupStateSummaryRequestTopicPartition, to *kmsg.ReadShareGroupStateSummaryResponseTopicPartition) {
			*to = kmsg.NewReadShareGroupStateSummaryResponseTopicPartition()
			to.Partition = p.Partition
			b := &summary{c.about(req.GroupID, t.TopicID, p.Partition)}
			c.look(b, coordinator.Read, left, &to.ErrorCode, &to.ErrorMessage, func(s *state) {
				to.StateEpoch, to.LeaderEpoch, to.StartOffset, to.DeliveryCompleteCount = s.stateEpoch, s.leaderEpoch, s.start, s.complete
			})
		})
		resp.Topics = append(resp.Topics, rt)
	}
	left.asked()
}
