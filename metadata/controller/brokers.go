package controller

import (
	"fmt"
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
	// LostLog says that the broker's disk is new, or that its log was found
	// damaged: records that it acknowledged may be missing. A log that was
	// whole as far as it was synced has lost nothing.
	LostLog bool
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
		ID: r.ID, Incarnation: r.Incarnation, Rack: r.Rack, Endpoints: r.Endpoints, Features: r.Features, LostLog: r.LostLog,
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
