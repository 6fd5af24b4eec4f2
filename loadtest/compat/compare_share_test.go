package compat

import (
	"fmt"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

var shareAllowed = []allowance{
	allow(`(MemberEpoch|GroupEpoch|AssignmentEpoch): kafka=[1-9]\d* tideline=[1-9]\d*$`, "the epochs of a group begin with 1, not 2"),
	allow(`\.CurrentLeader\.Leader(ID|Epoch): kafka=0 tideline=-1$`, "no leader is told of where the partition has not moved, and none is -1"),
	allow(`\.AcquisitionLockTimeoutMillis: kafka=0 tideline=30000$`, "the time of a lock is told with errors, too"),
	allow(`DescribeShareGroupOffsets v\d: .*\.ErrorCode: kafka=NONE tideline=UNKNOWN_TOPIC_OR_PARTITION$`, "a topic that is not there is told as such"),
	allow(`offsets of no group way 1 DescribeShareGroupOffsets v\d: .*\.ErrorCode: kafka=NONE tideline=GROUP_ID_NOT_FOUND$`, "a group that is not there is told as such"),
	allow(`offsets before way \d DescribeShareGroupOffsets v\d: .*\.(StartOffset|Lag): kafka=-1 tideline=\d+$`, "where a group begins is kept when it begins"),
}

// compareShare takes share groups (KIP-932) through their lives.
func compareShare(s *side) {
	topic := s.topic("share", 1)
	for v := s.clamp(78, 1); v <= s.latest(78); v++ {
		compareShareLife(s, v, topic)
	}
}

func shareBeat(group, member string, epoch int32) *kmsg.ShareGroupHeartbeatRequest {
	req := kmsg.NewPtrShareGroupHeartbeatRequest()
	req.GroupID, req.MemberID, req.MemberEpoch = group, member, epoch
	if epoch == 0 {
		req.SubscribedTopicNames = []string{"share"}
	}
	return req
}

func compareShareLife(s *side, v int16, topic [16]byte) {
	group, member := fmt.Sprintf("share-%d", v), "c2hhcmVzaGFyZXNoYXJlcw"
	step := func(what string) string { return group + ": " + what }
	s.coordinator(0, group)
	describe := kmsg.NewPtrShareGroupDescribeRequest()
	describe.GroupIDs, describe.IncludeAuthorizedOperations = []string{group, ""}, true
	hv := s.latest(76)
	look := func(what string) { s.call(step(what), describe, s.latest(77)) }
	look("describe nothing")
	for _, refused := range []struct {
		what   string
		change func(r *kmsg.ShareGroupHeartbeatRequest)
	}{
		{"no group", func(r *kmsg.ShareGroupHeartbeatRequest) { r.GroupID = "" }},
		{"no member", func(r *kmsg.ShareGroupHeartbeatRequest) { r.MemberID = "" }},
		{"an unknown member", func(r *kmsg.ShareGroupHeartbeatRequest) { r.MemberEpoch = 3 }},
		{"an impossible epoch", func(r *kmsg.ShareGroupHeartbeatRequest) { r.MemberEpoch = -2 }},
		{"no subscription", func(r *kmsg.ShareGroupHeartbeatRequest) { r.SubscribedTopicNames = nil }},
		{"an empty subscription", func(r *kmsg.ShareGroupHeartbeatRequest) { r.SubscribedTopicNames = []string{} }},
		{"an empty rack", func(r *kmsg.ShareGroupHeartbeatRequest) { r.RackID = kmsg.StringPtr("") }},
		{"a leave of nobody", func(r *kmsg.ShareGroupHeartbeatRequest) { r.MemberEpoch = -1 }},
	} {
		req := shareBeat(group, member, 0)
		refused.change(req)
		s.call(step("heartbeat with "+refused.what), req, hv)
	}
	joined := s.call(step("join"), shareBeat(group, member, 0), hv).(*kmsg.ShareGroupHeartbeatResponse)
	assigned := joined
	if joined.Assignment == nil || len(joined.Assignment.TopicPartitions) == 0 {
		assigned = until(s, "assignment", shareBeat(group, member, joined.MemberEpoch), hv, func(r *kmsg.ShareGroupHeartbeatResponse) bool {
			return r.ErrorCode != 0 || (r.Assignment != nil && len(r.Assignment.TopicPartitions) > 0)
		})
	}
	s.note(step("assigned"), assigned)
	s.call(step("heartbeat"), shareBeat(group, member, assigned.MemberEpoch), hv)
	s.call(step("heartbeat of a later epoch"), shareBeat(group, member, assigned.MemberEpoch+5), hv)
	look("describe one")
	s.only(step("list"), kmsg.NewPtrListGroupsRequest(), s.latest(16), group)
	s.call(step("classic join"), join(group, "", "range"), s.latest(11))

	fetch := func(epoch int32) *kmsg.ShareFetchRequest {
		req := kmsg.NewPtrShareFetchRequest()
		req.GroupID, req.MemberID, req.ShareSessionEpoch = &group, &member, epoch
		req.MaxWaitMillis, req.MinBytes, req.MaxBytes, req.MaxRecords, req.BatchSize = 500, 1, 1<<20, 100, 100
		return req
	}
	partition := func(acks ...kmsg.ShareFetchRequestTopicPartitionAcknowledgementBatch) []kmsg.ShareFetchRequestTopic {
		p := kmsg.NewShareFetchRequestTopicPartition()
		p.PartitionMaxBytes, p.AcknowledgementBatches = 1<<20, acks
		return []kmsg.ShareFetchRequestTopic{{TopicID: topic, Partitions: []kmsg.ShareFetchRequestTopicPartition{p}}}
	}
	req := fetch(3)
	s.call(step("fetch without a session"), req, v)
	req = fetch(-1)
	s.call(step("fetch to end no session"), req, v)
	req = fetch(0)
	req.Topics = partition(kmsg.ShareFetchRequestTopicPartitionAcknowledgementBatch{FirstOffset: 0, LastOffset: 0, AcknowledgeTypes: []int8{1}})
	s.call(step("fetch with early acknowledgements"), req, v)
	req = fetch(0)
	req.Topics = partition()
	// The group begins at the end, as share.auto.offset.reset says; it has to be there before records come.
	s.note(step("fetch nothing"), until(s, "first fetch", req, v, func(r *kmsg.ShareFetchResponse) bool {
		return r.ErrorCode == 0 && len(r.Topics) > 0 || r.ErrorCode != 0
	}))
	s.offsetsOf(step("offsets before"), group, topic)
	writeShare(s, 6)
	epoch := int32(1)
	// The base of what this version's group sees; groups of earlier versions had the same topic.
	var base int64 = -1
	got := until(s, "records", fetchNext(fetch, &epoch), v, func(r *kmsg.ShareFetchResponse) bool {
		if r.ErrorCode != 0 {
			return true
		}
		epoch++
		for _, t := range r.Topics {
			for _, p := range t.Partitions {
				if len(p.AcquiredRecords) > 0 {
					base = p.AcquiredRecords[0].FirstOffset
					return true
				}
			}
		}
		return false
	})
	s.note(step("fetch"), got)
	if base < 0 {
		return
	}
	ack := func(what string, epoch int32, from, to int64, types ...int8) {
		req := kmsg.NewPtrShareAcknowledgeRequest()
		req.GroupID, req.MemberID, req.ShareSessionEpoch = &group, &member, epoch
		p := kmsg.NewShareAcknowledgeRequestTopicPartition()
		p.AcknowledgementBatches = []kmsg.ShareAcknowledgeRequestTopicPartitionAcknowledgementBatch{{FirstOffset: base + from, LastOffset: base + to, AcknowledgeTypes: types}}
		req.Topics = []kmsg.ShareAcknowledgeRequestTopic{{TopicID: topic, Partitions: []kmsg.ShareAcknowledgeRequestTopicPartition{p}}}
		s.call(step("acknowledge "+what), req, s.clamp(79, v))
	}
	next := func() int32 { epoch++; return epoch - 1 }
	ack("of another session", epoch+7, 0, 0, 1)
	ack("accept", next(), 0, 1, 1)
	ack("accept again", next(), 0, 1, 1)
	ack("release", next(), 2, 2, 2)
	ack("reject", next(), 3, 3, 3)
	ack("gap", next(), 4, 4, 0)
	ack("an unknown type", next(), 5, 5, 9)
	ack("what was not acquired", next(), 50, 51, 1)
	s.offsetsOf(step("offsets"), group, topic)
	again := until(s, "released", fetchNext(fetch, &epoch), v, func(r *kmsg.ShareFetchResponse) bool {
		if r.ErrorCode != 0 {
			return true
		}
		epoch++
		for _, t := range r.Topics {
			for _, p := range t.Partitions {
				if len(p.AcquiredRecords) > 0 {
					return true
				}
			}
		}
		return false
	})
	s.note(step("fetch what was released"), again)
	ack("to the end", next(), 2, 2, 1)
	ack("the last", next(), 5, 5, 1)
	last := fetch(-1)
	s.call(step("end of the session"), last, v)

	alter := func(what string) {
		req := kmsg.NewPtrAlterShareGroupOffsetsRequest()
		req.GroupID = group
		for _, name := range []string{"share", "missing"} {
			t := kmsg.NewAlterShareGroupOffsetsRequestTopic()
			t.Topic = name
			for _, p := range []int32{0, 9} {
				t.Partitions = append(t.Partitions, kmsg.AlterShareGroupOffsetsRequestTopicPartition{Partition: p, StartOffset: 1})
			}
			req.Topics = append(req.Topics, t)
		}
		s.call(step("alter offsets "+what), req, 0)
	}
	remove := func(what string) {
		req := kmsg.NewPtrDeleteShareGroupOffsetsRequest()
		req.GroupID = group
		for _, name := range []string{"share", "missing"} {
			req.Topics = append(req.Topics, kmsg.DeleteShareGroupOffsetsRequestTopic{Topic: name})
		}
		s.call(step("delete offsets "+what), req, 0)
	}
	alter("with members")
	remove("with members")
	deletion := kmsg.NewPtrDeleteGroupsRequest()
	deletion.Groups = []string{group}
	s.call(step("delete with members"), deletion, s.latest(42))
	s.call(step("leave"), shareBeat(group, member, -1), hv)
	look("describe empty")
	alter("of the empty group")
	s.offsetsOf(step("offsets altered"), group, topic)
	remove("of the empty group")
	s.offsetsOf(step("offsets deleted"), group, topic)
	s.call(step("delete"), deletion, s.latest(42))
	look("describe deleted")
	s.offsetsOf(step("offsets of no group"), group, topic)
}

// fetchNext is a request whose epoch is the next one whenever it is sent.
func fetchNext(fetch func(int32) *kmsg.ShareFetchRequest, epoch *int32) kmsg.Request {
	return &nextFetch{fetch(*epoch), epoch}
}

type nextFetch struct {
	*kmsg.ShareFetchRequest
	epoch *int32
}

func (n *nextFetch) AppendTo(b []byte) []byte {
	n.ShareSessionEpoch = *n.epoch
	return n.ShareFetchRequest.AppendTo(b)
}

// offsetsOf notes where a share group stands.
func (s *side) offsetsOf(step, group string, topic [16]byte) {
	for v := s.clamp(90, 0); v <= s.latest(90); v++ {
		req := kmsg.NewPtrDescribeShareGroupOffsetsRequest()
		g := kmsg.NewDescribeShareGroupOffsetsRequestGroup()
		g.GroupID = group
		for _, name := range []string{"share", "missing"} {
			t := kmsg.NewDescribeShareGroupOffsetsRequestGroupTopic()
			t.Topic, t.Partitions = name, []int32{0}
			g.Topics = append(g.Topics, t)
		}
		all := kmsg.NewDescribeShareGroupOffsetsRequestGroup()
		all.GroupID, all.Topics = group, nil
		for i, one := range []kmsg.DescribeShareGroupOffsetsRequestGroup{g, all} {
			req.Groups = []kmsg.DescribeShareGroupOffsetsRequestGroup{one}
			s.call(fmt.Sprintf("%s way %d", step, i), req, v)
		}
	}
}

func writeShare(s *side, n int) {
	s.t.Helper()
	c := newClient(s.t, s.addr)
	var records []*kgo.Record
	for i := range n {
		records = append(records, &kgo.Record{Topic: "share", Value: fmt.Appendf(nil, "job %d", i)})
	}
	if err := c.ProduceSync(s.t.Context(), records...).FirstErr(); err != nil {
		s.t.Fatal(err)
	}
}
