package group

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/tidelinehq/tideline/internal/golden"
	"github.com/tidelinehq/tideline/internal/record"
)

func goldenRecords(t testing.TB) map[string][]byte {
	return golden.Read(t, "testdata/golden/v1/records.hex")
}

const goldenTime = 1_700_000_000_000

var (
	goldenTP     = topicPartition{"topic", 3}
	goldenID     = [16]byte{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15}
	goldenMember = &member{
		id: "m1", instance: nonEmpty("i"), clientID: "c", clientHost: "/127.0.0.1",
		sessionTimeout: 10 * time.Second, rebalanceTimeout: time.Minute,
		protocols: []protocol{{"range", []byte{1, 2, 3}}}, assignment: []byte{4, 5},
	}
	goldenGroup = &membership{
		state: Stable, since: time.UnixMilli(goldenTime), generation: 2,
		protocolType: "consumer", protocol: "range", leader: "m1", members: []*member{goldenMember},
	}
)

func TestRecordBytes(t *testing.T) {
	g := goldenRecords(t)
	one := committed{offset: 42, leaderEpoch: 7, metadata: "one", at: goldenTime, expires: -1}
	expiring, withID := one, one
	expiring.expires, withID.topicID = goldenTime+1000, goldenID
	empty := &membership{since: time.UnixMilli(goldenTime), generation: 3, protocolType: "consumer"}
	for _, tt := range []struct {
		key, value string
		got        []byte
		gotKey     []byte
	}{
		{"offset key v1", "offset value v3", offsetRecord("g", goldenTP, &one).Value, offsetRecord("g", goldenTP, &one).Key},
		{"offset key v1", "offset value v1", offsetRecord("g", goldenTP, &expiring).Value, offsetTombstone("g", goldenTP).Key},
		{"offset key v1", "offset value v4", offsetRecord("g", goldenTP, &withID).Value, offsetKey("g", goldenTP)},
		{"group key v2", "group value v3", groupRecord("g", goldenGroup).Value, groupRecord("g", goldenGroup).Key},
		{"group key v2", "group value v3 empty", groupRecord("g", empty).Value, groupTombstone("g").Key},
	} {
		if !bytes.Equal(tt.got, g[tt.value]) {
			t.Errorf("%s:\n got %x\nwant %x", tt.value, tt.got, g[tt.value])
		}
		if !bytes.Equal(tt.gotKey, g[tt.key]) {
			t.Errorf("%s:\n got %x\nwant %x", tt.key, tt.gotKey, g[tt.key])
		}
	}
	if r := offsetTombstone("g", goldenTP); r.Value != nil {
		t.Error("a tombstone has a value")
	}
}

func TestDecodeAllVersions(t *testing.T) {
	g := goldenRecords(t)
	one := committed{offset: 42, leaderEpoch: -1, metadata: "one", at: goldenTime, expires: -1}
	v1, v3, v4 := one, one, one
	v1.expires = goldenTime + 1000
	v3.leaderEpoch, v4.leaderEpoch, v4.topicID = 7, 7, goldenID
	key0 := bytes.Clone(g["offset key v1"])
	key0[1] = 0
	for name, want := range map[string]committed{
		"offset value v0": one, "offset value v1": v1, "offset value v2": one, "offset value v3": v3, "offset value v4": v4,
	} {
		for _, key := range [][]byte{g["offset key v1"], key0} {
			e, err := decode(key, g[name])
			if err != nil {
				t.Errorf("%s: %v", name, err)
				continue
			}
			if e.group != "g" || e.tp != goldenTP || *e.offset != want {
				t.Errorf("%s: got %q %v %+v", name, e.group, e.tp, *e.offset)
			}
		}
	}

	old := *goldenGroup
	m := *goldenMember
	m.instance, m.rebalanceTimeout = nil, m.sessionTimeout
	old.since, old.members = time.Time{}, []*member{&m}
	for name, want := range map[string]*membership{"group value v0": &old, "group value v3": goldenGroup, "group value v4": goldenGroup} {
		e, err := decode(g["group key v2"], g[name])
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		opts := cmp.Options{cmp.AllowUnexported(membership{}, member{}, protocol{}, parked{}), cmpopts.IgnoreFields(membership{}, "durable")}
		if diff := cmp.Diff(want, e.membership, opts); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

func TestDecodeRefuses(t *testing.T) {
	g := goldenRecords(t)
	value := g["group value v3"]
	for name, tt := range map[string]struct{ key, value []byte }{
		"no key":                {nil, value},
		"unknown kind":          {[]byte{0, 9, 0, 0}, value},
		"torn key":              {g["offset key v1"][:7], nil},
		"no version":            {g["offset key v1"], []byte{0}},
		"unknown value version": {g["offset key v1"], []byte{0, 5, 0, 0}},
		"torn value":            {g["group key v2"], value[:len(value)-1]},
		"many members":          {g["group key v2"], append(bytes.Clone(value[:33]), 0x7f, 0xff, 0xff, 0xff)},
		"empty value":           {g["group key v2"], []byte{}},
	} {
		if _, err := decode(tt.key, tt.value); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

// FuzzReplay feeds arbitrary records to a machine, which must neither panic nor
// lose what a second replay of its own records would bring back.
func FuzzReplay(f *testing.F) {
	g := goldenRecords(f)
	for _, k := range []string{"offset key v1", "group key v2"} {
		for name, v := range g {
			if strings.Contains(name, "value") {
				f.Add(g[k], v)
			}
		}
		f.Add(g[k], []byte(nil))
	}
	cfg := Defaults()
	batch := record.NewBuilder(record.Options{ProducerID: record.NoProducerID})
	if err := batch.Add(record.Record{}); err != nil {
		f.Fatal(err)
	}
	b := batch.Build()
	f.Fuzz(func(t *testing.T, key, value []byte) {
		topics := fakeTopics{}
		m := newMachine(&cfg, topics.Image, newMetrics(nil), slog.New(slog.DiscardHandler), nil)
		if m.Replay(b, 0, key, value) != nil {
			return
		}
		again := newMachine(&cfg, topics.Image, newMetrics(nil), slog.New(slog.DiscardHandler), nil)
		for id, g := range m.groups {
			if g.membership.durable != nil {
				r := groupRecord(id, g.membership)
				if err := again.Replay(b, 0, r.Key, r.Value); err != nil {
					t.Fatalf("own record: %v", err)
				}
			}
			if g.modern != nil {
				for _, r := range g.modern.records(id) {
					if err := again.Replay(b, 0, r.Key, r.Value); err != nil {
						t.Fatalf("own record: %v", err)
					}
				}
			}
			for tp, c := range g.offsets {
				r := offsetRecord(id, tp, &c)
				if err := again.Replay(b, 0, r.Key, r.Value); err != nil {
					t.Fatalf("own record: %v", err)
				}
			}
		}
		if len(m.groups) != len(again.groups) {
			t.Fatalf("%d groups, %d after a replay of their own records", len(m.groups), len(again.groups))
		}
		m.Loaded(epoch)
	})
}
