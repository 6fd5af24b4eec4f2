package compat

import (
	"context"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/tidelinehq/tideline/loadtest/compat/clients/worker"
)

const (
	mirrorPartitions = 3
	mirrorEach       = 100 // records of each partition in each part
	mirrorTimeout    = 4 * time.Minute
)

// TestMirrorMaker runs MirrorMaker 2 between Apache Kafka and Tideline, both ways: topics with their settings and records, and the offsets
// of groups. A broker is killed on the way.
func TestMirrorMaker(t *testing.T) {
	on, other := startSystem(t), startKafka(t)
	config := filepath.Join(t.TempDir(), "mirror.properties")
	properties := []string{
		"clusters=kafka,tideline",
		"kafka.bootstrap.servers=" + other.Bootstrap(), "tideline.bootstrap.servers=" + on.Bootstrap(),
		"kafka->tideline.enabled=true", "tideline->kafka.enabled=true",
		"topics=books|returns", "groups=readers", "tasks.max=1",
		"replication.factor=-1", "checkpoints.topic.replication.factor=-1", "heartbeats.topic.replication.factor=-1", "offset-syncs.topic.replication.factor=-1",
		"config.storage.replication.factor=-1", "offset.storage.replication.factor=-1", "status.storage.replication.factor=-1",
		"offset.storage.partitions=3", "status.storage.partitions=1",
		"emit.checkpoints.interval.seconds=1", "emit.heartbeats.interval.seconds=1", "sync.group.offsets.enabled=true", "sync.group.offsets.interval.seconds=1",
		"refresh.topics.interval.seconds=2", "refresh.groups.interval.seconds=2", "sync.topic.configs.interval.seconds=2", "sync.topic.acls.enabled=false",
		"offset.lag.max=10", "offset.flush.interval.ms=1000", "plugin.discovery=service_load",
		// Connect's producers may write twice unless they are told not to.
		"kafka.producer.enable.idempotence=true", "tideline.producer.enable.idempotence=true",
		"session.timeout.ms=6000", "heartbeat.interval.ms=1000", "scheduled.rebalance.max.delay.ms=2000",
	}
	if err := os.WriteFile(config, []byte(strings.Join(properties, "\n")+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	ways := []*mirrorWay{
		{from: newClient(t, other.Bootstrap()), to: newClient(t, on.Bootstrap()), topic: "books", mirrored: "kafka.books"},
		{from: newClient(t, on.Bootstrap()), to: newClient(t, other.Bootstrap()), topic: "returns", mirrored: "tideline.returns"},
	}
	for _, w := range ways {
		settings := map[string]*string{"retention.ms": kadm.StringPtr("123456789"), "max.message.bytes": kadm.StringPtr("2000000")}
		if _, err := kadm.NewClient(w.from).CreateTopic(t.Context(), mirrorPartitions, -1, settings, w.topic); err != nil {
			t.Fatal(err)
		}
		w.writer = &partitionWriter{client: w.from, topic: w.topic, partitions: mirrorPartitions}
		w.writer.write(t, mirrorEach, "before")
	}
	startJava(t, "mirrormaker", "-Xmx384m", []string{filepath.Join(jars(t), "*")}, nil, "org.apache.kafka.connect.mirror.MirrorMaker", config)
	for _, w := range ways {
		w.await(t)
		w.writer.write(t, mirrorEach, "while it is mirrored")
	}
	on.KillOne(t)
	for _, w := range ways {
		w.writer.write(t, mirrorEach, "after a broker's death")
		w.await(t)
		w.settings(t)
	}
	for _, w := range ways {
		w.group(t)
	}
}

// A mirrorWay is one of the two directions.
type mirrorWay struct {
	from, to        *kgo.Client
	topic, mirrored string
	writer          *partitionWriter
}

// await waits until the mirrored topic has as many records, and compares them.
func (w *mirrorWay) await(t testing.TB) {
	t.Helper()
	eventually(t, mirrorTimeout, func() string {
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		ends, err := kadm.NewClient(w.to).ListEndOffsets(ctx, w.mirrored)
		if err != nil || ends.Error() != nil {
			return fmt.Sprintf("%s: %v %v", w.mirrored, err, ends.Error())
		}
		for p := range int32(mirrorPartitions) {
			if end, ok := ends.Lookup(w.mirrored, p); !ok || end.Offset < w.writer.next {
				return fmt.Sprintf("%s/%d ends at %d of %d", w.mirrored, p, end.Offset, w.writer.next)
			}
		}
		return ""
	})
	same(t, w.mirrored, w.read(t, len(w.writer.written)), w.writer.written)
}

// settings compares those that were given.
func (w *mirrorWay) settings(t testing.TB) {
	t.Helper()
	eventually(t, mirrorTimeout, func() string {
		described, err := kadm.NewClient(w.to).DescribeTopicConfigs(t.Context(), w.mirrored)
		if err != nil {
			t.Fatal(err)
		}
		got := map[string]string{}
		for _, c := range described[0].Configs {
			got[c.Key] = c.MaybeValue()
		}
		if got["retention.ms"] != "123456789" || got["max.message.bytes"] != "2000000" {
			return fmt.Sprintf("%s: retention.ms=%s max.message.bytes=%s", w.mirrored, got["retention.ms"], got["max.message.bytes"])
		}
		return ""
	})
}

// group commits for a group at the source and waits until the group can go on at the other side, where it has read nothing that is not there.
func (w *mirrorWay) group(t testing.TB) {
	t.Helper()
	committed := kadm.Offsets{}
	at := w.writer.next - 5
	for p := range int32(mirrorPartitions) {
		committed.Add(kadm.Offset{Topic: w.topic, Partition: p, At: at, LeaderEpoch: -1})
	}
	if err := kadm.NewClient(w.from).CommitAllOffsets(t.Context(), "readers", committed); err != nil {
		t.Fatal(err)
	}
	eventually(t, mirrorTimeout, func() string {
		got, err := kadm.NewClient(w.to).FetchOffsets(t.Context(), "readers")
		if err != nil {
			return err.Error()
		}
		for p := range int32(mirrorPartitions) {
			// A translated offset lies before the one that was committed, never after it.
			if one, ok := got.Lookup(w.mirrored, p); !ok || one.At <= 0 {
				return fmt.Sprintf("%s/%d: no offset of the group: %+v", w.mirrored, p, got)
			} else if one.At > at {
				t.Fatalf("%s/%d: the group goes on at %d, and has read up to %d", w.mirrored, p, one.At, at)
			}
		}
		return ""
	})
}

// read reads so many records of the mirrored topic, in the order of partitions and offsets.
func (w *mirrorWay) read(t testing.TB, n int) []worker.Record {
	t.Helper()
	partitions := map[int32]kgo.Offset{}
	for p := range int32(mirrorPartitions) {
		partitions[p] = kgo.NewOffset().AtStart()
	}
	w.to.AddConsumePartitions(map[string]map[int32]kgo.Offset{w.mirrored: partitions})
	defer w.to.RemoveConsumePartitions(map[string][]int32{w.mirrored: slices.Sorted(maps.Keys(partitions))})
	ctx, cancel := context.WithTimeout(t.Context(), mirrorTimeout)
	defer cancel()
	var all []worker.Record
	for len(all) < n {
		fetches := w.to.PollFetches(ctx)
		if err := fetches.Err0(); err != nil {
			t.Fatalf("%s: %d of %d records: %v", w.mirrored, len(all), n, err)
		}
		fetches.EachRecord(func(r *kgo.Record) {
			one := worker.Record{Partition: r.Partition, Offset: r.Offset, Timestamp: r.Timestamp.UnixMilli(), Key: r.Key, Value: r.Value}
			for _, h := range r.Headers {
				one.Headers = append(one.Headers, worker.Header{Name: h.Key, Value: h.Value})
			}
			all = append(all, one)
		})
	}
	return all
}
