package group

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/tidelinehq/tideline/broker/coordinator/group/assignor"
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
	// Consumer is about groups of the consumer protocol.
	Consumer ConsumerConfig
	// Share groups.
	Share ShareConfig
	// Streams is about streams groups.
	Streams StreamsConfig
	// Override is a setting of one group, by Kafka's key, in place of the broker's; nil: there are none.
	Override func(group, key string) (value string, ok bool)
	// TombstonesPerBatch bounds the records of one step of a deletion; the rest follows.
	TombstonesPerBatch int
}

// ConsumerConfig is what decides about groups of the consumer protocol.
type ConsumerConfig struct {
	// SessionTimeout and HeartbeatInterval of a member: group.consumer.session.timeout.ms,
	// group.consumer.heartbeat.interval.ms, and for one group the same without "group.".
	SessionTimeout, HeartbeatInterval time.Duration
	// MinSessionTimeout and the others bound what a group may set for itself:
	// group.consumer.min.session.timeout.ms and so on.
	MinSessionTimeout, MaxSessionTimeout       time.Duration
	MinHeartbeatInterval, MaxHeartbeatInterval time.Duration
	// MaxSize bounds the members of a group: group.consumer.max.size.
	MaxSize int
	// Assignors that members may ask for, the first for those that do not: group.consumer.assignors.
	Assignors []string
	// Migration between the classic and the consumer protocol: group.consumer.migration.policy.
	Migration MigrationPolicy
	// Judged says that clients may not know of every topic. Then a regular expression
	// stands for topics that the member may know of whose request has it looked at.
	Judged bool
	// RegexRefreshInterval is how often regular expressions are looked at anew even if no
	// topic came or went: group.consumer.regex.refresh.interval.ms.
	RegexRefreshInterval time.Duration
	// MaxRegexes bounds the different regular expressions of a group.
	MaxRegexes int
	// MaxGroupBytes bounds what the members of a group say about themselves, together.
	MaxGroupBytes int
}

// ShareConfig is what decides about share groups.
type ShareConfig struct {
	// SessionTimeout and HeartbeatInterval of a member: group.share.session.timeout.ms,
	// group.share.heartbeat.interval.ms, and for one group the same without "group.".
	SessionTimeout, HeartbeatInterval time.Duration
	// MinSessionTimeout and the others bound what a group may set for itself:
	// group.share.min.session.timeout.ms and so on.
	MinSessionTimeout, MaxSessionTimeout       time.Duration
	MinHeartbeatInterval, MaxHeartbeatInterval time.Duration
	// MaxSize bounds the members of a group: group.share.max.size.
	MaxSize int
	// InitializeRetry is after how long the share coordinators are asked once more to begin
	// what was not heard of: group.share.initialize.retry.interval.ms.
	InitializeRetry time.Duration
}

// MigrationPolicy says which way a group with members may go from one protocol to the other.
type MigrationPolicy struct{ Upgrade, Downgrade bool }

// ParseMigrationPolicy reads Kafka's names; false if there is none of that name.
func ParseMigrationPolicy(name string) (p MigrationPolicy, ok bool) {
	switch strings.ToLower(name) {
	case "bidirectional":
		return MigrationPolicy{true, true}, true
	case "upgrade":
		return MigrationPolicy{Upgrade: true}, true
	case "downgrade":
		return MigrationPolicy{Downgrade: true}, true
	case "disabled":
		return MigrationPolicy{}, true
	}
	return p, false
}

// timeOf is a time that a group may have set for itself, in ms, within bounds.
func (c *Config) timeOf(group, key string, value, low, high time.Duration) time.Duration {
	if c.Override == nil {
		return value
	}
	text, ok := c.Override(group, key)
	if !ok {
		return value
	}
	ms, err := strconv.ParseInt(text, 10, 32)
	if err != nil {
		return value
	}
	return min(max(time.Duration(ms)*time.Millisecond, low), high)
}

// consumerSession is how long a member of the group may be silent.
func (c *Config) consumerSession(group string) time.Duration {
	return c.timeOf(group, "consumer.session.timeout.ms", c.Consumer.SessionTimeout, c.Consumer.MinSessionTimeout, c.Consumer.MaxSessionTimeout)
}

// consumerHeartbeat is how often a member of the group is to be heard of.
func (c *Config) consumerHeartbeat(group string) time.Duration {
	return c.timeOf(group, "consumer.heartbeat.interval.ms", c.Consumer.HeartbeatInterval, c.Consumer.MinHeartbeatInterval, c.Consumer.MaxHeartbeatInterval)
}

// shareSession is how long a member of the share group may be silent.
func (c *Config) shareSession(group string) time.Duration {
	return c.timeOf(group, "share.session.timeout.ms", c.Share.SessionTimeout, c.Share.MinSessionTimeout, c.Share.MaxSessionTimeout)
}

// shareHeartbeat is how often a member of the share group is to be heard of.
func (c *Config) shareHeartbeat(group string) time.Duration {
	return c.timeOf(group, "share.heartbeat.interval.ms", c.Share.HeartbeatInterval, c.Share.MinHeartbeatInterval, c.Share.MaxHeartbeatInterval)
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
		Share: ShareConfig{
			SessionTimeout:       45 * time.Second,
			HeartbeatInterval:    5 * time.Second,
			MinSessionTimeout:    45 * time.Second,
			MaxSessionTimeout:    time.Minute,
			MinHeartbeatInterval: 5 * time.Second,
			MaxHeartbeatInterval: 15 * time.Second,
			MaxSize:              200,
			InitializeRetry:      30 * time.Second,
		},
		Consumer: ConsumerConfig{
			SessionTimeout:       45 * time.Second,
			HeartbeatInterval:    5 * time.Second,
			MinSessionTimeout:    45 * time.Second,
			MaxSessionTimeout:    time.Minute,
			MinHeartbeatInterval: 5 * time.Second,
			MaxHeartbeatInterval: 15 * time.Second,
			MaxSize:              10_000,
			Assignors:            []string{assignor.NameUniform, assignor.NameRange},
			Migration:            MigrationPolicy{Upgrade: true, Downgrade: true},
			RegexRefreshInterval: 10 * time.Minute,
			MaxRegexes:           100,
			MaxGroupBytes:        32 << 20,
		},
		Streams: streamsDefaults(),
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
	return c.Consumer.validate()
}

func (c *ConsumerConfig) validate() error {
	switch {
	case c.MinSessionTimeout <= 0 || c.SessionTimeout < c.MinSessionTimeout || c.SessionTimeout > c.MaxSessionTimeout:
		return fmt.Errorf("group.consumer.session.timeout.ms must be within its bounds, values=%v,%v,%v", c.MinSessionTimeout, c.SessionTimeout, c.MaxSessionTimeout)
	case c.MinHeartbeatInterval <= 0 || c.HeartbeatInterval < c.MinHeartbeatInterval || c.HeartbeatInterval > c.MaxHeartbeatInterval:
		return fmt.Errorf("group.consumer.heartbeat.interval.ms must be within its bounds, values=%v,%v,%v", c.MinHeartbeatInterval, c.HeartbeatInterval, c.MaxHeartbeatInterval)
	case c.HeartbeatInterval >= c.SessionTimeout:
		return fmt.Errorf("group.consumer.heartbeat.interval.ms must be less than group.consumer.session.timeout.ms, values=%v,%v", c.HeartbeatInterval, c.SessionTimeout)
	case c.MaxSize < 1 || c.MaxRegexes < 1 || c.MaxGroupBytes < 1 || c.RegexRefreshInterval <= 0:
		return fmt.Errorf("bounds of consumer groups must be positive: group.consumer.max.size=%d regular expressions=%d bytes=%d group.consumer.regex.refresh.interval.ms=%v", c.MaxSize, c.MaxRegexes, c.MaxGroupBytes, c.RegexRefreshInterval)
	case len(c.Assignors) == 0:
		return fmt.Errorf("group.consumer.assignors must name one at least")
	}
	for _, name := range c.Assignors {
		if assignor.ByName(name) == nil {
			return fmt.Errorf("unknown assignor in group.consumer.assignors: name=%q", name)
		}
	}
	return nil
}
