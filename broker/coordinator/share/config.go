package share

import (
	"fmt"
	"time"
)

// Config is what decides about the state of share partitions. The names in the comments
// are Kafka's keys.
type Config struct {
	// Partitions of __share_group_state: share.coordinator.state.topic.num.partitions.
	Partitions int32
	// UpdatesPerSnapshot is how many updates follow a snapshot before the next one:
	// share.coordinator.snapshot.update.records.per.snapshot.
	UpdatesPerSnapshot int
	// CommitTimeout: share.coordinator.write.timeout.ms.
	CommitTimeout time.Duration
	// PruneInterval is how often records of no more use are looked for:
	// share.coordinator.state.topic.prune.interval.ms.
	PruneInterval time.Duration
	// ColdInterval is the age at which a snapshot is written anew:
	// share.coordinator.cold.partition.snapshot.interval.ms.
	ColdInterval time.Duration
	// MaxSharePartitions bounds the share partitions of a shard. A group that reads a
	// thousand partitions takes as many, spread over all shards.
	MaxSharePartitions int
	// MaxBatches bounds the batches of one state. A share partition has at most 4000
	// records under way by Kafka's settings; a snapshot of as many batches as this, with
	// 20 bytes each, fits into one batch of the log.
	MaxBatches int
	// MaxShardBatches bounds the batches of all states of a shard, 24 bytes each in memory.
	MaxShardBatches int
}

// Defaults are Kafka's where Kafka has the setting.
func Defaults() Config {
	return Config{
		Partitions:         50,
		UpdatesPerSnapshot: 500,
		CommitTimeout:      5 * time.Second,
		PruneInterval:      5 * time.Minute,
		ColdInterval:       5 * time.Minute,
		MaxSharePartitions: 100_000,
		MaxBatches:         40_000,
		MaxShardBatches:    4 << 20,
	}
}

// Validate says what is wrong with c, if anything.
func (c *Config) Validate() error {
	switch {
	case c.Partitions < 1:
		return fmt.Errorf("share.coordinator.state.topic.num.partitions must be at least 1, value=%d", c.Partitions)
	case c.UpdatesPerSnapshot < 0 || c.UpdatesPerSnapshot > 500:
		return fmt.Errorf("share.coordinator.snapshot.update.records.per.snapshot must be between 0 and 500, value=%d", c.UpdatesPerSnapshot)
	case c.CommitTimeout <= 0 || c.PruneInterval <= 0 || c.ColdInterval <= 0:
		return fmt.Errorf("times of the share coordinator must be positive: share.coordinator.write.timeout.ms=%v share.coordinator.state.topic.prune.interval.ms=%v share.coordinator.cold.partition.snapshot.interval.ms=%v",
			c.CommitTimeout, c.PruneInterval, c.ColdInterval)
	case c.MaxSharePartitions < 1 || c.MaxBatches < 1 || c.MaxShardBatches < 1:
		return fmt.Errorf("bounds of the share coordinator must be positive: share partitions=%d batches=%d of a shard=%d", c.MaxSharePartitions, c.MaxBatches, c.MaxShardBatches)
	}
	return nil
}
