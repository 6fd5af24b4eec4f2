package share

import "time"

// Limits are the settings of a group that the state of a share partition obeys.
type Limits struct {
	// Deliveries is how often a record is delivered at most (share.delivery.count.limit).
	Deliveries int16
	// RecordLocks bounds the offsets from the start offset to the end offset
	// (share.partition.max.record.locks). An offset takes a span at most, so it bounds
	// the memory, too.
	RecordLocks int
	// LockDuration is how long acquired records are locked (share.record.lock.duration.ms).
	LockDuration time.Duration
}

// DefaultLimits are Apache Kafka's.
func DefaultLimits() Limits {
	return Limits{Deliveries: 5, RecordLocks: 2000, LockDuration: 30 * time.Second}
}

// isolateFrom is the delivery count from which records are delivered in ever smaller
// parts, so that one that kills its consumers does not use up the deliveries of all
// that were fetched with it.
func (l Limits) isolateFrom() int16 { return max(2, (l.Deliveries+1)/2) }
