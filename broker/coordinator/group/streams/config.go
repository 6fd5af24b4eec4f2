package streams

import (
	"strconv"
	"time"
)

// Config is what a group is coordinated by: the settings of the broker, and where the group
// has settings of its own, those.
type Config struct {
	SessionTimeout        time.Duration // streams.session.timeout.ms
	HeartbeatInterval     time.Duration // streams.heartbeat.interval.ms
	StandbyReplicas       int           // streams.num.standby.replicas
	InitialRebalanceDelay time.Duration // streams.initial.rebalance.delay.ms
	AssignmentInterval    time.Duration // streams.assignment.interval.ms
	MaxSize               int           // group.streams.max.size
	Limits                Limits
}

// Limits bound what a group may be made of. A decision is one batch of records, so the
// limits keep a group from becoming one that cannot be decided about.
type Limits struct {
	// MemberBytes bounds the record of a member, without its tasks.
	MemberBytes int
	// TopologyBytes bounds the record of a topology.
	TopologyBytes int
	// GroupBytes bounds what the ids of a group and of all its members take in the records
	// of one assignment.
	GroupBytes int
	// Tasks bounds the tasks of a topology.
	Tasks int
}

// memberRecordBytes is what the record of a member's target takes beside ids and tasks.
const memberRecordBytes = 70

// DefaultConfig is that of Kafka, and limits that no application known to us comes near.
func DefaultConfig() Config {
	return Config{
		SessionTimeout: 45 * time.Second, HeartbeatInterval: 5 * time.Second,
		InitialRebalanceDelay: 3 * time.Second, AssignmentInterval: time.Second, MaxSize: 10_000,
		Limits: Limits{MemberBytes: 64 << 10, TopologyBytes: 512 << 10, GroupBytes: 512 << 10, Tasks: 10_000},
	}
}

// assignmentConfigs are the settings that a target depends on, as the record has them.
func (c *Config) assignmentConfigs() []KeyValue {
	return []KeyValue{{"num.standby.replicas", strconv.Itoa(c.StandbyReplicas)}}
}

// standbys reads the settings of a group back.
func standbys(configs []KeyValue) int {
	for _, kv := range configs {
		if kv.Key == "num.standby.replicas" {
			if n, err := strconv.Atoi(kv.Value); err == nil {
				return max(n, 0)
			}
		}
	}
	return 0
}
