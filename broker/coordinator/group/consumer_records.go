package group

import (
	"bytes"
	"maps"
	"slices"

	"github.com/tidelinehq/tideline/broker/coordinator"
	"github.com/tidelinehq/tideline/internal/codec"
)

// The records of a consumer group, as Apache Kafka has them; see docs/formats.md.

func (g *consumerGroup) groupRecord(group string) coordinator.Record {
	return epochRecord(keyConsumerGroup, group, g.epoch, g.hash)
}

func (g *consumerGroup) targetRecord(group string) coordinator.Record {
	return epochRecord(keyConsumerTarget, group, g.assigned, g.targetAt)
}

// classicThere precedes what a member of the classic protocol has: a structure that could be null.
const classicThere = 1

func (m *consumerMember) memberRecord(group string) coordinator.Record {
	b := newValue()
	b = codec.AppendCompactNullable(b, m.instance)
	b = codec.AppendCompactNullable(b, m.rack)
	b = codec.AppendCompact(b, m.clientID)
	b = codec.AppendCompact(b, m.clientHost)
	b = codec.AppendCompactStrings(b, m.topics)
	b = codec.AppendCompactNullable(b, m.regex)
	b = codec.AppendInt32(b, int32(m.rebalanceTimeout.Milliseconds()))
	b = codec.AppendCompactNullable(b, m.assignor)
	if c := m.classic; c != nil {
		t := codec.AppendInt32([]byte{classicThere}, int32(c.sessionTimeout.Milliseconds()))
		t = codec.AppendCompactLen(t, len(c.protocols))
		for _, p := range c.protocols {
			t = codec.AppendCompact(t, p.name)
			t = codec.AppendCompact(t, p.metadata)
			t = codec.AppendTags(t)
		}
		b = codec.AppendTags(b, codec.Tag{Tag: 0, Value: codec.AppendTags(t)})
	} else {
		b = codec.AppendTags(b)
	}
	return coordinator.Record{Key: recordKey{keyConsumerMember, group, m.id}.bytes(), Value: b}
}

func (m *consumerMember) currentRecord(group string) coordinator.Record {
	b := newValue()
	b = codec.AppendInt32(b, m.epoch)
	b = codec.AppendInt32(b, m.previous)
	b = append(b, byte(m.state))
	b = codec.AppendCompactLen(b, len(m.owned))
	for _, id := range m.owned.topics() {
		b = append(b, id[:]...)
		b = codec.AppendCompactInt32s(b, m.owned[id])
		b = codec.AppendTags(b, codec.Tag{Tag: 0, Value: codec.AppendCompactInt32s(nil, m.since[id])})
	}
	b = appendAssignment(b, m.revoking)
	b = codec.AppendTags(b)
	return coordinator.Record{Key: recordKey{keyConsumerCurrent, group, m.id}.bytes(), Value: b}
}

func (r *resolvedRegex) record(group, regex string) coordinator.Record {
	b := newValue()
	b = codec.AppendCompactStrings(b, r.topics)
	b = codec.AppendInt64(b, int64(r.version))
	b = codec.AppendInt64(b, r.at)
	b = codec.AppendTags(b)
	return coordinator.Record{Key: recordKey{keyConsumerRegex, group, regex}.bytes(), Value: b}
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
		out = append(out, targetOfRecord(keyConsumerTargetOf, group, id, g.targets[id]))
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
	return readValue(key, value, g.read)
}

func (g *consumerGroup) forget(key recordKey) {
	switch key.version {
	case keyConsumerGroup:
		g.stored, g.epoch, g.hash = false, 0, 0
	case keyConsumerMember:
		g.remove(key.part)
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
func (g *consumerGroup) read(key recordKey, r *codec.Reader) func() {
	switch key.version {
	case keyConsumerGroup:
		epoch, hash := readEpoch(r)
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
		epoch, at := readEpoch(r)
		return func() { g.assigned, g.targetAt = epoch, at }
	case keyConsumerTargetOf:
		a := decodeAssignment(r)
		r.Tags(nil)
		return func() { g.targets[key.part] = a }
	case keyConsumerCurrent:
		return g.readCurrent(key, r)
	case keyConsumerRegex:
		re := &resolvedRegex{topics: r.CompactStrings(), version: uint64(r.Int64()), at: r.Int64()}
		re.seen, re.seenAt = re.version, re.at
		r.Tags(nil)
		return func() { g.regexes[key.part] = re }
	default: // partitions: what older brokers compared topics with
		r.Rest()
		return func() {}
	}
}

func readMember(r *codec.Reader) *consumerMember {
	m := &consumerMember{instance: r.CompactNullable(), rack: r.CompactNullable(), clientID: r.CompactString(), clientHost: r.CompactString(), topics: r.CompactStrings(), regex: r.CompactNullable()}
	m.rebalanceTimeout = millis(max(r.Int32(), 0))
	m.assignor = r.CompactNullable()
	slices.Sort(m.topics)
	r.Tags(func(tag uint64, field *codec.Reader) {
		if tag == 0 && field.Int8() == classicThere {
			m.classic = readClassic(field)
		}
	})
	return m
}

func readClassic(r *codec.Reader) *classicMember {
	c := &classicMember{sessionTimeout: millis(max(r.Int32(), 0))}
	r.CompactEach(3, func() { // two lengths and the count of tagged fields
		c.protocols = append(c.protocols, protocol{r.CompactString(), bytes.Clone(r.CompactBytes())})
		r.Tags(nil)
	})
	r.Tags(nil)
	if r.Remaining() > 0 || len(c.protocols) == 0 {
		r.Fail(codec.ErrInvalid)
	}
	return c
}

func (g *consumerGroup) readCurrent(key recordKey, r *codec.Reader) func() {
	epoch, previous, state := r.Int32(), r.Int32(), memberState(r.Int8())
	owned, since := assignment{}, epochs{}
	r.CompactEach(topicBytes, func() {
		id, ps, es := r.UUID(), r.CompactInt32s(), []int32(nil)
		r.Tags(func(tag uint64, field *codec.Reader) {
			if tag == 0 {
				es = field.CompactInt32s()
			}
		})
		if len(es) != len(ps) || !slices.IsSorted(ps) {
			es = slices.Repeat([]int32{0}, len(ps)) // not known: from the beginning
		}
		if owned.add(id, ps...); len(ps) > 0 && len(owned[id]) == len(es) {
			since[id] = es
		}
	})
	revoking := decodeAssignment(r)
	r.Tags(nil)
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
