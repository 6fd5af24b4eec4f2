package streams

import (
	"encoding/binary"
	"fmt"
	"slices"

	"github.com/tidelinehq/tideline/broker/coordinator"
)

// Versions of the record keys, of which each stands for a kind of record.
const (
	KeyGroup       int16 = 17
	KeyMember      int16 = 19
	KeyTargetEpoch int16 = 20
	KeyTarget      int16 = 21
	KeyAssignment  int16 = 22
	KeyTopology    int16 = 23
)

// ofMember says whether a member id follows the group in keys of the version.
func ofMember(version int16) bool {
	return version == KeyMember || version == KeyTarget || version == KeyAssignment
}

// valueVersion is the version of all values.
const valueVersion = 0

func key(version int16, group, member string) []byte {
	b := make([]byte, 0, 6+len(group)+len(member))
	b = appendInt16(b, version)
	b = append(appendInt16(b, int16(len(group))), group...)
	if ofMember(version) {
		b = append(appendInt16(b, int16(len(member))), member...)
	}
	return b
}

func value() []byte { return appendInt16(nil, valueVersion) }

func groupRecord(group string, g *Group) coordinator.Record {
	b := appendInt64(appendInt32(value(), g.Epoch), g.MetadataHash)
	count, tags := byte(0), []byte(nil)
	if g.ValidatedEpoch != noEpoch {
		count, tags = count+1, appendTag(tags, 0, appendInt32(nil, g.ValidatedEpoch))
	}
	if len(g.LastConfigs) > 0 {
		count, tags = count+1, appendTag(tags, 1, appendKeyValues(nil, g.LastConfigs))
	}
	return coordinator.Record{Key: key(KeyGroup, group, ""), Value: append(append(b, count), tags...)}
}

func memberRecord(group string, m *Member) coordinator.Record {
	b := appendNullable(appendNullable(value(), m.Instance), m.Rack)
	b = appendString(appendString(b, m.ClientID), m.ClientHost)
	b = appendInt32(appendInt32(b, m.RebalanceTimeout), m.TopologyEpoch)
	b = appendString(b, m.Process)
	if m.Endpoint == nil {
		b = append(b, 0xff)
	} else {
		b = appendString(append(b, 1), m.Endpoint.Host)
		b = append(binary.BigEndian.AppendUint16(b, m.Endpoint.Port), 0)
	}
	b = append(appendKeyValues(b, m.Tags), 0)
	return coordinator.Record{Key: key(KeyMember, group, m.ID), Value: b}
}

func targetEpochRecord(group string, epoch int32, at int64) coordinator.Record {
	b := appendInt32(value(), epoch)
	if at == 0 {
		b = append(b, 0)
	} else {
		b = appendTag(append(b, 1), 0, appendInt64(nil, at))
	}
	return coordinator.Record{Key: key(KeyTargetEpoch, group, ""), Value: b}
}

func targetRecord(group, member string, t Tasks) coordinator.Record {
	b := value()
	for _, s := range []TaskSet{t.Active, t.Standby, t.Warmup} {
		b = appendTasks(b, s, false)
	}
	return coordinator.Record{Key: key(KeyTarget, group, member), Value: append(b, 0)}
}

func assignmentRecord(group string, m *Member) coordinator.Record {
	b := append(appendInt32(appendInt32(value(), m.Epoch), m.Previous), byte(m.State))
	for _, t := range []*Tasks{&m.Assigned, &m.Revoking} {
		b = appendTasks(b, t.Active, true)
		b = appendTasks(b, t.Standby, false)
		b = appendTasks(b, t.Warmup, false)
	}
	return coordinator.Record{Key: key(KeyAssignment, group, m.ID), Value: append(b, 0)}
}

// appendTasks writes tasks by subtopology, with their epochs in a tagged field.
func appendTasks(b []byte, s TaskSet, epochs bool) []byte {
	subtopologies := 0
	for i := range s {
		if i == 0 || s[i].Subtopology != s[i-1].Subtopology {
			subtopologies++
		}
	}
	b = appendCount(b, subtopologies)
	for len(s) > 0 {
		n := 1
		for n < len(s) && s[n].Subtopology == s[0].Subtopology {
			n++
		}
		b = appendCount(appendString(b, s[0].Subtopology), n)
		for _, t := range s[:n] {
			b = appendInt32(b, t.Partition)
		}
		if epochs {
			field := appendCount(nil, n)
			for _, t := range s[:n] {
				field = appendInt32(field, t.Epoch)
			}
			b = appendTag(append(b, 1), 0, field)
		} else {
			b = append(b, 0)
		}
		s = s[n:]
	}
	return b
}

func topologyRecord(group string, t *Topology) coordinator.Record {
	b := appendCount(appendInt32(value(), t.Epoch), len(t.Subtopologies))
	for i := range t.Subtopologies {
		s := &t.Subtopologies[i]
		b = appendStrings(appendStrings(appendString(b, s.ID), s.Sources), s.SourceRegexes)
		b = appendTopicInfos(b, s.Changelogs)
		b = appendStrings(b, s.RepartitionSinks)
		b = appendTopicInfos(b, s.RepartitionSources)
		b = appendCount(b, len(s.Copartitioned))
		for _, g := range s.Copartitioned {
			b = append(appendInt16s(appendInt16s(appendInt16s(b, g.Sources), g.SourceRegexes), g.RepartitionSources), 0)
		}
		b = append(b, 0)
	}
	return coordinator.Record{Key: key(KeyTopology, group, ""), Value: append(b, 0)}
}

func appendTopicInfos(b []byte, tis []TopicInfo) []byte {
	b = appendCount(b, len(tis))
	for _, ti := range tis {
		b = appendInt16(appendInt32(appendString(b, ti.Name), ti.Partitions), ti.ReplicationFactor)
		b = append(appendKeyValues(b, ti.Configs), 0)
	}
	return b
}

func memberTombstone(group, member string) coordinator.Record {
	return coordinator.Record{Key: key(KeyMember, group, member)}
}

func targetTombstone(group, member string) coordinator.Record {
	return coordinator.Record{Key: key(KeyTarget, group, member)}
}

func assignmentTombstone(group, member string) coordinator.Record {
	return coordinator.Record{Key: key(KeyAssignment, group, member)}
}

// Records are those that bring the group back.
func (g *Group) Records(group string) []coordinator.Record {
	var out []coordinator.Record
	for _, m := range g.members {
		out = append(out, memberRecord(group, m))
	}
	if g.Topology != nil {
		out = append(out, topologyRecord(group, g.Topology))
	}
	out = append(out, groupRecord(group, g))
	for _, m := range g.members {
		if m.Target != nil {
			out = append(out, targetRecord(group, m.ID, *m.Target))
		}
	}
	out = append(out, targetEpochRecord(group, g.TargetEpoch, g.TargetAt))
	for _, m := range g.members {
		out = append(out, assignmentRecord(group, m))
	}
	return out
}

// Tombstones delete all records of the group.
func (g *Group) Tombstones(group string) []coordinator.Record {
	var out []coordinator.Record
	for _, m := range g.members {
		out = append(out, assignmentTombstone(group, m.ID))
	}
	for _, m := range g.members {
		out = append(out, targetTombstone(group, m.ID))
	}
	out = append(out, coordinator.Record{Key: key(KeyTargetEpoch, group, "")})
	for _, m := range g.members {
		out = append(out, memberTombstone(group, m.ID))
	}
	return append(out, coordinator.Record{Key: key(KeyGroup, group, "")}, coordinator.Record{Key: key(KeyTopology, group, "")})
}

// open checks the version of a value.
func open(b []byte) (reader, error) {
	if len(b) < 2 {
		return reader{}, fmt.Errorf("value of %d bytes", len(b))
	}
	if v := int16(binary.BigEndian.Uint16(b)); v != valueVersion {
		return reader{}, fmt.Errorf("unknown value version=%d", v)
	}
	return reader{b: b[2:]}, nil
}

func readTasks(r *reader, memberEpoch int32, epochs bool) TaskSet {
	var out TaskSet
	r.each(func() {
		id, partitions := r.string(), r.int32s()
		var since []int32
		r.tags(func(tag uint64, field *reader) {
			if tag == 0 && epochs {
				since = field.int32s()
			}
		})
		for i, p := range partitions {
			t := Task{Subtopology: id, Partition: p}
			switch {
			case !epochs:
			case len(since) == len(partitions):
				t.Epoch = since[i]
			default:
				t.Epoch = memberEpoch // written before tasks had epochs
			}
			out = append(out, t)
		}
	})
	slices.SortFunc(out, bySubtopology)
	return slices.CompactFunc(out, func(a, b Task) bool { return a.key() == b.key() })
}

func readTopicInfos(r *reader) (out []TopicInfo) {
	r.each(func() {
		ti := TopicInfo{Name: r.string(), Partitions: r.int32(), ReplicationFactor: r.int16(), Configs: r.keyValues()}
		r.tags(nil)
		out = append(out, ti)
	})
	return out
}

func readTopology(r *reader) *Topology {
	t := &Topology{Epoch: r.int32()}
	r.each(func() {
		s := Subtopology{ID: r.string(), Sources: r.strings(), SourceRegexes: r.strings(), Changelogs: readTopicInfos(r), RepartitionSinks: r.strings(), RepartitionSources: readTopicInfos(r)}
		r.each(func() {
			g := CopartitionGroup{r.int16s(), r.int16s(), r.int16s()}
			r.tags(nil)
			s.Copartitioned = append(s.Copartitioned, g)
		})
		r.tags(nil)
		t.Subtopologies = append(t.Subtopologies, s)
	})
	r.tags(nil)
	return t
}
