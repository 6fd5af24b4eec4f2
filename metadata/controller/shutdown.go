package controller

import (
	"fmt"
	"slices"

	"github.com/tidelinehq/tideline/metadata"
	"github.com/tidelinehq/tideline/metadata/record"
)

// Shutdown returns the next changes of a broker's controlled shutdown, after
// record.ShutdownBroker was applied. First what it leads goes to others, while
// it still is a follower that is in sync; when that is done it leaves the ISRs
// in which others remain. Partitions for which nobody else is eligible stay
// with it to the end. done says that nothing is left to change.
func (p Policy) Shutdown(m *metadata.Image, broker int32) (changes []record.PartitionChange, done bool) {
	for t, x := range m.LedPartitions(broker) {
		c := p.change(m, t, x)
		if change, ok := c.finish(); ok && change.Leader != broker {
			changes = append(changes, change)
		}
	}
	if len(changes) > 0 {
		return changes, false
	}
	for t, x := range m.HostedPartitions(broker) {
		if x.Leader == broker || x.Leader == metadata.NoLeader || !slices.Contains(x.ISR, broker) {
			continue
		}
		c := p.change(m, t, x)
		c.isr = without(c.isr, broker)
		if change, ok := c.finish(); ok {
			changes = append(changes, change)
		}
	}
	return changes, len(changes) == 0
}

// Decommission decides whether a broker may begin to drain: the others in
// service must be enough for every partition that it has.
func Decommission(m *metadata.Image, broker int32) (*record.DrainBroker, error) {
	if _, ok := m.Broker(broker); !ok {
		return nil, fmt.Errorf("%w: id=%d", ErrUnknownBroker, broker)
	}
	others := 0
	for b := range m.Brokers() {
		if b.ID != broker && !b.Fenced && !b.Draining {
			others++
		}
	}
	for t, x := range m.HostedPartitions(broker) {
		if n := len(target(x)); n > others {
			return nil, fmt.Errorf("%w: topic=%s partition=%d replicas=%d other brokers=%d", ErrInvalidReplicationFactor, t.Name, x.Index, n, others)
		}
	}
	return &record.DrainBroker{ID: broker, Draining: true}, nil
}

// Recommission calls a decommissioning off.
func Recommission(m *metadata.Image, broker int32) (*record.DrainBroker, error) {
	if _, ok := m.Broker(broker); !ok {
		return nil, fmt.Errorf("%w: id=%d", ErrUnknownBroker, broker)
	}
	return &record.DrainBroker{ID: broker}, nil
}

// Remove decides whether a broker can be forgotten: it is fenced, and has no
// replica any more. due is when objects of uploads that it left open may be
// deleted, in Unix milliseconds.
func Remove(m *metadata.Image, broker int32, due int64) (*record.RemoveBroker, error) {
	b, ok := m.Broker(broker)
	switch {
	case !ok:
		return nil, fmt.Errorf("%w: id=%d", ErrUnknownBroker, broker)
	case m.HostedCount(broker) > 0:
		return nil, fmt.Errorf("%w: id=%d replicas=%d", ErrBrokerInUse, broker, m.HostedCount(broker))
	case !b.Fenced:
		return nil, fmt.Errorf("%w: id=%d fenced=false", ErrBrokerInUse, broker)
	}
	return &record.RemoveBroker{ID: broker, Due: due}, nil
}
