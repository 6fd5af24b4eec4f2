package group

import (
	"fmt"
	"maps"
	"slices"

	"github.com/tidelinehq/tideline/broker/coordinator"
)

// The records of a share group, as Apache Kafka has them; see docs/formats.md.

func (g *shareGroup) groupRecord(group string) coordinator.Record {
	w := newFlexWriter(0)
	w.int32(g.epoch)
	w.int64(g.hash)
	w.tags()
	return coordinator.Record{Key: recordKey{keyShareGroup, group, ""}.bytes(), Value: w.b}
}

func (g *shareGroup) targetRecord(group string) coordinator.Record {
	w := newFlexWriter(0)
	w.int32(g.assigned)
	if g.targetAt != 0 {
		at := flexWriter{}
		at.int64(g.targetAt)
		w.tags(flexTag{0, at.b})
	} else {
		w.tags()
	}
	return coordinator.Record{Key: recordKey{keyShareTarget, group, ""}.bytes(), Value: w.b}
}

func shareTargetOfRecord(group, member string, a assignment) coordinator.Record {
	w := newFlexWriter(0)
	w.assignment(a)
	w.tags()
	return coordinator.Record{Key: recordKey{keyShareTargetOf, group, member}.bytes(), Value: w.b}
}

func (m *shareMember) memberRecord(group string) coordinator.Record {
	w := newFlexWriter(0)
	w.nullable(m.rack)
	w.string(m.clientID)
	w.string(m.clientHost)
	w.strings(m.topics)
	w.tags()
	return coordinator.Record{Key: recordKey{keyShareMember, group, m.id}.bytes(), Value: w.b}
}

// shareStable is the only state of a member that Kafka writes.
const shareStable = 0

func (m *shareMember) currentRecord(group string) coordinator.Record {
	w := newFlexWriter(0)
	w.int32(m.epoch)
	w.int32(m.previous)
	w.int8(shareStable)
	w.assignment(m.owned)
	w.tags()
	return coordinator.Record{Key: recordKey{keyShareCurrent, group, m.id}.bytes(), Value: w.b}
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
		out = append(out, shareTargetOfRecord(group, id, g.targets[id]))
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
	r, err := openFlex(value)
	if err != nil {
		return fmt.Errorf("share group=%q key version=%d: %w", key.group, key.version, err)
	}
	set := g.read(key, r)
	if err := r.end(); err != nil {
		return fmt.Errorf("share group=%q key version=%d: %w", key.group, key.version, err)
	}
	set()
	return nil
}

func (g *shareGroup) forget(key recordKey) {
	switch key.version {
	case keyShareGroup:
		g.stored, g.epoch, g.hash = false, 0, 0
	case keyShareMember:
		if i, ok := g.find(key.part); ok {
			g.members = slices.Delete(g.members, i, i+1)
		}
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
func (g *shareGroup) read(key recordKey, r *flexReader) func() {
	switch key.version {
	case keyShareGroup:
		epoch, hash := r.int32(), r.int64()
		r.tags(nil)
		return func() { g.stored, g.epoch, g.hash = true, epoch, hash }
	case keyShareMember:
		m := &shareMember{rack: r.nullable(), clientID: r.string(), clientHost: r.string(), topics: r.strings()}
		slices.Sort(m.topics)
		r.tags(nil)
		return func() {
			if old := g.member(key.part); old != nil {
				m.epoch, m.previous, m.owned = old.epoch, old.previous, old.owned
			}
			m.id = key.part
			g.put(m)
		}
	case keyShareTarget:
		epoch, at := r.int32(), int64(0)
		r.tags(func(tag uint64, b []byte) {
			if tag == 0 && len(b) == 8 {
				at = (&flexReader{b: b}).int64()
			}
		})
		return func() { g.assigned, g.targetAt = epoch, at }
	case keyShareTargetOf:
		a := r.assignment()
		r.tags(nil)
		return func() { g.targets[key.part] = a }
	case keyShareCurrent:
		epoch, previous := r.int32(), r.int32()
		r.int8()
		owned := r.assignment()
		r.tags(nil)
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
