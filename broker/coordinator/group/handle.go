package group

import (
	"github.com/tidelinehq/tideline/broker/coordinator"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// The requests about one group.

func (c *Coordinator) join(caller Caller, req *kmsg.JoinGroupRequest, reply func(kmsg.Response)) {
	if code := checkJoin(&c.cfg, req); code != 0 {
		reply(joinError(req.Version, req.MemberID, code))
		return
	}
	j := &joinGroup{req: req, caller: caller, call: callFor(reply)}
	c.submit(req.Group, coordinator.Exclusive, j, j.call, func(err error) any {
		return joinError(req.Version, req.MemberID, errorCode(err))
	})
}

func (c *Coordinator) sync(req *kmsg.SyncGroupRequest, reply func(kmsg.Response)) {
	if req.Group == "" {
		reply(syncError(req.Version, kerr.InvalidGroupID.Code))
		return
	}
	s := &syncGroup{req: req, call: callFor(reply)}
	c.submit(req.Group, coordinator.Exclusive, s, s.call, func(err error) any {
		return syncError(req.Version, errorCode(err))
	})
}

func (c *Coordinator) heartbeat(req *kmsg.HeartbeatRequest, reply func(kmsg.Response)) {
	if req.Group == "" {
		reply(heartbeatResponse(req.Version, kerr.InvalidGroupID.Code))
		return
	}
	h := &heartbeat{req: req, call: callFor(reply)}
	c.submit(req.Group, coordinator.Read, h, h.call, func(err error) any {
		return refuseHeartbeat(req.Version, err)
	})
}

func (c *Coordinator) leave(req *kmsg.LeaveGroupRequest, reply func(kmsg.Response)) {
	if req.Group == "" {
		reply(leaveError(req.Version, kerr.InvalidGroupID.Code))
		return
	}
	l := &leaveGroup{req: req, call: callFor(reply)}
	c.submit(req.Group, coordinator.Exclusive, l, l.call, func(err error) any {
		return leaveError(req.Version, errorCode(err))
	})
}

func (c *Coordinator) offsetCommit(req *kmsg.OffsetCommitRequest, reply func(kmsg.Response)) {
	o := &offsetCommit{req: req, call: callFor(reply)}
	o.topics = resolveEach(req.Topics, func(t *kmsg.OffsetCommitRequestTopic) resolved {
		if req.Version >= commitTopicIDs {
			return c.byID(t.TopicID)
		}
		return c.byName(t.Topic)
	})
	c.submit(req.Group, coordinator.Share, o, o.call, o.refuseFor)
}

func (c *Coordinator) offsetDelete(req *kmsg.OffsetDeleteRequest, reply func(kmsg.Response)) {
	if req.Group == "" {
		reply(deleteOffsetsError(kerr.InvalidGroupID.Code))
		return
	}
	o := &offsetDelete{req: req, call: callFor(reply)}
	o.topics = resolveEach(req.Topics, func(t *kmsg.OffsetDeleteRequestTopic) resolved { return c.byName(t.Topic) })
	c.submit(req.Group, coordinator.Exclusive, o, o.call, func(err error) any {
		return deleteOffsetsError(errorCode(err))
	})
}

func (c *Coordinator) consumerHeartbeat(caller Caller, req *kmsg.ConsumerGroupHeartbeatRequest, reply func(kmsg.Response)) {
	if code, text := checkConsumerHeartbeat(&c.cfg, req); code != 0 {
		reply(consumerHeartbeatError(req.Version, code, text))
		return
	}
	h := &consumerHeartbeat{req: req, caller: caller, call: callFor(reply)}
	c.submit(req.Group, coordinator.Exclusive, h, h.call, func(err error) any {
		return refuseConsumerHeartbeat(req.Version, err)
	})
}

func (c *Coordinator) byName(name string) resolved {
	id, partitions, ok := c.topics.Lookup(name)
	if !ok {
		return resolved{name: name, code: kerr.UnknownTopicOrPartition.Code}
	}
	return resolved{name: name, id: id, partitions: partitions}
}

func (c *Coordinator) byID(id [16]byte) resolved {
	if name, ok := c.topics.Name(id); ok {
		if r := c.byName(name); r.code == 0 {
			return r
		}
	}
	return resolved{id: id, code: kerr.UnknownTopicID.Code}
}
