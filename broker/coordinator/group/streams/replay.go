package streams

import (
	"errors"
	"fmt"
	"slices"

	"github.com/tidelinehq/tideline/internal/codec"
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
	if err := r.Finish(); err != nil {
		return err
	}
	install()
	g.configured, g.fresh = nil, false
	return nil
}

func (g *Group) readGroup(r *codec.Reader) func() {
	epoch, hash := r.Int32(), r.Int64()
	validated, configs := int32(noEpoch), []KeyValue(nil)
	r.Tags(func(tag uint64, field *codec.Reader) {
		switch tag {
		case 0:
			validated = field.Int32()
		case 1:
			configs = sortTags(readKeyValues(field))
		}
	})
	return func() { g.Epoch, g.MetadataHash, g.ValidatedEpoch, g.LastConfigs = epoch, hash, validated, configs }
}

func (g *Group) readTargetEpoch(r *codec.Reader) func() {
	epoch, at := r.Int32(), int64(0)
	r.Tags(func(tag uint64, field *codec.Reader) {
		if tag == 0 {
			at = field.Int64()
		}
	})
	return func() { g.TargetEpoch, g.TargetAt = epoch, at }
}

// read reads a record about the member.
func (m *Member) read(version int16, r *codec.Reader) {
	switch version {
	case KeyMember:
		m.known = true
		m.Instance, m.Rack, m.ClientID, m.ClientHost = r.CompactNullable(), r.CompactNullable(), r.CompactString(), r.CompactString()
		m.RebalanceTimeout, m.TopologyEpoch, m.Process, m.Endpoint = r.Int32(), r.Int32(), r.CompactString(), nil
		if r.Int8() >= 0 {
			m.Endpoint = &Endpoint{Host: r.CompactString(), Port: uint16(r.Int16())}
			r.Tags(nil)
		}
		m.Tags = sortTags(readKeyValues(r))
	case KeyTarget:
		m.Target = &Tasks{readTasks(r, 0, false), readTasks(r, 0, false), readTasks(r, 0, false)}
	case KeyAssignment:
		m.Epoch, m.Previous, m.State = r.Int32(), r.Int32(), MemberState(r.Int8())
		for _, t := range []*Tasks{&m.Assigned, &m.Revoking} {
			*t = Tasks{readTasks(r, m.Epoch, true), readTasks(r, m.Epoch, false), readTasks(r, m.Epoch, false)}
		}
	}
	r.Tags(nil)
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
