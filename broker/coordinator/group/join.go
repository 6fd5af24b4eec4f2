package group

import (
	"bytes"
	"time"

	"github.com/tidelinehq/tideline/broker/coordinator"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// Versions of JoinGroup that changed what the coordinator does.
const (
	joinRequiresMemberID = 4 // a new member is first given an id, to join again with
	joinSkipsAssignment  = 9 // a static leader may be told to keep the assignment
)

// joinGroup is a JoinGroup request.
type joinGroup struct {
	req    *kmsg.JoinGroupRequest
	caller Caller
	call   *coordinator.Call
}

func newJoin(version int16) *kmsg.JoinGroupResponse {
	r := kmsg.NewPtrJoinGroupResponse()
	r.Version = version
	return r
}

func joinError(version int16, member string, code int16) *kmsg.JoinGroupResponse {
	r := newJoin(version)
	r.Generation, r.MemberID, r.ErrorCode = -1, member, code
	return r
}

// fillJoin tells a member about the generation; the leader also who is in it.
func (ms *membership) fillJoin(r *kmsg.JoinGroupResponse, member string) {
	r.MemberID, r.Generation, r.LeaderID = member, ms.generation, ms.leader
	r.ProtocolType, r.Protocol = nonEmpty(ms.protocolType), nonEmpty(ms.protocol)
	if member == ms.leader {
		ms.fillMembers(r)
	}
}

func (ms *membership) fillMembers(r *kmsg.JoinGroupResponse) {
	r.Members = make([]kmsg.JoinGroupResponseMember, 0, len(ms.members))
	for _, mb := range ms.members {
		m := kmsg.NewJoinGroupResponseMember()
		m.MemberID, m.InstanceID, m.ProtocolMetadata = mb.id, mb.instance, mb.metadata(ms.protocol)
		r.Members = append(r.Members, m)
	}
}

// checkJoin is what can be said about a request without its group.
func checkJoin(cfg *Config, req *kmsg.JoinGroupRequest) int16 {
	session := millis(req.SessionTimeoutMillis)
	size, longest := 0, max(len(req.ProtocolType), len(deref(req.InstanceID)), len(req.MemberID))
	for _, p := range req.Protocols {
		size += len(p.Name) + len(p.Metadata)
		longest = max(longest, len(p.Name))
	}
	switch {
	case req.Group == "" || len(req.Group) > maxID:
		return kerr.InvalidGroupID.Code
	case session < cfg.MinSessionTimeout || session > cfg.MaxSessionTimeout:
		return kerr.InvalidSessionTimeout.Code
	case size > cfg.MaxMemberBytes || longest > maxID || req.InstanceID != nil && *req.InstanceID == "":
		return kerr.InvalidRequest.Code
	}
	return 0
}

func (j *joinGroup) parked() parked { return parked{j.call, j.req.Version} }

// refuse answers the join at once.
func (j *joinGroup) refuse(member string, code int16) coordinator.Outcome {
	return coordinator.Outcome{Replies: []coordinator.Reply{{To: j.call, Body: joinError(j.req.Version, member, code)}}}
}

func (j *joinGroup) protocols() []protocol {
	ps := make([]protocol, len(j.req.Protocols))
	for i, p := range j.req.Protocols {
		ps[i] = protocol{p.Name, bytes.Clone(p.Metadata)} // the request's memory is pooled
	}
	return ps
}

func (j *joinGroup) rebalanceTimeout() time.Duration {
	if j.req.Version < 1 {
		return millis(j.req.SessionTimeoutMillis)
	}
	return max(0, millis(j.req.RebalanceTimeoutMillis))
}

func (j *joinGroup) decide(m *machine, now time.Time) coordinator.Outcome {
	req := j.req
	if _, ok := m.groups[req.Group]; !ok {
		if req.MemberID != "" {
			return j.refuse(req.MemberID, kerr.UnknownMemberID.Code)
		}
		if len(m.groups) >= m.cfg.MaxGroups {
			return j.refuse("", kerr.CoordinatorNotAvailable.Code)
		}
	}
	d := m.draft(req.Group, now)
	if g := m.groups[req.Group]; g != nil && g.modern != nil {
		if c, ok := g.modern.(*consumerGroup); ok && !g.empty() {
			return j.joinConsumer(m, c, now)
		}
		if !g.empty() {
			return j.refuse("", kerr.InconsistentGroupProtocol.Code)
		}
		// One of another kind that nobody is in becomes a classic one.
		d.out.Records = append(d.out.Records, g.modern.tombstones(req.Group)...)
	}
	ps := j.protocols()
	switch {
	case !j.accepted(d.ms, m.cfg.MaxSize):
		return j.tooMany(d)
	case !d.ms.supports(req.ProtocolType, ps):
		return j.refuse(req.MemberID, kerr.InconsistentGroupProtocol.Code)
	case req.MemberID == "":
		return j.newMember(d, ps)
	case req.InstanceID == nil && d.ms.isPending(req.MemberID):
		j.add(d, req.MemberID, ps)
		return d.outcome()
	default:
		return j.knownMember(d, ps)
	}
}

// accepted says whether the group has room. While it rebalances, those who have
// joined count: that keeps the last to rejoin out of a group that is too large.
func (j *joinGroup) accepted(ms *membership, limit int) bool {
	mb := ms.member(j.req.MemberID)
	if j.req.MemberID == "" && len(ms.pending) >= limit {
		return false
	}
	switch ms.state {
	case PreparingRebalance:
		return mb != nil && mb.join.waits() || ms.awaitingJoin() < limit
	case CompletingRebalance, Stable:
		return mb != nil || len(ms.members) < limit
	default:
		return true
	}
}

func (j *joinGroup) tooMany(d *draft) coordinator.Outcome {
	d.reply(j.call, joinError(j.req.Version, "", kerr.GroupMaxSizeReached.Code))
	if d.ms.isPending(j.req.MemberID) {
		d.ms.removePending(j.req.MemberID)
		d.cancel(sessionTimer, j.req.MemberID)
	} else if mb := d.ms.member(j.req.MemberID); mb != nil {
		d.remove(mb, kerr.GroupMaxSizeReached.Code)
	}
	d.maybeComplete()
	return d.outcome()
}

// newMember: the client does not know its member id.
func (j *joinGroup) newMember(d *draft, ps []protocol) coordinator.Outcome {
	req := j.req
	if req.InstanceID != nil {
		id := *req.InstanceID + "-" + d.m.newID()
		if old := d.ms.static(*req.InstanceID); old != nil {
			j.replace(d, old, id, ps)
		} else {
			d.rename(*req.InstanceID, id)
			j.add(d, id, ps)
		}
		return d.outcome()
	}
	id := j.caller.ClientID + "-" + d.m.newID()
	if req.Version < joinRequiresMemberID {
		j.add(d, id, ps)
		return d.outcome()
	}
	d.ms.addPending(id)
	d.timer(sessionTimer, id, d.now.Add(millis(req.SessionTimeoutMillis)))
	d.reply(j.call, joinError(req.Version, id, kerr.MemberIDRequired.Code))
	return d.outcome()
}

// add takes in a member whose join is parked until the rebalance completes.
func (j *joinGroup) add(d *draft, id string, ps []protocol) {
	ms := d.ms
	ms.removePending(id)
	if len(ms.members) == 0 {
		ms.protocolType = j.req.ProtocolType
	}
	if ms.leader == "" {
		ms.leader = id
	}
	if ms.state == PreparingRebalance && ms.previous == Empty {
		ms.grew = true
	}
	ms.put(&member{
		id: id, instance: j.req.InstanceID, clientID: j.caller.ClientID, clientHost: j.caller.ClientHost,
		sessionTimeout: millis(j.req.SessionTimeoutMillis), rebalanceTimeout: j.rebalanceTimeout(),
		protocols: ps, join: j.parked(), fresh: true,
	})
	// A client that gives up during a long rebalance and tries again leaves a
	// member behind that cannot be told from a live one: it does not know its id and
	// so sends no heartbeats. Hence the bound on its wait.
	d.timer(sessionTimer, id, d.now.Add(d.m.cfg.NewMemberJoinTimeout))
	d.rebalance("member " + id + " joined: " + j.reason())
}

func (j *joinGroup) reason() string {
	if j.req.Reason == nil || *j.req.Reason == "" {
		return "no reason given"
	}
	return *j.req.Reason
}

// update takes the request's word for what the member is, parks it, and rebalances.
func (j *joinGroup) update(d *draft, mb *member, ps []protocol) {
	j.renewed(d, mb, ps)
	d.rebalance("member " + mb.id + " joined again: " + j.reason())
}

func (j *joinGroup) renewed(d *draft, mb *member, ps []protocol) {
	mb = d.parkJoin(mb, j.parked())
	mb.protocols = ps
	mb.sessionTimeout, mb.rebalanceTimeout = millis(j.req.SessionTimeoutMillis), j.rebalanceTimeout()
}

// knownMember: the client has a member id.
func (j *joinGroup) knownMember(d *draft, ps []protocol) coordinator.Outcome {
	mb, code := d.ms.checkMember(j.req.MemberID, j.req.InstanceID)
	if code != 0 {
		return j.refuse(j.req.MemberID, code)
	}
	switch d.ms.state {
	case PreparingRebalance:
		j.update(d, mb, ps)
	case CompletingRebalance:
		if !mb.matches(ps) {
			j.update(d, mb, ps)
			break
		}
		// It missed the answer to its first join.
		return j.current(d.ms)
	case Stable:
		// The leader rejoins when something that only it can see has changed.
		if mb.id == d.ms.leader || !mb.matches(ps) {
			j.update(d, mb, ps)
			break
		}
		return j.current(d.ms)
	default:
		return j.refuse(j.req.MemberID, kerr.UnknownMemberID.Code)
	}
	return d.outcome()
}

// current tells a member about the generation that it is already in.
func (j *joinGroup) current(ms *membership) coordinator.Outcome {
	resp := newJoin(j.req.Version)
	ms.fillJoin(resp, j.req.MemberID)
	return coordinator.Outcome{Replies: []coordinator.Reply{{To: j.call, Body: resp}}}
}

// replace puts a restarted static member in its predecessor's place. In a stable
// group whose protocol stays the same that needs no rebalance, only a record
// of the new member id.
func (j *joinGroup) replace(d *draft, old *member, id string, ps []protocol) {
	ms := d.ms
	leader := ms.leader
	leads := leader == old.id
	mb := *old
	d.remove(old, kerr.FencedInstanceID.Code)
	mb.id, mb.join, mb.sync = id, parked{}, parked{}
	ms.put(&mb)
	if leads {
		ms.leader = id
	}
	j.renewed(d, &mb, ps)
	d.renew(ms.member(id))
	d.note("static member is replaced", "instance", *j.req.InstanceID, "old_member", old.id, "member", id)

	switch ms.state {
	case Stable:
		if ms.selectProtocol() != ms.protocol {
			d.rename(*j.req.InstanceID, id)
			d.rebalance("static member " + id + " changed the protocol")
			return
		}
		ms.edit(ms.member(id)).join = parked{}
		ms.subscribe()
		resp := newJoin(j.req.Version)
		ms.fillJoin(resp, id)
		if j.req.Version >= joinSkipsAssignment {
			resp.SkipAssignment = leads
		} else {
			// An old client that were told it leads would assign anew, in a
			// generation that is already assigned: it is told that its old id leads.
			resp.LeaderID, resp.Members = leader, nil
		}
		d.reply(j.call, resp)
		d.record()
	case CompletingRebalance:
		// The leader may have assigned to the old id already.
		d.rename(*j.req.InstanceID, id)
		d.prepare("static member " + id + " was replaced: " + j.reason())
	default:
		d.rename(*j.req.InstanceID, id)
		d.maybeComplete()
	}
}
