package compat

import (
	"slices"
	"strings"

	"github.com/twmb/franz-go/pkg/kmsg"
)

var streamsAllowed = []allowance{
	mayDiffer(`(MemberEpoch|\.Epoch|AssignmentEpoch): kafka=[1-9]\d* tideline=[1-9]\d*$`, "each internal topic that is seen by itself begins an epoch"),
}

// compareStreams takes a streams group (KIP-1071) through its life.
func compareStreams(s *side) {
	s.topic("streams-in", 2)
	const group, member, other = "streams", "c3RyZWFtc3N0cmVhbXNzdA", "c3RyZWFtc290aGVyb3RoZQ"
	s.coordinator(0, group)
	describe := kmsg.NewPtrStreamsGroupDescribeRequest()
	describe.Groups, describe.IncludeAuthorizedOperations = []string{group, ""}, true
	v := s.latest(88)
	look := func(what string) { s.call(what, describe, s.latest(89)) }
	look("describe nothing")

	tick := func(member string, epoch int32) *kmsg.StreamsGroupHeartbeatRequest {
		req := kmsg.NewPtrStreamsGroupHeartbeatRequest()
		req.Group, req.MemberID, req.MemberEpoch, req.RebalanceTimeoutMillis = group, member, epoch, -1
		return req
	}
	first := func(member string) *kmsg.StreamsGroupHeartbeatRequest {
		req := tick(member, 0)
		req.RebalanceTimeoutMillis, req.ProcessID = 30000, kmsg.StringPtr("process of "+member)
		req.ActiveTasks, req.StandbyTasks, req.WarmupTasks = []kmsg.TaskIDs{}, []kmsg.TaskIDs{}, []kmsg.TaskIDs{}
		req.ClientTags = []kmsg.StreamsGroupHeartbeatRequestClientTag{{Key: "zone", Value: "a"}}
		req.Topology = topology("streams-in")
		return req
	}
	for _, refused := range []struct {
		what   string
		change func(r *kmsg.StreamsGroupHeartbeatRequest)
	}{
		{"no group", func(r *kmsg.StreamsGroupHeartbeatRequest) { r.Group = "" }},
		{"no member", func(r *kmsg.StreamsGroupHeartbeatRequest) { r.MemberID = "" }},
		{"an unknown member", func(r *kmsg.StreamsGroupHeartbeatRequest) {
			r.MemberEpoch, r.Topology, r.ActiveTasks, r.StandbyTasks, r.WarmupTasks = 3, nil, nil, nil, nil
		}},
		{"an impossible epoch", func(r *kmsg.StreamsGroupHeartbeatRequest) { r.MemberEpoch = -3 }},
		{"no rebalance timeout", func(r *kmsg.StreamsGroupHeartbeatRequest) { r.RebalanceTimeoutMillis = -1 }},
		{"no topology", func(r *kmsg.StreamsGroupHeartbeatRequest) { r.Topology = nil }},
		{"no tasks", func(r *kmsg.StreamsGroupHeartbeatRequest) { r.ActiveTasks = nil }},
		{"tasks at once", func(r *kmsg.StreamsGroupHeartbeatRequest) {
			r.ActiveTasks = []kmsg.TaskIDs{{SubtopologyID: "0", Partitions: []int32{0}}}
		}},
		{"an empty rack", func(r *kmsg.StreamsGroupHeartbeatRequest) { r.RackID = kmsg.StringPtr("") }},
		{"an empty instance", func(r *kmsg.StreamsGroupHeartbeatRequest) { r.InstanceID = kmsg.StringPtr("") }},
		{"a leave of nobody", func(r *kmsg.StreamsGroupHeartbeatRequest) { r.MemberEpoch, r.Topology = -1, nil }},
	} {
		req := first(member)
		refused.change(req)
		s.call("heartbeat with "+refused.what, req, v)
	}

	missing := first(member)
	missing.Topology = topology("missing-in")
	missing.Group = "streams-missing"
	s.call("join with a topic that is not there", missing, v)

	joined := s.call("join", first(member), v).(*kmsg.StreamsGroupHeartbeatResponse)
	ready := until(s, "internal topics", tick(member, joined.MemberEpoch), v, func(r *kmsg.StreamsGroupHeartbeatResponse) bool {
		return r.ErrorCode != 0 || (len(r.Status) == 0 && len(r.ActiveTasks) > 0) || r.MemberEpoch > joined.MemberEpoch
	})
	s.note("tasks", ready)
	look("describe one")
	s.only("list", kmsg.NewPtrListGroupsRequest(), s.latest(16), group)
	owned := tick(member, ready.MemberEpoch)
	owned.ActiveTasks, owned.StandbyTasks, owned.WarmupTasks = ready.ActiveTasks, []kmsg.TaskIDs{}, []kmsg.TaskIDs{}
	s.call("heartbeat with its tasks", owned, v)
	s.call("heartbeat", tick(member, ready.MemberEpoch), v)
	s.call("heartbeat of a later epoch", tick(member, ready.MemberEpoch+5), v)
	s.call("heartbeat of an earlier epoch", tick(member, max(ready.MemberEpoch-2, 1)), v)
	s.call("classic join", join(group, "", "range"), s.latest(11))

	metadata := kmsg.NewPtrMetadataRequest()
	for _, name := range []string{"streams-repartition", "streams-changelog"} {
		topic := kmsg.NewMetadataRequestTopic()
		topic.Topic = kmsg.StringPtr(name)
		metadata.Topics = append(metadata.Topics, topic)
	}
	made := until(s, "internal topics", metadata, 12, func(r *kmsg.MetadataResponse) bool {
		return !slices.ContainsFunc(r.Topics, func(t kmsg.MetadataResponseTopic) bool {
			return t.ErrorCode != 0 || slices.ContainsFunc(t.Partitions, func(p kmsg.MetadataResponseTopicPartition) bool { return p.ErrorCode != 0 })
		})
	})
	s.note("internal topics", made)
	configs := kmsg.NewPtrDescribeConfigsRequest()
	for _, name := range []string{"streams-repartition", "streams-changelog"} {
		configs.Resources = append(configs.Resources, kmsg.DescribeConfigsRequestResource{ResourceType: kmsg.ConfigResourceTypeTopic, ResourceName: name, ConfigNames: []string{"cleanup.policy"}})
	}
	resp := s.ask("main", configs, 4).(*kmsg.DescribeConfigsResponse)
	for _, r := range resp.Resources {
		for _, c := range r.Configs {
			s.transcript = append(s.transcript, said{"configs", r.ResourceName + " " + c.Name, strings.ReplaceAll(*c.Value, " ", "")})
		}
	}

	second := s.call("join of the second", first(other), v).(*kmsg.StreamsGroupHeartbeatResponse)
	revoked := until(s, "revocation", tick(member, ready.MemberEpoch), v, func(r *kmsg.StreamsGroupHeartbeatResponse) bool { return r.ErrorCode != 0 || r.ActiveTasks != nil })
	s.note("revocation", revoked)
	owned.ActiveTasks, owned.MemberEpoch = revoked.ActiveTasks, revoked.MemberEpoch
	s.call("revoked", owned, v)
	s.note("tasks of the second", until(s, "tasks", tick(other, second.MemberEpoch), v, func(r *kmsg.StreamsGroupHeartbeatResponse) bool {
		return r.ErrorCode != 0 || len(r.ActiveTasks) > 0
	}))
	look("describe two")
	changed := first(other)
	changed.Topology.Epoch = 1
	s.call("join with another topology", changed, v)
	deletion := kmsg.NewPtrDeleteGroupsRequest()
	deletion.Groups = []string{group}
	s.call("delete with members", deletion, s.latest(42))
	s.call("leave", tick(member, -1), v)
	s.call("leave of the second", tick(other, -1), v)
	look("describe empty")
	s.call("delete", deletion, s.latest(42))
	look("describe deleted")
}

// topology reads a topic, repartitions it, and counts.
func topology(in string) *kmsg.StreamsGroupHeartbeatRequestTopology {
	zero := kmsg.NewStreamsGroupHeartbeatRequestTopologySubtopology()
	zero.SubtopologyID, zero.SourceTopics, zero.RepartitionSinkTopics = "0", []string{in}, []string{"streams-repartition"}
	one := kmsg.NewStreamsGroupHeartbeatRequestTopologySubtopology()
	one.SubtopologyID = "1"
	repartition := kmsg.NewTopicInfo()
	repartition.Topic, repartition.NumPartitions, repartition.ReplicationFactor = "streams-repartition", 2, 1
	repartition.Configs = []kmsg.TopicInfoConfig{{Key: "cleanup.policy", Value: "delete"}}
	one.RepartitionSourceTopics = append(one.RepartitionSourceTopics, repartition)
	changelog := kmsg.NewTopicInfo()
	changelog.Topic, changelog.ReplicationFactor = "streams-changelog", 1
	changelog.Configs = []kmsg.TopicInfoConfig{{Key: "cleanup.policy", Value: "compact"}}
	one.StateChangelogTopics = append(one.StateChangelogTopics, changelog)
	return &kmsg.StreamsGroupHeartbeatRequestTopology{Subtopologies: []kmsg.StreamsGroupHeartbeatRequestTopologySubtopology{zero, one}}
}
