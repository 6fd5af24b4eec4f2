package group

import (
	"time"

	"github.com/tidelinehq/tideline/broker/coordinator"
	"github.com/twmb/franz-go/pkg/kerr"
)

// leave decides about a heartbeat by which a member leaves, for good or, static, to be back.
func (h *consumerHeartbeat) leave(m *machine, now time.Time) coordinator.Outcome {
	req := h.req
	t, code, text := m.consumerGroupFor(req.Group, false, now)
	if code != 0 {
		return h.refuse(code, text)
	}
	mb := t.g.member(req.MemberID)
	if req.InstanceID != nil {
		mb = t.g.static(*req.InstanceID)
	}
	switch {
	case mb == nil:
		return h.refuse(kerr.UnknownMemberID.Code, "Member "+req.MemberID+" is not a member of group "+req.Group+".")
	case mb.id != req.MemberID:
		return h.refuse(kerr.FencedInstanceID.Code, "Static member "+req.MemberID+" with instance id "+*req.InstanceID+" was fenced by member "+mb.id+".")
	}
	resp := consumerHeartbeatError(req.Version, 0, "")
	resp.MemberID, resp.MemberEpoch = &mb.id, req.MemberEpoch
	t.edit()
	t.reply(h.call, resp)
	if req.MemberEpoch == staticLeaveEpoch {
		// Its place is kept until its session ends, which goes on from its last heartbeat.
		next := *mb
		next.epoch, next.previous, next.revoking = staticLeaveEpoch, mb.epoch, assignment{}
		t.g.put(&next)
		t.out.Records = append(t.out.Records, next.currentRecord(t.id))
		t.cancel(revokeTimer, mb.id)
		t.note("static member leaves and keeps its place", "member", mb.id, "instance", deref(mb.instance))
		return t.outcome()
	}
	return t.fence("it leaves", mb)
}

// fence takes members out, and begins an epoch without them; or makes the group a classic
// one if only members of that protocol are left.
func (t *consumerTurn) fence(why string, members ...*consumerMember) coordinator.Outcome {
	t.edit()
	for _, mb := range members {
		t.remove(mb, why)
	}
	if t.mayDowngrade() {
		return t.downgrade(why)
	}
	t.assign()
	return t.outcome()
}

// timeout implements modern.
func (g *consumerGroup) timeout(m *machine, key coordinator.TimerKey, now time.Time) coordinator.Outcome {
	mb := g.member(key.Name)
	if mb == nil {
		return coordinator.Outcome{}
	}
	t := m.consumerTurn(key.Key, g, now)
	switch key.Kind {
	case sessionTimer:
		return t.fence("its session timed out", mb)
	case revokeTimer:
		if mb.state == memberUnrevoked {
			return t.fence("it did not give up its partitions in time", mb)
		}
	case rejoinTimer:
		return t.fence("it did not join again in time", mb)
	case resyncTimer:
		return t.fence("it did not ask for its assignment in time", mb)
	}
	return coordinator.Outcome{}
}
