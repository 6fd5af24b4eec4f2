package group

import (
	"errors"
	"time"

	"github.com/tidelinehq/tideline/broker/coordinator"
	"github.com/tidelinehq/tideline/broker/coordinator/group/streams"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// streamsHeartbeat is a StreamsGroupHeartbeat request. It is answered with a streamsAnswer.
type streamsHeartbeat struct {
	req    *kmsg.StreamsGroupHeartbeatRequest
	caller Caller
	call   *coordinator.Call
}

// streamsAnswer is a response, and the internal topics that are to be made.
type streamsAnswer struct {
	resp   *kmsg.StreamsGroupHeartbeatResponse
	create []streams.InternalTopic
}

// StreamsHeartbeat answers a StreamsGroupHeartbeat request as Handle does, and says with the
// answer which internal topics of the application are missing. To make them is the
// caller's: that waits for the whole cluster, which no group can.
func (c *Coordinator) StreamsHeartbeat(caller Caller, req *kmsg.StreamsGroupHeartbeatRequest, reply func(*kmsg.StreamsGroupHeartbeatResponse, []streams.InternalTopic)) {
	c.streamsHeartbeat(caller, req, reply)
	c.metrics.requests.WithLabelValues(kmsg.NameForKey(req.Key())).Inc()
}

func (c *Coordinator) streamsHeartbeat(caller Caller, req *kmsg.StreamsGroupHeartbeatRequest, reply func(*kmsg.StreamsGroupHeartbeatResponse, []streams.InternalTopic)) {
	if resp := streams.Check(req); resp != nil {
		reply(resp, nil)
		return
	}
	h := &streamsHeartbeat{req: req, caller: caller}
	h.call = coordinator.NewCall(func(body any) {
		a := body.(streamsAnswer)
		reply(a.resp, a.create)
	})
	c.submit(req.Group, coordinator.Exclusive, h, h.call, func(err error) any {
		text := ""
		if errors.Is(err, coordinator.ErrTooLarge) {
			text = "The group is too large."
		}
		return streamsAnswer{resp: streams.Refused(req.Version, errorCode(err), text)}
	})
}

// decide takes in what the member says and tells it its tasks.
func (h *streamsHeartbeat) decide(m *machine, now time.Time) coordinator.Outcome {
	id := h.req.Group
	refused := func(kind *kerr.Error, text string) coordinator.Outcome {
		return refuse(h.call, streamsAnswer{resp: streams.Refused(h.req.Version, kind.Code, text)})
	}
	g := m.groups[id]
	var sg *streamsGroup
	var before []coordinator.Record
	var timers []coordinator.Timer
	if g != nil {
		sg, _ = g.modern.(*streamsGroup)
	}
	joins := streams.Joins(h.req)
	switch {
	case sg != nil:
	case g == nil && !joins:
		return refused(kerr.GroupIDNotFound, "Streams group "+id+" not found.")
	case g == nil && len(m.groups) >= m.cfg.MaxGroups:
		return refused(kerr.CoordinatorNotAvailable, "There are too many groups.")
	case g != nil && (!joins || g.modern != nil || !g.empty()):
		return refused(kerr.GroupIDNotFound, "Group "+id+" is not a streams group.")
	case g != nil && (g.generation != 0 || g.protocolType != ""):
		before = g.groupTombstones(id)
		for _, p := range g.pending {
			timers = append(timers, session(id, p, time.Time{}))
		}
		sg = newStreamsGroup()
	default:
		sg = newStreamsGroup()
	}
	r := streams.Heartbeat(m.streamsEnv(id, now), sg.Group, streams.Client{ID: h.caller.ClientID, Host: h.caller.ClientHost}, h.req)
	out := m.streamsOutcome(id, r, before, h.call)
	out.Timers = append(timers, out.Timers...)
	return out
}

// describeStreams reads one group of a StreamsGroupDescribe request. It is answered
// with a *kmsg.StreamsGroupDescribeResponseGroup.
type describeStreams struct {
	group string
	call  *coordinator.Call
}

func describeStreamsError(group string, code int16, text string) *kmsg.StreamsGroupDescribeResponseGroup {
	r := kmsg.NewStreamsGroupDescribeResponseGroup()
	r.Group, r.ErrorCode, r.ErrorMessage = group, code, errorText(text)
	return &r
}

func (q *describeStreams) decide(m *machine, _ time.Time) coordinator.Outcome {
	g := m.groups[q.group]
	if g == nil {
		return refuse(q.call, describeStreamsError(q.group, kerr.GroupIDNotFound.Code, "Group "+q.group+" not found."))
	}
	s, ok := g.modern.(*streamsGroup)
	if !ok {
		return refuse(q.call, describeStreamsError(q.group, kerr.GroupIDNotFound.Code, "Group "+q.group+" is not a streams group."))
	}
	return refuse(q.call, s.Describe(q.group))
}

func (c *Coordinator) describeStreams(req *kmsg.StreamsGroupDescribeRequest, reply func(kmsg.Response)) {
	refused := func(id string, code int16) *kmsg.StreamsGroupDescribeResponseGroup {
		return describeStreamsError(id, code, "")
	}
	describeEach(c, req.Groups, refused, func(id string, call *coordinator.Call) body {
		return &describeStreams{group: id, call: call}
	}, func(groups []kmsg.StreamsGroupDescribeResponseGroup) {
		resp := kmsg.NewPtrStreamsGroupDescribeResponse()
		resp.Version, resp.Groups = req.Version, groups
		reply(resp)
	})
}
