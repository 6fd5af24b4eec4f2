package group

import (
	"bytes"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/tidelinehq/tideline/internal/record"
	"github.com/tidelinehq/tideline/internal/scripttest"
)

// consumerGolden are the golden records that make a group, as pairs of key and value.
var consumerGolden = [][2]string{
	{"consumer member key v5", "consumer member value v0"},
	{"consumer regex key v16", "consumer regex value v0"},
	{"consumer group key v3", "consumer group value v0"},
	{"consumer target key v7", "consumer target value v0"},
	{"consumer target epoch key v6", "consumer target epoch value v0"},
	{"consumer current key v8", "consumer current value v0"},
}

func goldenConsumerGroup() *consumerGroup {
	g := newConsumerGroup()
	g.stored, g.epoch, g.hash, g.assigned, g.targetAt = true, 7, 0x0102030405060708, 7, goldenTime
	g.targets["m1"] = assignment{goldenID: {1, 3}}
	g.regexes["o.*"] = &resolvedRegex{topics: []string{"topic"}, version: 9, at: goldenTime, seen: 9, seenAt: goldenTime}
	g.members = []*consumerMember{{
		id: "m1", instance: nonEmpty("i"), rack: nonEmpty("r"), clientID: "c", clientHost: "/127.0.0.1",
		topics: []string{"topic"}, regex: nonEmpty("re"), rebalanceTimeout: time.Minute, assignor: nonEmpty("uniform"),
		epoch: 7, previous: 6, state: memberUnrevoked,
		owned: assignment{goldenID: {1}}, since: epochs{goldenID: {5}}, revoking: assignment{goldenID: {3}},
	}}
	return g
}

var compareConsumers = cmp.AllowUnexported(consumerGroup{}, targeting{}, roster[*consumerMember]{}, consumerMember{}, classicMember{}, protocol{}, resolvedRegex{})

// TestConsumerRecordBytes: what is written is what Apache Kafka reads, and read back in any
// order it is the same group.
func TestConsumerRecordBytes(t *testing.T) {
	bytesOf := goldenRecords(t)
	want := goldenConsumerGroup()
	records := want.records("g")
	if len(records) != len(consumerGolden) {
		t.Fatalf("%d records", len(records))
	}
	for i, names := range consumerGolden {
		if !bytes.Equal(records[i].Key, bytesOf[names[0]]) {
			t.Errorf("%s:\n got %x\nwant %x", names[0], records[i].Key, bytesOf[names[0]])
		}
		if !bytes.Equal(records[i].Value, bytesOf[names[1]]) {
			t.Errorf("%s:\n got %x\nwant %x", names[1], records[i].Value, bytesOf[names[1]])
		}
	}
	for range 2 {
		got := newConsumerGroup()
		for _, r := range records {
			key, kind, err := decodeKey(r.Key)
			if err != nil || kind != Consumer || key.group != "g" {
				t.Fatalf("key %x: %v", r.Key, err)
			}
			if err := got.replay(key, r.Value); err != nil {
				t.Fatal(err)
			}
		}
		if diff := cmp.Diff(want, got, compareConsumers); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
		for _, r := range want.tombstones("g") {
			key, _, err := decodeKey(r.Key)
			if err != nil || r.Value != nil {
				t.Fatalf("tombstone %x: %v", r.Key, err)
			}
			if err := got.replay(key, nil); err != nil {
				t.Fatal(err)
			}
		}
		if !got.gone() {
			t.Error("something is left after the tombstones")
		}
		slices.Reverse(records)
	}
}

func TestConsumerRecordVariants(t *testing.T) {
	bytesOf := goldenRecords(t)
	g := newConsumerGroup()
	for _, names := range [][2]string{
		{"consumer member key v5", "consumer member value v0 classic"},
		{"consumer current key v8", "consumer current value v0 without epochs"},
		{"consumer partitions key v4", "consumer partitions value v0"},
	} {
		key, _, err := decodeKey(bytesOf[names[0]])
		if err == nil {
			err = g.replay(key, bytesOf[names[1]])
		}
		if err != nil {
			t.Fatalf("%s: %v", names[1], err)
		}
	}
	want := &consumerMember{
		id: "m1", clientID: "c", clientHost: "/127.0.0.1", topics: []string{"topic"}, rebalanceTimeout: time.Minute,
		classic: &classicMember{sessionTimeout: 10 * time.Second, protocols: []protocol{{"range", []byte{1, 2, 3}}}},
		epoch:   7, previous: 6, owned: assignment{goldenID: {1}}, since: epochs{goldenID: {0}}, revoking: assignment{},
	}
	if diff := cmp.Diff(want, g.members[0], compareConsumers); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if got := want.memberRecord("g").Value; !bytes.Equal(got, bytesOf["consumer member value v0 classic"]) {
		t.Errorf("classic member:\n got %x\nwant %x", got, bytesOf["consumer member value v0 classic"])
	}
}

func TestConsumerRecordsRefused(t *testing.T) {
	bytesOf := goldenRecords(t)
	m := newMachine(&Config{}, fakeTopics{}.Image, newMetrics(nil), slog.New(slog.DiscardHandler), nil)
	b := anyBatch(t)
	for _, names := range consumerGolden {
		key, value := bytesOf[names[0]], bytesOf[names[1]]
		for what, tt := range map[string]struct{ key, value []byte }{
			"torn key":        {key[:len(key)-1], value},
			"long key":        {append(bytes.Clone(key), 0), value},
			"torn value":      {key, value[:len(value)-1]},
			"long value":      {key, append(bytes.Clone(value), 0)},
			"unknown version": {key, append([]byte{0, 1}, value[2:]...)},
			"no value":        {key, []byte{}},
		} {
			if m.Replay(b, 0, tt.key, tt.value) == nil {
				t.Errorf("%s: %s: no error", names[1], what)
			}
		}
	}
}

// anyBatch is one that says nothing.
func anyBatch(t testing.TB) record.Batch {
	b := record.NewBuilder(record.Options{ProducerID: record.NoProducerID})
	if err := b.Add(record.Record{}); err != nil {
		t.Fatal(err)
	}
	return b.Build()
}

// FuzzConsumerRecord feeds arbitrary records of a consumer group to a machine. What it takes
// in it writes in a form that gives the same.
func FuzzConsumerRecord(f *testing.F) {
	bytesOf := goldenRecords(f)
	for name, key := range bytesOf {
		if !strings.HasPrefix(name, "consumer") || !strings.Contains(name, "key") {
			continue
		}
		f.Add(key, []byte(nil))
		for other, value := range bytesOf {
			if strings.HasPrefix(other, "consumer") && strings.Contains(other, "value") {
				f.Add(key, value)
			}
		}
	}
	f.Fuzz(func(t *testing.T, key, value []byte) {
		if len(key) < 2 {
			return
		}
		k, kind, err := decodeKey(key)
		if err != nil || kind != Consumer {
			return
		}
		g := newConsumerGroup()
		if g.replay(k, value) != nil {
			return
		}
		again := newConsumerGroup()
		for _, r := range g.records(k.group) {
			key, _, err := decodeKey(r.Key)
			if err == nil {
				err = again.replay(key, r.Value)
			}
			if err != nil {
				t.Fatalf("own record: %v", err)
			}
		}
		for i, r := range again.records(k.group) {
			if own := g.records(k.group)[i]; !bytes.Equal(own.Key, r.Key) || !bytes.Equal(own.Value, r.Value) {
				t.Fatalf("own record is read as another:\n%x\n%x", own.Value, r.Value)
			}
		}
	})
}

// TestLongIDs: what does not fit the length of a string in a key is refused, and nothing is
// written about it.
func TestLongIDs(t *testing.T) {
	w := newWorld(t, Defaults())
	w.topics["t"] = fakeTopic{id: [16]byte{1}, partitions: 1}
	long := strings.Repeat("x", 40_000)
	for _, line := range []string{
		"join group=" + long, "join instance=" + long, "join protocols=" + long + ":t", "join member=" + long,
		"beat member=m group=" + long, "beat member=" + long, "beat member=m instance=" + long, "beat member=m rack=" + long, "beat member=m regex=" + long,
		"commit t/0:1 group=" + long,
	} {
		l := scripttest.Parse(t, line)
		req := buildRequest(t, l.Name, l, w.topics)
		w.co.Handle(Caller{}, req, func(resp kmsg.Response) {
			if got := describeResponse(resp); strings.Contains(got, "ok") {
				t.Errorf("%.20s…: %s", line, got)
			}
		})
	}
	if len(w.log) > 0 || len(w.machine.groups) > 0 {
		t.Errorf("%d batches, %d groups", len(w.log), len(w.machine.groups))
	}
}
