package config

import (
	"fmt"
	"math"
	"reflect"
)

// NoLimit is the value of retentions that have no bound.
const NoLimit = -1

// TopicConfig is the settings of one topic, typed. Times are milliseconds, as in
// the protocol; sizes are bytes.
type TopicConfig struct {
	CleanupPolicy        []string `topic:"cleanup.policy"`
	Delete               bool     // cleanup.policy has delete
	Compact              bool     // cleanup.policy has compact
	RetentionMS          int64    `topic:"retention.ms"`          // NoLimit: for ever
	RetentionBytes       int64    `topic:"retention.bytes"`       // NoLimit: no bound
	LocalRetentionMS     int64    `topic:"local.retention.ms"`    // resolved: -2 became RetentionMS
	LocalRetentionBytes  int64    `topic:"local.retention.bytes"` // resolved: -2 became RetentionBytes
	MaxMessageBytes      int32    `topic:"max.message.bytes"`
	MinInsyncReplicas    int32    `topic:"min.insync.replicas"`
	UncleanElection      bool     `topic:"unclean.leader.election.enable"`
	TimestampType        string   `topic:"message.timestamp.type"`
	LogAppendTime        bool     // message.timestamp.type is LogAppendTime
	TimestampBeforeMaxMS int64    `topic:"message.timestamp.before.max.ms"`
	TimestampAfterMaxMS  int64    `topic:"message.timestamp.after.max.ms"`
	CompressionType      string   `topic:"compression.type"`
	GzipLevel            int32    `topic:"compression.gzip.level"`
	LZ4Level             int32    `topic:"compression.lz4.level"`
	ZstdLevel            int32    `topic:"compression.zstd.level"`
	LeaderThrottled      []string `topic:"leader.replication.throttled.replicas"`
	FollowerThrottled    []string `topic:"follower.replication.throttled.replicas"`
	DeleteRetentionMS    int64    `topic:"delete.retention.ms"`
	MinCleanableRatio    float64  `topic:"min.cleanable.dirty.ratio"`
	MinCompactionLagMS   int64    `topic:"min.compaction.lag.ms"`
	MaxCompactionLagMS   int64    `topic:"max.compaction.lag.ms"`
	SegmentBytes         int32    `topic:"segment.bytes"`
	SegmentMS            int64    `topic:"segment.ms"`
}

// Topic resolves the settings of a topic from its overrides and this broker's
// defaults. It never fails: an override that this release does not know or does
// not allow is passed over, because a partition must be opened whatever another
// release wrote. ignored names such keys, in order, for the log.
func (c *Config) Topic(overrides map[string]string) (t TopicConfig, ignored []string) {
	for _, key := range sortedKeys(overrides) {
		if _, err := topicValue(key, overrides[key]); err != nil {
			ignored = append(ignored, key)
		}
	}
	bindFields(reflect.ValueOf(&t).Elem(), "topic", func(key string) string {
		return c.topicText(key, overrides)
	})
	for _, policy := range t.CleanupPolicy {
		t.Delete = t.Delete || policy == "delete"
		t.Compact = t.Compact || policy == "compact"
	}
	t.LogAppendTime = t.TimestampType == "LogAppendTime"
	t.LocalRetentionMS = localRetention(t.LocalRetentionMS, t.RetentionMS)
	t.LocalRetentionBytes = localRetention(t.LocalRetentionBytes, t.RetentionBytes)
	return t, ignored
}

// localRetention resolves -2, and holds the local retention below the whole one:
// a default of the broker may be longer than an override of the topic.
func localRetention(local, whole int64) int64 {
	if local == -2 || bound(local) > bound(whole) {
		return whole
	}
	return local
}

// bound turns NoLimit into the greatest number, so that limits can be compared.
func bound(limit int64) int64 {
	if limit == NoLimit {
		return math.MaxInt64
	}
	return limit
}

// topicValue returns the canonical text of an override.
func topicValue(key, text string) (string, error) {
	s, known := byTopicKey[key]
	if !known {
		e := &Error{Key: key, Value: text, Unknown: true, Nearest: nearest(key, byTopicKey)}
		if b, ok := byBrokerKey[key]; ok && b.TopicKey != "" {
			e.Nearest, e.Allowed = "", "it belongs to a broker; the topic's key is "+b.TopicKey
		}
		return "", e
	}
	canonical, err := s.canonical(text, false)
	if err != nil {
		return "", s.refuse(key, text, "", false)
	}
	return canonical, nil
}

// CanonicalTopicValue checks one override and returns the form in which it is
// kept and described. The error is an *Error.
func CanonicalTopicValue(key, text string) (string, error) { return topicValue(key, text) }

// ValidateTopic checks the overrides with which a topic would be created or left
// by an alteration, one by one and in combination. The error is an Errors.
func (c *Config) ValidateTopic(overrides map[string]string) error {
	var faults Errors
	for _, key := range sortedKeys(overrides) {
		if _, err := topicValue(key, overrides[key]); err != nil {
			faults = append(faults, err.(*Error)) //nolint:errorlint,forcetypeassert // topicValue returns no other
		}
	}
	if len(faults) > 0 {
		return faults
	}
	var t TopicConfig
	bindFields(reflect.ValueOf(&t).Elem(), "topic", func(key string) string {
		return c.topicText(key, overrides)
	})
	exceeds := func(key string, value int64, limitKey string, limit int64) {
		_, own := overrides[key]
		_, ownLimit := overrides[limitKey]
		if (own || ownLimit) && value > limit {
			faults = append(faults, &Error{Key: key, Value: fmt.Sprint(value), Allowed: fmt.Sprintf("it must not exceed %s=%d", limitKey, limit)})
		}
	}
	if t.LocalRetentionMS != -2 {
		exceeds("local.retention.ms", bound(t.LocalRetentionMS), "retention.ms", bound(t.RetentionMS))
	}
	if t.LocalRetentionBytes != -2 {
		exceeds("local.retention.bytes", bound(t.LocalRetentionBytes), "retention.bytes", bound(t.RetentionBytes))
	}
	exceeds("min.compaction.lag.ms", t.MinCompactionLagMS, "max.compaction.lag.ms", t.MaxCompactionLagMS)
	exceeds("max.message.bytes", int64(t.MaxMessageBytes), "socket.request.max.bytes", int64(c.SocketRequestMaxBytes))
	return faults.orNil()
}
