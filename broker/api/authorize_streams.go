package api

import (
	"fmt"
	"slices"
	"strings"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/tidelinehq/tideline/broker/coordinator/group/streams"
	"github.com/tidelinehq/tideline/broker/security/acl"
)

// The guards of requests about streams groups.

// guardStreamsGroupHeartbeat wants that a member may see all topics of its topology, also
// those that are yet to be made.
func guardStreamsGroupHeartbeat(c *Call) kmsg.Response {
	req := c.Request.(*kmsg.StreamsGroupHeartbeatRequest)
	if checkTopologyNames(req.Topology) != "" && c.sees(acl.Read, acl.Group, req.Group) {
		return nil // which is an error of its own
	}
	if err := c.mayJoin(req.Group, namesInTopology(req.Topology)); err != nil {
		return streams.Refused(req.Version, err.Code, "")
	}
	return nil
}

// namesInTopology are the topics of a topology, in order.
func namesInTopology(t *kmsg.StreamsGroupHeartbeatRequestTopology) []string {
	if t == nil {
		return nil
	}
	var names []string
	for i := range t.Subtopologies {
		s := &t.Subtopologies[i]
		names = appendTopology(names, s.SourceTopics, s.RepartitionSinkTopics, s.RepartitionSourceTopics, s.StateChangelogTopics)
	}
	slices.Sort(names)
	return slices.Compact(names)
}

func appendTopology(names, sources, sinks []string, infos ...[]kmsg.TopicInfo) []string {
	names = append(append(names, sources...), sinks...)
	for _, list := range infos {
		for i := range list {
			names = append(names, list[i].Topic)
		}
	}
	return names
}

// creatable returns the internal topics that may be made for the client: all, or, when it
// may not have all of them made, none, as Kafka has it. Then the answer says so.
func (c *Call) creatable(resp *kmsg.StreamsGroupHeartbeatResponse, topics []streams.InternalTopic) []streams.InternalTopic {
	if len(topics) == 0 || !c.authorized() || c.sees(acl.Create, acl.Cluster, acl.ClusterName) {
		return topics
	}
	var denied []string
	for i := range topics {
		if !c.allowed(acl.Create, acl.Topic, topics[i].Name) {
			denied = append(denied, topics[i].Name)
		}
	}
	if len(denied) == 0 {
		return topics
	}
	text := fmt.Sprintf("Unauthorized to CREATE on topics %s.", strings.Join(denied, ", "))
	for i := range resp.Status {
		if s := &resp.Status[i]; s.StatusCode == statusMissingInternalTopics {
			s.StatusDetail += "; " + text
			return nil
		}
	}
	return nil
}

func guardStreamsGroupDescribe(c *Call) kmsg.Response {
	req := c.Request.(*kmsg.StreamsGroupDescribeRequest)
	var denied []string
	req.Groups, denied = split(req.Groups, func(id *string) bool { return c.allowed(acl.Describe, acl.Group, *id) })
	c.amend(func(resp kmsg.Response) {
		r := resp.(*kmsg.StreamsGroupDescribeResponse)
		for i := range r.Groups {
			g := &r.Groups[i]
			if g.ErrorCode != 0 {
				continue
			}
			if c.authorized() && !c.seesAll(topicsOfStreams(g)) {
				refused := kmsg.NewStreamsGroupDescribeResponseGroup()
				refused.Group, refused.ErrorCode, refused.ErrorMessage, refused.AuthorizedOperations = g.Group, deniedTopic, kmsg.StringPtr(usesHidden), noOperations
				*g = refused
				continue
			}
			if req.IncludeAuthorizedOperations {
				g.AuthorizedOperations = c.operations(acl.Group, g.Group)
			}
		}
	})
	amendWith(c, denied, func(resp *kmsg.StreamsGroupDescribeResponse, id *string) {
		g := kmsg.NewStreamsGroupDescribeResponseGroup()
		g.Group, g.ErrorCode, g.AuthorizedOperations = *id, deniedGroup, noOperations
		resp.Groups = append(resp.Groups, g)
	})
	return nil
}

func topicsOfStreams(g *kmsg.StreamsGroupDescribeResponseGroup) map[string]struct{} {
	names := make(map[string]struct{})
	if g.Topology == nil {
		return names
	}
	for i := range g.Topology.Subtopologies {
		s := &g.Topology.Subtopologies[i]
		for _, name := range appendTopology(nil, s.SourceTopics, s.RepartitionSinkTopics, s.RepartitionSourceTopics, s.StateChangelogTopics) {
			names[name] = struct{}{}
		}
	}
	return names
}
