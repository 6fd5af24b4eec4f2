package group

import (
	"fmt"
	"time"
)

// Config is what decides about groups. The names in the comments are Kafka's keys.
type Config struct {
	// Partitions of __consumer_offsets: offsets.topic.num.partitions.
	Partitions int32
	// MinSessionTimeout and MaxSessionTimeout bound what a member may ask for:
	// group.min.session.timeout.ms, group.max.session.timeout.ms.
	MinSessionTimeout, MaxSessionTimeout time.Duration
	// InitialRebalanceDelay is how long an empty group waits for more members
	// after its first: group.initial.rebalance.delay.ms. 0: not at all.
	InitialRebalanceDelay time.Duration
	// NewMemberJoinTimeout is how long the first join of a member, which knows
	// no member id yet and so cannot send heartbeats, may stay parked.
	NewMemberJoinTimeout time.Duration
	// MaxSize bounds the members of a group, and apart from them the member ids
	// handed out and not yet used: group.max.size.
	MaxSize int
	// MaxGroups bounds the groups of one partition.
	MaxGroups int
	// MaxMemberBytes bounds the protocol metadata of one member.
	MaxMemberBytes int
	// OffsetMetadataMaxSize bounds the metadata string of a committed offset, in
	// UTF-16 code units as Kafka counts: offset.metadata.max.bytes.
	OffsetMetadataMaxSize int
	// OffsetsRetention is how long the offsets of an empty group, or of topics
	// that a group no longer subscribes to, are kept: offsets.retention.minutes.
	OffsetsRetention time.Duration
	// OffsetsRetentionCheckInterval: offsets.retention.check.interval.ms.
	OffsetsRetentionCheckInterval time.Duration
	// CommitTimeout: offsets.commit.timeout.ms.
	CommitTimeout time.Duration
	// TombstonesPerBatch bounds the records of one step of a deletion; the rest follows.
	TombstonesPerBatch int
}

// Defaults are Kafka's where Kafka has the setting, except MaxSize, which has
// no bound there.
func Defaults() Config {
	return Config{
		Partitions:                    50,
		MinSessionTimeout:             6 * time.Second,
		MaxSessionTimeout:             30 * time.Minute,
		InitialRebalanceDelay:         3 * time.Second,
		NewMemberJoinTimeout:          5 * time.Minute,
		MaxSize:                       10_000,
		MaxGroups:                     100_000,
		MaxMemberBytes:                256 << 10,
		OffsetMetadataMaxSize:         4096,
		OffsetsRetention:              7 * 24 * time.Hour,
		OffsetsRetentionCheckInterval: 10 * time.Minute,
		CommitTimeout:                 5 * time.Second,
		TombstonesPerBatch:            1000,
	}
}

// Validate says what is wrong with c, if anything.
func (c *Config) Validate() error {
	switch {
	case c.Partitions < 1:
		return fmt.Errorf("offsets.topic.num.partitions must be at least 1, value=%d", c.Partitions)
	case c.MinSessionTimeout <= 0 || c.MaxSessionTimeout < c.MinSessionTimeout:
		return fmt.Errorf("group.min.session.timeout.ms must be positive and not above group.max.session.timeout.ms, values=%v,%v", c.MinSessionTimeout, c.MaxSessionTimeout)
	case c.InitialRebalanceDelay < 0:
		return fmt.Errorf("group.initial.rebalance.delay.ms must not be negative, value=%v", c.InitialRebalanceDelay)
	case c.MaxSize < 1 || c.MaxGroups < 1 || c.MaxMemberBytes < 1 || c.OffsetMetadataMaxSize < 0:
		return fmt.Errorf("bounds of groups must be positive: group.max.size=%d groups=%d member bytes=%d offset.metadata.max.bytes=%d", c.MaxSize, c.MaxGroups, c.MaxMemberBytes, c.OffsetMetadataMaxSize)
	case c.OffsetsRetention <= 0 || c.OffsetsRetentionCheckInterval <= 0 || c.CommitTimeout <= 0 || c.NewMemberJoinTimeout <= 0:
		return fmt.Errorf("times of groups must be positive: offsets.retention.minutes=%v offsets.retention.check.interval.ms=%v offsets.commit.timeout.ms=%v new member join timeout=%v",
			c.OffsetsRetention, c.OffsetsRetentionCheckInterval, c.CommitTimeout, c.NewMemberJoinTimeout)
	case c.TombstonesPerBatch < 1:
		return fmt.Errorf("tombstones per batch must be at least 1, value=%d", c.TombstonesPerBatch)
	}
	return nil
}
