package metadata

import (
	"encoding/binary"
	"slices"

	"github.com/tidwall/btree"

	"github.com/tidelinehq/tideline/metadata/record"
)

// edit is an image in the making. It starts as a copy that shares everything,
// copies what it writes, and becomes the next image. One edit takes any number
// of commands; a refused command leaves it as it was.
type edit struct {
	Image
	delta     *changes
	ownedSets map[*slotSet]struct{} // sets made by this edit, free to write
}

// fork returns a tree that shares its nodes with m and copies those that it
// writes. m itself is passed by value and stays untouched, so forking an image
// from several goroutines is safe.
func fork[K int32 | uint32 | uint64 | string, V any](m btree.Map[K, V]) btree.Map[K, V] {
	return *m.Copy()
}

// edit starts the next image. Changes are noted in delta.
func (m *Image) edit(delta *changes) *edit {
	return &edit{delta: delta, ownedSets: map[*slotSet]struct{}{}, Image: Image{
		index: m.index, layout: m.layout, cluster: m.cluster, replicas: m.replicas,
		brokers: fork(m.brokers), brokerConfigs: fork(m.brokerConfigs), groupConfigs: fork(m.groupConfigs),
		topics: fork(m.topics), topicIDs: fork(m.topicIDs), ordinals: fork(m.ordinals),
		partitions: fork(m.partitions), led: fork(m.led), hosted: fork(m.hosted),
		intents: fork(m.intents), brokerUpload: fork(m.brokerUpload), objects: fork(m.objects),
		garbage: fork(m.garbage), garbageDue: fork(m.garbageDue),
		purges: fork(m.purges), purging: fork(m.purging),
		acls: fork(m.acls), roles: fork(m.roles), grants: fork(m.grants), scram: fork(m.scram), quotas: fork(m.quotas),
		tokens: fork(m.tokens), clientMetrics: fork(m.clientMetrics), generations: m.generations,
	}}
}

// done ends the edit.
func (e *edit) done() *Image { return &e.Image }

// find returns a partition and its slot.
func (e *edit) find(topic ID, index int32) (*partition, uint64, record.Reason) {
	t, ok := e.topicIDs.Get(key(topic))
	if !ok {
		return nil, 0, record.NoTopic
	}
	s := slot(t.Ordinal, index)
	p, ok := e.partitions.Get(s)
	if !ok {
		return nil, 0, record.NoPartition
	}
	return p, s, record.OK
}

// setPartition puts a partition in place of old (nil for a new one) and keeps
// the sets per broker.
func (e *edit) setPartition(s uint64, old, p *partition) {
	e.partitions.Set(s, p)
	e.placed(s, old, p)
}

func (e *edit) dropPartition(s uint64, old *partition) {
	e.partitions.Delete(s)
	e.placed(s, old, nil)
}

// placed moves a slot between the sets of brokers.
func (e *edit) placed(s uint64, old, p *partition) {
	var was, is *Partition
	leadWas, leadIs := NoLeader, NoLeader
	if old != nil {
		was, leadWas = &old.Partition, old.Leader
		e.replicas -= int64(len(was.Replicas))
	}
	if p != nil {
		is, leadIs = &p.Partition, p.Leader
		e.replicas += int64(len(is.Replicas))
	}
	if was == nil || is == nil || !slices.Equal(was.Replicas, is.Replicas) {
		e.layout = e.index
	}
	if leadWas != leadIs {
		if leadWas != NoLeader {
			e.unset(&e.led, leadWas, s)
		}
		if leadIs != NoLeader {
			e.set(&e.led, leadIs, s)
		}
	}
	if was != nil {
		for _, b := range was.Replicas {
			if is == nil || !contains(is.Replicas, b) {
				e.unset(&e.hosted, b, s)
			}
		}
	}
	if is != nil {
		for _, b := range is.Replicas {
			if was == nil || !contains(was.Replicas, b) {
				e.set(&e.hosted, b, s)
			}
		}
	}
}

// owned returns the set of a broker, copied if an image shares it.
func (e *edit) owned(sets *btree.Map[int32, *slotSet], broker int32) *slotSet {
	set, ok := sets.Get(broker)
	if ok {
		if _, own := e.ownedSets[set]; own {
			return set
		}
		set = &slotSet{slots: fork(set.slots)}
	} else {
		set = new(slotSet)
	}
	e.ownedSets[set] = struct{}{}
	sets.Set(broker, set)
	return set
}

func (e *edit) set(sets *btree.Map[int32, *slotSet], broker int32, s uint64) {
	e.owned(sets, broker).slots.Set(s, struct{}{})
}

func (e *edit) unset(sets *btree.Map[int32, *slotSet], broker int32, s uint64) {
	set := e.owned(sets, broker)
	set.slots.Delete(s)
	if set.slots.Len() == 0 {
		sets.Delete(broker)
	}
}

func contains(list []int32, v int32) bool {
	for _, x := range list {
		if x == v {
			return true
		}
	}
	return false
}

// garbageKey orders the garbage queue by due time, then object.
func garbageKey(due int64, object ID) string {
	var k [24]byte
	binary.BigEndian.PutUint64(k[:], uint64(due)^1<<63)
	copy(k[8:], object[:])
	return string(k[:])
}

// discard puts an object into the garbage queue.
func (e *edit) discard(object ID, kind record.UploadKind, bytes, due int64) {
	e.garbage.Set(garbageKey(due, object), Garbage{Object: object, Kind: kind, Bytes: bytes, Due: due})
	e.garbageDue.Set(key(object), due)
	e.delta.garbage = true
}
