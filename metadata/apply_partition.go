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
		unclean, reason := e.changePartition(x)
		r.Entries[i] = e.entryResult(x.Topic, x.Partition, reason)
		r.Entries[i].Unclean = unclean
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

// changePartition applies one entry. unclean says that the leader was elected
// without being known to have all that was acknowledged.
func (e *edit) changePartition(c *record.PartitionChange) (unclean bool, reason record.Reason) {
	old, s, reason := e.find(c.Topic, c.Partition)
	if reason != record.OK {
		return false, reason
	}
	if old.PartitionEpoch != c.PartitionEpoch {
		return false, record.StaleEpoch
	}
	p := *old
	for _, list := range [...]struct {
		to   *[]int32
		from []int32
	}{
		{&p.Replicas, c.Replicas}, {&p.ISR, c.ISR}, {&p.ELR, c.ELR}, {&p.LastKnownELR, c.LastKnownELR},
		{&p.Adding, c.Adding}, {&p.Removing, c.Removing},
	} {
		if list.from != nil {
			*list.to = list.from
		}
	}
	p.Leader = c.Leader
	if r := e.checkReplicas(&p.Partition, old.Replicas); r != record.OK {
		return false, r
	}
	if r := e.checkISR(&p.Partition, &old.Partition, c.ISREpochs); r != record.OK {
		return false, r
	}
	unclean, reason = e.checkElection(&p.Partition, &old.Partition, c.Unclean)
	if reason != record.OK {
		return false, reason
	}
	if old.PartitionEpoch == math.MaxInt32 || old.LeaderEpoch == math.MaxInt32 {
		return false, record.TooMany
	}
	p.PartitionEpoch++
	if c.Elect || c.Leader != old.Leader {
		p.LeaderEpoch++
	}
	e.setPartition(s, old, &p)
	e.delta.partition(c.Topic, c.Partition)
	return unclean, record.OK
}

// checkReplicas verifies the lists of a changed partition. Only replicas that
// it did not have before must be registered.
func (e *edit) checkReplicas(p *Partition, before []int32) record.Reason {
	if len(p.Replicas) == 0 || len(p.Replicas) > record.MaxReplicas || len(p.ISR)+len(p.ELR) == 0 {
		return record.Invalid
	}
	for _, b := range p.Replicas {
		if _, ok := e.brokers.Get(b); !ok && !contains(before, b) {
			return record.NoBroker
		}
	}
	if wrong := wrongLists(p); wrong != "" {
		return record.Invalid
	}
	return record.OK
}

// wrongLists names what is wrong with the lists of a partition, if anything.
func wrongLists(p *Partition) string {
	within := func(list, all []int32) bool {
		return !slices.ContainsFunc(list, func(b int32) bool { return !contains(all, b) })
	}
	apart := func(a, b []int32) bool {
		return !slices.ContainsFunc(a, func(x int32) bool { return contains(b, x) })
	}
	for _, list := range [...][]int32{p.Replicas, p.ISR, p.ELR, p.LastKnownELR, p.Adding, p.Removing} {
		if len(list) > 0 && !distinct(list) {
			return "a broker twice in a list"
		}
		if !within(list, p.Replicas) {
			return "not a replica"
		}
	}
	switch {
	case !apart(p.ISR, p.ELR):
		return "in isr and elr"
	case !apart(p.LastKnownELR, p.ISR), !apart(p.LastKnownELR, p.ELR):
		return "last known elr overlaps isr or elr"
	case !apart(p.Adding, p.Removing):
		return "added and removed"
	case p.Leader != NoLeader && !contains(p.ISR, p.Leader):
		return "leader not in isr"
	}
	return ""
}

// checkISR verifies who enters the ISR, and that who enters the ELR was
// eligible before.
func (e *edit) checkISR(p, old *Partition, epochs []int64) record.Reason {
	if len(epochs) > 0 && len(epochs) != len(p.ISR) {
		return record.Invalid
	}
	for i, id := range p.ISR {
		b, ok := e.brokers.Get(id)
		if !contains(old.ISR, id) && (!ok || !b.Active()) || len(epochs) > 0 && (!ok || b.Epoch != epochs[i]) {
			return record.IneligibleReplica
		}
	}
	for _, id := range p.ELR {
		if !contains(old.ELR, id) && !contains(old.ISR, id) {
			return record.Invalid
		}
	}
	return record.OK
}

// checkElection verifies a new leader: it is in service, and was in the ISR or
// the ELR, else the election is unclean. What a new leader did not vouch for
// itself, it can not have in its ISR: none but former members come with it.
func (e *edit) checkElection(p, old *Partition, accepted bool) (unclean bool, reason record.Reason) {
	if p.Leader == NoLeader {
		return false, record.OK
	}
	if b, ok := e.brokers.Get(p.Leader); !ok || b.Fenced {
		return false, record.NoBroker
	}
	if p.Leader == old.Leader {
		return false, record.OK
	}
	unclean = !contains(old.ISR, p.Leader) && !contains(old.ELR, p.Leader)
	switch {
	case unclean && !accepted:
		return false, record.UncleanElection
	case unclean && (len(p.ISR) > 1 || len(p.ELR) > 0):
		// The others may have records that this leader has not: they are
		// another history now.
		return false, record.Invalid
	}
	for _, b := range p.ISR {
		if b != p.Leader && !contains(old.ISR, b) {
			return false, record.IneligibleReplica
		}
	}
	return unclean, record.OK
}
