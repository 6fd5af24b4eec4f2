package controller

import (
	"slices"

	"github.com/tidelinehq/tideline/metadata"
	"github.com/tidelinehq/tideline/metadata/record"
)

// change is a new state of a partition in the making. A decision alters its
// lists; finish then does what follows from them: who is fenced leaves the ISR,
// a reassignment that is complete ends, the ELR is computed, and a leader is
// elected if there is none. So every change of a partition also settles what
// was open.
type change struct {
	m       *metadata.Image
	old     *metadata.Partition
	minISR  int   // min.insync.replicas of the topic
	unclean bool  // electing a replica that may lack records is accepted
	gone    int32 // a broker that is treated as fenced, or noBroker
	elect   bool  // a new leader epoch even if the leader stays

	leader                         int32
	replicas, isr, adding, removes []int32
	elr, lost                      []int32
}

const noBroker int32 = -1

func (p Policy) change(m *metadata.Image, t *metadata.Topic, old *metadata.Partition) *change {
	return &change{
		m: m, old: old, minISR: p.minISR(m, t), unclean: p.unclean(m, t), gone: noBroker, leader: old.Leader,
		replicas: old.Replicas, isr: old.ISR, adding: old.Adding, removes: old.Removing, elr: old.ELR, lost: old.LastKnownELR,
	}
}

// live reports whether a broker is in service; it may be shutting down.
func (c *change) live(broker int32) bool { return broker != c.gone && live(c.m, broker) }

// active reports whether a broker may be elected.
func (c *change) active(broker int32) bool {
	b, ok := c.m.Broker(broker)
	return ok && broker != c.gone && b.Active()
}

// target returns the replicas that stay when the reassignment is over.
func (c *change) target() []int32 {
	return keep(c.replicas, func(b int32) bool { return !slices.Contains(c.removes, b) })
}

// finish returns the change, false when nothing differs.
func (c *change) finish() (record.PartitionChange, bool) {
	c.isr = keep(c.isr, func(b int32) bool { return c.live(b) && slices.Contains(c.replicas, b) })
	c.complete()
	c.eligible()
	unclean := c.lead()
	p := c.old
	out := record.PartitionChange{
		Topic: p.Topic, Partition: p.Index, PartitionEpoch: p.PartitionEpoch, Leader: c.leader, Elect: c.elect, Unclean: unclean,
		ISR: changed(p.ISR, c.isr), ELR: changed(p.ELR, c.elr), LastKnownELR: changed(p.LastKnownELR, c.lost),
		Replicas: changed(p.Replicas, c.replicas), Adding: changed(p.Adding, c.adding), Removing: changed(p.Removing, c.removes),
	}
	differs := out.ISR != nil || out.ELR != nil || out.LastKnownELR != nil || out.Replicas != nil || out.Adding != nil || out.Removing != nil
	return out, differs || out.Elect || out.Leader != p.Leader
}

// complete ends a reassignment whose new replicas are all in the ISR, when
// enough of those that stay are there to acknowledge a record: the others'
// copies are dropped. If the leader is among the dropped, its successor must
// have been in the ISR before this change, so that it knows of it; else the
// end waits for the next change.
func (c *change) complete() {
	if len(c.adding)+len(c.removes) == 0 {
		return
	}
	target := c.target()
	isr := keep(c.isr, func(b int32) bool { return slices.Contains(target, b) })
	if len(isr) < max(1, min(c.minISR, len(target))) || slices.ContainsFunc(c.adding, func(b int32) bool { return !slices.Contains(isr, b) }) {
		return
	}
	if !slices.Contains(isr, c.leader) && (!subset(isr, c.old.ISR) || !slices.ContainsFunc(isr, c.active)) {
		return
	}
	c.drop(target)
	c.adding, c.removes, c.isr = nil, nil, isr
}

// drop makes the replicas a smaller list. Acknowledgements that a dropped
// replica sent are void even if the same broker becomes a replica again: the
// new leader epoch tells them apart.
func (c *change) drop(replicas []int32) {
	in := func(b int32) bool { return slices.Contains(replicas, b) }
	c.elect = c.elect || !subset(c.old.Replicas, replicas)
	c.replicas = replicas
	c.isr, c.elr, c.lost = keep(c.isr, in), keep(c.elr, in), keep(c.lost, in)
}

// eligible computes the ELR. While the ISR is below its bound the high
// watermark stands, so who was in the ISR or the ELR still has all that is
// below it.
func (c *change) eligible() {
	if len(c.isr) >= effectiveMinISR(c.minISR, len(c.replicas)) {
		c.elr, c.lost = nil, nil
		return
	}
	elr := slices.Clone(c.elr)
	for _, b := range c.old.ISR {
		if !slices.Contains(elr, b) {
			elr = append(elr, b)
		}
	}
	c.elr = keep(elr, func(b int32) bool { return slices.Contains(c.replicas, b) && !slices.Contains(c.isr, b) })
	c.lost = keep(c.lost, func(b int32) bool { return !slices.Contains(c.isr, b) && !slices.Contains(c.elr, b) })
}

// lead keeps the leader or elects one: an active member of the ISR, in the
// order of the replicas, of which those that a reassignment drops are last; if there is none, the leader that is shutting down;
// with an empty ISR an active member of the ELR. A replica that is in neither
// may lack acknowledged records and is elected only where that is accepted, or
// where waiting is in vain because every replica has lost its log.
func (c *change) lead() (unclean bool) {
	inISR := func(b int32) bool { return slices.Contains(c.isr, b) }
	if inISR(c.leader) && c.active(c.leader) {
		return false
	}
	if b := first(c.replicas, func(b int32) bool { return inISR(b) && c.active(b) }); b != noBroker {
		c.leader = b
		return false
	}
	if len(c.isr) > 0 {
		if !inISR(c.leader) {
			c.leader = metadata.NoLeader // all of the ISR is shutting down
		}
		return false
	}
	c.leader = metadata.NoLeader
	b := first(c.replicas, func(b int32) bool { return slices.Contains(c.elr, b) && c.active(b) })
	if b == noBroker && (c.unclean || subset(c.replicas, c.lost)) {
		unclean = true
		// One that did not report a loss has at least the beginning.
		if b = first(c.replicas, func(b int32) bool { return c.active(b) && !slices.Contains(c.lost, b) }); b == noBroker {
			b = first(c.replicas, c.active)
		}
	}
	switch {
	case b == noBroker:
		return false
	case unclean:
		c.elr, c.lost = nil, nil
	}
	c.leader, c.isr = b, []int32{b}
	c.eligibleAfter(b)
	return unclean
}

// eligibleAfter is eligible once more, after a member of the ELR was elected.
func (c *change) eligibleAfter(leader int32) {
	if effectiveMinISR(c.minISR, len(c.replicas)) <= 1 {
		c.elr, c.lost = nil, nil
		return
	}
	c.elr, c.lost = without(c.elr, leader), without(c.lost, leader)
}

// changed returns is, not nil, if it differs from was.
func changed(was, is []int32) []int32 {
	if slices.Equal(was, is) {
		return nil
	}
	if is == nil {
		return []int32{}
	}
	return is
}

// keep returns the members that satisfy a condition, the list itself when all do.
func keep(list []int32, ok func(int32) bool) []int32 {
	if !slices.ContainsFunc(list, func(b int32) bool { return !ok(b) }) {
		return list
	}
	return slices.DeleteFunc(slices.Clone(list), func(b int32) bool { return !ok(b) })
}

func first(list []int32, ok func(int32) bool) int32 {
	if i := slices.IndexFunc(list, ok); i >= 0 {
		return list[i]
	}
	return noBroker
}

// subset reports whether all of a are in b.
func subset(a, b []int32) bool {
	return !slices.ContainsFunc(a, func(x int32) bool { return !slices.Contains(b, x) })
}

func without(list []int32, v int32) []int32 { return keep(list, func(x int32) bool { return x != v }) }

func live(m *metadata.Image, broker int32) bool {
	b, ok := m.Broker(broker)
	return ok && !b.Fenced
}
