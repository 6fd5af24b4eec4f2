package controller

import (
	"fmt"
	"slices"
	"time"

	"github.com/tidelinehq/tideline/metadata"
	"github.com/tidelinehq/tideline/metadata/record"
)

// ProducerIDBlock is how many producer ids a broker takes at once.
const ProducerIDBlock = 1000

// Registration announces a broker process.
type Registration struct {
	ID          int32
	Incarnation metadata.ID // random, of the process
	Rack        string
	Endpoints   []record.Endpoint
	Features    []record.FeatureRange
	// Alone says that the group is this broker only: whoever has its data
	// directory is the broker, and the older incarnation can not be alive.
	Alone bool
}

// Register decides about a broker. While another incarnation of the same id is
// in service, that is unfenced, the newcomer is refused: two processes with
// one id would fight. The controller fences a broker whose heartbeats stop.
// grace is how long objects of uploads that the older incarnation left open
// are kept.
func Register(m *metadata.Image, r *Registration, now time.Time, grace time.Duration) (*record.RegisterBroker, error) {
	if r.ID < 0 || r.Incarnation == (metadata.ID{}) {
		return nil, fmt.Errorf("%w: broker=%d", ErrInvalidRequest, r.ID)
	}
	if b, ok := m.Broker(r.ID); ok && b.Incarnation != r.Incarnation && !b.Fenced && !r.Alone {
		return nil, fmt.Errorf("%w: broker=%d incarnation=%x", ErrDuplicateBroker, r.ID, b.Incarnation)
	}
	return &record.RegisterBroker{
		ID: r.ID, Incarnation: r.Incarnation, Rack: r.Rack, Endpoints: r.Endpoints, Features: r.Features,
		Due: now.Add(grace).UnixMilli(),
	}, nil
}

// AllocateProducerIDs decides about a block of producer ids for a broker.
func AllocateProducerIDs(m *metadata.Image, broker int32) (*record.AllocateProducerIDs, error) {
	b, ok := m.Broker(broker)
	if !ok {
		return nil, fmt.Errorf("%w: id=%d", ErrUnknownBroker, broker)
	}
	return &record.AllocateProducerIDs{Broker: broker, BrokerEpoch: b.Epoch, Count: ProducerIDBlock}, nil
}

// Fenced returns the changes that a broker going out of service causes: it
// leaves the ISRs in which others remain, and what it led goes to the first
// replica in the ISR that is in service. A partition whose ISR is the broker
// alone keeps it, and has no leader until it is back: any other replica might
// lack acknowledged records.
func Fenced(m *metadata.Image, broker int32) []record.PartitionChange {
	var out []record.PartitionChange
	for _, p := range m.HostedPartitions(broker) {
		if !slices.Contains(p.ISR, broker) {
			continue
		}
		c := record.PartitionChange{Topic: p.Topic, Partition: p.Index, PartitionEpoch: p.PartitionEpoch, Leader: p.Leader}
		if len(p.ISR) > 1 {
			c.ISR = without(p.ISR, broker)
		}
		if p.Leader == broker {
			c.Leader = firstLive(m, p.Replicas, c.ISR, broker)
		}
		if c.ISR != nil || c.Leader != p.Leader {
			out = append(out, c)
		}
	}
	return out
}

// Unfenced returns the changes that a broker coming into service causes:
// partitions without a leader get it, if it is in their ISR. With restarted,
// partitions that it is still noted to lead are led anew: a new process has a
// new leader epoch, so that what the old one did and this one does not know
// of is recognized as another history.
func Unfenced(m *metadata.Image, broker int32, restarted bool) []record.PartitionChange {
	var out []record.PartitionChange
	for _, p := range m.HostedPartitions(broker) {
		if !slices.Contains(p.ISR, broker) || p.Leader != metadata.NoLeader && !(restarted && p.Leader == broker) {
			continue
		}
		out = append(out, record.PartitionChange{
			Topic: p.Topic, Partition: p.Index, PartitionEpoch: p.PartitionEpoch, Leader: broker, Elect: true,
		})
	}
	return out
}

// Preferred returns the changes that give leadership back to the first replica
// of each partition of which that is in sync and in service. At most max.
func Preferred(m *metadata.Image, max int) []record.PartitionChange {
	var out []record.PartitionChange
	for _, p := range m.AllPartitions() {
		if len(out) >= max {
			break
		}
		want := p.Replicas[0]
		if p.Leader == want || !slices.Contains(p.ISR, want) || !live(m, want) {
			continue
		}
		out = append(out, record.PartitionChange{Topic: p.Topic, Partition: p.Index, PartitionEpoch: p.PartitionEpoch, Leader: want})
	}
	return out
}

func firstLive(m *metadata.Image, replicas, isr []int32, not int32) int32 {
	for _, b := range replicas {
		if b != not && slices.Contains(isr, b) && live(m, b) {
			return b
		}
	}
	return metadata.NoLeader
}

func live(m *metadata.Image, broker int32) bool {
	b, ok := m.Broker(broker)
	return ok && !b.Fenced
}

func without(list []int32, v int32) []int32 {
	return slices.DeleteFunc(slices.Clone(list), func(x int32) bool { return x == v })
}
