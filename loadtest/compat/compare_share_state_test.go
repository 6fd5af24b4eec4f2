package compat

import (
	"encoding/base64"
	"fmt"

	"github.com/twmb/franz-go/pkg/kmsg"
)

var shareStateAllowed = []allowance{}

// compareShareState asks the coordinator of share partitions as a leader of theirs would, with every version of every call.
func compareShareState(s *side) {
	topic := s.topic("kept", 1)
	s.each(83, func(v int16) { compareShareStateLife(s, v, topic) })
	s.each(85, func(v int16) {
		if _, more := s.ranges[83]; more && v > s.latest(83) {
			compareShareStateLife(s, v, topic)
		}
	})
}

func compareShareStateLife(s *side, v int16, topic [16]byte) {
	group := fmt.Sprintf("kept-%d", v)
	find := kmsg.NewPtrFindCoordinatorRequest()
	find.CoordinatorType, find.CoordinatorKeys = 2, []string{fmt.Sprintf("%s:%s:0", group, uuidText(topic))}
	until(s, "share coordinator", find, s.latest(10), func(r *kmsg.FindCoordinatorResponse) bool {
		return len(r.Coordinators) == 1 && r.Coordinators[0].ErrorCode == 0
	})
	begin := func(epoch int32, start int64) *kmsg.InitializeShareGroupStateRequest {
		req := kmsg.NewPtrInitializeShareGroupStateRequest()
		req.GroupID = group
		t := kmsg.NewInitializeShareGroupStateRequestTopic()
		t.TopicID = topic
		p := kmsg.NewInitializeShareGroupStateRequestTopicPartition()
		p.StateEpoch, p.StartOffset = epoch, start
		t.Partitions = append(t.Partitions, p)
		req.Topics = append(req.Topics, t)
		return req
	}
	read := func(step string, leader int32) {
		req := kmsg.NewPtrReadShareGroupStateRequest()
		req.GroupID = group
		t := kmsg.NewReadShareGroupStateRequestTopic()
		t.TopicID = topic
		p := kmsg.NewReadShareGroupStateRequestTopicPartition()
		p.LeaderEpoch = leader
		t.Partitions = append(t.Partitions, p)
		req.Topics = append(req.Topics, t)
		s.call(group+": read "+step, req, s.clamp(84, v))
	}
	summary := func(step string) {
		req := kmsg.NewPtrReadShareGroupStateSummaryRequest()
		req.GroupID = group
		t := kmsg.NewReadShareGroupStateSummaryRequestTopic()
		t.TopicID = topic
		p := kmsg.NewReadShareGroupStateSummaryRequestTopicPartition()
		t.Partitions = append(t.Partitions, p)
		req.Topics = append(req.Topics, t)
		s.call(group+": summary "+step, req, s.clamp(87, v))
	}
	write := func(step string, epoch, leader int32, start int64, batches ...[3]int64) {
		req := kmsg.NewPtrWriteShareGroupStateRequest()
		req.GroupID = group
		t := kmsg.NewWriteShareGroupStateRequestTopic()
		t.TopicID = topic
		p := kmsg.NewWriteShareGroupStateRequestTopicPartition()
		p.StateEpoch, p.LeaderEpoch, p.StartOffset = epoch, leader, start
		for _, b := range batches {
			one := kmsg.NewWriteShareGroupStateRequestTopicPartitionStateBatch()
			one.FirstOffset, one.LastOffset, one.DeliveryState, one.DeliveryCount = b[0], b[1], int8(b[2]), 1
			p.StateBatches = append(p.StateBatches, one)
		}
		t.Partitions = append(t.Partitions, p)
		req.Topics = append(req.Topics, t)
		s.call(group+": write "+step, req, s.clamp(85, v))
	}
	read("before", 0)
	summary("before")
	write("before", 0, 0, 0)
	s.note(group+": begin", until(s, "share state", begin(1, 5), s.clamp(83, v), func(r *kmsg.InitializeShareGroupStateResponse) bool {
		return r.Topics[0].Partitions[0].ErrorCode == 0
	}))
	s.call(group+": begin earlier", begin(0, 5), s.clamp(83, v))
	read("begun", 0)
	summary("begun")
	write("two batches", 1, 0, 5, [3]int64{5, 9, 2}, [3]int64{10, 14, 0})
	write("of an earlier state", 0, 0, 5)
	read("of a new leader", 3)
	write("of the old leader", 1, 0, 6)
	write("of the new leader", 1, 3, 10, [3]int64{10, 11, 2})
	read("again", 3)
	read("of the old leader", 0)
	summary("then")
	remove := kmsg.NewPtrDeleteShareGroupStateRequest()
	remove.GroupID = group
	t := kmsg.NewDeleteShareGroupStateRequestTopic()
	t.TopicID = topic
	t.Partitions = append(t.Partitions, kmsg.NewDeleteShareGroupStateRequestTopicPartition())
	remove.Topics = append(remove.Topics, t)
	s.call(group+": delete", remove, s.clamp(86, v))
	s.call(group+": delete again", remove, s.clamp(86, v))
	read("gone", 3)
}

// uuidText is an id as Apache Kafka writes it.
func uuidText(id [16]byte) string { return base64.RawURLEncoding.EncodeToString(id[:]) }
