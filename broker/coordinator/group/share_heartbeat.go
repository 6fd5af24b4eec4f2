package group

import (
	"errors"
	"slices"
	"time"

	"github.com/tidelinehq/tideline/broker/coordinator"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// shareHeartbeat is a ShareGroupHeartbeat request. It is answered with a
// *shareHeartbeatAnswer.
type shareHeartbeat struct {
	req    *kmsg.ShareGroupHeartbeatRequest
	caller Caller
	call   *coordinator.Call
}

// shareHeartbeatAnswer is what the member is told, and what the share coordinators are
// to be asked for; nil: nothing.
type shareHeartbeatAnswer struct {
	resp  *kmsg.ShareGroupHeartbeatResponse
	begin *shareBeginning
}

func shareHeartbeatError(version int16, code int16, text string) *shareHeartbeatAnswer {
	r := kmsg.NewPtrShareGroupHeartbeatResponse()
	r.Version, r.ErrorCode, r.ErrorMessage = version, code, errorText(text)
	return &shareHeartbeatAnswer{resp: r}
}

// checkShareHeartbeat is what can be said about a request without its group.
func checkShareHeartbeat(cfg *Config, req *kmsg.ShareGroupHeartbeatRequest) string {
	size := 0
	for _, t := range req.SubscribedTopicNames {
		size += len(t) + 1
	}
	switch {
	case req.MemberID == "":
		return "MemberId can't be empty."
	case req.GroupID == "":
		return "GroupId can't be empty."
	case req.RackID != nil && *req.RackID == "":
		return "RackId can't be empty."
	case req.MemberEpoch == joinEpoch && len(req.SubscribedTopicNames) == 0:
		return "SubscribedTopicNames must be set in first request."
	case req.MemberEpoch < leaveEpoch:
		return "MemberEpoch is invalid."
	case size > cfg.MaxMemberBytes || len(req.MemberID) > cfg.MaxMemberBytes:
		return "The subscription is too large."
	}
	return ""
}

func (h *shareHeartbeat) refuse(err *refusal) coordinator.Outcome {
	return refuse(h.call, shareHeartbeatError(h.req.Version, err.code, err.text))
}

// decide takes in what the member says and tells it what it may fetch from.
func (h *shareHeartbeat) decide(m *machine, now time.Time) coordinator.Outcome {
	req := h.req
	joins := req.MemberEpoch == joinEpoch
	t, err := m.shareGroupFor(req.GroupID, joins, now)
	if err != nil {
		return h.refuse(err)
	}
	was := t.g.member(req.MemberID)
	switch {
	case was == nil && !joins:
		return h.refuse(refused(kerr.UnknownMemberID, "Member %s is not a member of group %s.", req.MemberID, req.GroupID))
	case req.MemberEpoch == leaveEpoch:
		resp := shareHeartbeatError(req.Version, 0, "")
		resp.resp.MemberID, resp.resp.MemberEpoch = &was.id, leaveEpoch
		t.edit()
		t.reply(h.call, resp)
		return t.fence("it leaves", was)
	case was == nil && len(t.g.members) >= m.cfg.Share.MaxSize:
		return h.refuse(refused(kerr.GroupMaxSizeReached, "The share group has reached its maximum capacity of %d members.", m.cfg.Share.MaxSize))
	case was != nil && !joins && req.MemberEpoch > was.epoch:
		return h.refuse(refused(kerr.FencedMemberEpoch, "The share group member has a greater member epoch (%d) than the one known by the group coordinator (%d). The member must abandon all its partitions and rejoin.", req.MemberEpoch, was.epoch))
	case was != nil && !joins && req.MemberEpoch < was.epoch && req.MemberEpoch != was.previous:
		return h.refuse(refused(kerr.FencedMemberEpoch, "The share group member has a smaller member epoch (%d) than the one known by the group coordinator (%d), and than the one before (%d). The member must abandon all its partitions and rejoin.", req.MemberEpoch, was.epoch, was.previous))
	}
	mb := h.update(was)
	if out, ok := h.steady(t, was, mb); ok {
		return out
	}
	if was == nil {
		t.note("member joins", "member", mb.id)
	}
	t.describe(was, mb)
	t.assign()
	mb = t.reconcile(mb)
	t.timer(sessionTimer, mb.id, now.Add(m.cfg.shareSession(t.id)))
	resp := h.response(t, mb)
	resp.begin = t.begin()
	if joins || req.SubscribedTopicNames != nil || was == nil || !was.owned.equal(mb.owned) {
		a := kmsg.NewShareGroupHeartbeatResponseAssignment()
		a.TopicPartitions = []kmsg.ShareGroupHeartbeatResponseAssignmentTopicPartition{}
		for _, id := range mb.owned.topics() {
			a.TopicPartitions = append(a.TopicPartitions, kmsg.ShareGroupHeartbeatResponseAssignmentTopicPartition{TopicID: id, Partitions: mb.owned[id]})
		}
		resp.resp.Assignment = &a
	}
	t.reply(h.call, resp)
	return t.outcome()
}

// update is the member with what the request says; null says that nothing changed.
func (h *shareHeartbeat) update(was *shareMember) *shareMember {
	mb := shareMember{id: h.req.MemberID}
	if was != nil {
		mb = *was
	}
	mb.clientID, mb.clientHost = h.caller.ClientID, h.caller.ClientHost
	if h.req.RackID != nil {
		mb.rack = h.req.RackID
	}
	if h.req.SubscribedTopicNames != nil {
		mb.topics = slices.Compact(slices.Sorted(slices.Values(h.req.SubscribedTopicNames)))
	}
	return &mb
}

// steady is the answer to nearly all heartbeats: nothing is new, so nothing is cloned,
// and only the session is renewed.
func (h *shareHeartbeat) steady(t *shareTurn, was, mb *shareMember) (coordinator.Outcome, bool) {
	g := t.g
	if was == nil || h.req.MemberEpoch == joinEpoch || h.req.SubscribedTopicNames != nil || h.req.RackID != nil ||
		mb.clientID != was.clientID || mb.clientHost != was.clientHost || g.epoch == 0 || g.epoch > g.assigned ||
		was.epoch != g.assigned || !was.owned.equal(g.targets[was.id]) || g.mustCheck(t.image, t.now) || len(g.parts.initializing) > 0 {
		return coordinator.Outcome{}, false
	}
	t.timer(sessionTimer, was.id, t.now.Add(t.m.cfg.shareSession(t.id)))
	t.reply(h.call, h.response(t, was))
	return t.out, true
}

func (h *shareHeartbeat) response(t *shareTurn, mb *shareMember) *shareHeartbeatAnswer {
	a := shareHeartbeatError(h.req.Version, 0, "")
	a.resp.MemberID, a.resp.MemberEpoch = &mb.id, mb.epoch
	a.resp.HeartbeatIntervalMillis = int32(t.m.cfg.shareHeartbeat(t.id).Milliseconds())
	return a
}

// refuseShareHeartbeat answers a heartbeat that the runtime refuses.
func refuseShareHeartbeat(version int16, err error) any {
	if errors.Is(err, coordinator.ErrTooLarge) {
		return shareHeartbeatError(version, kerr.UnknownServerError.Code, "The group is too large.")
	}
	return shareHeartbeatError(version, errorCode(err), "")
}

// describeShare reads one group of a ShareGroupDescribe request. It is answered with
// a *kmsg.ShareGroupDescribeResponseGroup.
type describeShare struct {
	group string
	call  *coordinator.Call
}

func describeShareError(group string, code int16, text string) *kmsg.ShareGroupDescribeResponseGroup {
	r := kmsg.NewShareGroupDescribeResponseGroup()
	r.GroupID, r.ErrorCode, r.ErrorMessage = group, code, errorText(text)
	return &r
}

func (q *describeShare) decide(m *machine, now time.Time) coordinator.Outcome {
	t, err := m.shareGroupFor(q.group, false, now)
	if err != nil {
		return refuse(q.call, describeShareError(q.group, err.code, err.text))
	}
	g := t.g
	r := describeShareError(q.group, 0, "")
	r.GroupState, r.GroupEpoch, r.AssignmentEpoch, r.Assignor = g.stateName(), g.epoch, g.assigned, "simple"
	for _, mb := range g.members {
		d := kmsg.NewShareGroupDescribeResponseGroupMember()
		d.MemberID, d.RackID, d.MemberEpoch, d.ClientID, d.ClientHost, d.SubscribedTopicNames = mb.id, mb.rack, mb.epoch, mb.clientID, mb.clientHost, mb.topics
		d.Assignment.TopicPartitions = []kmsg.ShareGroupDescribeResponseGroupMemberAssignmentTopicPartition{}
		for _, id := range mb.owned.topics() {
			if name, ok := t.image.Name(id); ok {
				d.Assignment.TopicPartitions = append(d.Assignment.TopicPartitions, kmsg.ShareGroupDescribeResponseGroupMemberAssignmentTopicPartition{
					TopicID: id, Topic: name, Partitions: mb.owned[id],
				})
			}
		}
		r.Members = append(r.Members, d)
	}
	return refuse(q.call, r)
}
