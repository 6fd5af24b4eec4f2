package group

import (
	"bytes"
	"maps"
	"slices"
	"time"

	"github.com/tidelinehq/tideline/broker/coordinator"
	"github.com/tidelinehq/tideline/internal/codec"
)

// shareParts are the partitions of which a share group has, or is to have, a state at
// the share coordinators.
//
//	subscribed ──▶ initializing ──▶ initialized ──▶ deleting ──▶ (none)
//	                    │ failed                       ▲
//	                    └──▶ (none)                    └ offsets or group are deleted
//
// The record of a step is committed before the share coordinators are asked, so nothing
// is ever begun there that the group does not know of. One that was not heard of again
// is asked for anew after a while, by a heartbeat. It never changes once installed.
type shareParts struct {
	stored       bool // it has a record
	initializing shareTopics
	initialized  shareTopics
	deleting     map[[16]byte]string // names of topics
	// asked is by topic; not kept in the log, so a new coordinator asks at once.
	asked map[[16]byte]shareAsk
}

// shareAsk is when the share coordinators were last asked to begin a topic, and under which
// state epoch. That stays the same whenever they are asked again: of two requests under
// different epochs, the later could come after the first was answered, and take the state
// away from members that work with it already. Under the same epoch it changes nothing.
type shareAsk struct {
	at    time.Time
	epoch int32
}

// shareTopics are partitions by topic id, in order.
type shareTopics map[[16]byte]shareTopic

type shareTopic struct {
	name       string
	partitions []int32
}

func (t shareTopics) ids() [][16]byte {
	return slices.SortedFunc(maps.Keys(t), func(a, b [16]byte) int { return bytes.Compare(a[:], b[:]) })
}

func (t shareTopics) has(id [16]byte, partition int32) bool {
	_, ok := slices.BinarySearch(t[id].partitions, partition)
	return ok
}

func (t shareTopics) equal(o shareTopics) bool {
	return maps.EqualFunc(t, o, func(a, b shareTopic) bool { return a.name == b.name && slices.Equal(a.partitions, b.partitions) })
}

// with returns t and more.
func (t shareTopics) with(id [16]byte, name string, partitions []int32) shareTopics {
	if len(partitions) == 0 {
		return t
	}
	out := maps.Clone(t)
	if out == nil {
		out = shareTopics{}
	}
	ps := append(slices.Clone(t[id].partitions), partitions...)
	slices.Sort(ps)
	out[id] = shareTopic{name: name, partitions: slices.Compact(ps)}
	return out
}

// without returns t and less; nil partitions are all of the topic.
func (t shareTopics) without(id [16]byte, partitions []int32) shareTopics {
	is, ok := t[id]
	if !ok {
		return t
	}
	out := maps.Clone(t)
	left := slices.DeleteFunc(slices.Clone(is.partitions), func(p int32) bool { return partitions == nil || slices.Contains(partitions, p) })
	if len(left) == 0 {
		delete(out, id)
	} else {
		out[id] = shareTopic{name: is.name, partitions: left}
	}
	return out
}

func (p *shareParts) empty() bool { return len(p.initializing)+len(p.initialized)+len(p.deleting) == 0 }

// record is what the log has of it.
func (p *shareParts) record(group string) coordinator.Record {
	b := newValue()
	for _, topics := range []shareTopics{p.initializing, p.initialized} {
		b = codec.AppendCompactLen(b, len(topics))
		for _, id := range topics.ids() {
			b = append(b, id[:]...)
			b = codec.AppendCompact(b, topics[id].name)
			b = codec.AppendCompactInt32s(b, topics[id].partitions)
			b = codec.AppendTags(b)
		}
	}
	b = codec.AppendCompactLen(b, len(p.deleting))
	for _, id := range slices.SortedFunc(maps.Keys(p.deleting), func(a, b [16]byte) int { return bytes.Compare(a[:], b[:]) }) {
		b = append(b, id[:]...)
		b = codec.AppendCompact(b, p.deleting[id])
		b = codec.AppendTags(b)
	}
	b = codec.AppendTags(b)
	return coordinator.Record{Key: recordKey{keyShareParts, group, ""}.bytes(), Value: b}
}

func readShareParts(r *codec.Reader) shareParts {
	p := shareParts{stored: true}
	for _, topics := range []*shareTopics{&p.initializing, &p.initialized} {
		r.CompactEach(topicBytes, func() {
			id, name, partitions := r.UUID(), r.CompactString(), r.CompactInt32s()
			r.Tags(nil)
			*topics = topics.with(id, name, partitions)
		})
	}
	r.CompactEach(topicBytes, func() {
		id, name := r.UUID(), r.CompactString()
		r.Tags(nil)
		if p.deleting == nil {
			p.deleting = map[[16]byte]string{}
		}
		p.deleting[id] = name
	})
	r.Tags(nil)
	return p
}

// toBegin are the partitions of the topics of which the share coordinators are to be
// asked now: those that have not begun, unless they were asked for a moment ago.
func (p *shareParts) toBegin(image Image, names []string, now time.Time, retry time.Duration) shareTopics {
	var out shareTopics
	for _, name := range names {
		id, n, ok := image.Lookup(name)
		if !ok {
			continue
		}
		if _, going := p.deleting[id]; going {
			continue
		}
		asked := p.asked[id].at
		waits := now.Sub(asked) < retry && !now.Before(asked)
		var missing []int32
		for i := range n {
			if !p.initialized.has(id, i) && (!waits || !p.initializing.has(id, i)) {
				missing = append(missing, i)
			}
		}
		out = out.with(id, name, missing)
	}
	return out
}
