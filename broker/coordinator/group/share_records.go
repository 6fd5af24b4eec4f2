package group

import (
	"maps"
	"slices"

	"github.com/tidelinehq/tideline/broker/coordinator"
	"github.com/tidelinehq/tideline/internal/codec"
)

// The records of a share group, as Apache Kafka has them; see docs/formats.md.

func (g *shareGroup) groupRecord(group string) coordinator.Record {
	b := codec.AppendInt64(codec.AppendInt32(newValue(), g.epoch), g.hash)
	return coordinator.Record{Key: recordKey{keyShareGroup, group, ""}.bytes(), Value: codec.AppendTags(b)}
}

func (g *shareGroup) targetRecord(group string) coordinator.Record {
	return epochRecord(keyShareTarget, group, g.assigned, g.targetAt)
}

func (m *shareMember) memberRecord(group string) coordinator.Record {
	b := newValue()
	b = codec.AppendCompactNullable(b, m.rack)
	b = codec.AppendCompact(b, m.clientID)
	b = codec.AppendCompact(b, m.clientHost)
	b = codec.AppendCompactStrings(b, m.topics)
	b = codec.AppendTags(b)
	return coordinator.Record{Key: recordKey{keyShareMember, group, m.id}.bytes(), Value: b}
}

// shareStable is the only state of a member that Kafka writes.
const shareStable = 0

func (m *shareMember) currentRecord(group string) coordinator.Record {
	b := newValue()
	b = codec.AppendInt32(b, m.epoch)
	b = codec.AppendInt32(b, m.previous)
	b = append(b, byte(shareStable))
	b = appendAssignment(b, m.owned)
	b = codec.AppendTags(b)
	return coordinator.Record{Key: recordKey{keyShareCurrent, group, m.id}.bytes(), Value: b}
}

func shareMemberTombstones(group, member string) []coordinator.Record {
	return []coordinator.Record{
		tombstone(keyShareCurrent, group, member),
		tombstone(keyShareTargetOf, group, member),
		tombstone(keyShareMember, group, member),
	}
}

// records implements modern.
func (g *shareGroup) records(group string) []coordinator.Record {
	var out []coordinator.Record
	for _, m := range g.members {
		out = append(out, m.memberRecord(group))
	}
	if g.stored {
		out = append(out, g.groupRecord(group))
	}
	for _, id := range slices.Sorted(maps.Keys(g.targets)) {
		out = append(out, targetOfRecord(keyShareTargetOf, group, id, g.targets[id]))
	}
	if g.assigned != 0 {
		out = append(out, g.targetRecord(group))
	}
	for _, m := range g.members {
		if m.epoch != 0 || len(m.owned) > 0 {
			out = append(out, m.currentRecord(group))
		}
	}
	if g.parts.stored {
		out = append(out, g.parts.record(group))
	}
	return out
}

// tombstones implements modern.
func (g *shareGroup) tombstones(group string) []coordinator.Record {
	var out []coordinator.Record
	for _, m := range g.members {
		out = append(out, shareMemberTombstones(group, m.id)...)
	}
	for _, id := range slices.Sorted(maps.Keys(g.targets)) {
		if g.member(id) == nil {
			out = append(out, tombstone(keyShareTargetOf, group, id))
		}
	}
	return append(out, tombstone(keyShareTarget, group, ""), tombstone(keyShareParts, group, ""), tombstone(keyShareGroup, group, ""))
}

// gone implements modern.
func (g *shareGroup) gone() bool {
	return !g.stored && !g.parts.stored && g.assigned == 0 && len(g.members)+len(g.targets) == 0
}

// replay implements modern. Records may come in another order than they were written
// in: of each key compaction keeps only the last.
func (g *shareGroup) replay(key recordKey, value []byte) error {
	if value == nil {
		g.forget(key)
		return nil
	}
	return readValue(key, value, g.read)
}

func (g *shareGroup) forget(key recordKey) {
	switch key.version {
	case keyShareGroup:
		g.stored, g.epoch, g.hash = false, 0, 0
	case keyShareMember:
		g.remove(key.part)
	case keyShareTarget:
		g.assigned, g.targetAt = 0, 0
	case keyShareTargetOf:
		delete(g.targets, key.part)
	case keyShareCurrent:
		if m := g.member(key.part); m != nil {
			m.epoch, m.previous, m.owned = 0, 0, nil
		}
	case keyShareParts:
		g.parts = shareParts{}
	}
}

// read reads a value and returns what installs it.
func (g *shareGroup) read(key recordKey, r *codec.Reader) func() {
	switch key.version {
	case keyShareGroup:
		epoch, hash := r.Int32(), r.Int64()
		r.Tags(nil)
		return func() { g.stored, g.epoch, g.hash = true, epoch, hash }
	case keyShareMember:
		m := &shareMember{rack: r.CompactNullable(), clientID: r.CompactString(), clientHost: r.CompactString(), topics: r.CompactStrings()}
		slices.Sort(m.topics)
		r.Tags(nil)
		return func() {
			if old := g.member(key.part); old != nil {
				m.epoch, m.previous, m.owned = old.epoch, old.previous, old.owned
			}
			m.id = key.part
			g.put(m)
		}
	case keyShareTarget:
		epoch, at := readEpoch(r)
		return func() { g.assigned, g.targetAt = epoch, at }
	case keyShareTargetOf:
		a := decodeAssignment(r)
		r.Tags(nil)
		return func() { g.targets[key.part] = a }
	case keyShareCurrent:
		epoch, previous := r.Int32(), r.Int32()
		r.Int8()
		owned := decodeAssignment(r)
		r.Tags(nil)
		return func() {
			m := &shareMember{id: key.part} // its other record, written later, may still be to come
			if old := g.member(key.part); old != nil {
				*m = *old
			}
			m.epoch, m.previous, m.owned = epoch, previous, owned
			g.put(m)
		}
	default:
		p := readShareParts(r)
		return func() { g.parts = p }
	}
}
