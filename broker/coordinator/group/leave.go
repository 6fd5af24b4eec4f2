package group

import (
	"strings"
	"time"

	"github.com/tidelinehq/tideline/broker/coordinator"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// leaveBatch is the first version of LeaveGroup that names many members.
const leaveBatch = 3

// leaveGroup is a LeaveGroup request.
type leaveGroup struct {
	req  *kmsg.LeaveGroupRequest
	call *coordinator.Call
}

func leaveError(version, code int16) *kmsg.LeaveGroupResponse {
	r := kmsg.NewPtrLeaveGroupResponse()
	r.Version, r.ErrorCode = version, code
	return r
}

// members are those that want to leave, in whichever form the version has.
func (l *leaveGroup) members() []kmsg.LeaveGroupRequestMember {
	if l.req.Version >= leaveBatch {
		return l.req.Members
	}
	m := kmsg.NewLeaveGroupRequestMember()
	m.MemberID = l.req.MemberID
	return []kmsg.LeaveGroupRequestMember{m}
}

func (l *leaveGroup) decide(m *machine, now time.Time) coordinator.Outcome {
	if g := m.groups[l.req.Group]; g != nil {
		if c, ok := g.modern.(*consumerGroup); ok {
			return l.leaveConsumer(m, c, now)
		}
	}
	d := m.draft(l.req.Group, now)
	resp := leaveError(l.req.Version, 0)
	var left []string
	for _, who := range l.members() {
		code := d.leave(who)
		if code == 0 {
			left = append(left, who.MemberID)
		}
		r := kmsg.NewLeaveGroupResponseMember()
		r.MemberID, r.InstanceID, r.ErrorCode = who.MemberID, who.InstanceID, code
		resp.Members = append(resp.Members, r)
		if l.req.Version < leaveBatch {
			resp.ErrorCode = code
		}
	}
	if len(left) == 0 {
		return coordinator.Outcome{Replies: []coordinator.Reply{{To: l.call, Body: resp}}}
	}
	switch d.ms.state {
	case Stable, CompletingRebalance:
		d.rebalance("members left: " + strings.Join(left, ", "))
	case PreparingRebalance:
		d.maybeComplete()
	}
	d.reply(l.call, resp)
	return d.outcome()
}

// leave takes one member out. An administrator removes static members by
// instance id, without a member id.
func (d *draft) leave(who kmsg.LeaveGroupRequestMember) int16 {
	if d.ms.isPending(who.MemberID) {
		d.ms.removePending(who.MemberID)
		d.cancel(sessionTimer, who.MemberID)
		return 0
	}
	var mb *member
	code := kerr.UnknownMemberID.Code
	switch {
	case who.MemberID != "":
		mb, code = d.ms.checkMember(who.MemberID, who.InstanceID)
	case who.InstanceID != nil:
		if mb = d.ms.static(*who.InstanceID); mb != nil {
			code = 0
		}
	}
	if code != 0 {
		return code
	}
	reason := deref(who.Reason)
	d.note("member leaves", "member", mb.id, "reason", reason)
	d.remove(mb, kerr.UnknownMemberID.Code)
	return 0
}
