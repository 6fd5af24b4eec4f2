package compat

import (
	"fmt"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

var consumerAllowed = []allowance{
	allow(`(MemberEpoch|\.Epoch|AssignmentEpoch): kafka=[1-9]\d* tideline=[1-9]\d*$`, "the epochs of a group begin with 1, not 2, and an assignment is made at once"),
}

// compareConsumer takes groups of KIP-848 through their lives.
func compareConsumer(s *side) {
	topic := s.topic("consumer", 3)
	for v := s.clamp(68, 0); v <= s.latest(68); v++ {
		compareConsumerLife(s, v, topic)
	}
	compareMigration(s)
}

func beat(group, member string, epoch int32) *kmsg.ConsumerGroupHeartbeatRequest {
	req := kmsg.NewPtrConsumerGroupHeartbeatRequest()
	req.Group, req.MemberID, req.MemberEpoch = group, member, epoch
	return req
}

func first(group, member string) *kmsg.ConsumerGroupHeartbeatRequest {
	req := beat(group, member, 0)
	req.RebalanceTimeoutMillis, req.SubscribedTopicNames, req.Topics = 30000, []string{"consumer"}, []kmsg.ConsumerGroupHeartbeatRequestTopic{}
	return req
}

func compareConsumerLife(s *side, v int16, topic [16]byte) {
	group := fmt.Sprintf("consumer-%d", v)
	step := func(what string) string { return group + ": " + what }
	s.coordinator(0, group)
	describe := kmsg.NewPtrConsumerGroupDescribeRequest()
	describe.Groups, describe.IncludeAuthorizedOperations = []string{group, ""}, true
	look := func(what string) { s.call(step(what), describe, s.clamp(69, v)) }
	look("describe nothing")

	for _, refused := range []struct {
		what   string
		change func(r *kmsg.ConsumerGroupHeartbeatRequest)
	}{
		{"no group", func(r *kmsg.ConsumerGroupHeartbeatRequest) { r.Group = "" }},
		{"no member", func(r *kmsg.ConsumerGroupHeartbeatRequest) { r.MemberID, r.MemberEpoch = "", 3 }},
		{"an unknown member", func(r *kmsg.ConsumerGroupHeartbeatRequest) { r.MemberEpoch = 3 }},
		{"an impossible epoch", func(r *kmsg.ConsumerGroupHeartbeatRequest) { r.MemberEpoch = -3 }},
		{"no rebalance timeout", func(r *kmsg.ConsumerGroupHeartbeatRequest) { r.RebalanceTimeoutMillis = -1 }},
		{"no subscription", func(r *kmsg.ConsumerGroupHeartbeatRequest) { r.SubscribedTopicNames = nil }},
		{"partitions at once", func(r *kmsg.ConsumerGroupHeartbeatRequest) {
			r.Topics = []kmsg.ConsumerGroupHeartbeatRequestTopic{{TopicID: topic, Partitions: []int32{0}}}
		}},
		{"an unknown assignor", func(r *kmsg.ConsumerGroupHeartbeatRequest) { r.ServerAssignor = kmsg.StringPtr("mine") }},
		{"an empty instance", func(r *kmsg.ConsumerGroupHeartbeatRequest) { r.InstanceID = kmsg.StringPtr("") }},
		{"an empty rack", func(r *kmsg.ConsumerGroupHeartbeatRequest) { r.RackID = kmsg.StringPtr("") }},
		{"a leave of nobody", func(r *kmsg.ConsumerGroupHeartbeatRequest) { r.MemberEpoch = -1 }},
		{"a static leave of nobody", func(r *kmsg.ConsumerGroupHeartbeatRequest) { r.MemberEpoch = -2 }},
		{"a bad pattern", func(r *kmsg.ConsumerGroupHeartbeatRequest) { r.SubscribedTopicRegex = kmsg.StringPtr("a[") }},
	} {
		req := first(group, "Zm9yZ2V0dGFibGVNZW1iZQ")
		if refused.change(req); req.SubscribedTopicRegex != nil && v < 1 {
			continue
		}
		s.call(step("heartbeat with "+refused.what), req, v)
	}

	a := ""
	if v >= 1 {
		a = "YWFhYWFhYWFhYWFhYWFhYQ"
	}
	joining := first(group, a)
	joining.ServerAssignor, joining.RackID = kmsg.StringPtr("range"), kmsg.StringPtr("rack")
	joined := s.call(step("join"), joining, v).(*kmsg.ConsumerGroupHeartbeatResponse)
	if a == "" && joined.MemberID != nil {
		a = *joined.MemberID
	}
	look("describe one")
	s.only(step("list"), kmsg.NewPtrListGroupsRequest(), s.latest(16), group)
	owned := beat(group, a, joined.MemberEpoch)
	owned.Topics = []kmsg.ConsumerGroupHeartbeatRequestTopic{{TopicID: topic, Partitions: []int32{0, 1, 2}}}
	s.call(step("heartbeat with what it owns"), owned, v)
	s.call(step("heartbeat"), beat(group, a, joined.MemberEpoch), v)
	s.call(step("heartbeat of a later epoch"), beat(group, a, joined.MemberEpoch+1), v)

	commit := func(what, member string, epoch int32) {
		req := commitRequest(group, 9, [16]byte{}, "consumer", 0, 11)
		req.MemberID, req.Generation = member, epoch
		s.call(step("commit"+what), req, s.clamp(8, 9))
		s.call(step("commit of old"+what), req, s.clamp(8, 8))
	}
	commit("", a, joined.MemberEpoch)
	commit(" of a later epoch", a, joined.MemberEpoch+1)
	commit(" of an earlier epoch", a, joined.MemberEpoch-1)
	commit(" of nobody", "nobody", joined.MemberEpoch)
	commit(" of nobody at all", "", -1)
	fetch := func(what, member string, epoch int32) {
		req := kmsg.NewPtrOffsetFetchRequest()
		g := kmsg.NewOffsetFetchRequestGroup()
		g.Group, g.MemberID, g.MemberEpoch = group, kmsg.StringPtr(member), epoch
		t := kmsg.NewOffsetFetchRequestGroupTopic()
		t.Topic, t.Partitions = "consumer", []int32{0, 1}
		g.Topics = append(g.Topics, t)
		req.Groups = append(req.Groups, g)
		s.call(step("fetch offsets"+what), req, 9)
	}
	fetch("", a, joined.MemberEpoch)
	fetch(" of a later epoch", a, joined.MemberEpoch+1)
	fetch(" of nobody", "nobody", 1)

	// Before version 1 the broker makes up the ids of members, and in their order it assigns: nothing to compare with two of them.
	if v >= 1 {
		compareConsumerTwo(s, v, topic, group, a, joined)
	}
	s.call(step("leave"), beat(group, a, -1), v)
	s.call(step("leave again"), beat(group, a, -1), v)
	look("describe empty")
	s.only(step("list empty"), kmsg.NewPtrListGroupsRequest(), s.latest(16), group)
	s.call(step("delete"), deleteGroup(group), s.latest(42))
	look("describe deleted")
}

func deleteGroup(group string) *kmsg.DeleteGroupsRequest {
	remove := kmsg.NewPtrDeleteGroupsRequest()
	remove.Groups = []string{group}
	return remove
}

// compareConsumerTwo has a second member take a part, when the first has let go of it.
func compareConsumerTwo(s *side, v int16, topic [16]byte, group, a string, joined *kmsg.ConsumerGroupHeartbeatResponse) {
	step := func(what string) string { return group + ": " + what }
	describe := kmsg.NewPtrConsumerGroupDescribeRequest()
	describe.Groups = []string{group}
	look := func(what string) { s.call(step(what), describe, s.clamp(69, v)) }
	owned := beat(group, a, joined.MemberEpoch)
	b := "YmJiYmJiYmJiYmJiYmJiYg"
	second := s.call(step("join of the second"), first(group, b), v).(*kmsg.ConsumerGroupHeartbeatResponse)
	revoked := until(s, "revocation", beat(group, a, joined.MemberEpoch), v, func(r *kmsg.ConsumerGroupHeartbeatResponse) bool { return r.Assignment != nil || r.ErrorCode != 0 })
	s.note(step("revocation"), revoked)
	look("describe the revocation")
	if revoked.Assignment != nil {
		for _, t := range revoked.Assignment.Topics {
			owned.Topics = append(owned.Topics, kmsg.ConsumerGroupHeartbeatRequestTopic{TopicID: t.TopicID, Partitions: t.Partitions})
		}
	}
	next := s.call(step("revoked"), owned, v).(*kmsg.ConsumerGroupHeartbeatResponse)
	got := until(s, "assignment", beat(group, b, second.MemberEpoch), v, func(r *kmsg.ConsumerGroupHeartbeatResponse) bool {
		return r.ErrorCode != 0 || (r.Assignment != nil && len(r.Assignment.Topics) > 0)
	})
	s.note(step("assignment of the second"), got)
	look("describe two")

	s.call(step("heartbeat of an earlier epoch"), beat(group, a, next.MemberEpoch-1), v)

	// The classic protocol's calls on such a group.
	s.call(step("classic join"), join(group, "", "range"), s.latest(11))
	old := kmsg.NewPtrHeartbeatRequest()
	old.Group, old.MemberID, old.Generation = group, a, next.MemberEpoch
	s.call(step("classic heartbeat"), old, s.latest(12))
	leave := kmsg.NewPtrLeaveGroupRequest()
	leave.Group = group
	one := kmsg.NewLeaveGroupRequestMember()
	one.MemberID = "nobody"
	leave.Members = append(leave.Members, one)
	s.call(step("classic leave"), leave, s.latest(13))
	describeOld := kmsg.NewPtrDescribeGroupsRequest()
	describeOld.Groups = []string{group}
	s.call(step("classic describe"), describeOld, s.latest(15))
	s.call(step("delete with members"), deleteGroup(group), s.latest(42))
	deletion := kmsg.NewPtrOffsetDeleteRequest()
	deletion.Group = group
	t := kmsg.NewOffsetDeleteRequestTopic()
	t.Topic, t.Partitions = "consumer", []kmsg.OffsetDeleteRequestTopicPartition{{Partition: 0}}
	deletion.Topics = append(deletion.Topics, t)
	s.call(step("delete offsets"), deletion, 0)

	// A static member leaves for a while, and comes back under another id.
	static := first(group, "c3RhdGljc3RhdGljc3RhdA")
	static.InstanceID = kmsg.StringPtr("one")
	in := s.call(step("static join"), static, v).(*kmsg.ConsumerGroupHeartbeatResponse)
	static.MemberID = "b3RoZXJvdGhlcm90aGVybw"
	s.call(step("static join of another"), static, v)
	out := beat(group, "c3RhdGljc3RhdGljc3RhdA", -2)
	out.InstanceID = kmsg.StringPtr("one")
	s.call(step("static leave"), out, v)
	back := s.call(step("static return"), static, v).(*kmsg.ConsumerGroupHeartbeatResponse)
	stale := beat(group, "c3RhdGljc3RhdGljc3RhdA", in.MemberEpoch)
	stale.InstanceID = kmsg.StringPtr("one")
	s.call(step("static heartbeat of the first"), stale, v)
	stale.MemberID, stale.MemberEpoch, stale.InstanceID = static.MemberID, back.MemberEpoch, kmsg.StringPtr("two")
	s.call(step("static heartbeat of another instance"), stale, v)

	out.MemberID, out.MemberEpoch = static.MemberID, -1
	s.call(step("static leave for ever"), out, v)
	s.call(step("leave of the second"), beat(group, b, -1), v)
	s.call(step("delete offsets without a subscriber"), deletion, 0)

	pattern := first(group, "cGF0dGVybnBhdHRlcm5wYQ")
	pattern.SubscribedTopicNames, pattern.SubscribedTopicRegex = nil, kmsg.StringPtr("cons.m.r")
	// Kafka finds out which topics match after it has answered.
	joined = s.ask("main", pattern, v).(*kmsg.ConsumerGroupHeartbeatResponse)
	if joined.Assignment == nil || len(joined.Assignment.Topics) == 0 {
		joined = until(s, "pattern", beat(group, "cGF0dGVybnBhdHRlcm5wYQ", joined.MemberEpoch), v, func(r *kmsg.ConsumerGroupHeartbeatResponse) bool {
			return r.ErrorCode == kerr.FencedMemberEpoch.Code || (r.Assignment != nil && len(r.Assignment.Topics) > 0)
		})
	}
	s.note(step("assignment by pattern"), joined)
	look("describe the pattern")
	s.call(step("leave by pattern"), beat(group, "cGF0dGVybnBhdHRlcm5wYQ", -1), v)
}

// compareMigration: a classic group becomes one of KIP-848 while it has a member, and goes back.
func compareMigration(s *side) {
	const group = "migrated"
	s.coordinator(0, group)
	req := join(group, "", "range")
	req.Protocols[0].Metadata = subscription("consumer")
	old := s.joined("classic member", "main", req, s.latest(11))
	sync := kmsg.NewPtrSyncGroupRequest()
	sync.Group, sync.MemberID, sync.Generation = group, old.MemberID, old.Generation
	assignment := kmsg.NewConsumerMemberAssignment()
	assignment.Topics = []kmsg.ConsumerMemberAssignmentTopic{{Topic: "consumer", Partitions: []int32{0, 1, 2}}}
	sync.GroupAssignment = []kmsg.SyncGroupRequestGroupAssignment{{MemberID: old.MemberID, MemberAssignment: assignment.AppendTo(nil)}}
	s.call("classic sync", sync, s.clamp(14, 4))

	v := s.latest(68)
	joined := s.call("new member", first(group, "bWlncmF0ZW1pZ3JhdGVtaQ"), v).(*kmsg.ConsumerGroupHeartbeatResponse)
	s.only("list", kmsg.NewPtrListGroupsRequest(), s.latest(16), group)
	describe := kmsg.NewPtrConsumerGroupDescribeRequest()
	describe.Groups = []string{group}
	s.call("describe", describe, s.latest(69))
	tick := kmsg.NewPtrHeartbeatRequest()
	tick.Group, tick.MemberID, tick.Generation = group, old.MemberID, old.Generation
	s.note("classic heartbeat", until(s, "rebalance", tick, s.latest(12), func(r *kmsg.HeartbeatResponse) bool { return r.ErrorCode != 0 }))
	req.MemberID = old.MemberID
	again := s.call("classic member again", req, s.latest(11)).(*kmsg.JoinGroupResponse)
	sync.Generation, sync.GroupAssignment = again.Generation, nil
	s.call("classic sync again", sync, s.clamp(14, 4))
	leave := kmsg.NewPtrLeaveGroupRequest()
	leave.Group = group
	leave.Members = []kmsg.LeaveGroupRequestMember{{MemberID: old.MemberID}}
	s.call("heartbeat of the new member", beat(group, "bWlncmF0ZW1pZ3JhdGVtaQ", joined.MemberEpoch), v)
	s.call("new member leaves", beat(group, "bWlncmF0ZW1pZ3JhdGVtaQ", -1), v)
	s.only("list after the downgrade", kmsg.NewPtrListGroupsRequest(), s.latest(16), group)
	s.call("classic leave", leave, s.latest(13))
}
