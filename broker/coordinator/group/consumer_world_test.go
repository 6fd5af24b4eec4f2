package group

import "slices"

// checkConsumerGroup asserts what always holds of a consumer group: no partition is had
// twice, by the targets or by what members have.
func (w *world) checkConsumerGroup(id string, g *consumerGroup) {
	w.t.Helper()
	if !slices.IsSortedFunc(g.members, func(a, b *consumerMember) int { return cmpString(a.id, b.id) }) {
		w.t.Fatalf("group %q is out of order", id)
	}
	type tp struct {
		topic     [16]byte
		partition int32
	}
	has, aims := map[tp]string{}, map[tp]string{}
	note := func(m map[tp]string, what string, a assignment, member string) {
		for t, ps := range a {
			for _, p := range ps {
				if other, ok := m[tp{t, p}]; ok {
					w.t.Fatalf("group %q: partition %d is %s of %q and %q", id, p, what, other, member)
				}
				m[tp{t, p}] = member
			}
		}
	}
	instances := map[string]bool{}
	for _, m := range g.members {
		note(has, "had", m.owned, m.id)
		note(has, "had", m.revoking, m.id)
		note(aims, "the target", g.targets[m.id], m.id)
		if m.instance != nil {
			if instances[*m.instance] {
				w.t.Fatalf("group %q: instance %q twice", id, *m.instance)
			}
			instances[*m.instance] = true
		}
		if m.epoch > g.assigned {
			w.t.Fatalf("group %q: member %q is at epoch %d of %d", id, m.id, m.epoch, g.assigned)
		}
		for t, ps := range m.owned {
			if len(m.since[t]) != len(ps) {
				w.t.Fatalf("group %q: member %q has %d partitions with %d epochs", id, m.id, len(ps), len(m.since[t]))
			}
		}
	}
	for member := range g.targets {
		if g.member(member) == nil {
			w.t.Fatalf("group %q: target of %q, who is no member", id, member)
		}
	}
}
