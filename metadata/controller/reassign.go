package controller

import (
	"fmt"
	"slices"

	"github.com/tidelinehq/tideline/metadata"
	"github.com/tidelinehq/tideline/metadata/record"
)

// Reassignment asks for other replicas of a partition (KIP-455).
type Reassignment struct {
	Topic     metadata.ID
	Partition int32
	Replicas  []int32 // preferred leader first; nil: call off what is going on
}

// Reassigned answers a Reassignment.
type Reassigned struct {
	Change record.PartitionChange
	Needed bool // false: the partition is as asked, there is nothing to propose
	Err    error
}

// Reassign decides about reassignments, each for itself. The replicas become
// those asked for and, until the new ones are in sync, the old ones; the change
// that brings the last of them into the ISR drops the others (see AlterISR,
// Settle). A second wish replaces the first: what the first added and the
// second does not want goes at once. Errors are ErrInvalidAssignment,
// ErrNoReassignment when there is nothing to call off, ErrTooManyReassignments.
func (p Policy) Reassign(m *metadata.Image, wishes []Reassignment, l Limits) []Reassigned {
	ongoing, replicas := 0, m.ReplicaCount()
	for _, x := range m.AllPartitions() {
		if reassigning(x) {
			ongoing++
		}
	}
	out := make([]Reassigned, len(wishes))
	for i := range wishes {
		r := &wishes[i]
		t, x, err := lookUp(m, r.Topic, r.Partition)
		if err != nil {
			out[i].Err = err
			continue
		}
		if r.Replicas == nil {
			out[i].Change, out[i].Err = p.callOff(m, t, x)
			out[i].Needed = out[i].Err == nil
			continue
		}
		if err := validReplicas(m, r.Replicas); err != nil {
			out[i].Err = fmt.Errorf("%w: topic=%s partition=%d", err, t.Name, x.Index)
			continue
		}
		c := p.change(m, t, x)
		c.reassign(r.Replicas)
		if !c.safe() {
			out[i].Err = fmt.Errorf("%w: topic=%s partition=%d would drop the copies of isr=%v elr=%v", ErrInvalidAssignment, t.Name, x.Index, x.ISR, x.ELR)
			continue
		}
		if len(c.replicas) > record.MaxReplicas {
			out[i].Err = fmt.Errorf("%w: topic=%s partition=%d replicas of both assignments=%d max=%d", ErrInvalidAssignment, t.Name, x.Index, len(c.replicas), record.MaxReplicas)
			continue
		}
		grown := replicas + int64(len(c.replicas)-len(x.Replicas))
		if begins := len(c.adding)+len(c.removes) > 0 && !reassigning(x); begins && ongoing >= l.MaxReassignments || len(c.adding) > 0 && grown > l.MaxReplicas {
			out[i].Err = fmt.Errorf("%w: in progress=%d max=%d replicas=%d max=%d", ErrTooManyReassignments, ongoing, l.MaxReassignments, grown, l.MaxReplicas)
			continue
		} else if begins {
			ongoing++
		}
		replicas = grown
		out[i].Change, out[i].Needed = c.finish()
	}
	return out
}

// reassign sets the lists of a reassignment from the original replicas.
func (c *change) reassign(target []int32) {
	original := c.original()
	c.adding = keep(target, func(b int32) bool { return !slices.Contains(original, b) })
	c.removes = keep(original, func(b int32) bool { return !slices.Contains(target, b) })
	c.drop(append(slices.Clone(target), c.removes...))
}

// original returns the replicas as they were before the reassignment.
func (c *change) original() []int32 {
	return keep(c.old.Replicas, func(b int32) bool { return !slices.Contains(c.old.Adding, b) })
}

// safe reports whether enough of those that have all acknowledged records are
// still replicas: as many as it takes to acknowledge one, or all that there are.
func (c *change) safe() bool {
	have := len(c.old.ISR) + len(c.old.ELR)
	return len(c.replicas) > 0 && len(c.isr)+len(c.elr) >= min(have, effectiveMinISR(c.minISR, len(c.replicas)))
}

// callOff goes back to the original replicas. It is refused when too few of
// them are eligible: what was acknowledged since would be lost.
func (p Policy) callOff(m *metadata.Image, t *metadata.Topic, x *metadata.Partition) (record.PartitionChange, error) {
	if !reassigning(x) {
		return record.PartitionChange{}, fmt.Errorf("%w: topic=%s partition=%d", ErrNoReassignment, t.Name, x.Index)
	}
	c := p.change(m, t, x)
	original := c.original()
	c.adding, c.removes = nil, nil
	c.drop(original)
	if !c.safe() {
		return record.PartitionChange{}, fmt.Errorf("%w: topic=%s partition=%d original=%v isr=%v elr=%v", ErrInvalidAssignment, t.Name, x.Index, original, x.ISR, x.ELR)
	}
	change, _ := c.finish()
	return change, nil
}

// validReplicas checks replicas that a client chose.
func validReplicas(m *metadata.Image, replicas []int32) error {
	if len(replicas) == 0 || len(replicas) > record.MaxReplicas {
		return fmt.Errorf("%w: replicas=%d max=%d", ErrInvalidAssignment, len(replicas), record.MaxReplicas)
	}
	for i, b := range replicas {
		if slices.Contains(replicas[:i], b) {
			return fmt.Errorf("%w: broker=%d twice", ErrInvalidAssignment, b)
		}
		if _, ok := m.Broker(b); !ok {
			return fmt.Errorf("%w: unknown broker=%d", ErrInvalidAssignment, b)
		}
	}
	return nil
}

func reassigning(x *metadata.Partition) bool { return len(x.Adding)+len(x.Removing) > 0 }

// target returns the replicas that a partition has, or will have when its
// reassignment is over.
func target(x *metadata.Partition) []int32 {
	return keep(x.Replicas, func(b int32) bool { return !slices.Contains(x.Removing, b) })
}

// Ongoing is a reassignment in progress.
type Ongoing struct {
	Topic     *metadata.Topic
	Partition *metadata.Partition
}

// Reassignments returns the partitions under reassignment, in the order in
// which their topics were created, at most max.
func Reassignments(m *metadata.Image, max int) []Ongoing {
	var out []Ongoing
	for t, x := range m.AllPartitions() {
		if len(out) >= max {
			break
		}
		if reassigning(x) {
			out = append(out, Ongoing{t, x})
		}
	}
	return out
}
