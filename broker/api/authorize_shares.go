package api

import (
	"slices"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/tidelinehq/tideline/broker/security/acl"
	"github.com/tidelinehq/tideline/metadata"
	"github.com/tidelinehq/tideline/wal"
)

// The guards of requests about share groups, their records and their offsets, and about
// the state of share partitions, which only brokers ask for.

func guardShareGroupHeartbeat(c *Call) kmsg.Response {
	req := c.Request.(*kmsg.ShareGroupHeartbeatRequest)
	err := c.mayJoin(req.GroupID, req.SubscribedTopicNames)
	if err == nil {
		return nil
	}
	resp := kmsg.NewPtrShareGroupHeartbeatResponse()
	resp.ErrorCode, resp.ErrorMessage = err.Code, message(err)
	return resp
}

func guardShareGroupDescribe(c *Call) kmsg.Response {
	req := c.Request.(*kmsg.ShareGroupDescribeRequest)
	var denied []string
	req.GroupIDs, denied = split(req.GroupIDs, func(id *string) bool { return c.allowed(acl.Describe, acl.Group, *id) })
	c.amend(func(resp kmsg.Response) {
		r := resp.(*kmsg.ShareGroupDescribeResponse)
		for i := range r.Groups {
			g := &r.Groups[i]
			if g.ErrorCode != 0 {
				continue
			}
			if c.authorized() && !c.seesAll(topicsOfSharers(g)) {
				refused := kmsg.NewShareGroupDescribeResponseGroup()
				refused.GroupID, refused.ErrorCode, refused.ErrorMessage, refused.AuthorizedOperations = g.GroupID, deniedTopic, kmsg.StringPtr(usesHidden), noOperations
				*g = refused
				continue
			}
			if req.IncludeAuthorizedOperations {
				g.AuthorizedOperations = c.operations(acl.Group, g.GroupID)
			}
		}
	})
	amendWith(c, denied, func(resp *kmsg.ShareGroupDescribeResponse, id *string) {
		g := kmsg.NewShareGroupDescribeResponseGroup()
		g.GroupID, g.ErrorCode, g.AuthorizedOperations = *id, deniedGroup, noOperations
		resp.Groups = append(resp.Groups, g)
	})
	return nil
}

// topicsOfSharers are those that the members of a share group have or subscribe to.
func topicsOfSharers(g *kmsg.ShareGroupDescribeResponseGroup) map[string]struct{} {
	names := make(map[string]struct{})
	for i := range g.Members {
		m := &g.Members[i]
		for _, name := range m.SubscribedTopicNames {
			names[name] = struct{}{}
		}
		for j := range m.Assignment.TopicPartitions {
			names[m.Assignment.TopicPartitions[j].Topic] = struct{}{}
		}
	}
	return names
}

// guardShareFetch judges the group. Topics are judged with each partition of the session:
// see mayShare.
func guardShareFetch(c *Call) kmsg.Response {
	req := c.Request.(*kmsg.ShareFetchRequest)
	if req.GroupID == nil || c.allowed(acl.Read, acl.Group, *req.GroupID) {
		return nil
	}
	resp := kmsg.NewPtrShareFetchResponse()
	resp.ErrorCode, resp.ErrorMessage = deniedGroup, message(kerr.GroupAuthorizationFailed)
	return resp
}

// mayShare says why the client may not have records of a partition; nil: it may, or there
// is no such topic.
func (c *Call) mayShare(id wal.ID) error {
	if !c.authorized() {
		return nil
	}
	if name, ok := c.topicNamed(id.Topic); ok && !c.allowed(acl.Read, acl.Topic, name) {
		return kerr.TopicAuthorizationFailed
	}
	return nil
}

func guardShareAcknowledge(c *Call) kmsg.Response {
	req := c.Request.(*kmsg.ShareAcknowledgeRequest)
	if req.GroupID == nil || c.allowed(acl.Read, acl.Group, *req.GroupID) {
		return nil
	}
	resp := kmsg.NewPtrShareAcknowledgeResponse()
	resp.ErrorCode, resp.ErrorMessage = deniedGroup, message(kerr.GroupAuthorizationFailed)
	return resp
}

func guardDescribeShareGroupOffsets(c *Call) kmsg.Response {
	req := c.Request.(*kmsg.DescribeShareGroupOffsetsRequest)
	var denied []kmsg.DescribeShareGroupOffsetsRequestGroup
	req.Groups, denied = split(req.Groups, func(g *kmsg.DescribeShareGroupOffsetsRequestGroup) bool {
		return c.allowed(acl.Describe, acl.Group, g.GroupID)
	})
	notAll := make(map[string]bool)
	topics := make(map[string][]kmsg.DescribeShareGroupOffsetsResponseGroupTopic)
	for i := range req.Groups {
		g := &req.Groups[i]
		if g.Topics == nil {
			continue
		}
		notAll[g.GroupID] = true
		g.Topics, _ = split(g.Topics, func(t *kmsg.DescribeShareGroupOffsetsRequestGroupTopic) bool {
			ok := c.allowed(acl.Describe, acl.Topic, t.Topic)
			if !ok {
				topics[g.GroupID] = append(topics[g.GroupID], shareOffsetsDenied(t))
			}
			return ok
		})
	}
	c.amend(func(resp kmsg.Response) {
		r := resp.(*kmsg.DescribeShareGroupOffsetsResponse)
		for i := range r.Groups {
			switch g := &r.Groups[i]; {
			case g.ErrorCode != 0:
			case notAll[g.GroupID]:
				g.Topics = append(g.Topics, topics[g.GroupID]...)
			default:
				g.Topics = slices.DeleteFunc(g.Topics, func(t kmsg.DescribeShareGroupOffsetsResponseGroupTopic) bool {
					return !c.sees(acl.Describe, acl.Topic, t.Topic)
				})
			}
		}
	})
	amendWith(c, denied, func(resp *kmsg.DescribeShareGroupOffsetsResponse, g *kmsg.DescribeShareGroupOffsetsRequestGroup) {
		rg := kmsg.NewDescribeShareGroupOffsetsResponseGroup()
		rg.GroupID, rg.ErrorCode, rg.ErrorMessage = g.GroupID, deniedGroup, message(kerr.GroupAuthorizationFailed)
		resp.Groups = append(resp.Groups, rg)
	})
	return nil
}

func shareOffsetsDenied(t *kmsg.DescribeShareGroupOffsetsRequestGroupTopic) kmsg.DescribeShareGroupOffsetsResponseGroupTopic {
	rt := kmsg.NewDescribeShareGroupOffsetsResponseGroupTopic()
	rt.Topic, rt.TopicID = t.Topic, metadata.ID{}
	rt.Partitions = mapped(t.Partitions, func(index *int32) kmsg.DescribeShareGroupOffsetsResponseGroupTopicPartition {
		rp := kmsg.NewDescribeShareGroupOffsetsResponseGroupTopicPartition()
		rp.Partition, rp.StartOffset, rp.LeaderEpoch, rp.Lag = *index, -1, 0, -1
		rp.ErrorCode, rp.ErrorMessage = deniedTopic, message(kerr.TopicAuthorizationFailed)
		return rp
	})
	return rt
}

func guardAlterShareGroupOffsets(c *Call) kmsg.Response {
	req := c.Request.(*kmsg.AlterShareGroupOffsetsRequest)
	resp := kmsg.NewPtrAlterShareGroupOffsetsResponse()
	if !c.allowed(acl.Read, acl.Group, req.GroupID) {
		resp.ErrorCode, resp.ErrorMessage = deniedGroup, message(kerr.GroupAuthorizationFailed)
		return resp
	}
	req.Topics, _ = split(req.Topics, func(t *kmsg.AlterShareGroupOffsetsRequestTopic) bool {
		if c.allowed(acl.Read, acl.Topic, t.Topic) {
			return true
		}
		rt := kmsg.NewAlterShareGroupOffsetsResponseTopic()
		rt.Topic = t.Topic
		rt.Partitions = mapped(t.Partitions, func(p *kmsg.AlterShareGroupOffsetsRequestTopicPartition) kmsg.AlterShareGroupOffsetsResponseTopicPartition {
			rp := kmsg.NewAlterShareGroupOffsetsResponseTopicPartition()
			rp.Partition, rp.ErrorCode, rp.ErrorMessage = p.Partition, deniedTopic, message(kerr.TopicAuthorizationFailed)
			return rp
		})
		resp.Topics = append(resp.Topics, rt)
		return false
	})
	if len(req.Topics) == 0 && len(resp.Topics) > 0 {
		return resp
	}
	c.amend(func(answer kmsg.Response) {
		if r := answer.(*kmsg.AlterShareGroupOffsetsResponse); r.ErrorCode == 0 {
			r.Topics = append(r.Topics, resp.Topics...)
		}
	})
	return nil
}

func guardDeleteShareGroupOffsets(c *Call) kmsg.Response {
	req := c.Request.(*kmsg.DeleteShareGroupOffsetsRequest)
	resp := kmsg.NewPtrDeleteShareGroupOffsetsResponse()
	if !c.allowed(acl.Delete, acl.Group, req.GroupID) {
		resp.ErrorCode, resp.ErrorMessage = deniedGroup, message(kerr.GroupAuthorizationFailed)
		return resp
	}
	req.Topics, _ = split(req.Topics, func(t *kmsg.DeleteShareGroupOffsetsRequestTopic) bool {
		if c.allowed(acl.Read, acl.Topic, t.Topic) {
			return true
		}
		rt := kmsg.NewDeleteShareGroupOffsetsResponseTopic()
		rt.Topic, rt.ErrorCode, rt.ErrorMessage = t.Topic, deniedTopic, message(kerr.TopicAuthorizationFailed)
		resp.Topics = append(resp.Topics, rt)
		return false
	})
	if len(req.Topics) == 0 && len(resp.Topics) > 0 {
		return resp
	}
	c.amend(func(answer kmsg.Response) {
		if r := answer.(*kmsg.DeleteShareGroupOffsetsResponse); r.ErrorCode == 0 {
			r.Topics = append(r.Topics, resp.Topics...)
		}
	})
	return nil
}

func guardInitializeShareGroupState(c *Call) kmsg.Response {
	if c.allowedCluster(acl.ClusterAction) {
		return nil
	}
	resp := kmsg.NewPtrInitializeShareGroupStateResponse()
	resp.Topics = mapped(c.Request.(*kmsg.InitializeShareGroupStateRequest).Topics, func(t *kmsg.InitializeShareGroupStateRequestTopic) kmsg.InitializeShareGroupStateResponseTopic {
		rt := kmsg.NewInitializeShareGroupStateResponseTopic()
		rt.TopicID = t.TopicID
		rt.Partitions = mapped(t.Partitions, func(p *kmsg.InitializeShareGroupStateRequestTopicPartition) kmsg.InitializeShareGroupStateResponseTopicPartition {
			rp := kmsg.NewInitializeShareGroupStateResponseTopicPartition()
			rp.Partition, rp.ErrorCode, rp.ErrorMessage = p.Partition, deniedCluster, message(kerr.ClusterAuthorizationFailed)
			return rp
		})
		return rt
	})
	return resp
}

func guardReadShareGroupState(c *Call) kmsg.Response {
	if c.allowedCluster(acl.ClusterAction) {
		return nil
	}
	resp := kmsg.NewPtrReadShareGroupStateResponse()
	resp.Topics = mapped(c.Request.(*kmsg.ReadShareGroupStateRequest).Topics, func(t *kmsg.ReadShareGroupStateRequestTopic) kmsg.ReadShareGroupStateResponseTopic {
		rt := kmsg.NewReadShareGroupStateResponseTopic()
		rt.TopicID = t.TopicID
		rt.Partitions = mapped(t.Partitions, func(p *kmsg.ReadShareGroupStateRequestTopicPartition) kmsg.ReadShareGroupStateResponseTopicPartition {
			rp := kmsg.NewReadShareGroupStateResponseTopicPartition()
			rp.Partition, rp.ErrorCode, rp.ErrorMessage = p.Partition, deniedCluster, message(kerr.ClusterAuthorizationFailed)
			return rp
		})
		return rt
	})
	return resp
}

func guardWriteShareGroupState(c *Call) kmsg.Response {
	if c.allowedCluster(acl.ClusterAction) {
		return nil
	}
	resp := kmsg.NewPtrWriteShareGroupStateResponse()
	resp.Topics = mapped(c.Request.(*kmsg.WriteShareGroupStateRequest).Topics, func(t *kmsg.WriteShareGroupStateRequestTopic) kmsg.WriteShareGroupStateResponseTopic {
		rt := kmsg.NewWriteShareGroupStateResponseTopic()
		rt.TopicID = t.TopicID
		rt.Partitions = mapped(t.Partitions, func(p *kmsg.WriteShareGroupStateRequestTopicPartition) kmsg.WriteShareGroupStateResponseTopicPartition {
			rp := kmsg.NewWriteShareGroupStateResponseTopicPartition()
			rp.Partition, rp.ErrorCode, rp.ErrorMessage = p.Partition, deniedCluster, message(kerr.ClusterAuthorizationFailed)
			return rp
		})
		return rt
	})
	return resp
}

func guardDeleteShareGroupState(c *Call) kmsg.Response {
	if c.allowedCluster(acl.ClusterAction) {
		return nil
	}
	resp := kmsg.NewPtrDeleteShareGroupStateResponse()
	resp.Topics = mapped(c.Request.(*kmsg.DeleteShareGroupStateRequest).Topics, func(t *kmsg.DeleteShareGroupStateRequestTopic) kmsg.DeleteShareGroupStateResponseTopic {
		rt := kmsg.NewDeleteShareGroupStateResponseTopic()
		rt.TopicID = t.TopicID
		rt.Partitions = mapped(t.Partitions, func(p *kmsg.DeleteShareGroupStateRequestTopicPartition) kmsg.DeleteShareGroupStateResponseTopicPartition {
			rp := kmsg.NewDeleteShareGroupStateResponseTopicPartition()
			rp.Partition, rp.ErrorCode, rp.ErrorMessage = p.Partition, deniedCluster, message(kerr.ClusterAuthorizationFailed)
			return rp
		})
		return rt
	})
	return resp
}

func guardReadShareGroupStateSummary(c *Call) kmsg.Response {
	if c.allowedCluster(acl.ClusterAction) {
		return nil
	}
	resp := kmsg.NewPtrReadShareGroupStateSummaryResponse()
	resp.Topics = mapped(c.Request.(*kmsg.ReadShareGroupStateSummaryRequest).Topics, func(t *kmsg.ReadShareGroupStateSummaryRequestTopic) kmsg.ReadShareGroupStateSummaryResponseTopic {
		rt := kmsg.NewReadShareGroupStateSummaryResponseTopic()
		rt.TopicID = t.TopicID
		rt.Partitions = mapped(t.Partitions, func(p *kmsg.ReadShareGroupStateSummaryRequestTopicPartition) kmsg.ReadShareGroupStateSummaryResponseTopicPartition {
			rp := kmsg.NewReadShareGroupStateSummaryResponseTopicPartition()
			rp.Partition, rp.ErrorCode, rp.ErrorMessage = p.Partition, deniedCluster, message(kerr.ClusterAuthorizationFailed)
			return rp
		})
		return rt
	})
	return resp
}
