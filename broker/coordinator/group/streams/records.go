package streams

import (
	"fmt"
	"slices"

	"github.com/tidelinehq/tideline/broker/coordinator"
	"github.com/tidelinehq/tideline/internal/codec"
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
	b := codec.AppendInt16(make([]byte, 0, 6+len(group)+len(member)), version)
	b = codec.AppendShortString(b, group)
	if ofMember(version) {
		b = codec.AppendShortString(b, member)
	}
	return b
}

func value() []byte { return codec.AppendInt16(nil, valueVersion) }

func groupRecord(group string, g *Group) coordinator.Record {
	b := codec.AppendInt64(codec.AppendInt32(value(), g.Epoch), g.MetadataHash)
	var tags []codec.Tag
	if g.ValidatedEpoch != noEpoch {
		tags = append(tags, codec.Tag{Tag: 0, Value: codec.AppendInt32(nil, g.ValidatedEpoch)})
	}
	if len(g.LastConfigs) > 0 {
		tags = append(tags, codec.Tag{Tag: 1, Value: appendKeyValues(nil, g.LastConfigs)})
	}
	return coordinator.Record{Key: key(KeyGroup, group, ""), Value: codec.AppendTags(b, tags...)}
}

func memberRecord(group string, m *Member) coordinator.Record {
	b := codec.AppendCompactNullable(codec.AppendCompactNullable(value(), m.Instance), m.Rack)
	b = codec.AppendCompact(codec.AppendCompact(b, m.ClientID), m.ClientHost)
	b = codec.AppendInt32(codec.AppendInt32(b, m.RebalanceTimeout), m.TopologyEpoch)
	b = codec.AppendCompact(b, m.Process)
	if m.Endpoint == nil {
		b = append(b, 0xff) // null
	} else {
		b = codec.AppendCompact(append(b, 1), m.Endpoint.Host)
		b = codec.AppendTags(codec.AppendInt16(b, int16(m.Endpoint.Port)))
	}
	b = codec.AppendTags(appendKeyValues(b, m.Tags))
	return coordinator.Record{Key: key(KeyMember, group, m.ID), Value: b}
}

func targetEpochRecord(group string, epoch int32, at int64) coordinator.Record {
	b := codec.AppendInt32(value(), epoch)
	if at == 0 {
		b = codec.AppendTags(b)
	} else {
		b = codec.AppendTags(b, codec.Tag{Tag: 0, Value: codec.AppendInt64(nil, at)})
	}
	return coordinator.Record{Key: key(KeyTargetEpoch, group, ""), Value: b}
}

func targetRecord(group, member string, t Tasks) coordinator.Record {
	b := value()
	for _, s := range []TaskSet{t.Active, t.Standby, t.Warmup} {
		b = appendTasks(b, s, false)
	}
	return coordinator.Record{Key: key(KeyTarget, group, member), Value: codec.AppendTags(b)}
}

func assignmentRecord(group string, m *Member) coordinator.Record {
	b := append(codec.AppendInt32(codec.AppendInt32(value(), m.Epoch), m.Previous), byte(m.State))
	for _, t := range []*Tasks{&m.Assigned, &m.Revoking} {
		b = appendTasks(b, t.Active, true)
		b = appendTasks(b, t.Standby, false)
		b = appendTasks(b, t.Warmup, false)
	}
	return coordinator.Record{Key: key(KeyAssignment, group, m.ID), Value: codec.AppendTags(b)}
}

// appendTasks writes tasks by subtopology, with their epochs in a tagged field.
func appendTasks(b []byte, s TaskSet, epochs bool) []byte {
	subtopologies := 0
	for i := range s {
		if i == 0 || s[i].Subtopology != s[i-1].Subtopology {
			subtopologies++
		}
	}
	b = codec.AppendCompactLen(b, subtopologies)
	for len(s) > 0 {
		n := 1
		for n < len(s) && s[n].Subtopology == s[0].Subtopology {
			n++
		}
		b = codec.AppendCompactLen(codec.AppendCompact(b, s[0].Subtopology), n)
		for _, t := range s[:n] {
			b = codec.AppendInt32(b, t.Partition)
		}
		if epochs {
			field := codec.AppendCompactLen(nil, n)
			for _, t := range s[:n] {
				field = codec.AppendInt32(field, t.Epoch)
			}
			b = codec.AppendTags(b, codec.Tag{Tag: 0, Value: field})
		} else {
			b = codec.AppendTags(b)
		}
		s = s[n:]
	}
	return b
}

func topologyRecord(group string, t *Topology) coordinator.Record {
	b := codec.AppendCompactLen(codec.AppendInt32(value(), t.Epoch), len(t.Subtopologies))
	for i := range t.Subtopologies {
		s := &t.Subtopologies[i]
		b = codec.AppendCompactStrings(codec.AppendCompactStrings(codec.AppendCompact(b, s.ID), s.Sources), s.SourceRegexes)
		b = appendTopicInfos(b, s.Changelogs)
		b = codec.AppendCompactStrings(b, s.RepartitionSinks)
		b = appendTopicInfos(b, s.RepartitionSources)
		b = codec.AppendCompactLen(b, len(s.Copartitioned))
		for _, g := range s.Copartitioned {
			b = codec.AppendTags(codec.AppendCompactInt16s(codec.AppendCompactInt16s(codec.AppendCompactInt16s(b, g.Sources), g.SourceRegexes), g.RepartitionSources))
		}
		b = codec.AppendTags(b)
	}
	return coordinator.Record{Key: key(KeyTopology, group, ""), Value: codec.AppendTags(b)}
}

func appendTopicInfos(b []byte, tis []TopicInfo) []byte {
	b = codec.AppendCompactLen(b, len(tis))
	for _, ti := range tis {
		b = codec.AppendInt16(codec.AppendInt32(codec.AppendCompact(b, ti.Name), ti.Partitions), ti.ReplicationFactor)
		b = codec.AppendTags(appendKeyValues(b, ti.Configs))
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

// open reads a value behind its version.
func open(b []byte) (codec.Reader, error) {
	r := codec.NewReader(b)
	v := r.Int16()
	switch {
	case r.Err() != nil:
		return r, fmt.Errorf("value of %d bytes", len(b))
	case v != valueVersion:
		return r, fmt.Errorf("unknown value version=%d", v)
	}
	return r, nil
}

// What elements have at least: lengths and counts, numbers, the count of tagged fields.
const (
	keyValueBytes    = 2 + 1
	tasksBytes       = 2 + 1
	topicInfoBytes   = 1 + 4 + 2 + 1 + 1
	copartitionBytes = 3 + 1
	subtopologyBytes = 7 + 1
)

func appendKeyValues(b []byte, kvs []KeyValue) []byte {
	b = codec.AppendCompactLen(b, len(kvs))
	for _, kv := range kvs {
		b = codec.AppendTags(codec.AppendCompact(codec.AppendCompact(b, kv.Key), kv.Value))
	}
	return b
}

func readKeyValues(r *codec.Reader) (out []KeyValue) {
	r.CompactEach(keyValueBytes, func() {
		kv := KeyValue{r.CompactString(), r.CompactString()}
		r.Tags(nil)
		out = append(out, kv)
	})
	return out
}

func readTasks(r *codec.Reader, memberEpoch int32, epochs bool) TaskSet {
	var out TaskSet
	r.CompactEach(tasksBytes, func() {
		id, partitions := r.CompactString(), r.CompactInt32s()
		var since []int32
		r.Tags(func(tag uint64, field *codec.Reader) {
			if tag == 0 && epochs {
				since = field.CompactInt32s()
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

func readTopicInfos(r *codec.Reader) (out []TopicInfo) {
	r.CompactEach(topicInfoBytes, func() {
		ti := TopicInfo{Name: r.CompactString(), Partitions: r.Int32(), ReplicationFactor: r.Int16(), Configs: readKeyValues(r)}
		r.Tags(nil)
		out = append(out, ti)
	})
	return out
}

func readTopology(r *codec.Reader) *Topology {
	t := &Topology{Epoch: r.Int32()}
	r.CompactEach(subtopologyBytes, func() {
		s := Subtopology{ID: r.CompactString(), Sources: r.CompactStrings(), SourceRegexes: r.CompactStrings(), Changelogs: readTopicInfos(r), RepartitionSinks: r.CompactStrings(), RepartitionSources: readTopicInfos(r)}
		r.CompactEach(copartitionBytes, func() {
			g := CopartitionGroup{r.CompactInt16s(), r.CompactInt16s(), r.CompactInt16s()}
			r.Tags(nil)
			s.Copartitioned = append(s.Copartitioned, g)
		})
		r.Tags(nil)
		t.Subtopologies = append(t.Subtopologies, s)
	})
	r.Tags(nil)
	return t
}
