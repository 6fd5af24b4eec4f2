package group

import (
	"context"
	"slices"
	"time"

	"github.com/tidelinehq/tideline/broker/coordinator"
)

// GroupOffset is what a group has committed for a partition.
type GroupOffset struct {
	Group, Topic string
	Partition    int32
	Offset       int64
	TopicID      [16]byte // zero: not known
}

// Committed returns what the groups that are coordinated here have committed, by group, topic and partition within each
// partition of __consumer_offsets: at most limit offsets of each of these, and whether there are more. Groups that are being
// loaded are left out. It is for metrics; what is under way may be missing.
func (c *Coordinator) Committed(ctx context.Context, limit int) (all []GroupOffset, more bool, err error) {
	partitions := c.Runtime.Partitions()
	done := make(chan []committedPart, 1)
	g := coordinator.NewGather(len(partitions), func(parts []committedPart) { done <- parts })
	for i, p := range partitions {
		l := &listCommitted{limit: limit, call: g.Call(i)}
		c.Runtime.Submit(p, coordinator.Event{
			Access: coordinator.Read, Body: l, Call: l.call, Refuse: func(error) any { return committedPart{} },
		})
	}
	select {
	case parts := <-done:
		for _, p := range parts {
			all, more = append(all, p.offsets...), more || p.more
		}
		return all, more, nil
	case <-ctx.Done():
		return nil, false, ctx.Err()
	}
}

// committedPart is what one shard answers.
type committedPart struct {
	offsets []GroupOffset
	more    bool
}

// listCommitted lists the committed offsets of a shard.
type listCommitted struct {
	limit int
	call  *coordinator.Call
}

func (l *listCommitted) decide(m *machine, _ time.Time) coordinator.Outcome {
	var out committedPart
	for _, id := range m.ids() {
		offsets := m.groups[id].offsets
		if len(offsets) == 0 {
			continue
		}
		// A group is listed whole or not at all: which of its offsets would be left out is not for the order of a map to decide.
		if len(out.offsets)+len(offsets) > l.limit {
			out.more = true
			continue
		}
		first := len(out.offsets)
		for tp, c := range offsets {
			out.offsets = append(out.offsets, GroupOffset{Group: id, Topic: tp.topic, Partition: tp.partition, Offset: c.offset, TopicID: c.topicID})
		}
		slices.SortFunc(out.offsets[first:], func(a, b GroupOffset) int {
			return topicPartition{a.Topic, a.Partition}.compare(topicPartition{b.Topic, b.Partition})
		})
	}
	return coordinator.Outcome{Replies: []coordinator.Reply{{To: l.call, Body: out}}}
}
