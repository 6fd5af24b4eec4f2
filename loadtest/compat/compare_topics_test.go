package compat

import (
	"fmt"
	"strings"

	"github.com/twmb/franz-go/pkg/kmsg"
)

var topicsAllowed = []allowance{
	allow(`create .* CreateTopics v\d+: \.Topics\[\d+\]\.Configs\[\d+\]\.Value: kafka="false" tideline="true"$`, "all topics are tiered"),
	allow(`elect [01] everywhere ElectLeaders v\d: \.Topics`, "topics of which no leader changes are not told of"),
	allow(`elect 2 nowhere ElectLeaders v\d: \.ErrorCode: kafka=NONE tideline=INVALID_REQUEST$`, "an unknown kind of election is refused whatever it is for"),
}

// each calls f with every version of a key that both sides have.
func (s *side) each(key int16, f func(v int16)) {
	s.t.Helper()
	for v := s.clamp(key, 0); v <= s.latest(key); v++ {
		f(v)
	}
}

// compareTopics makes, changes and deletes topics with every version of every call.
func compareTopics(s *side) {
	s.each(19, func(v int16) { compareCreate(s, v) })
	s.topic("looked-at", 3)
	s.each(3, func(v int16) { compareMetadata(s, v) })
	s.each(75, func(v int16) { compareDescribePartitions(s, v) })
	s.each(37, func(v int16) { compareCreatePartitions(s, v) })
	s.each(43, func(v int16) { compareElect(s, v) })
	s.each(45, func(v int16) { compareReassign(s, v) })
	s.each(21, func(v int16) { compareDeleteRecords(s, v) })
	s.each(20, func(v int16) { compareDelete(s, v) })
}

func newTopic(name string, partitions int32, replicas int16) kmsg.CreateTopicsRequestTopic {
	t := kmsg.NewCreateTopicsRequestTopic()
	t.Topic, t.NumPartitions, t.ReplicationFactor = name, partitions, replicas
	return t
}

// placed is a topic whose partitions have the replicas that are given.
func placed(name string, replicas ...[]int32) kmsg.CreateTopicsRequestTopic {
	t := newTopic(name, -1, -1)
	for p, r := range replicas {
		a := kmsg.NewCreateTopicsRequestTopicReplicaAssignment()
		a.Partition, a.Replicas = int32(p), r
		t.ReplicaAssignment = append(t.ReplicaAssignment, a)
	}
	return t
}

func configured(name, key string, value *string) kmsg.CreateTopicsRequestTopic {
	t := newTopic(name, 1, 1)
	c := kmsg.NewCreateTopicsRequestTopicConfig()
	c.Name, c.Value = key, value
	t.Configs = append(t.Configs, c)
	return t
}

func createRequest(topics ...kmsg.CreateTopicsRequestTopic) *kmsg.CreateTopicsRequest {
	req := kmsg.NewPtrCreateTopicsRequest()
	req.TimeoutMillis, req.Topics = int32(callTimeout.Milliseconds()), topics
	return req
}

func compareCreate(s *side, v int16) {
	name := func(what string) string { return fmt.Sprintf("create-%d-%s", v, what) }
	gap := placed(name("gap"), []int32{1}, []int32{1})
	gap.ReplicaAssignment[1].Partition = 2
	both := placed(name("both"), []int32{1})
	both.NumPartitions, both.ReplicationFactor = 1, 1
	for _, one := range []struct {
		what   string
		topics []kmsg.CreateTopicsRequestTopic
	}{
		{"plain", []kmsg.CreateTopicsRequestTopic{newTopic(name("plain"), 2, 1)}},
		{"again", []kmsg.CreateTopicsRequestTopic{newTopic(name("plain"), 2, 1)}},
		{"collision", []kmsg.CreateTopicsRequestTopic{newTopic(strings.ReplaceAll(name("plain"), "-", "."), 1, 1), newTopic(strings.ReplaceAll(name("plain"), "-", "_"), 1, 1)}},
		{"no name", []kmsg.CreateTopicsRequestTopic{newTopic("", 1, 1)}},
		{"a dot", []kmsg.CreateTopicsRequestTopic{newTopic(".", 1, 1), newTopic("..", 1, 1)}},
		{"a space", []kmsg.CreateTopicsRequestTopic{newTopic("a b", 1, 1)}},
		{"a long name", []kmsg.CreateTopicsRequestTopic{newTopic(strings.Repeat("x", 250), 1, 1)}},
		{"no partitions", []kmsg.CreateTopicsRequestTopic{newTopic(name("bad"), 0, 1)}},
		{"negative partitions", []kmsg.CreateTopicsRequestTopic{newTopic(name("bad"), -2, 1)}},
		{"no replicas", []kmsg.CreateTopicsRequestTopic{newTopic(name("bad"), 1, 0)}},
		{"negative replicas", []kmsg.CreateTopicsRequestTopic{newTopic(name("bad"), 1, -2)}},
		{"too many replicas", []kmsg.CreateTopicsRequestTopic{newTopic(name("bad"), 1, 2)}},
		{"defaults", []kmsg.CreateTopicsRequestTopic{newTopic(name("defaults"), -1, -1)}},
		{"twice", []kmsg.CreateTopicsRequestTopic{newTopic(name("twice"), 1, 1), newTopic(name("twice"), 1, 1), newTopic(name("once"), 1, 1)}},
		{"assigned", []kmsg.CreateTopicsRequestTopic{placed(name("assigned"), []int32{1}, []int32{1})}},
		{"assigned with a gap", []kmsg.CreateTopicsRequestTopic{gap}},
		{"assigned and counted", []kmsg.CreateTopicsRequestTopic{both}},
		{"assigned to nobody", []kmsg.CreateTopicsRequestTopic{placed(name("bad"), []int32{77})}},
		{"assigned to none", []kmsg.CreateTopicsRequestTopic{placed(name("bad"), nil)}},
		{"assigned twice", []kmsg.CreateTopicsRequestTopic{placed(name("bad"), []int32{1, 1})}},
		{"assigned unevenly", []kmsg.CreateTopicsRequestTopic{placed(name("bad"), []int32{1}, []int32{1, 2})}},
		{"configured", []kmsg.CreateTopicsRequestTopic{configured(name("configured"), "retention.ms", kmsg.StringPtr("3600000"))}},
		{"an unknown setting", []kmsg.CreateTopicsRequestTopic{configured(name("bad"), "retention", kmsg.StringPtr("1"))}},
		{"a bad value", []kmsg.CreateTopicsRequestTopic{configured(name("bad"), "retention.ms", kmsg.StringPtr("soon"))}},
		{"a value out of range", []kmsg.CreateTopicsRequestTopic{configured(name("bad"), "retention.ms", kmsg.StringPtr("-2"))}},
		{"no value", []kmsg.CreateTopicsRequestTopic{configured(name("bad"), "retention.ms", nil)}},
		{"nothing", nil},
	} {
		for _, dry := range []bool{true, false} {
			req := createRequest(one.topics...)
			req.ValidateOnly = dry
			s.call(fmt.Sprintf("create %s, only looked at %v", one.what, dry), req, v)
		}
	}
}

func compareMetadata(s *side, v int16) {
	ask := func(what string, change func(r *kmsg.MetadataRequest), topics ...string) {
		req := kmsg.NewPtrMetadataRequest()
		req.Topics = []kmsg.MetadataRequestTopic{}
		for _, name := range topics {
			t := kmsg.NewMetadataRequestTopic()
			t.Topic = kmsg.StringPtr(name)
			req.Topics = append(req.Topics, t)
		}
		if change != nil {
			change(req)
		}
		s.call("metadata "+what, req, v)
	}
	ask("of one", nil, "looked-at")
	ask("of a bad name", nil, "a b", "")
	if v >= 1 {
		ask("of none", nil)
	}
	if v >= 4 {
		ask("of one that is not there", nil, "missing", "looked-at")
	}
	if v >= 8 {
		ask("with operations", func(r *kmsg.MetadataRequest) {
			r.IncludeClusterAuthorizedOperations, r.IncludeTopicAuthorizedOperations = true, true
		}, "looked-at")
	}
	if v >= 12 {
		ask("by id", func(r *kmsg.MetadataRequest) {
			t := kmsg.NewMetadataRequestTopic()
			t.TopicID = [16]byte{1, 2, 3}
			r.Topics = append(r.Topics, t)
		})
	}
}

func compareDescribePartitions(s *side, v int16) {
	req := kmsg.NewPtrDescribeTopicPartitionsRequest()
	topics := func(names ...string) {
		req.Topics = nil
		for _, name := range names {
			t := kmsg.NewDescribeTopicPartitionsRequestTopic()
			t.Topic = name
			req.Topics = append(req.Topics, t)
		}
	}
	cursor := func(topic string, partition int32) {
		c := kmsg.NewDescribeTopicPartitionsRequestCursor()
		c.Topic, c.Partition = topic, partition
		req.Cursor = &c
	}
	topics("looked-at")
	s.call("partitions of one", req, v)
	topics("missing", "looked-at", "a b", "looked-at")
	s.call("partitions of several", req, v)
	topics("looked-at", "create-5-plain", "missing")
	for _, limit := range []int32{1, 2, 4, 0, -1} {
		req.Cursor, req.ResponsePartitionLimit = nil, limit
		for page := range 12 {
			resp := s.call(fmt.Sprintf("partitions by %d page %d", limit, page), req, v).(*kmsg.DescribeTopicPartitionsResponse)
			if resp.NextCursor == nil {
				break
			}
			cursor(resp.NextCursor.Topic, resp.NextCursor.Partition)
		}
	}
	req.ResponsePartitionLimit = 2
	for _, from := range []struct {
		topic     string
		partition int32
	}{{"looked-at", 2}, {"looked-at", 3}, {"looked-at", -1}, {"missing", 0}, {"a", 0}, {"zzz", 0}, {"", 0}} {
		cursor(from.topic, from.partition)
		s.call(fmt.Sprintf("partitions from %q-%d", from.topic, from.partition), req, v)
	}
}

func compareCreatePartitions(s *side, v int16) {
	topic := fmt.Sprintf("grows-%d", v)
	s.topic(topic, 2)
	type change struct {
		topic    string
		count    int32
		replicas [][]int32
	}
	for _, one := range []struct {
		what    string
		changes []change
	}{
		{"as many", []change{{topic, 2, nil}}},
		{"fewer", []change{{topic, 1, nil}}},
		{"none", []change{{topic, 0, nil}}},
		{"negative", []change{{topic, -1, nil}}},
		{"of a topic that is not there", []change{{"missing", 3, nil}}},
		{"of no topic", []change{{"", 3, nil}}},
		{"more", []change{{topic, 3, nil}}},
		{"assigned", []change{{topic, 4, [][]int32{{1}}}}},
		{"assigned too few", []change{{topic, 6, [][]int32{{1}}}}},
		{"assigned to nobody", []change{{topic, 5, [][]int32{{77}}}}},
		{"assigned twice", []change{{topic, 5, [][]int32{{1, 1}}}}},
		{"assigned to none", []change{{topic, 5, [][]int32{{}}}}},
		{"twice", []change{{topic, 5, nil}, {topic, 5, nil}}},
		{"nothing", nil},
	} {
		for _, dry := range []bool{true, false} {
			req := kmsg.NewPtrCreatePartitionsRequest()
			req.ValidateOnly, req.TimeoutMillis = dry, int32(callTimeout.Milliseconds())
			for _, c := range one.changes {
				t := kmsg.NewCreatePartitionsRequestTopic()
				t.Topic, t.Count = c.topic, c.count
				for _, r := range c.replicas {
					a := kmsg.NewCreatePartitionsRequestTopicAssignment()
					a.Replicas = r
					t.Assignment = append(t.Assignment, a)
				}
				req.Topics = append(req.Topics, t)
			}
			s.call(fmt.Sprintf("partitions %s, only looked at %v", one.what, dry), req, v)
		}
	}
}

func compareElect(s *side, v int16) {
	for _, kind := range []int8{0, 1, 2} {
		if v == 0 && kind > 0 {
			continue
		}
		req := kmsg.NewPtrElectLeadersRequest()
		req.ElectionType, req.TimeoutMillis = kind, int32(callTimeout.Milliseconds())
		s.call(fmt.Sprintf("elect %d everywhere", kind), req, v)
		for _, name := range []string{"looked-at", "missing", ""} {
			t := kmsg.NewElectLeadersRequestTopic()
			t.Topic, t.Partitions = name, []int32{0, 9, -1}
			req.Topics = append(req.Topics, t)
		}
		s.call(fmt.Sprintf("elect %d", kind), req, v)
		req.Topics = []kmsg.ElectLeadersRequestTopic{}
		s.call(fmt.Sprintf("elect %d nowhere", kind), req, v)
	}
}

func compareReassign(s *side, v int16) {
	list := kmsg.NewPtrListPartitionReassignmentsRequest()
	look := func(what string) { s.call("reassignments "+what, list, s.clamp(46, v)) }
	look("everywhere")
	for _, name := range []string{"looked-at", "missing", ""} {
		t := kmsg.NewListPartitionReassignmentsRequestTopic()
		t.Topic, t.Partitions = name, []int32{0, 9}
		list.Topics = append(list.Topics, t)
	}
	look("of some")
	for _, one := range []struct {
		what      string
		topic     string
		partition int32
		replicas  []int32
	}{
		{"to where it is", "looked-at", 0, []int32{1}},
		{"to nobody", "looked-at", 0, []int32{77}},
		{"to two", "looked-at", 0, []int32{1, 77}},
		{"twice to one", "looked-at", 0, []int32{1, 1}},
		{"to none", "looked-at", 0, []int32{}},
		{"to a negative one", "looked-at", 0, []int32{-1}},
		{"cancelled", "looked-at", 0, nil},
		{"of no partition", "looked-at", 9, []int32{1}},
		{"of no topic", "missing", 0, []int32{1}},
		{"cancelled of no topic", "missing", 0, nil},
		{"of an empty name", "", 0, []int32{1}},
	} {
		req := kmsg.NewPtrAlterPartitionAssignmentsRequest()
		req.TimeoutMillis = int32(callTimeout.Milliseconds())
		t := kmsg.NewAlterPartitionAssignmentsRequestTopic()
		t.Topic = one.topic
		p := kmsg.NewAlterPartitionAssignmentsRequestTopicPartition()
		p.Partition, p.Replicas = one.partition, one.replicas
		t.Partitions = append(t.Partitions, p)
		req.Topics = append(req.Topics, t)
		s.call("reassign "+one.what, req, v)
	}
	look("afterwards")
}

func compareDeleteRecords(s *side, v int16) {
	topic := fmt.Sprintf("trimmed-%d", v)
	id := s.topic(topic, 2)
	for range 3 {
		s.produce(topic, id, 0, s.latest(0), 4)
	}
	for _, one := range []struct {
		what      string
		topic     string
		partition int32
		offset    int64
	}{
		{"below the end of nothing", topic, 1, 0},
		{"beyond the end of nothing", topic, 1, 1},
		{"to 5", topic, 0, 5},
		{"to 5 again", topic, 0, 5},
		{"to 3", topic, 0, 3},
		{"beyond the end", topic, 0, 13},
		{"to a negative offset", topic, 0, -2},
		{"to the end", topic, 0, -1},
		{"of no partition", topic, 7, 0},
		{"of no topic", "missing", 0, 0},
		{"of an empty name", "", 0, 0},
	} {
		req := kmsg.NewPtrDeleteRecordsRequest()
		req.TimeoutMillis = int32(callTimeout.Milliseconds())
		t := kmsg.NewDeleteRecordsRequestTopic()
		t.Topic = one.topic
		p := kmsg.NewDeleteRecordsRequestTopicPartition()
		p.Partition, p.Offset = one.partition, one.offset
		t.Partitions = append(t.Partitions, p)
		req.Topics = append(req.Topics, t)
		s.call("delete records "+one.what, req, v)
	}
}

func compareDelete(s *side, v int16) {
	name := fmt.Sprintf("deleted-%d", v)
	s.topic(name, 1)
	other := s.topic(name+"-other", 1)
	ask := func(what string, topics ...any) {
		req := kmsg.NewPtrDeleteTopicsRequest()
		req.TimeoutMillis = int32(callTimeout.Milliseconds())
		for _, one := range topics {
			t := kmsg.NewDeleteTopicsRequestTopic()
			switch x := one.(type) {
			case string:
				t.Topic = kmsg.StringPtr(x)
				req.TopicNames = append(req.TopicNames, x)
			case [16]byte:
				t.TopicID = x
			case kmsg.DeleteTopicsRequestTopic:
				t = x
			}
			req.Topics = append(req.Topics, t)
		}
		s.call("delete "+what, req, v)
	}
	ask("one that is not there", "missing", "")
	ask("twice", name, name)
	ask("one", name)
	ask("it again", name)
	ask("nothing")
	if v >= 6 {
		both := kmsg.NewDeleteTopicsRequestTopic()
		both.Topic, both.TopicID = kmsg.StringPtr(name+"-other"), other
		ask("by name and id", both)
		ask("by no id", [16]byte{})
		ask("by an unknown id", [16]byte{9, 9})
		ask("by id twice", other, other)
		ask("by id", other)
		ask("by id again", other)
	}
}
