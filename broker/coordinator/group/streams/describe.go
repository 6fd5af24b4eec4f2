package streams

import (
	"slices"
	"strings"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// Describe is the group as StreamsGroupDescribe has it. Its topology is that with the
// numbers of the cluster's topics, once those are as they should be.
func (g *Group) Describe(id string) *kmsg.StreamsGroupDescribeResponseGroup {
	r := kmsg.NewStreamsGroupDescribeResponseGroup()
	r.Group, r.State, r.Epoch, r.AssignmentEpoch = id, g.StateName(), g.Epoch, g.TargetEpoch
	if g.Topology != nil {
		t := kmsg.NewStreamsGroupDescribeResponseGroupTopology()
		t.Epoch, t.Subtopologies = g.Topology.Epoch, g.describeTopology()
		r.Topology = &t
	}
	r.Members = []kmsg.StreamsGroupDescribeResponseGroupMember{}
	for _, m := range g.members {
		r.Members = append(r.Members, m.describe())
	}
	return &r
}

func (g *Group) describeTopology() []kmsg.StreamsGroupDescribeResponseGroupTopologySubtopology {
	out := []kmsg.StreamsGroupDescribeResponseGroupTopologySubtopology{}
	if g.configured != nil && g.configured.Ready() {
		for _, s := range g.configured.Subtopologies {
			d := kmsg.NewStreamsGroupDescribeResponseGroupTopologySubtopology()
			d.SubtopologyID, d.SourceTopics, d.RepartitionSinkTopics = s.ID, notNil(s.Sources), notNil(s.RepartitionSinks)
			d.RepartitionSourceTopics, d.StateChangelogTopics = describeTopics(s.RepartitionSources), describeTopics(s.Changelogs)
			out = append(out, d)
		}
		return out
	}
	for i := range g.Topology.Subtopologies {
		s := &g.Topology.Subtopologies[i]
		d := kmsg.NewStreamsGroupDescribeResponseGroupTopologySubtopology()
		d.SubtopologyID, d.SourceTopics, d.RepartitionSinkTopics = s.ID, notNil(sorted(s.Sources)), notNil(sorted(s.RepartitionSinks))
		d.RepartitionSourceTopics, d.StateChangelogTopics = describeTopics(asAsked(s.RepartitionSources)), describeTopics(asAsked(s.Changelogs))
		out = append(out, d)
	}
	return out
}

func notNil(in []string) []string { return append([]string{}, in...) }

func sorted(in []string) []string {
	out := slices.Clone(in)
	slices.Sort(out)
	return out
}

// asAsked are internal topics with the numbers that the application gave.
func asAsked(in []TopicInfo) []InternalTopic {
	var out []InternalTopic
	for _, ti := range in {
		out = append(out, ti.sized(ti.Partitions))
	}
	sortTopics(out)
	return out
}

func describeTopics(in []InternalTopic) []kmsg.TopicInfo {
	out := []kmsg.TopicInfo{}
	for _, it := range in {
		ti := kmsg.NewTopicInfo()
		ti.Topic, ti.NumPartitions, ti.ReplicationFactor = it.Name, it.Partitions, it.ReplicationFactor
		for _, kv := range it.Configs {
			c := kmsg.NewTopicInfoConfig()
			c.Key, c.Value = kv.Key, kv.Value
			ti.Configs = append(ti.Configs, c)
		}
		slices.SortFunc(ti.Configs, func(a, b kmsg.TopicInfoConfig) int { return strings.Compare(a.Key, b.Key) })
		out = append(out, ti)
	}
	return out
}

func (m *Member) describe() kmsg.StreamsGroupDescribeResponseGroupMember {
	d := kmsg.NewStreamsGroupDescribeResponseGroupMember()
	d.MemberID, d.MemberEpoch, d.InstanceID, d.RackID = m.ID, m.Epoch, m.Instance, m.Rack
	d.ClientID, d.ClientHost, d.TopologyEpoch, d.ProcessID = m.ClientID, m.ClientHost, m.TopologyEpoch, m.Process
	if m.Endpoint != nil {
		e := kmsg.NewStreamsGroupDescribeResponseGroupMemberUserEndpoint()
		e.Host, e.Port = m.Endpoint.Host, m.Endpoint.Port
		d.UserEndpoint = &e
	}
	for _, kv := range m.Tags {
		t := kmsg.NewStreamsGroupDescribeResponseGroupMemberClientTag()
		t.Key, t.Value = kv.Key, kv.Value
		d.ClientTags = append(d.ClientTags, t)
	}
	d.Assignment, d.TargetAssignment = m.Assigned.describe(), m.target().describe()
	return d
}

func (t Tasks) describe() kmsg.StreamsAssignment {
	a := kmsg.NewStreamsAssignment()
	a.ActiveTasks, a.StandbyTasks, a.WarmupTasks = t.Active.ids(), t.Standby.ids(), t.Warmup.ids()
	return a
}
