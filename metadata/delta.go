package metadata

import (
	"bytes"
	"cmp"
	"slices"
)

// Delta says what differs between two images, so that a subscriber need not
// compare them. It names things; what became of them is in the image: a topic
// that the image does not have was deleted.
type Delta struct {
	// All says that everything may differ: the first delta of a subscriber,
	// after a snapshot came from the leader, or when more than maxDelta things
	// changed since the subscriber looked. The lists are empty then.
	All bool
	// Topics were created, deleted, grown, or have other settings.
	Topics []ID
	// Partitions of existing topics have another leader, ISR, replicas or
	// epoch. Those of topics in Topics need not be listed.
	Partitions []TopicPartition
	// Ledgers of partitions have changed: log start, tiered offset, segments.
	Ledgers []TopicPartition
	// Brokers were registered, fenced, unfenced, removed, or have other
	// dynamic settings (record.DefaultBroker: those of all).
	Brokers []int32
	// Cluster says that the cluster id or a feature level changed.
	Cluster bool
	// Garbage says that garbage or purge entries came or went.
	Garbage bool
}

// maxDelta bounds what is remembered for a subscriber that does not look.
// Beyond it, walking the image is cheaper than the list.
const maxDelta = 1 << 15

// changes collects a Delta.
type changes struct {
	all              bool
	topics           map[ID]struct{}
	partitions       map[TopicPartition]struct{}
	ledgers          map[TopicPartition]struct{}
	brokers          map[int32]struct{}
	cluster, garbage bool
}

func (c *changes) topic(id ID) { add(c, &c.topics, id) }
func (c *changes) partition(topic ID, index int32) {
	add(c, &c.partitions, TopicPartition{Topic: topic, Partition: index})
}
func (c *changes) ledger(topic ID, index int32) {
	add(c, &c.ledgers, TopicPartition{Topic: topic, Partition: index})
}
func (c *changes) broker(id int32) { add(c, &c.brokers, id) }
func add[K comparable](c *changes, m *map[K]struct{}, k K) {
	switch {
	case c.all:
		return
	case len(*m) >= maxDelta:
		c.everything()
		return
	case *m == nil:
		*m = map[K]struct{}{}
	}
	(*m)[k] = struct{}{}
}

func (c *changes) everything() { *c = changes{all: true} }

// merge adds what d has.
func (c *changes) merge(d *changes) {
	if d.all {
		c.everything()
	}
	for k := range d.topics {
		c.topic(k)
	}
	for k := range d.partitions {
		add(c, &c.partitions, k)
	}
	for k := range d.ledgers {
		add(c, &c.ledgers, k)
	}
	for k := range d.brokers {
		c.broker(k)
	}
	if !c.all {
		c.cluster = c.cluster || d.cluster
		c.garbage = c.garbage || d.garbage
	}
}

// delta returns the collected changes in order.
func (c *changes) delta() Delta {
	if c.all {
		return Delta{All: true}
	}
	return Delta{
		Topics:     keys(c.topics, func(a, b ID) int { return bytes.Compare(a[:], b[:]) }),
		Partitions: keys(c.partitions, compareTP),
		Ledgers:    keys(c.ledgers, compareTP),
		Brokers:    keys(c.brokers, cmp.Compare[int32]),
		Cluster:    c.cluster,
		Garbage:    c.garbage,
	}
}

func compareTP(a, b TopicPartition) int {
	return cmp.Or(bytes.Compare(a.Topic[:], b.Topic[:]), cmp.Compare(a.Partition, b.Partition))
}

func keys[K comparable](m map[K]struct{}, order func(a, b K) int) []K {
	if len(m) == 0 {
		return nil
	}
	out := make([]K, 0, len(m))
	for k := range m {
		out = append(out, k)
	}
	slices.SortFunc(out, order)
	return out
}
