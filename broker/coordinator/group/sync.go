package group

import (
	"time"

	"github.com/tidelinehq/tideline/broker/coordinator"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// syncGroup is a SyncGroup request.
type syncGroup struct {
	req  *kmsg.SyncGroupRequest
	call *coordinator.Call
}

func syncError(version int16, code int16) *kmsg.SyncGroupResponse {
	r := kmsg.NewPtrSyncGroupResponse()
	r.Version, r.ErrorCode = version, code
	r.MemberAssignment = []byte{}
	return r
}

// syncResponse gives the member its assignment.
func (ms *membership) syncResponse(version int16, mb *member) *kmsg.SyncGroupResponse {
	r := syncError(version, 0)
	r.ProtocolType, r.Protocol = nonEmpty(ms.protocolType), nonEmpty(ms.protocol)
	if mb.assignment != nil {
		r.MemberAssignment = mb.assignment
	}
	return r
}

func (s *syncGroup) refuse(code int16) coordinator.Outcome {
	return coordinator.Outcome{Replies: []coordinator.Reply{{To: s.call, Body: syncError(s.req.Version, code)}}}
}

func (s *syncGroup) decide(m *machine, now time.Time) coordinator.Outcome {
	req := s.req
	g := m.groups[req.Group]
	if g != nil {
		if c, ok := g.modern.(*consumerGroup); ok {
			return s.syncConsumer(m, c, now)
		}
	}
	if g == nil || g.state == Empty {
		return s.refuse(kerr.UnknownMemberID.Code)
	}
	if _, code := g.checkMember(req.MemberID, req.InstanceID); code != 0 {
		return s.refuse(code)
	}
	switch {
	case req.Generation != g.generation:
		return s.refuse(kerr.IllegalGeneration.Code)
	case differs(req.ProtocolType, g.protocolType), differs(req.Protocol, g.protocol):
		return s.refuse(kerr.InconsistentGroupProtocol.Code)
	case g.state == PreparingRebalance:
		return s.refuse(kerr.RebalanceInProgress.Code)
	}

	d := m.draft(req.Group, now)
	mb := d.ms.member(req.MemberID)
	d.ms.edit(mb).unsynced = false
	if d.ms.allSynced() {
		d.cancel(syncTimer, "")
	}
	mb = d.ms.member(req.MemberID)
	switch {
	case d.ms.state == Stable:
		d.reply(s.call, d.ms.syncResponse(req.Version, mb))
	case mb.id == d.ms.leader:
		d.parkSync(mb, parked{s.call, req.Version})
		d.assign(req.GroupAssignment)
	default:
		d.parkSync(mb, parked{s.call, req.Version})
	}
	return d.outcome()
}

// assign installs the leader's assignment and gives it to all who wait. It
// takes effect once its record is committed; until then the group waits for its
// leader, who is told to try again if that fails.
func (d *draft) assign(given []kmsg.SyncGroupRequestGroupAssignment) {
	byMember := make(map[string][]byte, len(given))
	for _, a := range given {
		byMember[a.MemberID] = a.MemberAssignment
	}
	d.ms.moveTo(Stable, d.now)
	missing := 0
	for _, mb := range d.all() {
		mb = d.ms.edit(mb)
		assignment, ok := byMember[mb.id]
		if !ok {
			missing++
		}
		mb.assignment = append([]byte{}, assignment...)
		if d.answerSync(mb, 0) {
			d.renew(mb)
		}
	}
	d.record()
	d.assigned = true
	d.note("group is stable", "members", len(d.ms.members), "without_assignment", missing)
}
