package group

import (
	"maps"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/tidelinehq/tideline/broker/coordinator"
	"github.com/tidelinehq/tideline/broker/coordinator/group/assignor"
)

// shareTurn is a decision about a share group in the making, with a clone to work on.
type shareTurn struct {
	decision
	g     *shareGroup
	own   bool // g is a clone already
	image Image

	changed bool // a new epoch is due whatever the topics are
	bumped  bool // the group epoch grew
}

// shareTurn starts a decision about a group; nil starts a new one. What changes it
// calls edit first: most heartbeats change nothing.
func (m *machine) shareTurn(id string, g *shareGroup, now time.Time) *shareTurn {
	t := &shareTurn{decision: decision{m: m, id: id, now: now}, g: g, image: m.topics()}
	if g == nil {
		t.g, t.own = newShareGroup(), true
	}
	return t
}

// shareGroupFor starts a decision about the group of a request. A group that is not
// there, or one of another kind without members and offsets to lose, becomes a share
// group if it may be made.
func (m *machine) shareGroupFor(id string, make bool, now time.Time) (*shareTurn, *refusal) {
	g := m.groups[id]
	if g != nil {
		if s, ok := g.modern.(*shareGroup); ok {
			return m.shareTurn(id, s, now), nil
		}
	}
	switch {
	case !make && g == nil:
		return nil, refused(kerr.GroupIDNotFound, "Group %s not found.", id)
	case g == nil && len(m.groups) >= m.cfg.MaxGroups:
		return nil, refused(kerr.CoordinatorNotAvailable, "There are too many groups.")
	case g == nil:
		return m.shareTurn(id, nil, now), nil
	case make && g.empty() && len(g.offsets) == 0:
		t := m.shareTurn(id, nil, now)
		t.out.Records = append(t.out.Records, g.groupTombstones(id)...)
		for _, p := range g.pending {
			t.cancel(sessionTimer, p)
		}
		return t, nil
	}
	return nil, refused(kerr.GroupIDNotFound, "Group %s is not a share group.", id)
}

// edit makes the clone.
func (t *shareTurn) edit() {
	if !t.own {
		t.g, t.own = t.g.clone(), true
	}
}

// outcome ends a decision that changed something.
func (t *shareTurn) outcome() coordinator.Outcome {
	t.out.Apply = func() { t.installed(t.g, t.g.epoch, t.bumped) }
	return t.out
}

// describe takes in what a member says about itself. was is nil for a new member.
func (t *shareTurn) describe(was, mb *shareMember) {
	t.edit()
	t.g.put(mb)
	if was != nil && string(was.memberRecord("").Value) == string(mb.memberRecord("").Value) {
		return
	}
	t.out.Records = append(t.out.Records, mb.memberRecord(t.id))
	if was == nil || !slices.Equal(was.topics, mb.topics) {
		t.changed = true
	}
}

// fence takes members out, and begins an epoch without them.
func (t *shareTurn) fence(why string, members ...*shareMember) coordinator.Outcome {
	t.edit()
	for _, mb := range members {
		t.note("member is removed", "member", mb.id, "reason", why)
		t.out.Records = append(t.out.Records, shareMemberTombstones(t.id, mb.id)...)
		t.cancel(sessionTimer, mb.id)
		t.g.drop(mb.id)
	}
	t.changed = true
	t.assign()
	return t.outcome()
}

// assign begins a new group epoch if one is due, and computes its target.
func (t *shareTurn) assign() {
	g := t.g
	if t.changed || g.mustCheck(t.image, t.now) {
		g.subscribe()
		hash := metadataHash(t.image, g.subscribed)
		g.checked, g.checkedAt = t.image.Version(), t.now
		t.bumped = t.changed || hash != g.hash || g.epoch == 0
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

// target computes what each member should have at the group's epoch.
func (t *shareTurn) target() {
	g := t.g
	ids := make(map[string][16]byte, len(g.subscribed))
	partitions := map[assignor.TopicID][]int32{}
	for _, name := range g.subscribed {
		id, n, ok := t.image.Lookup(name)
		if !ok {
			continue
		}
		ids[name] = id
		var ps []int32
		for _, p := range g.parts.initialized[id].partitions {
			if p < n {
				ps = append(ps, p)
			}
		}
		if len(ps) > 0 {
			partitions[id] = ps
		}
	}
	members := make([]assignor.Member, 0, len(g.members))
	for _, mb := range g.members {
		m := assignor.Member{ID: mb.id, Owned: assignor.Assignment(g.targets[mb.id])}
		for _, name := range mb.topics {
			if id, ok := ids[name]; ok {
				m.Topics = append(m.Topics, id)
			}
		}
		members = append(members, m)
	}
	targets := assignor.Simple(members, partitions)
	t.retarget(&g.targeting, keyShareTargetOf, g.ids(), targets)
	t.out.Records = append(t.out.Records, g.targetRecord(t.id))
}

// reconcile gives the member its target, records that, and returns it.
func (t *shareTurn) reconcile(mb *shareMember) *shareMember {
	target := t.g.targets[mb.id]
	if mb.epoch == t.g.assigned && mb.owned.equal(target) {
		return mb
	}
	next := *mb
	next.epoch, next.previous, next.owned = t.g.assigned, mb.epoch, target
	t.g.put(&next)
	t.out.Records = append(t.out.Records, next.currentRecord(t.id))
	return &next
}

// setParts replaces the partitions with a state.
func (t *shareTurn) setParts(p shareParts) {
	t.edit()
	p.stored = true
	t.g.parts = p
	t.out.Records = append(t.out.Records, p.record(t.id))
}

// begin notes those partitions of the subscribed topics that the share coordinators are
// to be asked for, and returns them.
func (t *shareTurn) begin() *shareBeginning {
	begin := t.g.parts.toBegin(t.image, t.g.subscribed, t.now, t.m.cfg.Share.InitializeRetry)
	if len(begin) == 0 {
		return nil
	}
	p := t.g.parts
	p.asked = map[[16]byte]shareAsk{}
	maps.Copy(p.asked, t.g.parts.asked)
	epochs := map[[16]byte]int32{}
	for _, id := range begin.ids() {
		p.initializing = p.initializing.with(id, begin[id].name, begin[id].partitions)
		ask, again := p.asked[id]
		if !again {
			ask.epoch = t.g.epoch
		}
		ask.at = t.now
		p.asked[id], epochs[id] = ask, ask.epoch
	}
	if p.initializing.equal(t.g.parts.initializing) {
		t.edit()
		t.g.parts = p // asked for once more
	} else {
		t.setParts(p)
	}
	return &shareBeginning{group: t.id, epochs: epochs, topics: begin}
}
