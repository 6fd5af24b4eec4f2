package broker_test

import (
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// streamsJoin is a member's first heartbeat: words are counted, by way of a repartition topic
// and with a changelog.
func streamsJoin(group, member string, replicas int16) *kmsg.StreamsGroupHeartbeatRequest {
	internal := func(name string, configs ...kmsg.TopicInfoConfig) kmsg.TopicInfo {
		ti := kmsg.NewTopicInfo()
		ti.Topic, ti.ReplicationFactor, ti.Configs = group+"-"+name, replicas, configs
		return ti
	}
	compact := kmsg.NewTopicInfoConfig()
	compact.Key, compact.Value = "cleanup.policy", "compact"
	first, second := kmsg.NewStreamsGroupHeartbeatRequestTopologySubtopology(), kmsg.NewStreamsGroupHeartbeatRequestTopologySubtopology()
	first.SubtopologyID, first.SourceTopics, first.RepartitionSinkTopics = "0", []string{"words"}, []string{group + "-repartition"}
	second.SubtopologyID, second.RepartitionSourceTopics = "1", []kmsg.TopicInfo{internal("repartition")}
	second.StateChangelogTopics = []kmsg.TopicInfo{internal("changelog", compact)}
	topology := kmsg.NewStreamsGroupHeartbeatRequestTopology()
	topology.Subtopologies = append(topology.Subtopologies, first, second)
	req := kmsg.NewPtrStreamsGroupHeartbeatRequest()
	req.Group, req.MemberID, req.RebalanceTimeoutMillis, req.ProcessID, req.Topology = group, member, 60_000, &member, &topology
	req.ActiveTasks, req.StandbyTasks, req.WarmupTasks = []kmsg.TaskIDs{}, []kmsg.TaskIDs{}, []kmsg.TaskIDs{}
	return req
}

func streamsBeat(group, member string, epoch int32) *kmsg.StreamsGroupHeartbeatRequest {
	req := kmsg.NewPtrStreamsGroupHeartbeatRequest()
	req.Group, req.MemberID, req.MemberEpoch = group, member, epoch
	return req
}

// TestStreamsGroupTopics: the topics that an application needs are made for it, and why
// they cannot be is told.
func TestStreamsGroupTopics(t *testing.T) {
	n := newNode(t, map[string]string{"group.streams.initial.rebalance.delay.ms": "0", "group.streams.assignment.interval.ms": "0"})
	c := n.dial()
	c.create("words", 3, nil)

	join := func(group string, replicas int16) (resp *kmsg.StreamsGroupHeartbeatResponse) {
		find := kmsg.NewPtrFindCoordinatorRequest()
		find.Version, find.CoordinatorKeys = 4, []string{group}
		do[*kmsg.FindCoordinatorResponse](c, find)
		n.await("the coordinator", func() bool {
			resp = do[*kmsg.StreamsGroupHeartbeatResponse](c, streamsJoin(group, "m", replicas))
			return resp.ErrorCode == 0
		})
		return resp
	}
	resp := join("count", 0)
	n.await("tasks", func() bool {
		resp = do[*kmsg.StreamsGroupHeartbeatResponse](c, streamsBeat("count", "m", resp.MemberEpoch))
		if resp.ErrorCode != 0 {
			t.Fatalf("heartbeat: %s %v", name(resp.ErrorCode), resp.ErrorMessage)
		}
		return len(resp.Status) == 0 && len(resp.ActiveTasks) == 2
	})
	described := do[*kmsg.DescribeConfigsResponse](c, describeTopic("count-changelog", "cleanup.policy"))
	if got := described.Resources[0].Configs[0].Value; got == nil || *got != "compact" {
		t.Errorf("cleanup.policy of a changelog: %v", got)
	}
	req := kmsg.NewPtrStreamsGroupDescribeRequest()
	req.Groups = []string{"count"}
	g := do[*kmsg.StreamsGroupDescribeResponse](c, req).Groups[0]
	if g.State != "Stable" || len(g.Members) != 1 || g.Topology.Subtopologies[1].RepartitionSourceTopics[0].NumPartitions != 3 {
		t.Errorf("described: %+v", g)
	}

	resp = join("too-many", 3) // there is one broker
	n.await("a reason", func() bool {
		resp = do[*kmsg.StreamsGroupHeartbeatResponse](c, streamsBeat("too-many", "m", resp.MemberEpoch))
		return len(resp.Status) == 1 && strings.Contains(resp.Status[0].StatusDetail, "Creation failed: ")
	})

	bad := streamsJoin("bad", "m", 0)
	bad.Topology.Subtopologies[0].SourceTopics = []string{"__consumer_offsets"}
	if r := do[*kmsg.StreamsGroupHeartbeatResponse](c, bad); name(r.ErrorCode) != "STREAMS_INVALID_TOPOLOGY" {
		t.Errorf("an internal topic as a source: %s", name(r.ErrorCode))
	}
	bad.Topology.Subtopologies[0].SourceTopics = []string{"not a name"}
	if r := do[*kmsg.StreamsGroupHeartbeatResponse](c, bad); name(r.ErrorCode) != "STREAMS_INVALID_TOPOLOGY" {
		t.Errorf("a name that is none: %s", name(r.ErrorCode))
	}
}

// TestStreamsVersion: the feature streams.version can be switched off.
func TestStreamsVersion(t *testing.T) {
	n := newNode(t, nil)
	c := n.dial()
	n.await("streams.version", func() bool { return finalized(c)["streams.version"] == 1 })
	update := kmsg.NewPtrUpdateFeaturesRequest()
	f := kmsg.NewUpdateFeaturesRequestFeatureUpdate()
	update.Version, f.Feature, f.MaxVersionLevel, f.UpgradeType = 1, "streams.version", 0, 2
	update.FeatureUpdates = append(update.FeatureUpdates, f)
	if r := do[*kmsg.UpdateFeaturesResponse](c, update); r.ErrorCode != 0 || len(r.Results) > 0 && r.Results[0].ErrorCode != 0 {
		t.Fatalf("update: %+v", r)
	}
	if r := do[*kmsg.StreamsGroupHeartbeatResponse](c, streamsJoin("g", "m", 0)); name(r.ErrorCode) != "UNSUPPORTED_VERSION" {
		t.Errorf("heartbeat: %s", name(r.ErrorCode))
	}
	req := kmsg.NewPtrStreamsGroupDescribeRequest()
	req.Groups = []string{"g"}
	if r := do[*kmsg.StreamsGroupDescribeResponse](c, req); name(r.Groups[0].ErrorCode) != "UNSUPPORTED_VERSION" {
		t.Errorf("describe: %s", name(r.Groups[0].ErrorCode))
	}
}

// finalized are the levels of features that ApiVersions tells.
func finalized(c *conn) map[string]int16 {
	req := kmsg.NewPtrApiVersionsRequest()
	req.Version, req.ClientSoftwareName, req.ClientSoftwareVersion = 4, "test", "1"
	out := make(map[string]int16)
	for _, f := range do[*kmsg.ApiVersionsResponse](c, req).FinalizedFeatures {
		out[f.Name] = f.MaxVersionLevel
	}
	return out
}

func describeTopic(topic, key string) *kmsg.DescribeConfigsRequest {
	req := kmsg.NewPtrDescribeConfigsRequest()
	r := kmsg.NewDescribeConfigsRequestResource()
	r.ResourceType, r.ResourceName, r.ConfigNames = kmsg.ConfigResourceTypeTopic, topic, []string{key}
	req.Version, req.Resources = 4, append(req.Resources, r)
	return req
}
