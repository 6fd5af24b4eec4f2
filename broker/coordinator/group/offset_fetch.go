package group

import (
	"time"

	"github.com/tidelinehq/tideline/broker/coordinator"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// Versions of OffsetFetch that changed its form.
const (
	fetchTopLevelError = 2 // an error of the group is said once; null topics mean all
	fetchBatched       = 8 // many groups
	fetchTopicIDs      = 10
)

// offsetFetch is a request for the offsets of one group, in the form of v8 and
// later; topics nil means all. It is answered with a *kmsg.OffsetFetchResponseGroup,
// in which TopicID is that of the topic that was committed for, where that is known.
type offsetFetch struct {
	group  string
	member *string // nil: not a member's
	epoch  int32
	topics []fetchTopic
	all    bool
	stable bool // offsets of transactions that are not decided are not to be passed over
	call   *coordinator.Call
}

type fetchTopic struct {
	resolved
	wanted  [16]byte // the id in the request
	numbers []int32  // of partitions
}

func fetchError(group string, code int16) *kmsg.OffsetFetchResponseGroup {
	g := kmsg.NewOffsetFetchResponseGroup()
	g.Group, g.ErrorCode = group, code
	return &g
}

func noOffset(partition int32, code int16) kmsg.OffsetFetchResponseGroupTopicPartition {
	p := kmsg.NewOffsetFetchResponseGroupTopicPartition()
	empty := ""
	p.Partition, p.Offset, p.LeaderEpoch, p.Metadata, p.ErrorCode = partition, -1, -1, &empty, code
	return p
}

func (c *committed) response(partition int32) kmsg.OffsetFetchResponseGroupTopicPartition {
	p := kmsg.NewOffsetFetchResponseGroupTopicPartition()
	metadata := c.metadata
	p.Partition, p.Offset, p.LeaderEpoch, p.Metadata = partition, c.offset, c.leaderEpoch, &metadata
	return p
}

func (f *offsetFetch) decide(m *machine, _ time.Time) coordinator.Outcome {
	var known offsets
	if g := m.groups[f.group]; g != nil {
		if g.modern != nil {
			if code := g.modern.checkFetch(f.member, f.epoch); code != 0 {
				return coordinator.Outcome{Replies: []coordinator.Reply{{To: f.call, Body: fetchError(f.group, code)}}}
			}
		}
		known = g.offsets
	}
	resp := fetchError(f.group, 0)
	if f.all {
		for _, tp := range known.sorted() {
			c := known[tp]
			n := len(resp.Topics)
			if n == 0 || resp.Topics[n-1].Topic != tp.topic || resp.Topics[n-1].TopicID != c.topicID {
				t := kmsg.NewOffsetFetchResponseGroupTopic()
				t.Topic, t.TopicID = tp.topic, c.topicID
				resp.Topics = append(resp.Topics, t)
				n++
			}
			t := &resp.Topics[n-1]
			t.Partitions = append(t.Partitions, f.settled(m, tp, c.response(tp.partition)))
		}
	} else {
		resp.Topics = make([]kmsg.OffsetFetchResponseGroupTopic, 0, len(f.topics))
		for i := range f.topics {
			rt := f.topics[i].fetch(known)
			for j := range rt.Partitions {
				if p := &rt.Partitions[j]; f.topics[i].code == 0 {
					*p = f.settled(m, topicPartition{f.topics[i].name, p.Partition}, *p)
				}
			}
			resp.Topics = append(resp.Topics, rt)
		}
	}
	return coordinator.Outcome{Replies: []coordinator.Reply{{To: f.call, Body: resp}}}
}

// settled is the answer for one partition. Who wants only what is decided is told to ask again
// while a transaction is not.
func (f *offsetFetch) settled(m *machine, tp topicPartition, p kmsg.OffsetFetchResponseGroupTopicPartition) kmsg.OffsetFetchResponseGroupTopicPartition {
	if f.stable && m.txn.unstable(f.group, tp) {
		return noOffset(tp.partition, kerr.UnstableOffsetCommit.Code)
	}
	return p
}

// fetch answers for one topic. An offset that was committed for an earlier topic
// of the same name is none.
func (t *fetchTopic) fetch(known offsets) kmsg.OffsetFetchResponseGroupTopic {
	rt := kmsg.NewOffsetFetchResponseGroupTopic()
	rt.Topic, rt.TopicID = t.name, t.wanted
	rt.Partitions = make([]kmsg.OffsetFetchResponseGroupTopicPartition, 0, len(t.numbers))
	for _, n := range t.numbers {
		c, ok := known[topicPartition{t.name, n}]
		if t.code != 0 || !ok || otherTopic(c.topicID, t.id) {
			rt.Partitions = append(rt.Partitions, noOffset(n, t.code))
		} else {
			rt.Partitions = append(rt.Partitions, c.response(n))
		}
	}
	return rt
}

// otherTopic says whether two topic ids are known to differ.
func otherTopic(a, b [16]byte) bool { return a != b && a != [16]byte{} && b != [16]byte{} }
