package metadata

import (
	"errors"
	"fmt"

	"github.com/tidelinehq/tideline/metadata/record"
)

// Check verifies the invariants of an image, all of it: for tests, simulation
// and offline tools. It returns every violation.
func Check(m *Image) error {
	c := &checker{m: m, hot: map[ID]int64{}}
	c.topics()
	for t, p := range m.AllPartitions() {
		if t == nil {
			c.failf("partition without topic: topic=%x index=%d", p.Topic, p.Index)
			continue
		}
		c.partition(t.Name, p)
	}
	for p := range m.Purges() {
		n := int32(0)
		for x := range m.PurgePartitions(p) {
			c.ledger(p.Name, x)
			n++
		}
		if n != p.Remaining {
			c.failf("purge of %s: remaining=%d partitions=%d", p.Name, p.Remaining, n)
		}
	}
	c.objects()
	c.sets()
	c.security()
	return errors.Join(c.errs...)
}

type checker struct {
	m     *Image
	hot   map[ID]int64 // references of hot segments and root pages
	paged bool         // there are pages, whose references are not seen here
	errs  []error
}

func (c *checker) failf(format string, args ...any) {
	if len(c.errs) < 100 {
		c.errs = append(c.errs, fmt.Errorf(format, args...))
	}
}

func (c *checker) topics() {
	n := 0
	for t := range c.m.Topics() {
		if byID, ok := c.m.TopicByID(t.ID); !ok || byID != t {
			c.failf("topic not found by id: name=%s", t.Name)
		}
		if byOrdinal, ok := c.m.ordinals.Get(t.Ordinal); !ok || byOrdinal != t {
			c.failf("topic not found by ordinal: name=%s", t.Name)
		}
		i := int32(0)
		for p := range c.m.Partitions(t) {
			if p.Index != i || p.Topic != t.ID {
				c.failf("partition out of place: topic=%s want=%d index=%d", t.Name, i, p.Index)
			}
			i++
		}
		if i != t.Partitions {
			c.failf("topic=%s partitions=%d found=%d", t.Name, t.Partitions, i)
		}
		n += int(i)
		if !t.Configs.Valid() {
			c.failf("topic=%s settings not in order", t.Name)
		}
	}
	if n != c.m.PartitionCount() || c.m.topicIDs.Len() != c.m.topics.Len() || c.m.ordinals.Len() != c.m.topics.Len() {
		c.failf("partitions=%d of topics=%d ids=%d ordinals=%d", c.m.PartitionCount(), n, c.m.topicIDs.Len(), c.m.ordinals.Len())
	}
}

func (c *checker) partition(name string, p *Partition) {
	if wrong := wrongLists(p); wrong != "" || len(p.Replicas) == 0 {
		c.failf("%s-%d: %s: replicas=%v leader=%d isr=%v elr=%v last=%v adding=%v removing=%v", name, p.Index, wrong,
			p.Replicas, p.Leader, p.ISR, p.ELR, p.LastKnownELR, p.Adding, p.Removing)
	}
	c.ledger(name, p)
}

func (c *checker) ledger(name string, p *Partition) {
	l := &p.Ledger
	if l.LogStart < 0 || l.Tiered < 0 || p.ReleasedEnd > l.LogStart || len(l.Hot) > record.MaxHot || l.Cleaned > l.Tiered {
		c.failf("%s-%d: start=%d released=%d tiered=%d hot=%d", name, p.Index, l.LogStart, p.ReleasedEnd, l.Tiered, len(l.Hot))
	}
	var logBytes, stored int64
	for i := range l.Hot {
		s := &l.Hot[i]
		logBytes, stored = logBytes+s.LogBytes, stored+s.Size
		c.hot[s.Object]++
		if i > 0 && l.Hot[i-1].End != s.Base || s.End <= s.Base {
			c.failf("%s-%d: gap in hot segments at %d: [%d,%d)", name, p.Index, i, s.Base, s.End)
		}
	}
	// What follows a segment that compaction wrote continues from what was there before.
	if n := len(l.Hot); n > 0 && (l.Hot[n-1].End != l.Tiered || l.Hot[n-1].Chain != l.Chain && l.Hot[n-1].Flags&record.SegmentSparse == 0) {
		c.failf("%s-%d: hot ends at %d, tiered=%d", name, p.Index, l.Hot[n-1].End, l.Tiered)
	}
	if l.Root == (PageRef{}) {
		if l.RootEnd != 0 || l.LogBytes != logBytes || l.StoredBytes != stored || l.Segments != int64(len(l.Hot)) {
			c.failf("%s-%d: totals=%d/%d/%d hot=%d/%d/%d", name, p.Index, l.LogBytes, l.StoredBytes, l.Segments, logBytes, stored, len(l.Hot))
		}
		return
	}
	c.paged = true
	c.hot[l.Root.Object]++
	if l.LogBytes < logBytes || l.StoredBytes < stored || l.Segments < int64(len(l.Hot)) {
		c.failf("%s-%d: totals=%d/%d/%d below hot=%d/%d/%d", name, p.Index, l.LogBytes, l.StoredBytes, l.Segments, logBytes, stored, len(l.Hot))
	}
	if len(l.Hot) > 0 && l.Hot[0].Base != l.RootEnd || len(l.Hot) == 0 && l.Tiered != l.RootEnd {
		c.failf("%s-%d: gap between pages and hot segments: root end=%d", name, p.Index, l.RootEnd)
	}
}

// objects verifies where each object is counted, and how often.
func (c *checker) objects() {
	m := c.m
	perBroker := map[int32]int{}
	for i := range m.Intents() {
		perBroker[i.Broker]++
		_, shared := m.objects.Get(key(i.Object))
		if shared || m.IsGarbage(i.Object) || i.Refs < 0 {
			c.failf("intent %x: shared=%v garbage=%v refs=%d", i.Object, shared, m.IsGarbage(i.Object), i.Refs)
		}
		c.count(i.Object, i.Refs)
	}
	for b, n := range perBroker {
		if open, _ := m.brokerUpload.Get(b); open != n || n > record.MaxIntents {
			c.failf("broker=%d intents=%d counted=%d", b, n, open)
		}
	}
	if len(perBroker) != m.brokerUpload.Len() {
		c.failf("brokers with intents=%d counted=%d", len(perBroker), m.brokerUpload.Len())
	}
	for o := range m.SharedObjects() {
		if o.Refs < 2 || m.IsGarbage(o.ID) {
			c.failf("object %x: refs=%d garbage=%v", o.ID, o.Refs, m.IsGarbage(o.ID))
		}
		c.count(o.ID, o.Refs)
	}
	for object, n := range c.hot { // the rest must have exactly one reference
		if m.IsGarbage(object) {
			c.failf("object %x is garbage and referred to", object)
		}
		if n != 1 {
			c.failf("object %x: refs=%d, not counted", object, n)
		}
	}
	if m.garbage.Len() != m.garbageDue.Len() {
		c.failf("garbage queue=%d index=%d", m.garbage.Len(), m.garbageDue.Len())
	}
	for g := range m.Garbage() {
		if due, ok := m.garbageDue.Get(key(g.Object)); !ok || due != g.Due {
			c.failf("garbage %x: due=%d index=%d", g.Object, g.Due, due)
		}
	}
}

// count compares a reference count with what is seen, and takes the object off
// the list.
func (c *checker) count(object ID, refs int64) {
	seen := c.hot[object]
	delete(c.hot, object)
	if seen > refs || !c.paged && seen != refs {
		c.failf("object %x: refs=%d seen=%d", object, refs, seen)
	}
}

// sets rebuilds the sets per broker.
func (c *checker) sets() {
	led, hosted := map[int32]int{}, map[int32]int{}
	replicas := int64(0)
	for t, p := range c.m.AllPartitions() {
		s := slot(t.Ordinal, p.Index)
		if p.Leader != NoLeader {
			led[p.Leader]++
			if set, ok := c.m.led.Get(p.Leader); !ok || !has(set, s) {
				c.failf("%s-%d: not in the led set of %d", t.Name, p.Index, p.Leader)
			}
		}
		for _, b := range p.Replicas {
			hosted[b]++
			replicas++
			if set, ok := c.m.hosted.Get(b); !ok || !has(set, s) {
				c.failf("%s-%d: not in the hosted set of %d", t.Name, p.Index, b)
			}
		}
	}
	sum := func(counts map[int32]int, n func(int32) int) {
		for b, want := range counts {
			if n(b) != want {
				c.failf("broker=%d set=%d partitions=%d", b, n(b), want)
			}
		}
	}
	sum(led, c.m.LedCount)
	sum(hosted, c.m.HostedCount)
	if c.m.led.Len() != len(led) || c.m.hosted.Len() != len(hosted) || c.m.replicas != replicas {
		c.failf("sets of brokers led=%d/%d hosted=%d/%d replicas=%d/%d", c.m.led.Len(), len(led), c.m.hosted.Len(), len(hosted), c.m.replicas, replicas)
	}
}

func has(set *slotSet, s uint64) bool {
	_, ok := set.slots.Get(s)
	return ok
}
