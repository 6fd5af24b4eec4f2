package api

import (
	"slices"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/tidelinehq/tideline/broker/security/acl"
	"github.com/tidelinehq/tideline/metadata"
)

// The guards of requests about groups of every kind, and of their offsets.

func guardFindCoordinator(c *Call) kmsg.Response {
	req := c.Request.(*kmsg.FindCoordinatorRequest)
	if c.Version < 4 {
		err := c.mayFind(req.CoordinatorType, req.CoordinatorKey)
		if err == nil {
			return nil
		}
		resp := kmsg.NewPtrFindCoordinatorResponse()
		resp.ErrorCode, resp.ErrorMessage, resp.NodeID, resp.Port = err.Code, message(err), -1, -1
		return resp
	}
	var answers []kmsg.FindCoordinatorResponseCoordinator
	req.CoordinatorKeys, _ = split(req.CoordinatorKeys, func(key *string) bool {
		err := c.mayFind(req.CoordinatorType, *key)
		if err != nil {
			one := kmsg.NewFindCoordinatorResponseCoordinator()
			one.Key, one.NodeID, one.Port, one.ErrorCode, one.ErrorMessage = *key, -1, -1, err.Code, message(err)
			answers = append(answers, one)
		}
		return err == nil
	})
	amendWith(c, answers, func(resp *kmsg.FindCoordinatorResponse, one *kmsg.FindCoordinatorResponseCoordinator) {
		resp.Coordinators = append(resp.Coordinators, *one)
	})
	return nil
}

// mayFind says why the client may not know who coordinates something; nil: it may. The
// coordinators of share partitions are the business of brokers.
func (c *Call) mayFind(kind int8, key string) *kerr.Error {
	switch kind {
	case groupCoordinator:
		if !c.allowed(acl.Describe, acl.Group, key) {
			return kerr.GroupAuthorizationFailed
		}
	case transactionCoordinator:
		if !c.allowed(acl.Describe, acl.TransactionalID, key) {
			return kerr.TransactionalIDAuthorizationFailed
		}
	case shareCoordinator:
		if !c.allowedCluster(acl.ClusterAction) {
			return kerr.ClusterAuthorizationFailed
		}
	}
	return nil
}

func guardJoinGroup(c *Call) kmsg.Response {
	if c.allowed(acl.Read, acl.Group, c.Request.(*kmsg.JoinGroupRequest).Group) {
		return nil
	}
	resp := kmsg.NewPtrJoinGroupResponse()
	resp.ErrorCode, resp.Generation = deniedGroup, -1
	return resp
}

func guardHeartbeat(c *Call) kmsg.Response {
	if c.allowed(acl.Read, acl.Group, c.Request.(*kmsg.HeartbeatRequest).Group) {
		return nil
	}
	resp := kmsg.NewPtrHeartbeatResponse()
	resp.ErrorCode = deniedGroup
	return resp
}

func guardLeaveGroup(c *Call) kmsg.Response {
	if c.allowed(acl.Read, acl.Group, c.Request.(*kmsg.LeaveGroupRequest).Group) {
		return nil
	}
	resp := kmsg.NewPtrLeaveGroupResponse()
	resp.ErrorCode = deniedGroup
	return resp
}

func guardSyncGroup(c *Call) kmsg.Response {
	if c.allowed(acl.Read, acl.Group, c.Request.(*kmsg.SyncGroupRequest).Group) {
		return nil
	}
	resp := kmsg.NewPtrSyncGroupResponse()
	resp.ErrorCode = deniedGroup
	return resp
}

func guardDescribeGroups(c *Call) kmsg.Response {
	req := c.Request.(*kmsg.DescribeGroupsRequest)
	var denied []string
	req.Groups, denied = split(req.Groups, func(id *string) bool { return c.allowed(acl.Describe, acl.Group, *id) })
	if req.IncludeAuthorizedOperations {
		c.amend(func(resp kmsg.Response) {
			r := resp.(*kmsg.DescribeGroupsResponse)
			for i := range r.Groups {
				if g := &r.Groups[i]; g.ErrorCode == 0 {
					g.AuthorizedOperations = c.operations(acl.Group, g.Group)
				}
			}
		})
	}
	amendWith(c, denied, func(resp *kmsg.DescribeGroupsResponse, id *string) {
		g := kmsg.NewDescribeGroupsResponseGroup()
		g.Group, g.ErrorCode, g.AuthorizedOperations = *id, deniedGroup, noOperations
		resp.Groups = append(resp.Groups, g)
	})
	return nil
}

// guardListGroups hides groups, but not from those who may describe the cluster.
func guardListGroups(c *Call) kmsg.Response {
	if c.sees(acl.Describe, acl.Cluster, acl.ClusterName) {
		return nil
	}
	c.amend(func(resp kmsg.Response) {
		r := resp.(*kmsg.ListGroupsResponse)
		r.Groups = slices.DeleteFunc(r.Groups, func(g kmsg.ListGroupsResponseGroup) bool { return !c.sees(acl.Describe, acl.Group, g.Group) })
	})
	return nil
}

func guardDeleteGroups(c *Call) kmsg.Response {
	req := c.Request.(*kmsg.DeleteGroupsRequest)
	var denied []string
	req.Groups, denied = split(req.Groups, func(id *string) bool { return c.allowed(acl.Delete, acl.Group, *id) })
	amendWith(c, denied, func(resp *kmsg.DeleteGroupsResponse, id *string) {
		g := kmsg.NewDeleteGroupsResponseGroup()
		g.Group, g.ErrorCode = *id, deniedGroup
		resp.Groups = append(resp.Groups, g)
	})
	return nil
}

func guardOffsetCommit(c *Call) kmsg.Response {
	req := c.Request.(*kmsg.OffsetCommitRequest)
	resp := kmsg.NewPtrOffsetCommitResponse()
	deny := func(t *kmsg.OffsetCommitRequestTopic, code int16) {
		rt := kmsg.NewOffsetCommitResponseTopic()
		rt.Topic, rt.TopicID = t.Topic, t.TopicID
		rt.Partitions = mapped(t.Partitions, func(p *kmsg.OffsetCommitRequestTopicPartition) kmsg.OffsetCommitResponseTopicPartition {
			rp := kmsg.NewOffsetCommitResponseTopicPartition()
			rp.Partition, rp.ErrorCode = p.Partition, code
			return rp
		})
		resp.Topics = append(resp.Topics, rt)
	}
	if !c.allowed(acl.Read, acl.Group, req.Group) {
		for i := range req.Topics {
			deny(&req.Topics[i], deniedGroup)
		}
		return resp
	}
	req.Topics, _ = split(req.Topics, func(t *kmsg.OffsetCommitRequestTopic) bool {
		code := c.topicCode(acl.Read, t.Topic, t.TopicID, c.Version >= topicIDsInOffsets)
		if code != 0 {
			deny(t, code)
		}
		return code == 0
	})
	if len(req.Topics) == 0 && len(resp.Topics) > 0 {
		return resp
	}
	amendWith(c, resp.Topics, func(r *kmsg.OffsetCommitResponse, t *kmsg.OffsetCommitResponseTopic) { r.Topics = append(r.Topics, *t) })
	return nil
}

// topicIDsInOffsets is the first version of OffsetCommit and of OffsetFetch that names
// topics by id.
const topicIDsInOffsets = 10

// topicCode says what speaks against an operation on a topic by its name or id. An id
// that is not known is refused here: by the time it is handled it may be known.
func (c *Call) topicCode(op acl.Operation, name string, id metadata.ID, byID bool) int16 {
	if byID {
		var ok bool
		if name, ok = c.topicNamed(id); !ok {
			return kerr.UnknownTopicID.Code
		}
	}
	if !c.allowed(op, acl.Topic, name) {
		return deniedTopic
	}
	return 0
}

func guardOffsetFetch(c *Call) kmsg.Response {
	req := c.Request.(*kmsg.OffsetFetchRequest)
	if c.Version < offsetFetchGroups {
		return c.guardOffsetFetchOne(req)
	}
	var denied []kmsg.OffsetFetchRequestGroup
	req.Groups, denied = split(req.Groups, func(g *kmsg.OffsetFetchRequestGroup) bool { return c.allowed(acl.Describe, acl.Group, g.Group) })
	notAll := make(map[string]bool)
	topics := make(map[string][]kmsg.OffsetFetchResponseGroupTopic)
	for i := range req.Groups {
		g := &req.Groups[i]
		if g.Topics == nil {
			continue
		}
		notAll[g.Group] = true
		g.Topics, _ = split(g.Topics, func(t *kmsg.OffsetFetchRequestGroupTopic) bool {
			code := c.topicCode(acl.Describe, t.Topic, t.TopicID, c.Version >= topicIDsInOffsets)
			if code != 0 {
				topics[g.Group] = append(topics[g.Group], offsetsDenied(t, code))
			}
			return code == 0
		})
	}
	c.amend(func(resp kmsg.Response) {
		r := resp.(*kmsg.OffsetFetchResponse)
		for i := range r.Groups {
			switch g := &r.Groups[i]; {
			case g.ErrorCode != 0:
			case notAll[g.Group]:
				g.Topics = append(g.Topics, topics[g.Group]...)
			default:
				g.Topics = slices.DeleteFunc(g.Topics, func(t kmsg.OffsetFetchResponseGroupTopic) bool {
					name, ok := t.Topic, true
					if c.Version >= topicIDsInOffsets {
						name, ok = c.topicNamed(t.TopicID)
					}
					return !ok || !c.sees(acl.Describe, acl.Topic, name)
				})
			}
		}
	})
	amendWith(c, denied, func(resp *kmsg.OffsetFetchResponse, g *kmsg.OffsetFetchRequestGroup) {
		rg := kmsg.NewOffsetFetchResponseGroup()
		rg.Group, rg.ErrorCode = g.Group, deniedGroup
		resp.Groups = append(resp.Groups, rg)
	})
	return nil
}

// offsetFetchGroups is the first version of OffsetFetch that is of many groups.
const offsetFetchGroups = 8

func offsetsDenied(t *kmsg.OffsetFetchRequestGroupTopic, code int16) kmsg.OffsetFetchResponseGroupTopic {
	rt := kmsg.NewOffsetFetchResponseGroupTopic()
	rt.Topic, rt.TopicID = t.Topic, t.TopicID
	rt.Partitions = mapped(t.Partitions, func(index *int32) kmsg.OffsetFetchResponseGroupTopicPartition {
		rp := kmsg.NewOffsetFetchResponseGroupTopicPartition()
		rp.Partition, rp.Offset, rp.LeaderEpoch, rp.Metadata, rp.ErrorCode = *index, -1, -1, kmsg.StringPtr(""), code
		return rp
	})
	return rt
}

// guardOffsetFetchOne judges the versions that are of one group.
func (c *Call) guardOffsetFetchOne(req *kmsg.OffsetFetchRequest) kmsg.Response {
	resp := kmsg.NewPtrOffsetFetchResponse()
	deny := func(t *kmsg.OffsetFetchRequestTopic, code int16) {
		rt := kmsg.NewOffsetFetchResponseTopic()
		rt.Topic = t.Topic
		rt.Partitions = mapped(t.Partitions, func(index *int32) kmsg.OffsetFetchResponseTopicPartition {
			rp := kmsg.NewOffsetFetchResponseTopicPartition()
			rp.Partition, rp.Offset, rp.LeaderEpoch, rp.Metadata, rp.ErrorCode = *index, -1, -1, kmsg.StringPtr(""), code
			return rp
		})
		resp.Topics = append(resp.Topics, rt)
	}
	if !c.allowed(acl.Describe, acl.Group, req.Group) {
		if resp.ErrorCode = deniedGroup; c.Version < 2 { // which has no error but those of partitions
			for i := range req.Topics {
				deny(&req.Topics[i], deniedGroup)
			}
		}
		return resp
	}
	all := req.Topics == nil
	req.Topics, _ = split(req.Topics, func(t *kmsg.OffsetFetchRequestTopic) bool {
		ok := c.allowed(acl.Describe, acl.Topic, t.Topic)
		if !ok {
			deny(t, deniedTopic)
		}
		return ok
	})
	c.amend(func(answer kmsg.Response) {
		r := answer.(*kmsg.OffsetFetchResponse)
		if all {
			r.Topics = slices.DeleteFunc(r.Topics, func(t kmsg.OffsetFetchResponseTopic) bool { return !c.sees(acl.Describe, acl.Topic, t.Topic) })
		}
		if r.ErrorCode == 0 {
			r.Topics = append(r.Topics, resp.Topics...)
		}
	})
	return nil
}

func guardOffsetDelete(c *Call) kmsg.Response {
	req := c.Request.(*kmsg.OffsetDeleteRequest)
	resp := kmsg.NewPtrOffsetDeleteResponse()
	if !c.allowed(acl.Delete, acl.Group, req.Group) {
		resp.ErrorCode = deniedGroup
		return resp
	}
	req.Topics, _ = split(req.Topics, func(t *kmsg.OffsetDeleteRequestTopic) bool {
		if c.allowed(acl.Read, acl.Topic, t.Topic) {
			return true
		}
		rt := kmsg.NewOffsetDeleteResponseTopic()
		rt.Topic = t.Topic
		rt.Partitions = mapped(t.Partitions, func(p *kmsg.OffsetDeleteRequestTopicPartition) kmsg.OffsetDeleteResponseTopicPartition {
			rp := kmsg.NewOffsetDeleteResponseTopicPartition()
			rp.Partition, rp.ErrorCode = p.Partition, deniedTopic
			return rp
		})
		resp.Topics = append(resp.Topics, rt)
		return false
	})
	if len(req.Topics) == 0 && len(resp.Topics) > 0 {
		return resp
	}
	c.amend(func(answer kmsg.Response) {
		if r := answer.(*kmsg.OffsetDeleteResponse); r.ErrorCode == 0 {
			r.Topics = append(r.Topics, resp.Topics...)
		}
	})
	return nil
}

func guardConsumerGroupHeartbeat(c *Call) kmsg.Response {
	req := c.Request.(*kmsg.ConsumerGroupHeartbeatRequest)
	err := c.mayJoin(req.Group, req.SubscribedTopicNames)
	if err == nil {
		return nil
	}
	resp := kmsg.NewPtrConsumerGroupHeartbeatResponse()
	resp.ErrorCode, resp.ErrorMessage = err.Code, message(err)
	return resp
}

// mayJoin says why the client may not be a member of a group that uses topics; nil: it may.
func (c *Call) mayJoin(group string, topics []string) *kerr.Error {
	if !c.allowed(acl.Read, acl.Group, group) {
		return kerr.GroupAuthorizationFailed
	}
	for _, t := range topics {
		if !c.allowed(acl.Describe, acl.Topic, t) {
			return kerr.TopicAuthorizationFailed
		}
	}
	return nil
}

// usesHidden is what is said of a group to a client that may not describe one of its topics.
const usesHidden = "The described group uses topics that the client is not authorized to describe."

// seesAll reports whether the client may describe all of these topics.
func (c *Call) seesAll(names map[string]struct{}) bool {
	for name := range names {
		if !c.sees(acl.Describe, acl.Topic, name) {
			return false
		}
	}
	return true
}

func guardConsumerGroupDescribe(c *Call) kmsg.Response {
	req := c.Request.(*kmsg.ConsumerGroupDescribeRequest)
	var denied []string
	req.Groups, denied = split(req.Groups, func(id *string) bool { return c.allowed(acl.Describe, acl.Group, *id) })
	c.amend(func(resp kmsg.Response) {
		r := resp.(*kmsg.ConsumerGroupDescribeResponse)
		for i := range r.Groups {
			g := &r.Groups[i]
			if g.ErrorCode != 0 {
				continue
			}
			if c.authorized() && !c.seesAll(topicsOfConsumers(g)) {
				refused := kmsg.NewConsumerGroupDescribeResponseGroup()
				refused.Group, refused.ErrorCode, refused.ErrorMessage, refused.AuthorizedOperations = g.Group, deniedTopic, kmsg.StringPtr(usesHidden), noOperations
				*g = refused
				continue
			}
			if req.IncludeAuthorizedOperations {
				g.AuthorizedOperations = c.operations(acl.Group, g.Group)
			}
		}
	})
	amendWith(c, denied, func(resp *kmsg.ConsumerGroupDescribeResponse, id *string) {
		g := kmsg.NewConsumerGroupDescribeResponseGroup()
		g.Group, g.ErrorCode, g.AuthorizedOperations = *id, deniedGroup, noOperations
		resp.Groups = append(resp.Groups, g)
	})
	return nil
}

// topicsOfConsumers are those that the members of a group have or subscribe to.
func topicsOfConsumers(g *kmsg.ConsumerGroupDescribeResponseGroup) map[string]struct{} {
	names := make(map[string]struct{})
	for i := range g.Members {
		m := &g.Members[i]
		for _, name := range m.SubscribedTopics {
			names[name] = struct{}{}
		}
		for _, a := range [][]kmsg.AssignmentTopicPartition{m.Assignment.TopicPartitions, m.TargetAssignment.TopicPartitions} {
			for j := range a {
				names[a[j].Topic] = struct{}{}
			}
		}
	}
	return names
}
