package compat

import (
	"fmt"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

var classicAllowed []allowance

// compareClassic takes a group through its life with every version of every call.
func compareClassic(s *side) {
	id := s.topic("classic", 2)
	s.coordinator(0, "classic")
	for v := range s.latest(10) + 1 {
		compareFind(s, v)
	}
	for v := range int16(11) {
		compareLife(s, v, id)
	}
}

func compareFind(s *side, v int16) {
	for kind := range int8(4) {
		for _, key := range []string{"classic", ""} {
			find := kmsg.NewPtrFindCoordinatorRequest()
			find.CoordinatorType = kind
			if kind > 0 && v == 0 {
				continue
			}
			if find.CoordinatorKey = key; v >= 4 {
				find.CoordinatorKeys = []string{key}
			}
			if kind == 1 || kind == 2 {
				continue // it makes an internal topic, which the scenarios of transactions and share groups wait for
			}
			s.call(fmt.Sprintf("find type %d key %q", kind, key), find, v)
		}
	}
}

func join(group, member string, protocols ...string) *kmsg.JoinGroupRequest {
	req := kmsg.NewPtrJoinGroupRequest()
	req.Group, req.MemberID, req.ProtocolType = group, member, "consumer"
	req.SessionTimeoutMillis, req.RebalanceTimeoutMillis = 30000, 30000
	for _, name := range protocols {
		p := kmsg.NewJoinGroupRequestProtocol()
		p.Name, p.Metadata = name, subscription("classic")
		req.Protocols = append(req.Protocols, p)
	}
	return req
}

// subscription is what a consumer tells of itself.
func subscription(topics ...string) []byte {
	meta := kmsg.NewConsumerMemberMetadata()
	meta.Version, meta.Topics = 1, topics
	return meta.AppendTo(nil)
}

// joined joins a group as one who does not know its id yet.
func (s *side) joined(step, conn string, req *kmsg.JoinGroupRequest, v int16) *kmsg.JoinGroupResponse {
	s.t.Helper()
	resp := s.ask(conn, req, v).(*kmsg.JoinGroupResponse)
	s.note(step, resp)
	if resp.ErrorCode == kerr.MemberIDRequired.Code {
		req.MemberID = resp.MemberID
		resp = s.ask(conn, req, v).(*kmsg.JoinGroupResponse)
		s.note(step+" again", resp)
	}
	return resp
}

func compareLife(s *side, v int16, topic [16]byte) {
	group := fmt.Sprintf("life-%d", v)
	at := func(key int16) int16 { return s.clamp(key, v) }
	step := func(what string) string { return fmt.Sprintf("%s: %s", group, what) }
	s.coordinator(0, group)

	describe := kmsg.NewPtrDescribeGroupsRequest()
	describe.Groups, describe.IncludeAuthorizedOperations = []string{group}, true
	s.call(step("describe nothing"), describe, at(15))
	offsets := func(step string) { compareOffsets(s, step, group, v, topic) }
	offsets(step("no group"))

	// Joins that are refused.
	for _, refused := range []struct {
		what   string
		change func(r *kmsg.JoinGroupRequest)
	}{
		{"no group id", func(r *kmsg.JoinGroupRequest) { r.Group = "" }},
		{"no time", func(r *kmsg.JoinGroupRequest) { r.SessionTimeoutMillis = 1 }},
		{"too much time", func(r *kmsg.JoinGroupRequest) { r.SessionTimeoutMillis = 1 << 30 }},
		{"unknown member", func(r *kmsg.JoinGroupRequest) { r.MemberID = "nobody" }},
		{"no protocols", func(r *kmsg.JoinGroupRequest) { r.Protocols = nil }},
		{"no protocol type", func(r *kmsg.JoinGroupRequest) { r.ProtocolType = "" }},
	} {
		req := join(group, "", "range")
		refused.change(req)
		s.call(step("join with "+refused.what), req, at(11))
	}

	joined := s.joined(step("join"), "main", join(group, "", "range", "roundrobin"), at(11))
	member, generation := joined.MemberID, joined.Generation
	other := join(group, "", "sticky")
	s.call(step("join with another protocol"), other, at(11))
	other = join(group, "", "range")
	other.ProtocolType = "connect"
	s.call(step("join with another type"), other, at(11))

	sync := kmsg.NewPtrSyncGroupRequest()
	sync.Group, sync.MemberID, sync.Generation = group, "nobody", generation
	sync.ProtocolType, sync.Protocol = kmsg.StringPtr("consumer"), kmsg.StringPtr("range")
	s.call(step("sync of nobody"), sync, at(14))
	sync.MemberID, sync.Generation = member, generation+1
	s.call(step("sync of another generation"), sync, at(14))
	sync.Generation, sync.Protocol = generation, kmsg.StringPtr("roundrobin")
	if at(14) >= 5 {
		s.call(step("sync of another protocol"), sync, at(14))
	}
	sync.Protocol = kmsg.StringPtr("range")
	s.call(step("describe before sync"), describe, at(15))
	assignment := kmsg.NewSyncGroupRequestGroupAssignment()
	assignment.MemberID, assignment.MemberAssignment = member, []byte("all of it")
	sync.GroupAssignment = append(sync.GroupAssignment, assignment)
	s.call(step("sync"), sync, at(14))
	s.call(step("sync again"), sync, at(14))
	s.call(step("describe"), describe, at(15))

	beat := func(what, member string, generation int32) {
		req := kmsg.NewPtrHeartbeatRequest()
		req.Group, req.MemberID, req.Generation = group, member, generation
		s.call(step("heartbeat"+what), req, at(12))
	}
	beat("", member, generation)
	beat(" of nobody", "nobody", generation)
	beat(" of no name", "", generation)
	beat(" of another generation", member, generation+1)

	commit := func(what, member string, generation int32, change func(r *kmsg.OffsetCommitRequest)) {
		req := commitRequest(group, at(8), topic, "classic", 0, 7)
		req.MemberID, req.Generation = member, generation
		if change != nil {
			change(req)
		}
		s.call(step("commit"+what), req, at(8))
	}
	commit("", member, generation, nil)
	commit(" of nobody", "nobody", generation, nil)
	commit(" of another generation", member, generation+1, nil)
	commit(" of nobody at all", "", -1, nil)
	commit(" to a partition that is not there", member, generation, func(r *kmsg.OffsetCommitRequest) { r.Topics[0].Partitions[0].Partition = 99 })
	commit(" to a topic that is not there", member, generation, func(r *kmsg.OffsetCommitRequest) {
		r.Topics[0].Topic, r.Topics[0].TopicID = "missing", [16]byte{1}
	})
	commit(" with much metadata", member, generation, func(r *kmsg.OffsetCommitRequest) {
		r.Topics[0].Partitions[0].Metadata = kmsg.StringPtr(string(make([]byte, 5000)))
	})
	commit(" below zero", member, generation, func(r *kmsg.OffsetCommitRequest) {
		r.Topics[0].Partitions[0].Partition, r.Topics[0].Partitions[0].Offset = 1, -5
	})
	offsets(step("stable"))

	list := kmsg.NewPtrListGroupsRequest()
	s.only(step("list"), list, at(16), group)
	if at(16) >= 4 {
		list.StatesFilter = []string{"stable"}
		s.only(step("list stable"), list, at(16), group)
		list.StatesFilter = []string{"Empty"}
		s.only(step("list empty"), list, at(16), group)
	}
	if at(16) >= 5 {
		list.StatesFilter, list.TypesFilter = nil, []string{"Classic"}
		s.only(step("list classic"), list, at(16), group)
		list.TypesFilter = []string{"consumer"}
		s.only(step("list consumer"), list, at(16), group)
	}

	deletion := func(what string, topics ...string) {
		req := kmsg.NewPtrOffsetDeleteRequest()
		req.Group = group
		for _, name := range topics {
			t := kmsg.NewOffsetDeleteRequestTopic()
			t.Topic = name
			for p := range int32(2) {
				one := kmsg.NewOffsetDeleteRequestTopicPartition()
				one.Partition = p
				t.Partitions = append(t.Partitions, one)
			}
			req.Topics = append(req.Topics, t)
		}
		s.call(step("delete offsets "+what), req, at(47))
	}
	deletion("of a member's topic", "classic")
	deletion("of no topic", "missing")
	remove := kmsg.NewPtrDeleteGroupsRequest()
	remove.Groups = []string{group}
	s.call(step("delete with members"), remove, at(42))

	leave := func(what, group, member string) {
		req := kmsg.NewPtrLeaveGroupRequest()
		req.Group, req.MemberID = group, member
		if at(13) >= 3 {
			m := kmsg.NewLeaveGroupRequestMember()
			m.MemberID = member
			req.Members = append(req.Members, m)
		}
		s.call(step("leave"+what), req, at(13))
	}
	leave(" of nobody", group, "nobody")
	leave(" of no group", "no-such-group", member)
	leave("", group, member)
	leave(" again", group, member)
	s.call(step("describe empty"), describe, at(15))
	s.only(step("list empty"), kmsg.NewPtrListGroupsRequest(), at(16), group)
	commit(" without members", "", -1, nil)
	commit(" of one who left", member, generation, nil)
	deletion("of an empty group", "classic")
	offsets(step("after the deletion"))
	remove.Groups = []string{group, "no-such-group", ""}
	s.call(step("delete"), remove, at(42))
	s.call(step("describe deleted"), describe, at(15))
	offsets(step("deleted"))
}

// only notes what a list tells of one group.
func (s *side) only(step string, req *kmsg.ListGroupsRequest, v int16, group string) {
	s.t.Helper()
	resp := s.ask("main", req, v).(*kmsg.ListGroupsResponse)
	of := resp.Groups[:0]
	for _, g := range resp.Groups {
		if g.Group == group {
			of = append(of, g)
		}
	}
	resp.Groups = of
	s.note(step, resp)
}

func commitRequest(group string, v int16, id [16]byte, topic string, partition int32, offset int64) *kmsg.OffsetCommitRequest {
	req := kmsg.NewPtrOffsetCommitRequest()
	req.Group = group
	t := kmsg.NewOffsetCommitRequestTopic()
	if t.Topic = topic; v >= 10 {
		t.TopicID = id
	}
	p := kmsg.NewOffsetCommitRequestTopicPartition()
	p.Partition, p.Offset, p.LeaderEpoch, p.Metadata = partition, offset, 3, kmsg.StringPtr("note")
	t.Partitions = append(t.Partitions, p)
	req.Topics = append(req.Topics, t)
	return req
}

// compareOffsets fetches the offsets of a group in all the ways of a version.
func compareOffsets(s *side, step, group string, v int16, id [16]byte) {
	v = s.clamp(9, v)
	if v < 8 {
		req := kmsg.NewPtrOffsetFetchRequest()
		req.Group = group
		for _, name := range []string{"classic", "missing"} {
			t := kmsg.NewOffsetFetchRequestTopic()
			t.Topic, t.Partitions = name, []int32{0, 1, 99}
			req.Topics = append(req.Topics, t)
		}
		s.call(step+": fetch", req, v)
		if v >= 2 {
			req.Topics = nil
			s.call(step+": fetch all", req, v)
		}
		return
	}
	req := kmsg.NewPtrOffsetFetchRequest()
	req.RequireStable = true
	g := kmsg.NewOffsetFetchRequestGroup()
	g.Group = group
	for i, name := range []string{"classic", "missing"} {
		t := kmsg.NewOffsetFetchRequestGroupTopic()
		if t.Topic, t.Partitions = name, []int32{0, 1, 99}; v >= 10 {
			if t.TopicID = id; i == 1 {
				t.TopicID = [16]byte{1}
			}
		}
		g.Topics = append(g.Topics, t)
	}
	all := kmsg.NewOffsetFetchRequestGroup()
	all.Group = group
	all.Topics = nil
	wrong := g
	wrong.MemberID, wrong.MemberEpoch = kmsg.StringPtr("nobody"), 1
	for i, one := range []kmsg.OffsetFetchRequestGroup{g, all, wrong} {
		req.Groups = []kmsg.OffsetFetchRequestGroup{one}
		s.call(fmt.Sprintf("%s: fetch way %d", step, i), req, v)
	}
}

// compareStatic: a static member comes back, and is fenced.
func compareStatic(s *side) {
	const group = "static"
	s.coordinator(0, group)
	for v := s.clamp(11, 5); v <= s.latest(11); v++ {
		group := fmt.Sprintf("%s-%d", group, v)
		s.coordinator(0, group)
		req := join(group, "", "range")
		req.InstanceID = kmsg.StringPtr("one")
		first := s.joined(group+": join", "main", req, v)
		sync := kmsg.NewPtrSyncGroupRequest()
		sync.Group, sync.MemberID, sync.Generation, sync.InstanceID = group, first.MemberID, first.Generation, kmsg.StringPtr("one")
		sync.ProtocolType, sync.Protocol = kmsg.StringPtr("consumer"), kmsg.StringPtr("range")
		assignment := kmsg.NewSyncGroupRequestGroupAssignment()
		assignment.MemberID, assignment.MemberAssignment = first.MemberID, []byte("all of it")
		sync.GroupAssignment = append(sync.GroupAssignment, assignment)
		s.call(group+": sync", sync, s.clamp(14, v))

		req = join(group, "", "range")
		req.InstanceID = kmsg.StringPtr("one")
		second := s.joined(group+": join again", "main", req, v)
		beat := kmsg.NewPtrHeartbeatRequest()
		beat.Group, beat.MemberID, beat.Generation, beat.InstanceID = group, first.MemberID, second.Generation, kmsg.StringPtr("one")
		s.call(group+": heartbeat of the first", beat, s.latest(12))
		beat.MemberID = second.MemberID
		s.call(group+": heartbeat of the second", beat, s.latest(12))
		commit := commitRequest(group, 9, [16]byte{}, "classic", 0, 1)
		commit.MemberID, commit.Generation, commit.InstanceID = first.MemberID, second.Generation, kmsg.StringPtr("one")
		s.call(group+": commit of the first", commit, s.clamp(8, 9))
		describe := kmsg.NewPtrDescribeGroupsRequest()
		describe.Groups = []string{group}
		s.call(group+": describe", describe, s.latest(15))
		leave := kmsg.NewPtrLeaveGroupRequest()
		leave.Group = group
		m := kmsg.NewLeaveGroupRequestMember()
		m.MemberID, m.InstanceID, m.Reason = first.MemberID, kmsg.StringPtr("one"), kmsg.StringPtr("for a reason")
		leave.Members = append(leave.Members, m)
		m.InstanceID = kmsg.StringPtr("two")
		leave.Members = append(leave.Members, m)
		m.MemberID, m.InstanceID = "", kmsg.StringPtr("one")
		leave.Members = append(leave.Members, m)
		s.call(group+": leave", leave, s.latest(13))
	}
}

// compareRebalance: a second member comes, and both go on.
func compareRebalance(s *side) {
	const group = "rebalance"
	s.coordinator(0, group)
	v := s.latest(11)
	first := s.joined("first", "main", join(group, "", "cooperative-sticky", "range"), v)
	sync := func(member string, generation int32, all ...string) *kmsg.SyncGroupRequest {
		req := kmsg.NewPtrSyncGroupRequest()
		req.Group, req.MemberID, req.Generation = group, member, generation
		for _, m := range all {
			a := kmsg.NewSyncGroupRequestGroupAssignment()
			a.MemberID, a.MemberAssignment = m, []byte("a share")
			req.GroupAssignment = append(req.GroupAssignment, a)
		}
		return req
	}
	s.call("first sync", sync(first.MemberID, first.Generation, first.MemberID), s.clamp(14, 4))

	req := join(group, "", "cooperative-sticky", "range")
	required := s.ask("main", req, v).(*kmsg.JoinGroupResponse)
	s.note("second", required)
	req.MemberID = required.MemberID
	answer := s.start("second", req, v)
	beat := kmsg.NewPtrHeartbeatRequest()
	beat.Group, beat.MemberID, beat.Generation = group, first.MemberID, first.Generation
	s.note("heartbeat during the rebalance", until(s, "rebalance", beat, s.latest(12), func(r *kmsg.HeartbeatResponse) bool { return r.ErrorCode != 0 }))
	commit := commitRequest(group, 9, [16]byte{}, "classic", 0, 1)
	commit.MemberID, commit.Generation = first.MemberID, first.Generation
	s.call("commit during the rebalance", commit, s.clamp(8, 9))
	s.call("sync during the rebalance", sync(first.MemberID, first.Generation), s.clamp(14, 4))
	again := join(group, first.MemberID, "cooperative-sticky", "range")
	leader := s.ask("main", again, v).(*kmsg.JoinGroupResponse)
	s.note("first again", leader)
	follower := answer().(*kmsg.JoinGroupResponse)
	s.note("second joined", follower)
	waits := s.start("second", sync(follower.MemberID, follower.Generation), s.clamp(14, 4))
	s.call("commit before the sync", commit, s.clamp(8, 9))
	s.call("leader's sync", sync(leader.MemberID, leader.Generation, leader.MemberID, follower.MemberID), s.clamp(14, 4))
	s.note("follower's sync", waits())
	describe := kmsg.NewPtrDescribeGroupsRequest()
	describe.Groups = []string{group}
	s.call("describe", describe, s.latest(15))
}
