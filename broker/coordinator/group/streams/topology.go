package streams

import (
	"slices"
	"strings"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// Topology is what an application brings: its parts that are connected by topics only,
// in the order of their ids. One that is installed never changes.
type Topology struct {
	Epoch         int32
	Subtopologies []Subtopology
}

// Subtopology reads its source topics and its repartition source topics, and writes to its
// repartition sink topics. Its tasks are as many as the widest of its sources has partitions.
type Subtopology struct {
	ID                 string
	Sources            []string
	SourceRegexes      []string // kept, though none is accepted: the record has a place for them
	Changelogs         []TopicInfo
	RepartitionSinks   []string
	RepartitionSources []TopicInfo
	Copartitioned      []CopartitionGroup
}

// CopartitionGroup are topics that must have equally many partitions, as indexes into the
// lists of their subtopology.
type CopartitionGroup struct{ Sources, SourceRegexes, RepartitionSources []int16 }

// TopicInfo is an internal topic as the application asks for it.
type TopicInfo struct {
	Name              string
	Partitions        int32 // 0: to be found out
	ReplicationFactor int16 // 0: the cluster's default
	Configs           []KeyValue
}

// KeyValue is a configuration, or the tag of a client.
type KeyValue struct{ Key, Value string }

// topologyOf reads the topology of a request.
func topologyOf(req *kmsg.StreamsGroupHeartbeatRequestTopology) *Topology {
	t := &Topology{Epoch: req.Epoch}
	for i := range req.Subtopologies {
		r := &req.Subtopologies[i]
		s := Subtopology{
			ID: r.SubtopologyID, Sources: r.SourceTopics, SourceRegexes: r.SourceTopicRegex,
			Changelogs: topicInfos(r.StateChangelogTopics), RepartitionSinks: r.RepartitionSinkTopics,
			RepartitionSources: topicInfos(r.RepartitionSourceTopics),
		}
		for j := range r.CopartitionGroups {
			g := &r.CopartitionGroups[j]
			s.Copartitioned = append(s.Copartitioned, CopartitionGroup{g.SourceTopics, g.SourceTopicRegex, g.RepartitionSourceTopics})
		}
		t.Subtopologies = append(t.Subtopologies, s)
	}
	return t
}

func topicInfos(in []kmsg.TopicInfo) []TopicInfo {
	var out []TopicInfo
	for i := range in {
		ti := TopicInfo{Name: in[i].Topic, Partitions: in[i].NumPartitions, ReplicationFactor: in[i].ReplicationFactor}
		for _, c := range in[i].Configs {
			ti.Configs = append(ti.Configs, KeyValue{c.Key, c.Value})
		}
		out = append(out, ti)
	}
	return out
}

// sorted orders the subtopologies by id; false if an id is there twice. The record keeps
// the order of the request, the state has this one.
func (t *Topology) sorted() (*Topology, bool) {
	s := slices.Clone(t.Subtopologies)
	slices.SortFunc(s, func(a, b Subtopology) int { return strings.Compare(a.ID, b.ID) })
	for i := 1; i < len(s); i++ {
		if s[i].ID == s[i-1].ID {
			return nil, false
		}
	}
	return &Topology{t.Epoch, s}, true
}

// equal says whether two topologies are the same, but for the order of subtopologies.
func (t *Topology) equal(o *Topology) bool {
	return t.Epoch == o.Epoch && slices.EqualFunc(t.Subtopologies, o.Subtopologies, func(a, b Subtopology) bool {
		return a.ID == b.ID && slices.Equal(a.Sources, b.Sources) && slices.Equal(a.SourceRegexes, b.SourceRegexes) &&
			slices.EqualFunc(a.Changelogs, b.Changelogs, TopicInfo.equal) && slices.Equal(a.RepartitionSinks, b.RepartitionSinks) &&
			slices.EqualFunc(a.RepartitionSources, b.RepartitionSources, TopicInfo.equal) &&
			slices.EqualFunc(a.Copartitioned, b.Copartitioned, CopartitionGroup.equal)
	})
}

func (ti TopicInfo) equal(o TopicInfo) bool {
	return ti.Name == o.Name && ti.Partitions == o.Partitions && ti.ReplicationFactor == o.ReplicationFactor && slices.Equal(ti.Configs, o.Configs)
}

func (g CopartitionGroup) equal(o CopartitionGroup) bool {
	return slices.Equal(g.Sources, o.Sources) && slices.Equal(g.SourceRegexes, o.SourceRegexes) && slices.Equal(g.RepartitionSources, o.RepartitionSources)
}

// reads are the names of the topics that the subtopology's tasks read.
func (s *Subtopology) reads() []string {
	out := slices.Clone(s.Sources)
	for _, ti := range s.RepartitionSources {
		out = append(out, ti.Name)
	}
	return out
}

// Required are the topics that must be there, in order.
func (t *Topology) Required() []string {
	var out []string
	for i := range t.Subtopologies {
		s := &t.Subtopologies[i]
		out = append(out, s.reads()...)
		for _, ti := range s.Changelogs {
			out = append(out, ti.Name)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// reader is the subtopology that reads the topic; "" if none does.
func (t *Topology) reader(topic string) (id string, ok bool) {
	for i := len(t.Subtopologies) - 1; i >= 0; i-- { // the last one counts, as in Kafka
		s := &t.Subtopologies[i]
		if slices.Contains(s.Sources, topic) || slices.ContainsFunc(s.RepartitionSources, func(ti TopicInfo) bool { return ti.Name == topic }) {
			return s.ID, true
		}
	}
	return "", false
}

// Reads says whether the application reads the topic.
func (t *Topology) Reads(topic string) bool {
	_, ok := t.reader(topic)
	return ok
}

// copartitioned are the names of the topics of a group; false if an index points nowhere.
func (s *Subtopology) copartitioned(g CopartitionGroup) ([]string, bool) {
	var out []string
	for _, i := range g.Sources {
		if i < 0 || int(i) >= len(s.Sources) {
			return nil, false
		}
		out = append(out, s.Sources[i])
	}
	for _, i := range g.RepartitionSources {
		if i < 0 || int(i) >= len(s.RepartitionSources) {
			return nil, false
		}
		out = append(out, s.RepartitionSources[i].Name)
	}
	slices.Sort(out)
	return slices.Compact(out), true
}
