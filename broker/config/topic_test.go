package config

import (
	"errors"
	"math"
	"slices"
	"strings"
	"testing"
)

func TestTopicResolution(t *testing.T) {
	c := load(t, Sources{Set: []string{"log.retention.ms=1000", "log.local.retention.ms=900", "compression.type=zstd"}})
	topic, ignored := c.Topic(map[string]string{
		"cleanup.policy": "compact, delete", "max.message.bytes": "77", "from.the.future": "1", "min.insync.replicas": "0",
		"message.timestamp.type": "LogAppendTime", "retention.ms": "500",
	})
	if !topic.Compact || !topic.Delete || !topic.LogAppendTime || topic.MaxMessageBytes != 77 || topic.CompressionType != "zstd" {
		t.Errorf("%+v", topic)
	}
	if topic.RetentionMS != 500 || topic.LocalRetentionMS != 500 || topic.LocalRetentionBytes != NoLimit {
		t.Errorf("retention %d, local %d ms and %d bytes", topic.RetentionMS, topic.LocalRetentionMS, topic.LocalRetentionBytes)
	}
	if topic.MinInsyncReplicas != 1 || !slices.Equal(ignored, []string{"from.the.future", "min.insync.replicas"}) {
		t.Errorf("min.insync.replicas %d, ignored %v", topic.MinInsyncReplicas, ignored)
	}
	if topic.MaxCompactionLagMS != math.MaxInt64 || topic.MinCleanableRatio != 0.5 {
		t.Errorf("%+v", topic)
	}
}

func TestValidateTopic(t *testing.T) {
	c := load(t, Sources{})
	for name, test := range map[string]struct {
		overrides map[string]string
		want      string // empty: allowed
	}{
		"nothing":          {nil, ""},
		"good":             {map[string]string{"retention.ms": "-1", "local.retention.ms": "60000", "cleanup.policy": "compact"}, ""},
		"unknown":          {map[string]string{"retention.mss": "1"}, "did you mean retention.ms?"},
		"broker's key":     {map[string]string{"log.retention.ms": "1"}, "the topic's key is retention.ms"},
		"bad value":        {map[string]string{"cleanup.policy": "shred"}, "delete, compact"},
		"empty policy":     {map[string]string{"cleanup.policy": ""}, ""},
		"no units":         {map[string]string{"max.message.bytes": "1MiB"}, "whole number"},
		"untiered":         {map[string]string{"remote.storage.enable": "false"}, "one of true"},
		"local above all":  {map[string]string{"retention.ms": "10", "local.retention.ms": "11"}, "must not exceed retention.ms=10"},
		"local for ever":   {map[string]string{"local.retention.ms": "-1"}, "must not exceed retention.ms"},
		"bytes":            {map[string]string{"retention.bytes": "10", "local.retention.bytes": "11"}, "must not exceed retention.bytes=10"},
		"lags":             {map[string]string{"min.compaction.lag.ms": "10", "max.compaction.lag.ms": "9"}, "must not exceed max.compaction.lag.ms=9"},
		"over the request": {map[string]string{"max.message.bytes": "2147483647"}, "socket.request.max.bytes"},
	} {
		t.Run(name, func(t *testing.T) {
			err := c.ValidateTopic(test.overrides)
			switch {
			case test.want == "" && err != nil:
				t.Error(err)
			case test.want != "" && err == nil:
				t.Error("allowed")
			case test.want != "" && (!errors.Is(err, ErrInvalid) || !strings.Contains(err.Error(), test.want)):
				t.Errorf("%q lacks %q", err, test.want)
			}
		})
	}
}

func entry(t *testing.T, entries []Entry, name string) Entry {
	t.Helper()
	for _, e := range entries {
		if e.Name == name {
			return e
		}
	}
	t.Fatalf("no entry %s", name)
	return Entry{}
}

func TestTopicEntries(t *testing.T) {
	c := load(t, Sources{Preset: map[string]string{"log.retention.hours": "1"}, Set: []string{"log.retention.hours=2"}})
	e := entry(t, c.TopicEntries(map[string]string{"retention.ms": "5"}), "retention.ms")
	want := []Synonym{
		{"retention.ms", "5", SourceTopic},
		{"log.retention.hours", "2", SourceStaticBroker},
		{"log.retention.ms", "604800000", SourceDefault},
	}
	if e.Source != SourceTopic || e.Value != "5" || !slices.Equal(e.Synonyms, want) {
		t.Errorf("%+v", e)
	}
	e = entry(t, c.TopicEntries(nil), "retention.ms")
	if e.Source != SourceStaticBroker || e.Value != "7200000" {
		t.Errorf("from the broker: %+v", e)
	}
	e = entry(t, c.TopicEntries(nil), "remote.storage.enable")
	if e.Source != SourceDefault || e.Value != "true" || e.Null {
		t.Errorf("topic's own default: %+v", e)
	}
	e = entry(t, c.TopicEntries(nil), "leader.replication.throttled.replicas")
	if e.Null || e.Value != "" {
		t.Errorf("an empty list is no null: %+v", e)
	}
}

func TestDynamic(t *testing.T) {
	c := load(t, Sources{Set: []string{"num.partitions=2"}})
	d, err := c.WithDynamic(
		map[string]string{"num.partitions": "3", "log.retention.ms": "9", "node.id": "9", "from.the.future": "1", "tier.roll.ms": "x"},
		map[string]string{"max.connections": "10", "num.partitions": "4", "min.insync.replicas": "4"})
	if err != nil {
		t.Fatal(err)
	}
	if d.NumPartitions != 4 || d.MaxConnections != 10 || d.NodeID != 1 || c.NumPartitions != 2 {
		t.Errorf("partitions %d (was %d), connections %d, node %d", d.NumPartitions, c.NumPartitions, d.MaxConnections, d.NodeID)
	}
	e := entry(t, d.Entries(), "num.partitions")
	want := []Synonym{{"num.partitions", "4", SourceDynamicBroker}, {"num.partitions", "3", SourceDynamicDefaultBroker}, {"num.partitions", "2", SourceStaticBroker}, {"num.partitions", "1", SourceDefault}}
	if e.Source != SourceDynamicBroker || !slices.Equal(e.Synonyms, want) {
		t.Errorf("%+v", e)
	}
	topic, _ := d.Topic(nil)
	if topic.RetentionMS != 9 || topic.MinInsyncReplicas != 1 {
		t.Errorf("topic default %d", topic.RetentionMS)
	}
	if d, err = d.WithDynamic(nil, nil); err != nil || d.NumPartitions != 2 {
		t.Errorf("layers were not replaced: %d, %v", d.NumPartitions, err)
	}
	for _, bad := range []struct {
		key, value string
		own        bool
	}{{"node.id", "1", false}, {"min.insync.replicas", "1", true}, {"num.partitions", "x", false}, {"nope", "1", false}} {
		if err := ValidateDynamic(bad.key, bad.value, bad.own); !errors.Is(err, ErrInvalid) {
			t.Errorf("%+v: %v", bad, err)
		}
	}
}

func TestSensitiveValuesAreNotShown(t *testing.T) {
	s := &Setting{Key: "ssl.key.password", Type: Int, Sensitive: true}
	if e := newEntry(s, s.Key, []Synonym{{s.Key, "hunter2", SourceStaticBroker}}, "hunter2"); !e.Null || e.Value != "" || len(e.Synonyms) != 1 || e.Synonyms[0].Value != "" || e.Source != SourceStaticBroker {
		t.Errorf("%+v", e)
	}
	if err := s.refuse(s.Key, "hunter2", "", true); strings.Contains(err.Error(), "hunter2") {
		t.Error(err)
	}
}
