package group

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/tidelinehq/tideline/broker/coordinator"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// Epochs of a member that are none.
const (
	joinEpoch        = 0  // it joins, or joins again
	leaveEpoch       = -1 // it leaves
	staticLeaveEpoch = -2 // a static member leaves and will be back
)

// heartbeatMemberID is the first version of ConsumerGroupHeartbeat in which the client makes
// its member id.
const heartbeatMemberID = 1

// consumerHeartbeat is a ConsumerGroupHeartbeat request.
type consumerHeartbeat struct {
	req    *kmsg.ConsumerGroupHeartbeatRequest
	caller Caller
	call   *coordinator.Call
}

func consumerHeartbeatError(version int16, code int16, text string) *kmsg.ConsumerGroupHeartbeatResponse {
	r := kmsg.NewPtrConsumerGroupHeartbeatResponse()
	r.Version, r.ErrorCode, r.ErrorMessage = version, code, errorText(text)
	return r
}

// checkConsumerHeartbeat is what can be said about a request without its group.
func checkConsumerHeartbeat(cfg *Config, req *kmsg.ConsumerGroupHeartbeatRequest) (int16, string) {
	size := len(deref(req.SubscribedTopicRegex))
	for _, t := range req.SubscribedTopicNames {
		size += len(t) + 1
	}
	invalid := kerr.InvalidRequest.Code
	switch {
	case req.Group == "":
		return invalid, "GroupId can't be empty."
	case max(len(req.Group), len(req.MemberID), len(deref(req.InstanceID)), len(deref(req.RackID)), len(deref(req.SubscribedTopicRegex))) > maxID:
		return invalid, "An id is too long."
	case req.MemberID == "" && (req.Version >= heartbeatMemberID || req.MemberEpoch != joinEpoch):
		return invalid, "MemberId can't be empty."
	case req.InstanceID != nil && *req.InstanceID == "":
		return invalid, "InstanceId can't be empty."
	case req.RackID != nil && *req.RackID == "":
		return invalid, "RackId can't be empty."
	case req.MemberEpoch < staticLeaveEpoch:
		return invalid, "MemberEpoch is invalid."
	case req.MemberEpoch == staticLeaveEpoch && req.InstanceID == nil:
		return invalid, "InstanceId can't be null."
	case req.MemberEpoch == joinEpoch && req.RebalanceTimeoutMillis == -1:
		return invalid, "RebalanceTimeoutMs must be provided in first request."
	case req.MemberEpoch == joinEpoch && (req.Topics == nil || len(req.Topics) > 0):
		return invalid, "TopicPartitions must be empty when (re-)joining."
	case req.MemberEpoch == joinEpoch && len(req.SubscribedTopicNames) == 0 && deref(req.SubscribedTopicRegex) == "":
		return invalid, "Either SubscribedTopicNames or SubscribedTopicRegex must be non-null and non-empty when (re-)joining."
	case size > cfg.MaxMemberBytes:
		return invalid, "The subscription is too large."
	case req.ServerAssignor != nil && !slices.Contains(cfg.Consumer.Assignors, *req.ServerAssignor):
		return kerr.UnsupportedAssignor.Code, fmt.Sprintf("ServerAssignor %s is not supported. Supported assignors: %s.", *req.ServerAssignor, strings.Join(cfg.Consumer.Assignors, ", "))
	}
	if re := deref(req.SubscribedTopicRegex); re != "" {
		if _, err := compileRegex(re); err != nil {
			return kerr.InvalidRegularExpression.Code, err.Error()
		}
	}
	return 0, ""
}

func (h *consumerHeartbeat) refuse(code int16, text string) coordinator.Outcome {
	return refuse(h.call, consumerHeartbeatError(h.req.Version, code, text))
}

// decide takes in what the member says and tells it what it may use.
func (h *consumerHeartbeat) decide(m *machine, now time.Time) coordinator.Outcome {
	req := h.req
	if req.MemberEpoch == leaveEpoch || req.MemberEpoch == staticLeaveEpoch {
		return h.leave(m, now)
	}
	t, code, text := m.consumerGroupFor(req.Group, req.MemberEpoch == joinEpoch, now)
	if code != 0 {
		return h.refuse(code, text)
	}
	limit := m.cfg.Consumer.MaxSize
	if (req.MemberID == "" || t.g.member(req.MemberID) == nil) && len(t.g.members) >= limit {
		return h.refuse(kerr.GroupMaxSizeReached.Code, fmt.Sprintf("The consumer group has reached its maximum capacity of %d members.", limit))
	}
	if req.MemberID == "" {
		h.req.MemberID = m.newID()
	}
	t.caller = &h.caller
	was, mb, err := h.member(t)
	if err != nil {
		return h.refuse(err.code, err.text)
	}
	if out, ok := h.steady(t, was, mb); ok {
		return out
	}
	t.describe(was, mb)
	if text := t.tooManyRegexes(); text != "" {
		return h.refuse(kerr.InvalidRegularExpression.Code, text)
	}
	if t.tooLarge() {
		return h.refuse(kerr.GroupMaxSizeReached.Code, "The members of the group subscribe to too much.")
	}
	t.assign()
	mb = t.reconcile(mb, assignmentOf(req.Topics), req.Topics != nil)
	t.renew(mb)
	resp := h.response(t, mb)
	// A member is told what it may use when it asks by saying all about itself, and
	// when that has changed.
	full := req.RebalanceTimeoutMillis != -1 && (req.SubscribedTopicNames != nil || req.SubscribedTopicRegex != nil) && req.Topics != nil
	if req.MemberEpoch == joinEpoch || full || was == nil || !was.owned.equal(mb.owned) {
		resp.Assignment = mb.assignmentResponse()
	}
	t.reply(h.call, resp)
	return t.outcome()
}

// steady is the answer to nearly all heartbeats: nothing is new, so nothing is cloned,
// and only the session is renewed.
func (h *consumerHeartbeat) steady(t *consumerTurn, was, mb *consumerMember) (coordinator.Outcome, bool) {
	g := t.g
	if len(t.out.Records) > 0 || was == nil || h.req.MemberEpoch == joinEpoch || was.id != mb.id || g.epoch == 0 || g.epoch > g.assigned ||
		!mb.reconciled(g.assigned) || h.req.SubscribedTopicNames != nil || h.req.SubscribedTopicRegex != nil || h.req.ServerAssignor != nil ||
		h.req.InstanceID != nil && was.instance == nil || h.req.RackID != nil || h.req.RebalanceTimeoutMillis != -1 ||
		mb.clientID != was.clientID || mb.clientHost != was.clientHost || g.mustCheck(t.image, t.now) {
		return coordinator.Outcome{}, false
	}
	t.renew(mb)
	t.reply(h.call, h.response(t, mb))
	return t.out, true
}

func (h *consumerHeartbeat) response(t *consumerTurn, mb *consumerMember) *kmsg.ConsumerGroupHeartbeatResponse {
	resp := consumerHeartbeatError(h.req.Version, 0, "")
	resp.MemberID, resp.MemberEpoch = &mb.id, mb.epoch
	resp.HeartbeatIntervalMillis = int32(t.m.cfg.consumerHeartbeat(t.id).Milliseconds())
	return resp
}

func (m *consumerMember) assignmentResponse() *kmsg.ConsumerGroupHeartbeatResponseAssignment {
	out := kmsg.NewConsumerGroupHeartbeatResponseAssignment()
	out.Topics = []kmsg.ConsumerGroupHeartbeatResponseAssignmentTopic{}
	for _, id := range m.owned.topics() {
		t := kmsg.NewConsumerGroupHeartbeatResponseAssignmentTopic()
		t.TopicID, t.Partitions = id, m.owned[id]
		out.Topics = append(out.Topics, t)
	}
	return &out
}

// assignmentOf is what a member says that it has.
func assignmentOf(topics []kmsg.ConsumerGroupHeartbeatRequestTopic) assignment {
	a := assignment{}
	for _, t := range topics {
		a.add(t.TopicID, t.Partitions...)
	}
	return a
}

// refusal is an error of Kafka's with what there is to say about it.
type refusal struct {
	code int16
	text string
}

func refused(err *kerr.Error, format string, args ...any) *refusal {
	return &refusal{err.Code, fmt.Sprintf(format, args...)}
}

// consumerGroupFor starts a decision about the group of a heartbeat. A group that is not
// there, or one of another protocol without members, becomes a consumer group if a
// member joins, and one of classic members if they may come along.
func (m *machine) consumerGroupFor(id string, joins bool, now time.Time) (*consumerTurn, int16, string) {
	g := m.groups[id]
	if g != nil {
		if c, ok := g.modern.(*consumerGroup); ok {
			return m.consumerTurn(id, c, now), 0, ""
		}
	}
	switch {
	case !joins && g == nil:
		return nil, kerr.GroupIDNotFound.Code, "Group " + id + " not found."
	case !joins:
		return nil, kerr.GroupIDNotFound.Code, "Group " + id + " is not a consumer group."
	case g == nil && len(m.groups) >= m.cfg.MaxGroups:
		return nil, kerr.CoordinatorNotAvailable.Code, "There are too many groups."
	case g == nil || g.modern == nil && g.generation == 0 && g.protocolType == "" && len(g.members) == 0:
		return m.consumerTurn(id, nil, now), 0, ""
	case g.empty():
		t := m.consumerTurn(id, nil, now)
		t.g.epoch, t.g.assigned = g.generation, g.generation // epochs of a group id do not go back
		t.out.Records = append(t.out.Records, g.groupTombstones(id)...)
		for _, p := range g.pending {
			t.cancel(sessionTimer, p)
		}
		return t, 0, ""
	case g.modern != nil:
		return nil, kerr.GroupIDNotFound.Code, "Group " + id + " is not a consumer group."
	}
	return m.upgrade(id, g, now)
}

// member finds the member that a heartbeat is from, or makes it. was is the member before,
// nil for a new one; mb has what the request says in it.
func (h *consumerHeartbeat) member(t *consumerTurn) (was, mb *consumerMember, err *refusal) {
	req := h.req
	joins := req.MemberEpoch == joinEpoch
	if req.InstanceID == nil {
		was = t.g.member(req.MemberID)
	} else {
		was = t.g.static(*req.InstanceID)
		switch {
		case was == nil && !joins:
			return nil, nil, refused(kerr.UnknownMemberID, "Instance id %s is unknown.", *req.InstanceID)
		case was != nil && joins:
			if was.classic == nil && was.epoch != staticLeaveEpoch {
				return nil, nil, refused(kerr.UnreleasedInstanceID, "Static member %s with instance id %s cannot join the group because the instance id is owned by %s member.", req.MemberID, *req.InstanceID, was.id)
			}
			was = t.replace(was, req.MemberID)
			return was, h.update(was), nil
		case was != nil && was.id != req.MemberID:
			return nil, nil, refused(kerr.FencedInstanceID, "Static member %s with instance id %s was fenced by member %s.", req.MemberID, *req.InstanceID, was.id)
		}
	}
	if was == nil {
		if !joins {
			return nil, nil, refused(kerr.UnknownMemberID, "Member %s is not a member of group %s.", req.MemberID, t.id)
		}
		if old := t.g.member(req.MemberID); old != nil { // of another instance
			return nil, nil, refused(kerr.UnreleasedInstanceID, "Member %s is in the group by another instance id.", req.MemberID)
		}
		t.note("member joins", "member", req.MemberID)
		return nil, h.update(&consumerMember{id: req.MemberID}), nil
	}
	if err := was.checkEpoch(req.MemberEpoch, assignmentOf(req.Topics), req.Topics != nil); err != nil {
		return nil, nil, err
	}
	return was, h.update(was), nil
}

// checkEpoch says why a heartbeat with this epoch is not taken. One of the epoch before is,
// if the member has nothing that it was not given: the answer that told it the
// newer one may have been lost.
func (m *consumerMember) checkEpoch(epoch int32, has assignment, said bool) *refusal {
	switch {
	case epoch > m.epoch:
		return refused(kerr.FencedMemberEpoch, "The consumer group member has a greater member epoch (%d) than the one known by the group coordinator (%d). The member must abandon all its partitions and rejoin.", epoch, m.epoch)
	case epoch < m.epoch && (epoch != m.previous || !said || !has.within(m.owned)):
		return refused(kerr.FencedMemberEpoch, "The consumer group member has a smaller member epoch (%d) than the one known by the group coordinator (%d). The member must abandon all its partitions and rejoin.", epoch, m.epoch)
	}
	return nil
}

// update is the member with what the request says; null says that nothing changed.
func (h *consumerHeartbeat) update(was *consumerMember) *consumerMember {
	req, mb := h.req, *was
	mb.clientID, mb.clientHost, mb.classic = h.caller.ClientID, h.caller.ClientHost, nil
	if req.InstanceID != nil {
		mb.instance = req.InstanceID
	}
	if req.RackID != nil {
		mb.rack = req.RackID
	}
	if req.RebalanceTimeoutMillis != -1 {
		mb.rebalanceTimeout = millis(max(req.RebalanceTimeoutMillis, 0))
	}
	if req.ServerAssignor != nil {
		mb.assignor = req.ServerAssignor
	}
	if req.SubscribedTopicNames != nil {
		mb.topics = slices.Clone(req.SubscribedTopicNames)
		slices.Sort(mb.topics)
		mb.topics = slices.Compact(mb.topics)
	}
	if req.SubscribedTopicRegex != nil {
		mb.regex = nonEmpty(*req.SubscribedTopicRegex)
	}
	return &mb
}

// replace gives a static member's place, with what it had, to its successor, which has yet
// to say about itself what is new.
func (t *consumerTurn) replace(old *consumerMember, id string) *consumerMember {
	t.note("static member is replaced", "instance", deref(old.instance), "old_member", old.id, "member", id)
	t.edit()
	target, ok := t.g.targets[old.id]
	t.out.Records = append(t.out.Records, memberTombstones(t.id, old.id)...)
	t.forget(old.id)
	t.g.drop(old.id)
	mb := *old
	mb.id, mb.epoch, mb.previous, mb.state = id, 0, 0, memberStable
	mb.revoking = assignment{}
	t.g.put(&mb)
	t.out.Records = append(t.out.Records, mb.memberRecord(t.id))
	if ok {
		t.g.targets[id] = target
		t.out.Records = append(t.out.Records, targetOfRecord(keyConsumerTargetOf, t.id, id, target))
	}
	t.out.Records = append(t.out.Records, mb.currentRecord(t.id))
	return &mb
}

// tooManyRegexes says that the group has more regular expressions than it may have.
func (t *consumerTurn) tooManyRegexes() string {
	used := map[string]bool{}
	for _, m := range t.g.members {
		if m.regex != nil {
			used[*m.regex] = true
		}
	}
	if len(used) > t.m.cfg.Consumer.MaxRegexes {
		return fmt.Sprintf("The group has its maximum of %d different regular expressions.", t.m.cfg.Consumer.MaxRegexes)
	}
	return ""
}

// refuseConsumerHeartbeat answers a heartbeat that the runtime refuses.
func refuseConsumerHeartbeat(version int16, err error) any {
	if errors.Is(err, coordinator.ErrTooLarge) {
		return consumerHeartbeatError(version, kerr.UnknownServerError.Code, "The group is too large.")
	}
	return consumerHeartbeatError(version, errorCode(err), "")
}
