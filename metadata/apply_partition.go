package metadata

import (
	"math"
	"slices"

	"github.com/tidelinehq/tideline/metadata/record"
)

func (e *edit) changePartitions(c *record.ChangePartition) Result {
	r := Result{Entries: make([]record.EntryResult, len(c.Entries))}
	for i := range c.Entries {
		x := &c.Entries[i]
		reason := e.changePartition(x)
		r.Entries[i] = e.entryResult(x.Topic, x.Partition, reason)
	}
	return r
}

// entryResult answers an entry with the state that now stands.
func (e *edit) entryResult(topic ID, index int32, reason record.Reason) record.EntryResult {
	a := record.EntryResult{Reason: reason}
	if p, _, r := e.find(topic, index); r == record.OK {
		a.LeaderEpoch, a.PartitionEpoch = p.LeaderEpoch, p.PartitionEpoch
		a.Tiered, a.Generation = p.Ledger.Tiered, p.Ledger.Generation
	}
	return a
}

func (e *edit) changePartition(c *record.PartitionChange) record.Reason {
	old, s, reason := e.find(c.Topic, c.Partition)
	if reason != record.OK {
		return reason
	}
	if old.PartitionEpoch != c.PartitionEpoch {
		return record.StaleEpoch
	}
	p := *old
	if c.Replicas != nil {
		p.Replicas = c.Replicas
	}
	if c.ISR != nil {
		p.ISR = c.ISR
	}
	if c.Adding != nil {
		p.Adding = c.Adding
	}
	if c.Removing != nil {
		p.Removing = c.Removing
	}
	p.Leader = c.Leader
	if r := e.checkPartition(&p.Partition, old.Replicas); r != record.OK {
		return r
	}
	if old.PartitionEpoch == math.MaxInt32 || old.LeaderEpoch == math.MaxInt32 {
		return record.TooMany
	}
	p.PartitionEpoch++
	if c.Elect || c.Leader != old.Leader {
		p.LeaderEpoch++
	}
	e.setPartition(s, old, &p)
	e.delta.partition(c.Topic, c.Partition)
	return record.OK
}

// checkPartition verifies replicas, ISR and leader of a changed partition.
// Only replicas that it did not have before must be registered.
func (e *edit) checkPartition(p *Partition, before []int32) record.Reason {
	if !distinct(p.Replicas) || !distinct(p.ISR) || len(p.Replicas) > record.MaxReplicas {
		return record.Invalid
	}
	for _, b := range p.Replicas {
		if _, ok := e.brokers.Get(b); !ok && !contains(before, b) {
			return record.NoBroker
		}
	}
	within := func(list []int32) bool {
		return !slices.ContainsFunc(list, func(b int32) bool { return !contains(p.Replicas, b) })
	}
	if !within(p.ISR) || !within(p.Adding) || !within(p.Removing) {
		return record.Invalid
	}
	if p.Leader == NoLeader {
		return record.OK
	}
	if !contains(p.ISR, p.Leader) {
		return record.Invalid
	}
	if b, ok := e.brokers.Get(p.Leader); !ok || b.Fenced {
		return record.NoBroker
	}
	return record.OK
}
