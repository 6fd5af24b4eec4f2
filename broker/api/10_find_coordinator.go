package api

import (
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/tidelinehq/tideline/broker/coordinator/group"
)

// Coordinator types of FindCoordinator.
const coordinatorGroup = 0

// findCoordinator answers FindCoordinator: the leader of the partition of
// __consumer_offsets that a group belongs to. The topic is created on first use.
func findCoordinator(c *Call) kmsg.Response {
	req := c.Request.(*kmsg.FindCoordinatorRequest)
	resp := kmsg.NewPtrFindCoordinatorResponse()
	if c.Version < 4 {
		one := c.findCoordinator(req.CoordinatorKey, req.CoordinatorType)
		resp.ErrorCode, resp.ErrorMessage, resp.NodeID, resp.Host, resp.Port = one.ErrorCode, one.ErrorMessage, one.NodeID, one.Host, one.Port
		return resp
	}
	for _, key := range req.CoordinatorKeys {
		resp.Coordinators = append(resp.Coordinators, c.findCoordinator(key, req.CoordinatorType))
	}
	return resp
}

func (c *Call) findCoordinator(key string, kind int8) kmsg.FindCoordinatorResponseCoordinator {
	out := kmsg.NewFindCoordinatorResponseCoordinator()
	out.Key, out.NodeID, out.Port = key, -1, -1
	fail := func(code int16, why string) kmsg.FindCoordinatorResponseCoordinator {
		out.ErrorCode, out.ErrorMessage = code, &why
		return out
	}
	if kind != coordinatorGroup {
		return fail(kerr.InvalidRequest.Code, "this broker coordinates consumer groups (key type 0)")
	}
	topic, err := c.API.groupTopic(c.Context)
	if err != nil {
		return fail(kerr.CoordinatorNotAvailable.Code, err.Error())
	}
	image := c.API.Metadata.Image()
	p, ok := image.PartitionOf(topic, group.PartitionFor(key, topic.Partitions))
	if !ok {
		return fail(kerr.CoordinatorNotAvailable.Code, "the group's partition does not exist yet")
	}
	b, ok := image.Broker(p.Leader)
	if !ok {
		return fail(kerr.CoordinatorNotAvailable.Code, "the group's partition has no leader")
	}
	host, port, ok := endpoint(b, c.Listener)
	if !ok {
		return fail(kerr.CoordinatorNotAvailable.Code, "the coordinator does not have this listener")
	}
	out.NodeID, out.Host, out.Port = b.ID, host, port
	return out
}
