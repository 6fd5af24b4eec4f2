package group

import (
	"maps"
	"slices"
	"time"

	"github.com/tidelinehq/tideline/broker/coordinator"
	"github.com/tidelinehq/tideline/broker/coordinator/group/assignor"
)

// consumerTurn is a decision about a consumer group in the making, with a clone to
// work on.
type consumerTurn struct {
	decision
	g     *consumerGroup
	own   bool // g is a clone already
	image Image
	// caller is the client whose request it is; nil: it is nobody's.
	caller *Caller

	resubscribed bool // what members subscribe to changed
	bumped       bool // the group epoch grew
}

// consumerTurn starts a decision about a group; nil starts a new one. What changes it
// calls edit first: most heartbeats change nothing.
func (m *machine) consumerTurn(id string, g *consumerGroup, now time.Time) *consumerTurn {
	t := &consumerTurn{decision: decision{m: m, id: id, now: now}, g: g, image: m.topics()}
	if g == nil {
		t.g, t.own = newConsumerGroup(), true
	}
	return t
}

// edit makes the clone.
func (t *consumerTurn) edit() {
	if !t.own {
		t.g, t.own = t.g.clone(), true
	}
}

// outcome ends the decision.
func (t *consumerTurn) outcome() coordinator.Outcome {
	if !t.own {
		return t.out // nothing changed
	}
	t.out.Apply = func() { t.installed(t.g, t.g.epoch, t.bumped) }
	return t.out
}

// refuse answers the caller and leaves everything as it is.
func refuse(to *coordinator.Call, body any) coordinator.Outcome {
	return coordinator.Outcome{Replies: []coordinator.Reply{{To: to, Body: body}}}
}

// describe takes in what a member says about itself, and notes whether that changes
// what it subscribes to. was is nil for a new member.
func (t *consumerTurn) describe(was, mb *consumerMember) {
	if was != nil && was.same(mb) {
		return
	}
	t.edit()
	t.g.put(mb)
	t.out.Records = append(t.out.Records, mb.memberRecord(t.id))
	if was == nil || !slices.Equal(was.topics, mb.topics) || deref(was.regex) != deref(mb.regex) {
		t.resubscribed = true
	}
}

// tooLarge says whether members say more about themselves than a group has room for. It is
// asked when one says something new.
func (t *consumerTurn) tooLarge() bool {
	if !t.own {
		return false
	}
	n := 0
	for _, m := range t.g.members {
		n += len(m.id) + len(m.clientID) + len(deref(m.instance)) + len(deref(m.regex))
		for _, topic := range m.topics {
			n += len(topic)
		}
		if m.classic != nil {
			for _, p := range m.classic.protocols {
				n += len(p.name) + len(p.metadata)
			}
		}
	}
	return n > t.m.cfg.Consumer.MaxGroupBytes
}

// same says whether two members say the same about themselves.
func (m *consumerMember) same(o *consumerMember) bool {
	return string(m.memberRecord("").Value) == string(o.memberRecord("").Value)
}

// remove takes a member out, with what it had.
func (t *consumerTurn) remove(mb *consumerMember, why string) {
	t.note("member is removed", "member", mb.id, "reason", why)
	t.out.Records = append(t.out.Records, memberTombstones(t.id, mb.id)...)
	t.forget(mb.id)
	t.g.drop(mb.id)
	t.resubscribed = true
}

// forget cancels the timers of a member.
func (t *consumerTurn) forget(id string) {
	for _, kind := range []uint8{sessionTimer, revokeTimer, rejoinTimer, resyncTimer} {
		t.cancel(kind, id)
	}
}

// renew gives the member a whole session from now.
func (t *consumerTurn) renew(mb *consumerMember) {
	t.timer(sessionTimer, mb.id, t.now.Add(mb.session(t.m, t.id)))
}

// assign begins a new group epoch if one is due, and computes its target.
func (t *consumerTurn) assign() {
	if !t.resubscribed && !t.g.mustCheck(t.image, t.now) && t.g.epoch == t.g.assigned {
		return
	}
	t.edit()
	g := t.g
	if t.resubscribed || g.mustCheck(t.image, t.now) {
		t.resubscribed = t.resolveRegexes() || t.resubscribed
		g.subscribe()
		hash := metadataHash(t.image, g.subscribed)
		g.checkedAt = t.now
		if !g.behind(t.image) {
			g.checked = t.image.Version()
		}
		t.bumped = t.resubscribed || hash != g.hash || g.epoch == 0
		g.hash = hash
	}
	if t.bumped {
		g.epoch++
		g.stored = true
		t.out.Records = append(t.out.Records, g.groupRecord(t.id))
		t.note("group begins a new epoch", "members", len(g.members), "topics", len(g.subscribed))
	}
	if g.epoch > g.assigned {
		t.target()
	}
}

// target lets the assignor compute what each member should have at the group's epoch.
func (t *consumerTurn) target() {
	g := t.g
	spec := assignor.Spec{Topics: map[assignor.TopicID]assignor.Topic{}}
	ids := make(map[string]assignor.TopicID, len(g.subscribed))
	for _, name := range g.subscribed {
		if id, n, ok := t.image.Lookup(name); ok {
			ids[name] = id
			spec.Topics[id] = assignor.Topic{Name: name, Partitions: n}
		}
	}
	for _, mb := range g.members {
		m := assignor.Member{ID: mb.id, Instance: deref(mb.instance), Owned: assignor.Assignment(g.targets[mb.id])}
		for _, name := range g.topicsOf(mb) {
			if id, ok := ids[name]; ok {
				m.Topics = append(m.Topics, id)
			}
		}
		spec.Members = append(spec.Members, m)
	}
	targets := assignor.ByName(g.assignorName(t.m.cfg))(spec)
	t.retarget(&g.targeting, keyConsumerTargetOf, g.ids(), targets)
	t.out.Records = append(t.out.Records, g.targetRecord(t.id))
}

// assignorName is the assignor that most members prefer, of those with as many the
// first by name; or the broker's first.
func (g *consumerGroup) assignorName(cfg *Config) string {
	votes := map[string]int{}
	for _, m := range g.members {
		if m.assignor != nil && slices.Contains(cfg.Consumer.Assignors, *m.assignor) {
			votes[*m.assignor]++
		}
	}
	best := ""
	for _, name := range slices.Sorted(maps.Keys(votes)) {
		if best == "" || votes[name] > votes[best] {
			best = name
		}
	}
	if best == "" {
		return cfg.Consumer.Assignors[0]
	}
	return best
}

// reconcile takes the member towards its target, records where it stands, and returns it.
func (t *consumerTurn) reconcile(mb *consumerMember, has assignment, said bool) *consumerMember {
	if mb.reconciled(t.g.assigned) {
		return mb
	}
	next := mb.reconcile(t.g.assigned, t.g.targets[mb.id], t.g.owners, has, said)
	if next == mb {
		return mb
	}
	t.edit()
	t.g.put(next)
	t.out.Records = append(t.out.Records, next.currentRecord(t.id))
	if next.classic == nil {
		if next.state == memberUnrevoked {
			t.timer(revokeTimer, next.id, t.now.Add(next.rebalanceTimeout))
		} else {
			t.cancel(revokeTimer, next.id)
		}
	}
	return next
}
