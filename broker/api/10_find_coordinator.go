package api

import (
	"errors"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/tidelinehq/tideline/broker/wire"
)

// findCoordinator answers FindCoordinator: the leader of the partition of the internal
// topic that a key belongs to. The topic is created on first use.
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
		why = wire.ErrorText(why)
		out.ErrorCode, out.ErrorMessage = code, &why
		return out
	}
	it := coordinatorKind(kind)
	if it == nil {
		return fail(kerr.InvalidRequest.Code, "this broker has no coordinators of this type")
	}
	b, err := c.API.coordinator(c.Context, it, key)
	if errors.Is(err, errCoordinatorKey) {
		return fail(kerr.InvalidRequest.Code, err.Error())
	}
	if err != nil {
		return fail(kerr.CoordinatorNotAvailable.Code, err.Error())
	}
	host, port, ok := endpoint(b, c.Listener)
	if !ok {
		return fail(kerr.CoordinatorNotAvailable.Code, "the coordinator does not have this listener")
	}
	out.NodeID, out.Host, out.Port = b.ID, host, port
	return out
}
