package group

import (
	"errors"
	"time"

	"github.com/tidelinehq/tideline/broker/coordinator"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// heartbeat is a Heartbeat request. It only moves a timer, so it reads the
// committed state and waits for nothing.
type heartbeat struct {
	req  *kmsg.HeartbeatRequest
	call *coordinator.Call
}

func heartbeatResponse(version, code int16) *kmsg.HeartbeatResponse {
	r := kmsg.NewPtrHeartbeatResponse()
	r.Version, r.ErrorCode = version, code
	return r
}

// refuseHeartbeat: a member cannot be known dead while its group is being
// loaded, so it is told to go on, as in Kafka.
func refuseHeartbeat(version int16, err error) any {
	if errors.Is(err, coordinator.ErrLoading) {
		return heartbeatResponse(version, 0)
	}
	return heartbeatResponse(version, errorCode(err))
}

func (h *heartbeat) decide(m *machine, now time.Time) coordinator.Outcome {
	var out coordinator.Outcome
	code := kerr.UnknownMemberID.Code
	g := m.groups[h.req.Group]
	var c *consumerGroup
	if g != nil {
		c, _ = g.modern.(*consumerGroup)
	}
	switch {
	case c != nil:
		code, out.Timers = h.heartbeatConsumer(c, now)
	case g != nil:
		var mb *member
		mb, code = g.checkMember(h.req.MemberID, h.req.InstanceID)
		switch {
		case code != 0:
		case h.req.Generation != g.generation:
			code = kerr.IllegalGeneration.Code
		default:
			out.Timers = []coordinator.Timer{session(h.req.Group, mb.id, now.Add(mb.sessionTimeout))}
			if g.state == PreparingRebalance {
				code = kerr.RebalanceInProgress.Code
			}
		}
	}
	out.Replies = []coordinator.Reply{{To: h.call, Body: heartbeatResponse(h.req.Version, code)}}
	return out
}
