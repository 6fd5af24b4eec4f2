package metadata

import (
	"iter"
	"sync/atomic"

	"github.com/tidwall/btree"

	"github.com/tidelinehq/tideline/metadata/record"
)

// Image is the state of the cluster at one index of the log. It is immutable;
// so is everything that its methods return. The zero Image is the empty state.
type Image struct {
	index   uint64 // log index of the last command applied
	layout  uint64 // see Layout
	cluster record.Cluster

	brokers       btree.Map[int32, *Broker]
	brokerConfigs btree.Map[int32, Configs]
	groupConfigs  btree.Map[string, Configs] // by group id
	topics        btree.Map[string, *Topic]  // by name
	topicIDs      btree.Map[string, *Topic]  // by the 16 bytes of the id
	ordinals      btree.Map[uint32, *Topic]  // by ordinal
	partitions    btree.Map[uint64, *partition]
	led, hosted   btree.Map[int32, *slotSet] // per broker

	intents      btree.Map[string, *Intent] // by object id
	brokerUpload btree.Map[int32, int]      // open intents per broker
	objects      btree.Map[string, *Object] // references above one
	garbage      btree.Map[string, Garbage] // by due time and object id
	garbageDue   btree.Map[string, int64]   // due time by object id
	purges       btree.Map[string, *Purge]  // by topic id
	purging      btree.Map[uint64, *partition]
	replicas     int64 // sum of the replicas of all partitions

	acls          btree.Map[string, *record.ACL]   // by ACL.Key
	roles         btree.Map[string, *record.Role]  // by name
	grants        btree.Map[string, *record.Grant] // by Grant.Key
	scram         btree.Map[string, *record.Scram] // by ScramName.Key
	quotas        btree.Map[string, *record.Quota] // by QuotaEntity.Key
	tokens        btree.Map[string, *record.Token] // by id
	clientMetrics btree.Map[string, Configs]       // by name of the subscription
	generations   generations
}

// slotSet is a set of slots. It is shared between images and copied on write.
type slotSet struct {
	slots btree.Map[uint64, struct{}]
}

// slot is the key of a partition: its topic's ordinal, then its index.
func slot(ordinal uint32, index int32) uint64 {
	return uint64(ordinal)<<32 | uint64(uint32(index))
}

// key is the key of an id in a tree.
func key(id ID) string { return string(id[:]) }

// partition is a Partition and the storage that its hot list shares with older
// and newer versions of itself.
type partition struct {
	Partition
	hot *hotLog
	off int // Ledger.Hot starts at hot.segments[off]
}

// hotLog is storage for hot segments. Versions of one partition append to the
// same storage, each seeing only its own length, so that a commit does not copy
// the list. used decides who may write the next place: if two successors of one
// image append, the second one loses the race and copies.
type hotLog struct {
	used     atomic.Int64
	segments []Segment
}

// appendHot adds a segment to a partition that is not published yet.
func (p *partition) appendHot(s Segment) {
	n := len(p.Ledger.Hot)
	end := p.off + n
	if p.hot == nil || end == len(p.hot.segments) || !p.hot.used.CompareAndSwap(int64(end), int64(end+1)) {
		grown := &hotLog{segments: make([]Segment, max(4, min(2*n, record.MaxHot)))}
		copy(grown.segments, p.Ledger.Hot)
		grown.used.Store(int64(n + 1))
		p.hot, p.off, end = grown, 0, n
	}
	p.hot.segments[end] = s
	p.Ledger.Hot = p.hot.segments[p.off : end+1 : end+1]
}

// dropHot removes the first n segments. The storage is kept until the list
// moves to a new one, which is bounded by MaxHot segments.
func (p *partition) dropHot(n int) {
	if n == len(p.Ledger.Hot) {
		p.hot, p.off, p.Ledger.Hot = nil, 0, nil
		return
	}
	p.off += n
	p.Ledger.Hot = p.Ledger.Hot[n:]
}

// setHot replaces the segments, in storage of its own.
func (p *partition) setHot(segments []Segment) {
	p.hot, p.off, p.Ledger.Hot = nil, 0, nil
	if len(segments) > 0 {
		p.Ledger.Hot = segments // appendHot copies it into storage that grows
	}
}

// Index returns the log index of the last command in the image.
func (m *Image) Index() uint64 { return m.index }

// Layout grows with every change of which topics there are, of their partitions, and of
// where their replicas are; nothing else moves it. It is not part of the state: two brokers
// may have different ones.
func (m *Image) Layout() uint64 { return m.layout }

// ClusterID returns the id of the cluster, empty before it has one.
func (m *Image) ClusterID() string { return m.cluster.ID }

// CreatedAt returns when the cluster got its id, in Unix milliseconds.
func (m *Image) CreatedAt() int64 { return m.cluster.CreatedAt }

// NextProducerID returns the first producer id that no block has.
func (m *Image) NextProducerID() int64 { return m.cluster.NextProducerID }

// Features returns the finalized feature levels in name order.
func (m *Image) Features() []Feature { return m.cluster.Features }

// FeatureLevel returns the finalized level of a feature, 0 when it has none.
func (m *Image) FeatureLevel(name string) int32 {
	for _, f := range m.cluster.Features {
		if f.Name == name {
			return f.Level
		}
	}
	return 0
}

// Broker returns a registered broker.
func (m *Image) Broker(id int32) (*Broker, bool) { return m.brokers.Get(id) }

// Brokers iterates over the registered brokers in id order.
func (m *Image) Brokers() iter.Seq[*Broker] {
	return func(yield func(*Broker) bool) {
		m.brokers.Scan(func(_ int32, b *Broker) bool { return yield(b) })
	}
}

// BrokerCount returns the number of registered brokers.
func (m *Image) BrokerCount() int { return m.brokers.Len() }

// BrokerConfigs returns the dynamic settings of a broker, or those of all
// brokers for record.DefaultBroker.
func (m *Image) BrokerConfigs(id int32) Configs {
	c, _ := m.brokerConfigs.Get(id)
	return c
}

// GroupConfigs returns the settings of a consumer group.
func (m *Image) GroupConfigs(group string) Configs {
	c, _ := m.groupConfigs.Get(group)
	return c
}

// Topic returns a topic by name.
func (m *Image) Topic(name string) (*Topic, bool) { return m.topics.Get(name) }

// TopicByID returns a topic by id.
func (m *Image) TopicByID(id ID) (*Topic, bool) { return m.topicIDs.Get(key(id)) }

// Topics iterates over all topics in name order.
func (m *Image) Topics() iter.Seq[*Topic] { return m.TopicsFrom("") }

// TopicsFrom iterates in name order over the topics at and after a name.
func (m *Image) TopicsFrom(name string) iter.Seq[*Topic] {
	return func(yield func(*Topic) bool) {
		m.topics.Ascend(name, func(_ string, t *Topic) bool { return yield(t) })
	}
}

// TopicCount returns the number of topics.
func (m *Image) TopicCount() int { return m.topics.Len() }

// PartitionCount returns the number of partitions of all topics.
func (m *Image) PartitionCount() int { return m.partitions.Len() }

// ReplicaCount returns the number of replicas of all partitions.
func (m *Image) ReplicaCount() int64 { return m.replicas }

// Partition returns a partition by topic id and index.
func (m *Image) Partition(topic ID, index int32) (*Partition, bool) {
	t, ok := m.topicIDs.Get(key(topic))
	if !ok {
		return nil, false
	}
	return m.PartitionOf(t, index)
}

// PartitionOf returns a partition of a topic of this image.
func (m *Image) PartitionOf(t *Topic, index int32) (*Partition, bool) {
	p, ok := m.partitions.Get(slot(t.Ordinal, index))
	if !ok {
		return nil, false
	}
	return &p.Partition, true
}

// Partitions iterates over the partitions of a topic in index order.
func (m *Image) Partitions(t *Topic) iter.Seq[*Partition] {
	return func(yield func(*Partition) bool) {
		m.partitions.Ascend(slot(t.Ordinal, 0), func(s uint64, p *partition) bool {
			return uint32(s>>32) == t.Ordinal && yield(&p.Partition)
		})
	}
}

// AllPartitions iterates over the partitions of all topics, in the order in
// which the topics were created.
func (m *Image) AllPartitions() iter.Seq2[*Topic, *Partition] {
	return func(yield func(*Topic, *Partition) bool) {
		var t *Topic
		m.partitions.Scan(func(s uint64, p *partition) bool {
			if o := uint32(s >> 32); t == nil || t.Ordinal != o {
				t, _ = m.ordinals.Get(o)
			}
			return yield(t, &p.Partition)
		})
	}
}

// LedPartitions iterates over the partitions that a broker leads.
func (m *Image) LedPartitions(broker int32) iter.Seq2[*Topic, *Partition] {
	return m.bySlot(&m.led, broker)
}

// HostedPartitions iterates over the partitions of which a broker is a replica.
func (m *Image) HostedPartitions(broker int32) iter.Seq2[*Topic, *Partition] {
	return m.bySlot(&m.hosted, broker)
}

func (m *Image) bySlot(sets *btree.Map[int32, *slotSet], broker int32) iter.Seq2[*Topic, *Partition] {
	return func(yield func(*Topic, *Partition) bool) {
		set, ok := sets.Get(broker)
		if !ok {
			return
		}
		var t *Topic
		set.slots.Scan(func(s uint64, _ struct{}) bool {
			if o := uint32(s >> 32); t == nil || t.Ordinal != o {
				t, _ = m.ordinals.Get(o)
			}
			p, _ := m.partitions.Get(s)
			return yield(t, &p.Partition)
		})
	}
}

// LedCount returns how many partitions a broker leads.
func (m *Image) LedCount(broker int32) int { return setLen(&m.led, broker) }

// HostedCount returns of how many partitions a broker is a replica.
func (m *Image) HostedCount(broker int32) int { return setLen(&m.hosted, broker) }

func setLen(sets *btree.Map[int32, *slotSet], broker int32) int {
	if set, ok := sets.Get(broker); ok {
		return set.slots.Len()
	}
	return 0
}

// Intent returns an open upload.
func (m *Image) Intent(object ID) (*Intent, bool) { return m.intents.Get(key(object)) }

// Intents iterates over the open uploads in object id order.
func (m *Image) Intents() iter.Seq[*Intent] {
	return func(yield func(*Intent) bool) {
		m.intents.Scan(func(_ string, i *Intent) bool { return yield(i) })
	}
}

// IntentCount returns the number of open uploads.
func (m *Image) IntentCount() int { return m.intents.Len() }

// SharedObjects iterates over the live objects that have more than one
// reference, in object id order.
func (m *Image) SharedObjects() iter.Seq[*Object] {
	return func(yield func(*Object) bool) {
		m.objects.Scan(func(_ string, o *Object) bool { return yield(o) })
	}
}

// Garbage iterates over the objects to delete, those due first first.
func (m *Image) Garbage() iter.Seq[Garbage] {
	return func(yield func(Garbage) bool) {
		m.garbage.Scan(func(_ string, g Garbage) bool { return yield(g) })
	}
}

// IsGarbage reports whether an object waits for its deletion.
func (m *Image) IsGarbage(object ID) bool {
	_, ok := m.garbageDue.Get(key(object))
	return ok
}

// GarbageCount returns the length of the garbage queue.
func (m *Image) GarbageCount() int { return m.garbage.Len() }

// Purges iterates over the deleted topics whose remote data remains, in topic
// id order.
func (m *Image) Purges() iter.Seq[*Purge] {
	return func(yield func(*Purge) bool) {
		m.purges.Scan(func(_ string, p *Purge) bool { return yield(p) })
	}
}

// PurgePartitions iterates over the partitions of a deleted topic whose ledgers
// are not worked off, in index order.
func (m *Image) PurgePartitions(p *Purge) iter.Seq[*Partition] {
	return func(yield func(*Partition) bool) {
		m.purging.Ascend(slot(p.Ordinal, 0), func(s uint64, x *partition) bool {
			return uint32(s>>32) == p.Ordinal && yield(&x.Partition)
		})
	}
}
