package metadata

import (
	"slices"

	"github.com/tidelinehq/tideline/metadata/record"
)

func (e *edit) createTopic(c *record.CreateTopic) record.Reason {
	if e.cluster.ID == "" {
		return record.NoCluster
	}
	if c.Name == "" || (c.ID == ID{}) || len(c.Assignments) == 0 || len(c.Assignments) > record.MaxPartitions || !c.Configs.Valid() {
		return record.Invalid
	}
	if t, ok := e.topicIDs.Get(key(c.ID)); ok {
		if t.Name == c.Name {
			return record.Already
		}
		return record.TopicExists
	}
	if _, ok := e.topics.Get(c.Name); ok {
		return record.TopicExists
	}
	if _, ok := e.purges.Get(key(c.ID)); ok {
		return record.TopicExists
	}
	if r := e.checkAssignments(c.Assignments); r != record.OK {
		return r
	}
	if e.cluster.NextOrdinal == 1<<32-1 {
		return record.TooMany
	}
	t := &Topic{ID: c.ID, Name: c.Name, Ordinal: e.cluster.NextOrdinal, Configs: c.Configs, CreatedAt: c.At}
	e.cluster.NextOrdinal++
	e.grow(t, c.Assignments)
	return record.OK
}

// setTopic puts a topic into the three trees that find it.
func (e *edit) setTopic(t *Topic) {
	e.topics.Set(t.Name, t)
	e.topicIDs.Set(key(t.ID), t)
	e.ordinals.Set(t.Ordinal, t)
	e.delta.topic(t.ID)
}

// grow adds partitions to a topic. t is not published yet.
func (e *edit) grow(t *Topic, assignments [][]int32) {
	for _, replicas := range assignments {
		p := &partition{Partition: Partition{
			Topic: t.ID, Index: t.Partitions, Replicas: replicas, Leader: NoLeader,
			Ledger: Ledger{MaxTimestamp: -1, MaxTimestampOffset: -1},
		}}
		for _, b := range replicas {
			if x, _ := e.brokers.Get(b); x.Active() {
				p.ISR = append(p.ISR, b)
			}
		}
		if len(p.ISR) > 0 {
			p.Leader = p.ISR[0]
		} else {
			// Nobody is there yet. Each will have all of the empty log, so
			// whoever comes first may lead.
			p.ELR = replicas
		}
		e.setPartition(slot(t.Ordinal, t.Partitions), nil, p)
		t.Partitions++
	}
	e.setTopic(t)
}

// checkAssignments verifies that each partition has registered, distinct
// brokers.
func (e *edit) checkAssignments(assignments [][]int32) record.Reason {
	for _, replicas := range assignments {
		if !distinct(replicas) || len(replicas) > record.MaxReplicas {
			return record.Invalid
		}
		for _, b := range replicas {
			if _, ok := e.brokers.Get(b); !ok {
				return record.NoBroker
			}
		}
	}
	return record.OK
}

// distinct reports whether a list has at least one member and none twice.
func distinct(list []int32) bool {
	for i, v := range list {
		if contains(list[:i], v) {
			return false
		}
	}
	return len(list) > 0
}

func (e *edit) createPartitions(c *record.CreatePartitions) record.Reason {
	t, ok := e.topicIDs.Get(key(c.Topic))
	if !ok {
		return record.NoTopic
	}
	if t.Partitions != c.From {
		return record.WrongCount
	}
	if len(c.Assignments) == 0 {
		return record.Invalid
	}
	if int64(t.Partitions)+int64(len(c.Assignments)) > record.MaxPartitions {
		return record.TooMany
	}
	if r := e.checkAssignments(c.Assignments); r != record.OK {
		return r
	}
	next := *t
	e.grow(&next, c.Assignments)
	return record.OK
}

func (e *edit) deleteTopic(c *record.DeleteTopic) record.Reason {
	t, ok := e.topicIDs.Get(key(c.ID))
	if !ok {
		return record.NoTopic
	}
	remaining := int32(0)
	for i := range t.Partitions {
		s := slot(t.Ordinal, i)
		p, _ := e.partitions.Get(s)
		e.dropPartition(s, p)
		if p.Ledger.Segments > 0 || p.Ledger.Root != (PageRef{}) {
			e.purging.Set(s, p)
			remaining++
		}
	}
	e.topics.Delete(t.Name)
	e.topicIDs.Delete(key(t.ID))
	e.ordinals.Delete(t.Ordinal)
	e.delta.topic(t.ID)
	if remaining > 0 {
		e.purges.Set(key(t.ID), &Purge{Topic: t.ID, Name: t.Name, Ordinal: t.Ordinal, DeletedAt: c.At, Remaining: remaining})
		e.delta.garbage = true
	}
	return record.OK
}

func (e *edit) setTopicConfig(c *record.SetTopicConfig) record.Reason {
	t, ok := e.topicIDs.Get(key(c.Topic))
	if !ok {
		return record.NoTopic
	}
	configs, err := t.Configs.Apply(c.Changes)
	if err != nil {
		return record.TooMany
	}
	next := *t
	next.Configs = configs
	e.setTopic(&next)
	if touches(c.Changes, MinISRKey) {
		e.minISRChanged(t)
	}
	return record.OK
}

// MinISRKey is the setting of topics, and of the cluster as a default, on which
// the ELR depends.
const MinISRKey = "min.insync.replicas"

func touches(list []record.ConfigChange, key string) bool {
	return slices.ContainsFunc(list, func(c record.ConfigChange) bool { return c.Key == key })
}

// minISRChanged clears the ELR of partitions that have a leader: under a lower
// bound the high watermark may move on without those members. Without a leader
// it stands, and they stay eligible. Every partition gets a new epoch, so that
// an ELR that was computed with the old bound is refused.
func (e *edit) minISRChanged(t *Topic) {
	for i := range t.Partitions {
		s := slot(t.Ordinal, i)
		old, _ := e.partitions.Get(s)
		p := *old
		if p.Leader != NoLeader {
			p.ELR, p.LastKnownELR = nil, nil
		}
		p.PartitionEpoch = nextEpoch(p.PartitionEpoch)
		e.setPartition(s, old, &p)
		e.delta.partition(p.Topic, p.Index)
	}
}

func (e *edit) setBrokerConfig(c *record.SetBrokerConfig) record.Reason {
	if c.Broker != record.DefaultBroker {
		if _, ok := e.brokers.Get(c.Broker); !ok {
			return record.NoBroker
		}
	}
	configs, err := e.BrokerConfigs(c.Broker).Apply(c.Changes)
	if err != nil {
		return record.TooMany
	}
	if len(configs) == 0 {
		e.brokerConfigs.Delete(c.Broker)
	} else {
		e.brokerConfigs.Set(c.Broker, configs)
	}
	e.delta.broker(c.Broker)
	if c.Broker == record.DefaultBroker && touches(c.Changes, MinISRKey) {
		for _, t := range e.ordinals.Values() {
			if _, own := t.Configs.Get(MinISRKey); !own {
				e.minISRChanged(t)
			}
		}
	}
	return record.OK
}

func (e *edit) setGroupConfig(c *record.SetGroupConfig) record.Reason {
	if c.Group == "" {
		return record.Invalid
	}
	configs, err := e.GroupConfigs(c.Group).Apply(c.Changes)
	_, there := e.groupConfigs.Get(c.Group)
	switch {
	case err != nil, !there && len(configs) > 0 && e.groupConfigs.Len() >= record.MaxGroupConfigs:
		return record.TooMany
	case len(configs) == 0:
		e.groupConfigs.Delete(c.Group)
	default:
		e.groupConfigs.Set(c.Group, configs)
	}
	return record.OK
}
