package share

import "time"

// Settings are what a group may decide about its share partitions.
type Settings struct {
	Limits
	// ReadCommitted hides the records of open and aborted transactions
	// (share.isolation.level).
	ReadCommitted bool
	// Reset is where a group begins (share.auto.offset.reset).
	Reset Reset
	// NoRenew refuses acknowledgements that extend a lock
	// (share.renew.acknowledge.enable=false).
	NoRenew bool
}

// DefaultSettings are Apache Kafka's.
func DefaultSettings() Settings {
	return Settings{Limits: DefaultLimits(), Reset: Reset{At: ResetLatest}}
}

// Reset is where a group begins in a partition.
type Reset struct {
	At ResetAt
	// Back is how far back from now, for ResetDuration.
	Back time.Duration
}

// ResetAt is a kind of Reset.
type ResetAt uint8

// The kinds of Reset.
const (
	ResetLatest ResetAt = iota
	ResetEarliest
	ResetDuration
)
