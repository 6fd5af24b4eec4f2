package streams

import (
	"errors"
	"fmt"
	"slices"
)

var errTwice = errors.New("a subtopology is there twice")

// Replay takes in one record; a value of nil is a tombstone. Records of one group come in
// any order: compaction keeps the last of each key, wherever it is. Member is that of
// the key. It copies what it keeps, and changes nothing when it returns an error.
func (g *Group) Replay(version int16, member string, value []byte) error {
	if value == nil {
		g.bury(version, member)
		return nil
	}
	r, err := open(value)
	if err != nil {
		return err
	}
	var install func()
	switch version {
	case KeyGroup:
		install = g.readGroup(&r)
	case KeyTopology:
		t, ok := readTopology(&r).sorted()
		if !ok {
			return errTwice
		}
		install = func() { g.Topology = t }
	case KeyTargetEpoch:
		install = g.readTargetEpoch(&r)
	case KeyMember, KeyTarget, KeyAssignment:
		m := g.member(member)
		if m == nil {
			m = newMember(member)
		}
		u := *m
		u.read(version, &r)
		install = func() { g.put(&u) }
	default:
		return fmt.Errorf("unknown record kind, key version=%d", version)
	}
	if err := r.end(); err != nil {
		return err
	}
	install()
	g.configured, g.fresh = nil, false
	return nil
}

func (g *Group) readGroup(r *reader) func() {
	epoch, hash := r.int32(), r.int64()
	validated, configs := int32(noEpoch), []KeyValue(nil)
	r.tags(func(tag uint64, field *reader) {
		switch tag {
		case 0:
			validated = field.int32()
		case 1:
			configs = sortTags(field.keyValues())
		}
	})
	return func() { g.Epoch, g.MetadataHash, g.ValidatedEpoch, g.LastConfigs = epoch, hash, validated, configs }
}

func (g *Group) readTargetEpoch(r *reader) func() {
	epoch, at := r.int32(), int64(0)
	r.tags(func(tag uint64, field *reader) {
		if tag == 0 {
			at = field.int64()
		}
	})
	return func() { g.TargetEpoch, g.TargetAt = epoch, at }
}

// read reads a record about the member.
func (m *Member) read(version int16, r *reader) {
	switch version {
	case KeyMember:
		m.known = true
		m.Instance, m.Rack, m.ClientID, m.ClientHost = r.nullable(), r.nullable(), r.string(), r.string()
		m.RebalanceTimeout, m.TopologyEpoch, m.Process, m.Endpoint = r.int32(), r.int32(), r.string(), nil
		if r.int8() >= 0 {
			m.Endpoint = &Endpoint{Host: r.string(), Port: uint16(r.int16())}
			r.tags(nil)
		}
		m.Tags = sortTags(r.keyValues())
	case KeyTarget:
		m.Target = &Tasks{readTasks(r, 0, false), readTasks(r, 0, false), readTasks(r, 0, false)}
	case KeyAssignment:
		m.Epoch, m.Previous, m.State = r.int32(), r.int32(), MemberState(r.int8())
		for _, t := range []*Tasks{&m.Assigned, &m.Revoking} {
			*t = Tasks{readTasks(r, m.Epoch, true), readTasks(r, m.Epoch, false), readTasks(r, m.Epoch, false)}
		}
	}
	r.tags(nil)
}

// bury takes in a tombstone.
func (g *Group) bury(version int16, member string) {
	switch version {
	case KeyGroup:
		fresh := New()
		g.Epoch, g.MetadataHash, g.ValidatedEpoch, g.LastConfigs = fresh.Epoch, fresh.MetadataHash, fresh.ValidatedEpoch, nil
	case KeyTopology:
		g.Topology, g.configured = nil, nil
	case KeyTargetEpoch:
		g.TargetEpoch, g.TargetAt = firstEpoch, 0
	case KeyMember, KeyTarget, KeyAssignment:
		m := g.member(member)
		if m == nil {
			return
		}
		u, none := *m, newMember(member)
		switch version {
		case KeyMember:
			u = *none
			u.Epoch, u.Previous, u.State, u.Assigned, u.Revoking, u.Target = m.Epoch, m.Previous, m.State, m.Assigned, m.Revoking, m.Target
		case KeyTarget:
			u.Target = nil
		case KeyAssignment:
			u.Epoch, u.Previous, u.State, u.Assigned, u.Revoking = none.Epoch, none.Previous, none.State, Tasks{}, Tasks{}
		}
		if !u.known && u.Target == nil && u.sameAssignment(none) {
			g.remove(member)
		} else {
			g.put(&u)
		}
	}
}

// Settle ends a replay: members of whom no record says who they are, which whole
// batches do not leave behind, are dropped.
func (g *Group) Settle() {
	g.members = slices.DeleteFunc(g.members, func(m *Member) bool { return !m.known })
}

// Gone says that no record of the group is left.
func (g *Group) Gone() bool {
	return len(g.members) == 0 && g.Topology == nil && g.Epoch == firstEpoch && g.TargetEpoch == firstEpoch
}
