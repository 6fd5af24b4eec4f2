package group

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/tidelinehq/tideline/broker/coordinator"
)

// dropOffsets takes offsets out of a group, once their tombstones are committed.
func (m *machine) dropOffsets(id string, gone []topicPartition, counter prometheus.Counter) {
	if len(gone) == 0 {
		return
	}
	counter.Add(float64(len(gone)))
	m.change(id, func(g *group) {
		for _, tp := range gone {
			delete(g.offsets, tp)
			m.txn.drop(id, tp)
		}
	})
}

// sweep looks for groups with expired offsets, or with nothing left in them.
type sweep struct{}

func (sweep) decide(m *machine, now time.Time) coordinator.Outcome {
	out := coordinator.Outcome{Timers: []coordinator.Timer{{
		Key: coordinator.TimerKey{Kind: sweepTimer}, At: now.Add(m.cfg.OffsetsRetentionCheckInterval),
	}}}
	for _, id := range m.ids() {
		if gone, all := m.expired(id, now, 1); len(gone) > 0 || all {
			out.Follow = append(out.Follow, coordinator.Event{Key: id, Access: coordinator.Exclusive, Body: expire{id}})
		}
	}
	return out
}

// expired returns up to limit offsets whose retention is over, and whether
// the group itself is to go with them: it is empty and has no others.
//
// A group of members keeps its offsets while it has any, and for the retention
// after its last one left; a group of consumers gives up those of topics that it
// no longer subscribes to, the retention after their last commit. A group that only
// stores offsets keeps each for the retention after its last
// commit, and so do groups of other kinds, but for the topics that they subscribe to.
func (g *group) expired(cfg *Config, now time.Time, limit int) (gone []topicPartition, all bool) {
	base := func(c *committed) time.Time { return time.UnixMilli(c.at) }
	switch {
	case g.modern != nil, g.protocolType == "":
	case g.state == Empty:
		if !g.since.IsZero() {
			base = func(*committed) time.Time { return g.since }
		}
	case g.state == Stable && g.protocolType == protocolTypeConsumer && g.subscribedKnown:
	default:
		return nil, false
	}
	kept := false
	for tp, c := range g.offsets {
		if !g.empty() && g.subscribesTo(tp.topic) || !c.expired(base(&c), now, cfg.OffsetsRetention) {
			kept = true
			continue
		}
		if gone = append(gone, tp); limit == 1 {
			break
		}
	}
	if len(gone) > limit {
		kept = true
		gone = sortedFirst(gone, limit)
	} else {
		gone = sortedFirst(gone, len(gone))
	}
	return gone, !kept && g.empty() && len(g.pending) == 0 && (g.modern == nil || g.modern.expires())
}

// expire removes what expired in one group.
type expire struct{ group string }

func (e expire) decide(m *machine, now time.Time) coordinator.Outcome {
	if m.groups[e.group] == nil {
		return coordinator.Outcome{}
	}
	gone, all := m.expired(e.group, now, m.cfg.TombstonesPerBatch)
	return m.tombstones(e.group, gone, all, m.metrics.expired, len(gone) == m.cfg.TombstonesPerBatch)
}

// tombstones is the outcome that removes offsets and, if all is set, the group.
func (m *machine) tombstones(id string, gone []topicPartition, all bool, counter prometheus.Counter, again bool) coordinator.Outcome {
	var out coordinator.Outcome
	for _, tp := range gone {
		out.Records = append(out.Records, offsetTombstone(id, tp))
	}
	if g := m.groups[id]; all && g != nil {
		out.Records = append(out.Records, g.groupTombstones(id)...)
	}
	out.Again = again && !all
	out.Apply = func() {
		m.dropOffsets(id, gone, counter)
		if all {
			m.log.Info("group is removed", "group", id)
			m.installModern(id, nil)
		}
	}
	return out
}

// topicsDeleted: topics are gone, and with them all offsets of theirs. A name
// stands for one topic in it; of one deleted twice at once the older offsets stay
// until their retention is over, and are not returned meanwhile.
type topicsDeleted struct{ ids map[string][16]byte }

// has says whether an offset is of a deleted topic.
func (t topicsDeleted) has(tp topicPartition, c committed) bool {
	id, ok := t.ids[tp.topic]
	return ok && !otherTopic(c.topicID, id)
}

func (t topicsDeleted) decide(m *machine, _ time.Time) coordinator.Outcome {
	var out coordinator.Outcome
	for _, id := range m.ids() {
		for _, topic := range t.ids {
			if m.groups[id].hasShareTopic(topic) {
				out.Follow = append(out.Follow, coordinator.Event{Key: id, Access: coordinator.Exclusive, Body: shareForgotten{group: id, topics: [][16]byte{topic}}})
			}
		}
		for tp, c := range m.groups[id].offsets {
			if t.has(tp, c) {
				out.Follow = append(out.Follow, coordinator.Event{Key: id, Access: coordinator.Exclusive, Body: forgetTopics{id, t}})
				break
			}
		}
		if n := len(out.Follow); len(m.txn.ofTopics(id, t, m.groups[id].offsets)) > 0 && (n == 0 || out.Follow[n-1].Key != id) {
			out.Follow = append(out.Follow, coordinator.Event{Key: id, Access: coordinator.Exclusive, Body: forgetTopics{id, t}})
		}
	}
	return out
}

// forgetTopics removes a group's offsets of deleted topics.
type forgetTopics struct {
	group string
	gone  topicsDeleted
}

func (f forgetTopics) decide(m *machine, _ time.Time) coordinator.Outcome {
	g := m.groups[f.group]
	if g == nil {
		return coordinator.Outcome{}
	}
	var keys []topicPartition
	for tp, c := range g.offsets {
		if f.gone.has(tp, c) {
			keys = append(keys, tp)
		}
	}
	keys = append(keys, m.txn.ofTopics(f.group, f.gone, g.offsets)...)
	more := len(keys) > m.cfg.TombstonesPerBatch
	return m.tombstones(f.group, sortedFirst(keys, m.cfg.TombstonesPerBatch), false, m.metrics.deleted, more)
}
