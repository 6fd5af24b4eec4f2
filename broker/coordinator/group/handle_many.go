package group

import (
	"github.com/tidelinehq/tideline/broker/coordinator"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// The requests about many groups, whose parts are answered by several shards.

// describeEach has many groups described, each by its shard. One that is not described
// is answered with refused.
func describeEach[T any](c *Coordinator, groups []string, refused func(group string, code int16) *T, query func(group string, call *coordinator.Call) body, done func([]T)) {
	g := coordinator.NewGather(len(groups), func(parts []*T) { done(coordinator.Values(parts)) })
	for i, id := range groups {
		if id == "" {
			g.Put(i, refused(id, kerr.InvalidGroupID.Code))
			continue
		}
		call := g.Call(i)
		c.submit(id, coordinator.Read, query(id, call), call, func(err error) any { return refused(id, errorCode(err)) })
	}
}

func (c *Coordinator) describeGroups(req *kmsg.DescribeGroupsRequest, reply func(kmsg.Response)) {
	describeEach(c, req.Groups, describeError, func(id string, call *coordinator.Call) body {
		return &describeGroup{group: id, version: req.Version, call: call}
	}, func(groups []kmsg.DescribeGroupsResponseGroup) {
		resp := kmsg.NewPtrDescribeGroupsResponse()
		resp.Version, resp.Groups = req.Version, groups
		reply(resp)
	})
}

func (c *Coordinator) describeConsumers(req *kmsg.ConsumerGroupDescribeRequest, reply func(kmsg.Response)) {
	refused := func(id string, code int16) *kmsg.ConsumerGroupDescribeResponseGroup {
		return describeConsumerError(id, code, "")
	}
	describeEach(c, req.Groups, refused, func(id string, call *coordinator.Call) body {
		return &describeConsumer{group: id, call: call}
	}, func(groups []kmsg.ConsumerGroupDescribeResponseGroup) {
		resp := kmsg.NewPtrConsumerGroupDescribeResponse()
		resp.Version, resp.Groups = req.Version, groups
		reply(resp)
	})
}

func (c *Coordinator) deleteGroups(req *kmsg.DeleteGroupsRequest, reply func(kmsg.Response)) {
	g := coordinator.NewGather(len(req.Groups), func(parts []*kmsg.DeleteGroupsResponseGroup) {
		resp := kmsg.NewPtrDeleteGroupsResponse()
		resp.Version, resp.Groups = req.Version, coordinator.Values(parts)
		reply(resp)
	})
	for i, id := range req.Groups {
		c.endShares(id, func() {
			d := &deleteGroup{group: id, call: g.Call(i)}
			c.submit(id, coordinator.Exclusive, d, d.call, func(err error) any { return deleteError(id, errorCode(err)) })
		}, func(code int16) { g.Put(i, deleteError(id, code)) })
	}
}

func (c *Coordinator) listGroups(req *kmsg.ListGroupsRequest, reply func(kmsg.Response)) {
	partitions := c.Runtime.Partitions()
	g := coordinator.NewGather(len(partitions), func(parts []listed) {
		resp := kmsg.NewPtrListGroupsResponse()
		resp.Version = req.Version
		resp.Groups = []kmsg.ListGroupsResponseGroup{}
		for _, p := range parts {
			if p.code != 0 {
				// Half a list would be taken for a whole one.
				resp.ErrorCode, resp.Groups = p.code, []kmsg.ListGroupsResponseGroup{}
				break
			}
			resp.Groups = append(resp.Groups, p.groups...)
		}
		reply(resp)
	})
	for i, p := range partitions {
		l := &listGroups{states: req.StatesFilter, types: req.TypesFilter, call: g.Call(i)}
		c.Runtime.Submit(p, coordinator.Event{Access: coordinator.Read, Body: l, Call: l.call, Refuse: refuseList})
	}
}

func (c *Coordinator) offsetFetch(req *kmsg.OffsetFetchRequest, reply func(kmsg.Response)) {
	groups := req.Groups
	if req.Version < fetchBatched {
		groups = []kmsg.OffsetFetchRequestGroup{oneGroup(req)}
	}
	g := coordinator.NewGather(len(groups), func(parts []*kmsg.OffsetFetchResponseGroup) {
		resp := kmsg.NewPtrOffsetFetchResponse()
		resp.Version = req.Version
		if req.Version < fetchBatched {
			fillOneGroup(resp, req, parts[0])
		} else {
			resp.Groups = coordinator.Values(parts)
		}
		reply(resp)
	})
	for i := range groups {
		f := &offsetFetch{stable: req.RequireStable, group: groups[i].Group, member: groups[i].MemberID, epoch: groups[i].MemberEpoch, all: groups[i].Topics == nil}
		f.call = coordinator.NewCall(func(body any) {
			part := body.(*kmsg.OffsetFetchResponseGroup)
			if f.all {
				c.currentTopics(part, req.Version)
			}
			g.Put(i, part)
		})
		for _, t := range groups[i].Topics {
			f.topics = append(f.topics, c.fetchTopic(t, req.Version))
		}
		access := coordinator.Read
		if req.RequireStable {
			access = coordinator.Exclusive // waits for the commits under way
		}
		c.submit(f.group, access, f, f.call, func(err error) any { return fetchError(f.group, errorCode(err)) })
	}
}

// fetchTopic finds out about a topic of a request. One that is not there any
// more may still have offsets, by its name.
func (c *Coordinator) fetchTopic(t kmsg.OffsetFetchRequestGroupTopic, version int16) fetchTopic {
	f := fetchTopic{wanted: t.TopicID, numbers: t.Partitions}
	if version >= fetchTopicIDs {
		f.resolved = c.byID(t.TopicID)
	} else {
		f.resolved = c.byName(t.Topic)
		f.code = 0
	}
	return f
}

// currentTopics takes offsets out that belong to earlier topics of the same
// name, and, where topics go by id, of topics that are not there any more.
func (c *Coordinator) currentTopics(part *kmsg.OffsetFetchResponseGroup, version int16) {
	kept := part.Topics[:0]
	for _, t := range part.Topics {
		id, _, ok := c.topics.Lookup(t.Topic)
		if ok && otherTopic(t.TopicID, id) || !ok && version >= fetchTopicIDs {
			continue
		}
		t.TopicID = id
		if n := len(kept); n > 0 && kept[n-1].Topic == t.Topic {
			kept[n-1].Partitions = append(kept[n-1].Partitions, t.Partitions...)
		} else {
			kept = append(kept, t)
		}
	}
	part.Topics = kept
}

// oneGroup brings a request of v1 to v7 into the later form.
func oneGroup(req *kmsg.OffsetFetchRequest) kmsg.OffsetFetchRequestGroup {
	g := kmsg.NewOffsetFetchRequestGroup()
	g.Group = req.Group
	if req.Topics != nil || req.Version < fetchTopLevelError {
		g.Topics = []kmsg.OffsetFetchRequestGroupTopic{}
	}
	for _, t := range req.Topics {
		gt := kmsg.NewOffsetFetchRequestGroupTopic()
		gt.Topic, gt.Partitions = t.Topic, t.Partitions
		g.Topics = append(g.Topics, gt)
	}
	return g
}

// fillOneGroup brings an answer into the form of v1 to v7. v1 can say the
// error of a group only on each partition.
func fillOneGroup(resp *kmsg.OffsetFetchResponse, req *kmsg.OffsetFetchRequest, part *kmsg.OffsetFetchResponseGroup) {
	if part.ErrorCode != 0 && req.Version < fetchTopLevelError {
		for _, t := range req.Topics {
			gt := kmsg.NewOffsetFetchResponseGroupTopic()
			gt.Topic = t.Topic
			for _, p := range t.Partitions {
				gt.Partitions = append(gt.Partitions, noOffset(p, part.ErrorCode))
			}
			part.Topics = append(part.Topics, gt)
		}
	}
	resp.ErrorCode = part.ErrorCode
	resp.Topics = []kmsg.OffsetFetchResponseTopic{}
	for _, t := range part.Topics {
		rt := kmsg.NewOffsetFetchResponseTopic()
		rt.Topic = t.Topic
		for _, p := range t.Partitions {
			rp := kmsg.NewOffsetFetchResponseTopicPartition()
			rp.Partition, rp.Offset, rp.LeaderEpoch, rp.Metadata, rp.ErrorCode = p.Partition, p.Offset, p.LeaderEpoch, p.Metadata, p.ErrorCode
			rt.Partitions = append(rt.Partitions, rp)
		}
		resp.Topics = append(resp.Topics, rt)
	}
}
