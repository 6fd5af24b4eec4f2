package streams

import (
	"bytes"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/tidelinehq/tideline/broker/coordinator"
	"github.com/tidelinehq/tideline/internal/golden"
)

func goldenRecords(t testing.TB) map[string][]byte {
	return golden.Read(t, "testdata/golden/v0/records.hex")
}

func active(subtopology string, epoch int32, partitions ...int32) TaskSet {
	var out TaskSet
	for _, p := range partitions {
		out = append(out, Task{subtopology, p, epoch})
	}
	return out
}

func ptr[T any](v T) *T { return &v }

// goldenGroup has what the golden records say.
func goldenGroup() *Group {
	g := New()
	g.Epoch, g.MetadataHash, g.ValidatedEpoch = 3, 0x0102030405060708, 0
	g.LastConfigs = []KeyValue{{"num.standby.replicas", "1"}}
	g.TargetEpoch, g.TargetAt = 3, 1_700_000_000_000
	g.Topology = &Topology{Subtopologies: []Subtopology{
		{ID: "0", Sources: []string{"in", "other"}, RepartitionSinks: []string{"rep"}, Copartitioned: []CopartitionGroup{{Sources: []int16{0, 1}}}},
		{
			ID: "1", Changelogs: []TopicInfo{{Name: "log", Configs: []KeyValue{{"cleanup.policy", "compact"}}}},
			RepartitionSources: []TopicInfo{{Name: "rep", Partitions: 3, ReplicationFactor: 1}},
		},
	}}
	g.put(&Member{
		ID: "m1", Epoch: 3, Previous: 2, State: UnrevokedTasks, Rack: ptr("r1"), ClientID: "c", ClientHost: "/127.0.0.1",
		RebalanceTimeout: 60_000, Process: "p1", Endpoint: &Endpoint{"h", 65535}, Tags: []KeyValue{{"zone", "a"}},
		Assigned: Tasks{Active: TaskSet{{"0", 0, 2}, {"0", 2, 3}}, Standby: active("1", 0, 0)},
		Revoking: Tasks{Active: active("1", 2, 1)},
		Target:   &Tasks{Active: TaskSet{{"0", 0, 0}, {"0", 2, 0}, {"1", 1, 0}}, Standby: active("1", 0, 0)},
		known:    true,
	})
	g.fresh = false
	return g
}

func TestRecordBytes(t *testing.T) {
	want := goldenRecords(t)
	g := goldenGroup()
	m := g.member("m1")
	plain := *m
	plain.Instance, plain.Rack, plain.Endpoint, plain.Tags = ptr("i"), nil, nil, nil
	young := New()
	young.Epoch = 2
	for _, tt := range []struct {
		key, value string
		got        coordinator.Record
	}{
		{"group key", "group value", groupRecord("g", g)},
		{"group key", "group value not validated", groupRecord("g", young)},
		{"member key", "member value", memberRecord("g", m)},
		{"member key", "member value plain", memberRecord("g", &plain)},
		{"target epoch key", "target epoch value", targetEpochRecord("g", 3, g.TargetAt)},
		{"target epoch key", "target epoch value without time", targetEpochRecord("g", 3, 0)},
		{"target key", "target value", targetRecord("g", "m1", *m.Target)},
		{"assignment key", "assignment value", assignmentRecord("g", m)},
		{"topology key", "topology value", topologyRecord("g", g.Topology)},
	} {
		if !bytes.Equal(tt.got.Key, want[tt.key]) {
			t.Errorf("%s:\n got %x\nwant %x", tt.key, tt.got.Key, want[tt.key])
		}
		if !bytes.Equal(tt.got.Value, want[tt.value]) {
			t.Errorf("%s:\n got %x\nwant %x", tt.value, tt.got.Value, want[tt.value])
		}
	}
}

var exported = cmp.AllowUnexported(Group{}, Member{})

// replay makes a group of records.
func replay(t testing.TB, records []coordinator.Record) *Group {
	t.Helper()
	g := New()
	for _, r := range records {
		version, _, member := parseKey(r.Key)
		if err := g.Replay(version, member, r.Value); err != nil {
			t.Fatalf("replay version=%d: %v", version, err)
		}
	}
	return g
}

func parseKey(k []byte) (version int16, group, member string) {
	version = int16(k[0])<<8 | int16(k[1])
	n := 4 + int(k[2])<<8 + int(k[3])
	group = string(k[4:n])
	if ofMember(version) {
		member = string(k[n+2:])
	}
	return version, group, member
}

func TestReplayInAnyOrder(t *testing.T) {
	want := goldenGroup()
	records := want.Records("g")
	for range len(records) {
		records = append(records[1:], records[0])
		if diff := cmp.Diff(want, replay(t, records), exported); diff != "" {
			t.Fatalf("replay (-want +got):\n%s", diff)
		}
	}
	for range len(records) {
		tombstones := want.Tombstones("g")
		tombstones = append(tombstones[1:], tombstones[0])
		if g := replay(t, append(records, tombstones...)); !g.Gone() {
			t.Fatalf("something is left: %+v", g)
		}
	}
}

func TestReplayOfOldAssignments(t *testing.T) {
	g := New()
	if err := g.Replay(KeyAssignment, "m1", goldenRecords(t)["assignment value without epochs"]); err != nil {
		t.Fatal(err)
	}
	want := TaskSet{{"0", 0, 3}, {"0", 2, 3}}
	if diff := cmp.Diff(want, g.member("m1").Assigned.Active); diff != "" {
		t.Error(diff)
	}
	if g.Settle(); g.Size() != 0 {
		t.Error("a member of whom nothing is known was kept")
	}
}

func FuzzReplay(f *testing.F) {
	versions := []int16{KeyGroup, KeyMember, KeyTargetEpoch, KeyTarget, KeyAssignment, KeyTopology}
	for name, b := range goldenRecords(f) {
		if strings.Contains(name, "value") {
			for i := range versions {
				f.Add(uint8(i), b)
			}
		}
	}
	f.Fuzz(func(t *testing.T, version uint8, value []byte) {
		g := goldenGroup()
		before := goldenGroup()
		v := versions[int(version)%len(versions)]
		if err := g.Replay(v, "m1", value); err != nil {
			if diff := cmp.Diff(before, g, exported); diff != "" {
				t.Fatalf("refused, but something changed:\n%s", diff)
			}
			return
		}
		// What was understood is written and understood again.
		if diff := cmp.Diff(g, replay(t, g.Records("g")), exported); diff != "" && g.member("m1") != nil {
			t.Fatalf("(-first +second):\n%s", diff)
		}
	})
}
