package controller

import (
	"fmt"
	"slices"

	"github.com/tidelinehq/tideline/metadata"
	"github.com/tidelinehq/tideline/metadata/record"
)

// Fenced returns the changes that a broker going out of service causes,
// whether or not the image has it fenced already: it leaves all ISRs, to the
// ELR where the ISR falls below its bound, and what it led goes to the next
// eligible replica in service. Without one the partition has no leader until
// one is back.
func (p Policy) Fenced(m *metadata.Image, broker int32) []record.PartitionChange {
	out := make([]record.PartitionChange, 0, m.HostedCount(broker))
	for t, x := range m.HostedPartitions(broker) {
		if !slices.Contains(x.ISR, broker) && x.Leader != broker {
			continue
		}
		c := p.change(m, t, x)
		c.gone = broker
		if change, ok := c.finish(); ok {
			out = append(out, change)
		}
	}
	return out
}

// Unfenced returns the changes that a broker coming into service causes:
// partitions without a leader get it, if it is eligible. With restarted,
// partitions that it is still noted to lead are led anew: a new process has a
// new leader epoch, so that what the old one did and this one does not know
// of, appended records and ISR changes asked for, is recognized as another
// history. It must be set for every new process.
func (p Policy) Unfenced(m *metadata.Image, broker int32, restarted bool) []record.PartitionChange {
	var out []record.PartitionChange
	for t, x := range m.HostedPartitions(broker) {
		if x.Leader != metadata.NoLeader && x.Leader != broker {
			continue
		}
		c := p.change(m, t, x)
		c.elect = restarted && x.Leader == broker
		if change, ok := c.finish(); ok {
			out = append(out, change)
		}
	}
	return out
}

// Settle returns the changes that are due in the state as it stands, at most
// max: fenced members leave ISRs, partitions without a leader get one,
// reassignments end. It finds what a controller that failed has left
// half-done, and is to be called by the next one; it walks all partitions.
func (p Policy) Settle(m *metadata.Image, max int) []record.PartitionChange {
	var out []record.PartitionChange
	for t, x := range m.AllPartitions() {
		if len(out) >= max {
			break
		}
		if change, ok := p.change(m, t, x).finish(); ok {
			out = append(out, change)
		}
	}
	return out
}

// SettlePartition is Settle for one partition.
func (p Policy) SettlePartition(m *metadata.Image, topic metadata.ID, index int32) (record.PartitionChange, bool) {
	t, x, err := lookUp(m, topic, index)
	if err != nil {
		return record.PartitionChange{}, false
	}
	return p.change(m, t, x).finish()
}

// Preferred returns the changes that give leadership back to the first replica
// of each partition of which that is in sync and active. At most max.
func (p Policy) Preferred(m *metadata.Image, max int) []record.PartitionChange {
	var out []record.PartitionChange
	for t, x := range m.AllPartitions() {
		if len(out) >= max {
			break
		}
		if x.Leader == x.Replicas[0] {
			continue
		}
		if c := p.change(m, t, x); c.prefer() {
			if change, ok := c.finish(); ok {
				out = append(out, change)
			}
		}
	}
	return out
}

// prefer makes the preferred replica the leader, if that can be.
func (c *change) prefer() bool {
	want := c.replicas[0]
	if !slices.Contains(c.isr, want) || !c.active(want) {
		return false
	}
	c.leader = want
	return true
}

// Election is what a client asks for with ElectLeaders.
type Election int8

// Kinds of elections, with the numbers of the protocol.
const (
	ElectPreferred Election = 0
	ElectUnclean   Election = 1
)

// Elect decides about an election that was asked for. ErrElectionNotNeeded
// says that the preferred replica leads, or for ElectUnclean that any does;
// ErrPreferredNotAvailable and ErrNoEligibleLeader that nobody can be elected.
func (p Policy) Elect(m *metadata.Image, topic metadata.ID, index int32, kind Election) (record.PartitionChange, error) {
	t, x, err := lookUp(m, topic, index)
	if err != nil {
		return record.PartitionChange{}, err
	}
	c := p.change(m, t, x)
	switch kind {
	case ElectPreferred:
		if x.Leader == x.Replicas[0] {
			return record.PartitionChange{}, fmt.Errorf("%w: topic=%s partition=%d leader=%d", ErrElectionNotNeeded, t.Name, index, x.Leader)
		}
		if !c.prefer() {
			return record.PartitionChange{}, fmt.Errorf("%w: topic=%s partition=%d preferred=%d isr=%v", ErrPreferredNotAvailable, t.Name, index, x.Replicas[0], x.ISR)
		}
	case ElectUnclean:
		if x.Leader != metadata.NoLeader {
			return record.PartitionChange{}, fmt.Errorf("%w: topic=%s partition=%d leader=%d", ErrElectionNotNeeded, t.Name, index, x.Leader)
		}
		c.unclean = true
	default:
		return record.PartitionChange{}, fmt.Errorf("%w: election type=%d", ErrInvalidRequest, kind)
	}
	change, _ := c.finish()
	if change.Leader == metadata.NoLeader {
		return record.PartitionChange{}, fmt.Errorf("%w: topic=%s partition=%d replicas=%v", ErrNoEligibleLeader, t.Name, index, x.Replicas)
	}
	return change, nil
}

// lookUp finds a partition.
func lookUp(m *metadata.Image, topic metadata.ID, index int32) (*metadata.Topic, *metadata.Partition, error) {
	t, ok := m.TopicByID(topic)
	if !ok {
		return nil, nil, fmt.Errorf("%w: id=%x", ErrUnknownTopic, topic)
	}
	x, ok := m.PartitionOf(t, index)
	if !ok {
		return nil, nil, fmt.Errorf("%w: topic=%s partition=%d", ErrUnknownPartition, t.Name, index)
	}
	return t, x, nil
}
