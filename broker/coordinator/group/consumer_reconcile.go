package group

// reconcile takes a member one step towards the target of an assigned epoch. It
// returns the member itself if there is nothing to do.
//
//	             target has all it owns,                      others gave up
//	             nobody has the rest      ┌──────────────┐    what it waits for
//	        ┌───────────────────────────▶ │    stable    │ ◀───────────────────┐
//	        │                             └──────────────┘                     │
//	(a newer target) ── it owns what the target has not ──▶ unrevoked          │
//	        │                                                  │ it says that  │
//	        │                                                  ▼ it gave it up │
//	        └── others still have what the target gives it ──▶ unreleased ─────┘
//
// A member keeps its epoch until it has given up what is not in the target; so whoever
// has a partition at the newest epoch has it alone. owners tells at which epoch a
// partition is had by any member; has is what the member says it has, and said is false
// if it says nothing, which is taken as all that it was given.
func (m *consumerMember) reconcile(epoch int32, target assignment, owners func() map[[16]byte]map[int32]int32, has assignment, said bool) *consumerMember {
	if m.reconciled(epoch) {
		return m
	}
	if m.state == memberUnrevoked && (!said || has.overlaps(m.revoking)) {
		return m // it has not given up yet what it was asked to
	}
	next := *m
	kept := m.owned.intersect(target)
	lost := m.owned.minus(target)
	if lost.size() > 0 && (!said || has.overlaps(lost)) {
		next.state, next.owned, next.revoking = memberUnrevoked, kept, lost
		next.since = m.sinceOf(kept, 0)
		return &next
	}
	gained := target.minus(kept)
	free := assignment{}
	if len(gained) > 0 {
		taken := owners()
		free = gained.filter(func(topic [16]byte, p int32) bool {
			_, ok := taken[topic][p]
			return !ok
		})
	}
	next.state, next.owned, next.revoking = memberStable, kept.union(free), assignment{}
	if free.size() < gained.size() {
		next.state = memberUnreleased
	}
	if m.epoch != epoch {
		next.epoch, next.previous = epoch, m.epoch
	}
	next.since = m.sinceOf(next.owned, epoch)
	if m.state == next.state && m.epoch == next.epoch && m.owned.equal(next.owned) && m.revoking.size() == 0 {
		return m
	}
	return &next
}

// sinceOf carries the epochs of what the member owned over to what it owns now; what is
// new to it is its own since the epoch.
func (m *consumerMember) sinceOf(owned assignment, epoch int32) epochs {
	out := make(epochs, len(owned))
	for id, ps := range owned {
		es := make([]int32, len(ps))
		for i, p := range ps {
			if es[i] = epoch; m.owned.has(id, p) {
				es[i] = m.since.of(m.owned, id, p)
			}
		}
		out[id] = es
	}
	return out
}
