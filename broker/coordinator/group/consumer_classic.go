package group

import (
	"slices"
	"strings"
	"time"

	"github.com/tidelinehq/tideline/broker/coordinator"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// Members of the classic protocol in a consumer group. A generation is their member
// epoch, the coordinator assigns, nobody leads, and none waits for another:
//
//	JoinGroup    takes in what the member subscribes to and has, and takes it a step
//	             towards its target
//	SyncGroup    tells it what it may use
//	Heartbeat    tells it to join again when there is more to do
//
// Where members of the consumer protocol have a time to give up partitions, those of the
// classic one have a time to join again and one to sync.

// classicSubscription is what a member of the classic protocol says in its metadata.
type classicSubscription struct {
	version int16
	topics  []string // in order
	owned   assignment
	rack    *string
}

// readSubscription reads a consumer's metadata; topics that are not in the image are
// nothing that a member can have.
func readSubscription(image Image, b []byte) (classicSubscription, bool) {
	var m kmsg.ConsumerMemberMetadata
	if err := m.ReadFrom(b); err != nil {
		return classicSubscription{}, false
	}
	s := classicSubscription{version: m.Version, topics: slices.Clone(m.Topics), owned: assignment{}}
	slices.Sort(s.topics)
	s.topics = slices.Compact(s.topics)
	for _, o := range m.OwnedPartitions {
		if id, _, ok := image.Lookup(o.Topic); ok {
			s.owned.add(id, o.Partitions...)
		}
	}
	if m.Rack != nil && *m.Rack != "" {
		rack := *m.Rack
		s.rack = &rack
	}
	return s, true
}

// readAssignment reads what the leader of a classic group gave to a member.
func readAssignment(image Image, b []byte) (assignment, bool) {
	out := assignment{}
	if len(b) == 0 {
		return out, true
	}
	var m kmsg.ConsumerMemberAssignment
	if err := m.ReadFrom(b); err != nil {
		return nil, false
	}
	for _, t := range m.Topics {
		id, n, ok := image.Lookup(t.Topic)
		if !ok {
			continue
		}
		for _, p := range t.Partitions {
			if p >= 0 && p < n {
				out.add(id, p)
			}
		}
	}
	return out, true
}

// writeAssignment is an assignment as members of the classic protocol read it, in the
// version of their subscription. Topics that are gone are left out.
func writeAssignment(image Image, a assignment, version int16) []byte {
	m := kmsg.NewConsumerMemberAssignment()
	m.Version = min(max(version, 0), 3)
	for _, id := range a.topics() {
		if name, ok := image.Name(id); ok {
			t := kmsg.NewConsumerMemberAssignmentTopic()
			t.Topic, t.Partitions = name, a[id]
			m.Topics = append(m.Topics, t)
		}
	}
	return m.AppendTo(nil)
}

// supports says whether a member of the classic protocol may be in the group: one of its
// protocols must be supported by all others of that kind.
func (g *consumerGroup) supports(protocolType string, ps []protocol) bool {
	return protocolType == protocolTypeConsumer && slices.ContainsFunc(ps, func(p protocol) bool {
		return !slices.ContainsFunc(g.members, func(m *consumerMember) bool {
			return m.classic != nil && !slices.ContainsFunc(m.classic.protocols, func(o protocol) bool { return o.name == p.name })
		})
	})
}

// joinConsumer decides about a JoinGroup to a consumer group with members.
func (j *joinGroup) joinConsumer(m *machine, g *consumerGroup, now time.Time) coordinator.Outcome {
	req, id := j.req, j.req.MemberID
	ps := j.protocols()
	switch {
	case g.member(id) == nil && len(g.members) >= m.cfg.Consumer.MaxSize:
		return j.refuse(id, kerr.GroupMaxSizeReached.Code)
	case !g.supports(req.ProtocolType, ps):
		return j.refuse(id, kerr.InconsistentGroupProtocol.Code)
	case id == "" && req.InstanceID == nil && req.Version >= joinRequiresMemberID:
		// Any id may join, so none has to be remembered.
		return j.refuse(j.caller.ClientID+"-"+m.newID(), kerr.MemberIDRequired.Code)
	}
	t := m.consumerTurn(req.Group, g, now)
	t.caller = &j.caller
	s, ok := readSubscription(t.image, ps[0].metadata)
	if !ok {
		return j.refuse(id, kerr.InconsistentGroupProtocol.Code)
	}
	was, code := j.consumerMember(t, id)
	if code != 0 {
		return j.refuse(id, code)
	}
	mb := consumerMember{id: id}
	if was != nil {
		mb = *was
	} else if id == "" {
		mb.id = j.caller.ClientID + "-" + m.newID()
	}
	if req.InstanceID != nil {
		mb.instance = req.InstanceID
	}
	mb.rack, mb.clientID, mb.clientHost = s.rack, j.caller.ClientID, j.caller.ClientHost
	mb.topics, mb.regex, mb.assignor, mb.rebalanceTimeout = s.topics, nil, nil, j.rebalanceTimeout()
	mb.classic = &classicMember{sessionTimeout: millis(req.SessionTimeoutMillis), protocols: ps}
	t.note("member joins by the classic protocol", "member", mb.id, "reason", j.reason())
	t.describe(was, &mb)
	if t.tooLarge() {
		return j.refuse(id, kerr.GroupMaxSizeReached.Code)
	}
	t.assign()
	next := t.reconcile(&mb, s.owned, true)
	t.cancel(revokeTimer, next.id)
	t.cancel(rejoinTimer, next.id)
	t.renew(next)
	resp := newJoin(req.Version)
	resp.MemberID, resp.Generation = next.id, next.epoch
	resp.ProtocolType, resp.Protocol = nonEmpty(protocolTypeConsumer), nonEmpty(ps[0].name)
	t.reply(j.call, resp)
	if t.mayDowngrade() {
		return t.downgrade("the last member of the consumer protocol was replaced")
	}
	t.timer(resyncTimer, next.id, now.Add(next.rebalanceTimeout))
	return t.outcome()
}

// consumerMember finds the member that joins; nil if it is new.
func (j *joinGroup) consumerMember(t *consumerTurn, id string) (*consumerMember, int16) {
	if j.req.InstanceID == nil {
		return t.g.member(id), 0
	}
	old := t.g.static(*j.req.InstanceID)
	switch {
	case id != "" && old == nil:
		return nil, kerr.UnknownMemberID.Code
	case id != "" && old.id != id:
		return nil, kerr.FencedInstanceID.Code
	case id == "" && old != nil:
		return t.replace(old, j.caller.ClientID+"-"+t.m.newID()), 0
	}
	return old, 0
}

// checkClassic finds the member of the classic protocol that a request names.
func (g *consumerGroup) checkClassic(id string, instance *string, generation int32) (*consumerMember, int16) {
	mb, code := g.checkMember(id, instance)
	switch {
	case code != 0:
		return nil, code
	case mb.classic == nil:
		return nil, kerr.UnknownMemberID.Code
	case mb.epoch != generation:
		return nil, kerr.IllegalGeneration.Code
	}
	return mb, 0
}

// rejoin is the timer until which the member has to join again; it counts from when it was
// first told to.
func (m *consumerMember) rejoin(group string, now time.Time) coordinator.Timer {
	return coordinator.Timer{Key: coordinator.TimerKey{Kind: rejoinTimer, Key: group, Name: m.id}, At: now.Add(m.rebalanceTimeout), Keep: true}
}

// syncConsumer decides about a SyncGroup to a consumer group.
func (s *syncGroup) syncConsumer(m *machine, g *consumerGroup, now time.Time) coordinator.Outcome {
	req := s.req
	mb, code := g.checkClassic(req.MemberID, req.InstanceID, req.Generation)
	switch {
	case code == kerr.IllegalGeneration.Code && g.differs(req):
		return s.refuse(kerr.InconsistentGroupProtocol.Code)
	case code != 0:
		return s.refuse(code)
	case g.differs(req):
		return s.refuse(kerr.InconsistentGroupProtocol.Code)
	case g.epoch > mb.epoch && mb.state != memberUnrevoked:
		// There is a newer epoch. One that has yet to give up partitions is told of it
		// only when it has.
		out := s.refuse(kerr.RebalanceInProgress.Code)
		out.Timers = []coordinator.Timer{mb.rejoin(req.Group, now)}
		return out
	}
	t := m.consumerTurn(req.Group, g, now)
	t.cancel(resyncTimer, mb.id)
	t.renew(mb)
	resp := syncError(req.Version, 0)
	resp.ProtocolType, resp.Protocol = nonEmpty(protocolTypeConsumer), nonEmpty(mb.classic.protocols[0].name)
	version := int16(0)
	if sub, ok := readSubscription(t.image, mb.classic.protocols[0].metadata); ok {
		version = sub.version
	}
	resp.MemberAssignment = writeAssignment(t.image, mb.owned, version)
	t.reply(s.call, resp)
	return t.out
}

// differs says whether a SyncGroup contradicts what the member was told when it joined.
func (g *consumerGroup) differs(req *kmsg.SyncGroupRequest) bool {
	mb := g.member(req.MemberID)
	return mb != nil && mb.classic != nil &&
		(differs(req.ProtocolType, protocolTypeConsumer) || differs(req.Protocol, mb.classic.protocols[0].name))
}

// heartbeatConsumer decides about a Heartbeat to a consumer group.
func (h *heartbeat) heartbeatConsumer(g *consumerGroup, now time.Time) (code int16, timers []coordinator.Timer) {
	mb, code := g.checkClassic(h.req.MemberID, h.req.InstanceID, h.req.Generation)
	if code != 0 {
		return code, nil
	}
	timers = []coordinator.Timer{session(h.req.Group, mb.id, now.Add(mb.classic.sessionTimeout))}
	if mb.epoch < g.epoch || mb.state == memberUnrevoked || mb.state == memberUnreleased && g.released(mb) {
		return kerr.RebalanceInProgress.Code, append(timers, mb.rejoin(h.req.Group, now))
	}
	return 0, timers
}

// released says whether something that the member waits for is free.
func (g *consumerGroup) released(mb *consumerMember) bool {
	owners := g.owners()
	free := g.targets[mb.id].minus(mb.owned).filter(func(topic [16]byte, p int32) bool {
		_, taken := owners[topic][p]
		return !taken
	})
	return free.size() > 0
}

// leaveConsumer decides about a LeaveGroup to a consumer group.
func (l *leaveGroup) leaveConsumer(m *machine, g *consumerGroup, now time.Time) coordinator.Outcome {
	resp := leaveError(l.req.Version, 0)
	var gone []*consumerMember
	var names []string
	for _, who := range l.members() {
		mb, code := g.whoLeaves(who)
		if code == 0 && slices.Contains(gone, mb) {
			code = kerr.UnknownMemberID.Code // named twice
		}
		if code == 0 {
			gone, names = append(gone, mb), append(names, mb.id)
		}
		r := kmsg.NewLeaveGroupResponseMember()
		r.MemberID, r.InstanceID, r.ErrorCode = who.MemberID, who.InstanceID, code
		resp.Members = append(resp.Members, r)
		if l.req.Version < leaveBatch {
			resp.ErrorCode = code
		}
	}
	if len(gone) == 0 {
		return refuse(l.call, resp)
	}
	t := m.consumerTurn(l.req.Group, g, now)
	t.reply(l.call, resp)
	return t.fence("members left: "+strings.Join(names, ", "), gone...)
}

// whoLeaves finds a member that leaves. An administrator removes static members by
// instance id, without a member id.
func (g *consumerGroup) whoLeaves(who kmsg.LeaveGroupRequestMember) (*consumerMember, int16) {
	mb := g.member(who.MemberID)
	if who.InstanceID != nil {
		mb = g.static(*who.InstanceID)
		if mb != nil && who.MemberID != "" && mb.id != who.MemberID {
			return nil, kerr.FencedInstanceID.Code
		}
	}
	if mb == nil || mb.classic == nil {
		return nil, kerr.UnknownMemberID.Code
	}
	return mb, 0
}
