package group

import (
	"strconv"
	"time"

	"github.com/tidelinehq/tideline/broker/coordinator/group/streams"
)

// StreamsConfig is what decides about streams groups.
type StreamsConfig struct {
	// Config is that of a group which sets nothing for itself: group.streams.session.timeout.ms,
	// group.streams.heartbeat.interval.ms and so on, and for one group the same
	// without "group.".
	streams.Config
	// MinSessionTimeout and the others bound what a group may set for itself:
	// group.streams.min.session.timeout.ms and so on.
	MinSessionTimeout, MaxSessionTimeout         time.Duration
	MinHeartbeatInterval, MaxHeartbeatInterval   time.Duration
	MinAssignmentInterval, MaxAssignmentInterval time.Duration
	// MaxStandbyReplicas likewise: group.streams.max.standby.replicas.
	MaxStandbyReplicas int
}

func streamsDefaults() StreamsConfig {
	return StreamsConfig{
		Config:                streams.DefaultConfig(),
		MinSessionTimeout:     45 * time.Second,
		MaxSessionTimeout:     time.Minute,
		MinHeartbeatInterval:  5 * time.Second,
		MaxHeartbeatInterval:  15 * time.Second,
		MaxAssignmentInterval: 15 * time.Second,
		MaxStandbyReplicas:    2,
	}
}

// longestDelay bounds the initial rebalance delay that a group sets for itself, for which
// Kafka has no setting: its members wait for their first tasks meanwhile.
const longestDelay = time.Hour

// streamsConfig is what decides about one group.
func (c *Config) streamsConfig(group string) streams.Config {
	s := &c.Streams
	out := s.Config
	out.SessionTimeout = c.timeOf(group, "streams.session.timeout.ms", s.SessionTimeout, s.MinSessionTimeout, s.MaxSessionTimeout)
	out.HeartbeatInterval = c.timeOf(group, "streams.heartbeat.interval.ms", s.HeartbeatInterval, s.MinHeartbeatInterval, s.MaxHeartbeatInterval)
	out.InitialRebalanceDelay = c.timeOf(group, "streams.initial.rebalance.delay.ms", s.InitialRebalanceDelay, 0, longestDelay)
	out.AssignmentInterval = c.timeOf(group, "streams.assignment.interval.ms", s.AssignmentInterval, s.MinAssignmentInterval, s.MaxAssignmentInterval)
	if c.Override != nil {
		if text, ok := c.Override(group, "streams.num.standby.replicas"); ok {
			if n, err := strconv.Atoi(text); err == nil {
				out.StandbyReplicas = min(max(n, 0), s.MaxStandbyReplicas)
			}
		}
	}
	return out
}
