package group

import (
	"fmt"
	"maps"
	"slices"

	"github.com/tidelinehq/tideline/broker/coordinator"
)

// The records of a consumer group, as Apache Kafka has them; see docs/formats.md.

func (g *consumerGroup) groupRecord(group string) coordinator.Record {
	w := newFlexWriter(0)
	w.int32(g.epoch)
	if g.hash != 0 {
		hash := flexWriter{}
		hash.int64(g.hash)
		w.tags(flexTag{0, hash.b})
	} else {
		w.tags()
	}
	return coordinator.Record{Key: recordKey{keyConsumerGroup, group, ""}.bytes(), Value: w.b}
}

func (g *consumerGroup) targetRecord(group string) coordinator.Record {
	w := newFlexWriter(0)
	w.int32(g.assigned)
	if g.targetAt != 0 {
		at := flexWriter{}
		at.int64(g.targetAt)
		w.tags(flexTag{0, at.b})
	} else {
		w.tags()
	}
	return coordinator.Record{Key: recordKey{keyConsumerTarget, group, ""}.bytes(), Value: w.b}
}

func targetOfRecord(group, member string, a assignment) coordinator.Record {
	w := newFlexWriter(0)
	w.assignment(a)
	w.tags()
	return coordinator.Record{Key: recordKey{keyConsumerTargetOf, group, member}.bytes(), Value: w.b}
}

func (m *consumerMember) memberRecord(group string) coordinator.Record {
	w := newFlexWriter(0)
	w.nullable(m.instance)
	w.nullable(m.rack)
	w.string(m.clientID)
	w.string(m.clientHost)
	w.strings(m.topics)
	w.nullable(m.regex)
	w.int32(int32(m.rebalanceTimeout.Milliseconds()))
	w.nullable(m.assignor)
	if c := m.classic; c != nil {
		t := flexWriter{}
		t.int8(1) // a nullable structure that is there
		t.int32(int32(c.sessionTimeout.Milliseconds()))
		t.size(len(c.protocols))
		for _, p := range c.protocols {
			t.string(p.name)
			t.bytes(p.metadata)
			t.tags()
		}
		t.tags()
		w.tags(flexTag{0, t.b})
	} else {
		w.tags()
	}
	return coordinator.Record{Key: recordKey{keyConsumerMember, group, m.id}.bytes(), Value: w.b}
}

func (m *consumerMember) currentRecord(group string) coordinator.Record {
	w := newFlexWriter(0)
	w.int32(m.epoch)
	w.int32(m.previous)
	w.int8(int8(m.state))
	w.size(len(m.owned))
	for _, id := range m.owned.topics() {
		w.id(id)
		w.int32s(m.owned[id])
		since := flexWriter{}
		since.int32s(m.since[id])
		w.tags(flexTag{0, since.b})
	}
	w.assignment(m.revoking)
	w.tags()
	return coordinator.Record{Key: recordKey{keyConsumerCurrent, group, m.id}.bytes(), Value: w.b}
}

func (r *resolvedRegex) record(group, regex string) coordinator.Record {
	w := newFlexWriter(0)
	w.strings(r.topics)
	w.int64(int64(r.version))
	w.int64(r.at)
	w.tags()
	return coordinator.Record{Key: recordKey{keyConsumerRegex, group, regex}.bytes(), Value: w.b}
}

func tombstone(version int16, group, part string) coordinator.Record {
	return coordinator.Record{Key: recordKey{version, group, part}.bytes()}
}

func memberTombstones(group, member string) []coordinator.Record {
	return []coordinator.Record{
		tombstone(keyConsumerCurrent, group, member),
		tombstone(keyConsumerTargetOf, group, member),
		tombstone(keyConsumerMember, group, member),
	}
}

// records implements modern.
func (g *consumerGroup) records(group string) []coordinator.Record {
	var out []coordinator.Record
	for _, m := range g.members {
		out = append(out, m.memberRecord(group))
	}
	for _, re := range slices.Sorted(maps.Keys(g.regexes)) {
		out = append(out, g.regexes[re].record(group, re))
	}
	if g.stored {
		out = append(out, g.groupRecord(group))
	}
	for _, id := range slices.Sorted(maps.Keys(g.targets)) {
		out = append(out, targetOfRecord(group, id, g.targets[id]))
	}
	if g.assigned != 0 {
		out = append(out, g.targetRecord(group))
	}
	for _, m := range g.members {
		if m.epoch != 0 || len(m.owned)+len(m.revoking) > 0 {
			out = append(out, m.currentRecord(group))
		}
	}
	return out
}

// tombstones implements modern.
func (g *consumerGroup) tombstones(group string) []coordinator.Record {
	var out []coordinator.Record
	for _, m := range g.members {
		out = append(out, memberTombstones(group, m.id)...)
	}
	for _, id := range slices.Sorted(maps.Keys(g.targets)) {
		if g.member(id) == nil {
			out = append(out, tombstone(keyConsumerTargetOf, group, id))
		}
	}
	for _, re := range slices.Sorted(maps.Keys(g.regexes)) {
		out = append(out, tombstone(keyConsumerRegex, group, re))
	}
	return append(out, tombstone(keyConsumerTarget, group, ""), tombstone(keyConsumerGroup, group, ""))
}

// gone implements modern.
func (g *consumerGroup) gone() bool {
	return !g.stored && g.assigned == 0 && len(g.members)+len(g.targets)+len(g.regexes) == 0
}

// replay implements modern. Records may come in another order than they were written
// in: of each key compaction keeps only the last.
func (g *consumerGroup) replay(key recordKey, value []byte) error {
	if value == nil {
		g.forget(key)
		return nil
	}
	r, err := openFlex(value)
	if err != nil {
		return fmt.Errorf("consumer group=%q key version=%d: %w", key.group, key.version, err)
	}
	set := g.read(key, r)
	if err := r.end(); err != nil {
		return fmt.Errorf("consumer group=%q key version=%d: %w", key.group, key.version, err)
	}
	set()
	return nil
}

func (g *consumerGroup) forget(key recordKey) {
	switch key.version {
	case keyConsumerGroup:
		g.stored, g.epoch, g.hash = false, 0, 0
	case keyConsumerMember:
		if i, ok := g.find(key.part); ok {
			g.members = slices.Delete(g.members, i, i+1)
		}
	case keyConsumerTarget:
		g.assigned, g.targetAt = 0, 0
	case keyConsumerTargetOf:
		delete(g.targets, key.part)
	case keyConsumerCurrent:
		if m := g.member(key.part); m != nil {
			m.epoch, m.previous, m.state, m.owned, m.since, m.revoking = 0, 0, memberStable, nil, nil, nil
		}
	case keyConsumerRegex:
		delete(g.regexes, key.part)
	}
}

// read reads a value and returns what installs it.
func (g *consumerGroup) read(key recordKey, r *flexReader) func() {
	switch key.version {
	case keyConsumerGroup:
		epoch, hash := r.int32(), int64(0)
		r.tags(func(tag uint64, b []byte) {
			if tag == 0 && len(b) == 8 {
				hash = (&flexReader{b: b}).int64()
			}
		})
		return func() { g.stored, g.epoch, g.hash = true, epoch, hash }
	case keyConsumerMember:
		m := readMember(r)
		return func() {
			if old := g.member(key.part); old != nil {
				m.epoch, m.previous, m.state, m.owned, m.since, m.revoking = old.epoch, old.previous, old.state, old.owned, old.since, old.revoking
			}
			m.id = key.part
			g.put(m)
		}
	case keyConsumerTarget:
		epoch, at := r.int32(), int64(0)
		r.tags(func(tag uint64, b []byte) {
			if tag == 0 && len(b) == 8 {
				at = (&flexReader{b: b}).int64()
			}
		})
		return func() { g.assigned, g.targetAt = epoch, at }
	case keyConsumerTargetOf:
		a := r.assignment()
		r.tags(nil)
		return func() { g.targets[key.part] = a }
	case keyConsumerCurrent:
		return g.readCurrent(key, r)
	case keyConsumerRegex:
		re := &resolvedRegex{topics: r.strings(), version: uint64(r.int64()), at: r.int64()}
		re.seen, re.seenAt = re.version, re.at
		r.tags(nil)
		return func() { g.regexes[key.part] = re }
	default: // partitions: what older brokers compared topics with
		r.b = nil
		return func() {}
	}
}

func readMember(r *flexReader) *consumerMember {
	m := &consumerMember{instance: r.nullable(), rack: r.nullable(), clientID: r.string(), clientHost: r.string(), topics: r.strings(), regex: r.nullable()}
	m.rebalanceTimeout = millis(max(r.int32(), 0))
	m.assignor = r.nullable()
	slices.Sort(m.topics)
	r.tags(func(tag uint64, b []byte) {
		if tag != 0 {
			return
		}
		t := flexReader{b: b}
		if t.int8() != 1 {
			return
		}
		c := &classicMember{sessionTimeout: millis(max(t.int32(), 0))}
		for range max(t.size(), 0) {
			p := protocol{t.string(), t.bytes()}
			t.tags(nil)
			if t.bad {
				break
			}
			c.protocols = append(c.protocols, p)
		}
		t.tags(nil)
		if t.end() != nil || len(c.protocols) == 0 {
			r.bad = true
			return
		}
		m.classic = c
	})
	return m
}

func (g *consumerGroup) readCurrent(key recordKey, r *flexReader) func() {
	epoch, previous, state := r.int32(), r.int32(), memberState(r.int8())
	owned, since := assignment{}, epochs{}
	for range max(r.size(), 0) {
		id, ps := r.id(), r.int32s()
		var es []int32
		r.tags(func(tag uint64, b []byte) {
			if tag == 0 {
				es = (&flexReader{b: b}).int32s()
			}
		})
		if r.bad {
			break
		}
		if len(es) != len(ps) || !slices.IsSorted(ps) {
			es = slices.Repeat([]int32{0}, len(ps)) // not known: from the beginning
		}
		if owned.add(id, ps...); len(ps) > 0 && len(owned[id]) == len(es) {
			since[id] = es
		}
	}
	revoking := r.assignment()
	r.tags(nil)
	return func() {
		old := g.member(key.part)
		if old == nil {
			// Its other record, written later, is still to come.
			old = &consumerMember{id: key.part}
		}
		m := *old
		m.epoch, m.previous, m.state, m.owned, m.since, m.revoking = epoch, previous, state, owned, since, revoking
		g.put(&m)
	}
}
