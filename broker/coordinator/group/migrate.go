package group

import (
	"slices"
	"time"

	"github.com/tidelinehq/tideline/broker/coordinator"
	"github.com/twmb/franz-go/pkg/kerr"
)

// A group with members goes from one protocol to the other without a stop:
//
//	          the first member of the consumer protocol joins
//	classic ──────────────────────────────────────────────────▶ consumer
//	        ◀──────────────────────────────────────────────────
//	          the last one leaves, and others are there
//
// Members of the classic protocol stay what they are all the way. All records of the one
// kind are deleted and those of the other written in one batch.

// upgrade starts a decision that makes a classic group with members a consumer group:
// its epochs go on from the generation, and members have what they were assigned last.
// They are asked to join again by the new epoch that follows.
func (m *machine) upgrade(id string, g *group, now time.Time) (*consumerTurn, int16, string) {
	refused := func(why string) (*consumerTurn, int16, string) {
		m.log.Info("group stays with the classic protocol", "group", id, "reason", why)
		return nil, kerr.GroupIDNotFound.Code, "Group " + id + " is not a consumer group."
	}
	switch {
	case !m.cfg.Consumer.Migration.Upgrade:
		return refused("group.consumer.migration.policy does not allow it")
	case g.protocolType != "" && g.protocolType != protocolTypeConsumer:
		return refused("its members are no consumers")
	case len(g.members) > m.cfg.Consumer.MaxSize:
		return refused("it is larger than group.consumer.max.size")
	}
	t := m.consumerTurn(id, nil, now)
	t.g.stored, t.g.epoch, t.g.assigned, t.g.targetAt = true, g.generation, g.generation, now.UnixMilli()
	taken := assignment{}
	for _, mb := range g.members {
		next, ok := t.upgraded(g.membership, mb, taken)
		if !ok {
			return refused("what member " + mb.id + " subscribes to or was assigned cannot be read")
		}
		taken = taken.union(next.owned)
		t.g.put(next)
		t.g.targets[next.id] = next.owned
		t.renew(next)
		if mb.join.waits() {
			t.reply(mb.join.call, joinError(mb.join.version, mb.id, kerr.RebalanceInProgress.Code))
		}
		if mb.sync.waits() {
			t.reply(mb.sync.call, syncError(mb.sync.version, kerr.RebalanceInProgress.Code))
		}
	}
	for _, pending := range g.pending {
		t.cancel(sessionTimer, pending)
	}
	t.cancel(joinTimer, "")
	t.cancel(syncTimer, "")
	t.out.Records = append(t.out.Records, groupTombstone(id))
	t.out.Records = append(t.out.Records, t.g.records(id)...)
	t.note("group is upgraded to the consumer protocol", "members", len(g.members))
	return t, 0, ""
}

// upgraded is a member of a classic group as one of a consumer group. Of partitions that the
// group's own assignor gave twice the first member has them.
func (t *consumerTurn) upgraded(ms *membership, mb *member, taken assignment) (*consumerMember, bool) {
	if len(mb.protocols) == 0 {
		return nil, false
	}
	metadata := mb.metadata(ms.protocol)
	if metadata == nil {
		metadata = mb.protocols[0].metadata
	}
	s, ok := readSubscription(t.image, metadata)
	if !ok {
		return nil, false
	}
	owned, ok := readAssignment(t.image, mb.assignment)
	if !ok {
		return nil, false
	}
	// The protocol of the generation comes first: it is the one that the member was told.
	ps := slices.Clone(mb.protocols)
	slices.SortStableFunc(ps, func(a, b protocol) int {
		switch {
		case a.name == ms.protocol && b.name != ms.protocol:
			return -1
		case a.name != ms.protocol && b.name == ms.protocol:
			return 1
		}
		return 0
	})
	next := &consumerMember{
		id: mb.id, instance: mb.instance, rack: s.rack, clientID: mb.clientID, clientHost: mb.clientHost,
		topics: s.topics, rebalanceTimeout: mb.rebalanceTimeout,
		classic: &classicMember{sessionTimeout: mb.sessionTimeout, protocols: ps},
		epoch:   ms.generation, previous: ms.generation, state: memberStable,
		owned: owned.minus(taken), revoking: assignment{},
	}
	next.since = (&consumerMember{}).sinceOf(next.owned, ms.generation)
	return next, true
}

// mayDowngrade says whether only members of the classic protocol are left, and may be a
// classic group.
func (t *consumerTurn) mayDowngrade() bool {
	n := len(t.g.members)
	return t.m.cfg.Consumer.Migration.Downgrade && n > 0 && n <= t.m.cfg.MaxSize &&
		!slices.ContainsFunc(t.g.members, func(m *consumerMember) bool { return m.classic == nil })
}

// downgrade ends the decision by making the group a classic one, whose generation goes on
// from the group epoch, and which begins to rebalance at once.
func (t *consumerTurn) downgrade(why string) coordinator.Outcome {
	was := t.m.groups[t.id].modern
	// What this decision has written about the group so far does not come to be.
	t.out.Records = append(t.out.Records[:0:0], was.tombstones(t.id)...)
	ms := &membership{
		state: Stable, since: time.UnixMilli(t.now.UnixMilli()), generation: t.g.epoch, protocolType: protocolTypeConsumer,
	}
	for _, mb := range t.g.members {
		s, _ := readSubscription(t.image, mb.classic.protocols[0].metadata)
		ms.put(&member{
			id: mb.id, instance: mb.instance, clientID: mb.clientID, clientHost: mb.clientHost,
			sessionTimeout: mb.classic.sessionTimeout, rebalanceTimeout: mb.rebalanceTimeout, protocols: mb.classic.protocols,
			assignment: writeAssignment(t.image, t.g.targets[mb.id], s.version),
		})
	}
	ms.leader = ms.members[0].id
	ms.protocol = ms.selectProtocol()
	ms.subscribe()
	d := &draft{decision: t.decision, ms: ms}
	d.note("group is downgraded to the classic protocol", "reason", why, "members", len(ms.members))
	d.record()
	d.ms = ms.clone()
	for _, mb := range d.all() {
		for _, kind := range []uint8{revokeTimer, rejoinTimer, resyncTimer} {
			d.cancel(kind, mb.id)
		}
		d.renew(mb)
	}
	d.prepare("downgraded: " + why)
	return d.outcome()
}
