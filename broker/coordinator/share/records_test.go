package share

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/tidelinehq/tideline/broker/coordinator"
	"github.com/tidelinehq/tideline/internal/golden"
)

func goldenRecords(t testing.TB) map[string][]byte {
	return golden.Read(t, "testdata/golden/v1/records.hex")
}

const goldenTime = 1_700_000_000_000

var (
	goldenKey   = Key{Group: "g", Topic: [16]byte{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16}, Partition: 3}
	goldenState = &state{
		snapshotEpoch: 1, stateEpoch: 2, leaderEpoch: 5, start: 100, complete: 7, created: goldenTime, written: goldenTime + 1,
		batches: []StateBatch{{100, 109, 2, 1}, {110, 119, 0, 3}},
	}
	goldenFirst  = &state{leaderEpoch: -1, start: -1, complete: -1, created: goldenTime, written: goldenTime}
	goldenUpdate = &update{snapshotEpoch: 1, leaderEpoch: 5, start: 110, complete: 9, batches: []StateBatch{{110, 119, 4, 3}}}
	goldenBare   = &update{snapshotEpoch: 1, leaderEpoch: 6, start: -1, complete: -1}
)

var sameRecord = cmp.AllowUnexported(entry{}, state{}, update{})

func TestRecordBytes(t *testing.T) {
	g := goldenRecords(t)
	for _, tt := range []struct {
		key, value string
		entry      entry
	}{
		{"snapshot key", "snapshot value", entry{key: goldenKey, snapshot: goldenState}},
		{"snapshot key", "snapshot value, first", entry{key: goldenKey, snapshot: goldenFirst}},
		{"snapshot key", "", entry{key: goldenKey}},
		{"update key", "update value", entry{key: goldenKey, update: goldenUpdate}},
		{"update key", "update value, bare", entry{key: goldenKey, update: goldenBare}},
	} {
		r := tombstone(goldenKey)
		if tt.entry.snapshot != nil {
			r = snapshotRecord(goldenKey, tt.entry.snapshot)
		} else if tt.entry.update != nil {
			r = updateRecord(goldenKey, tt.entry.update)
		}
		if !bytes.Equal(r.Key, g[tt.key]) || !bytes.Equal(r.Value, g[tt.value]) {
			t.Errorf("%s, %s:\n got %x %x\nwant %x %x", tt.key, tt.value, r.Key, r.Value, g[tt.key], g[tt.value])
		}
		got, err := decode(g[tt.key], g[tt.value])
		if err != nil {
			t.Fatalf("%s, %s: %v", tt.key, tt.value, err)
		}
		if tt.entry.snapshot == goldenFirst {
			got.snapshot.batches = nil
		}
		if diff := cmp.Diff(tt.entry, got, sameRecord); diff != "" {
			t.Errorf("%s, %s: decoded (-want +got):\n%s", tt.key, tt.value, diff)
		}
	}
}

func TestRecordsThatAreNone(t *testing.T) {
	g := goldenRecords(t)
	delete(g, "") // the comment at the top
	for name, b := range g {
		if strings.Contains(name, "key") {
			for n := range b {
				if _, err := decode(b[:n], g["snapshot value"]); err == nil {
					t.Errorf("%s cut at %d is taken", name, n)
				}
			}
			continue
		}
		key := g["update key"]
		if strings.HasPrefix(name, "snapshot") {
			key = g["snapshot key"]
		}
		for n := range b {
			if _, err := decode(key, b[:n:n]); err == nil {
				t.Errorf("%s cut at %d is taken", name, n)
			}
		}
		if _, err := decode(key, append(b[:len(b):len(b)], 0)); err == nil {
			t.Errorf("%s with a byte after it is taken", name)
		}
		later := bytes.Clone(b)
		later[1] = 1
		if _, err := decode(key, later); !errors.Is(err, errUnknown) {
			t.Errorf("%s of version 1: %v", name, err)
		}
	}
	if _, err := decode(g["update key"], nil); !errors.Is(err, errUnknown) {
		t.Errorf("tombstone of an update: %v", err)
	}
	backwards := updateRecord(goldenKey, &update{batches: []StateBatch{{10, 9, 0, 0}}})
	if _, err := decode(backwards.Key, backwards.Value); !errors.Is(err, errRange) {
		t.Errorf("batch that ends before it begins: %v", err)
	}
}

func FuzzRecord(f *testing.F) {
	g := goldenRecords(f)
	for _, value := range []string{"snapshot value", "snapshot value, first"} {
		f.Add(g["snapshot key"], g[value])
	}
	for _, value := range []string{"update value", "update value, bare"} {
		f.Add(g["update key"], g[value])
	}
	f.Fuzz(func(t *testing.T, key, value []byte) {
		e, err := decode(key, value)
		if err != nil {
			return
		}
		r := tombstone(e.key)
		if e.snapshot != nil {
			r = snapshotRecord(e.key, e.snapshot)
		} else if e.update != nil {
			r = updateRecord(e.key, e.update)
		}
		again, err := decode(r.Key, r.Value)
		if err != nil {
			t.Fatalf("what was written cannot be read: %v", err)
		}
		if diff := cmp.Diff(e, again, sameRecord); diff != "" {
			t.Fatalf("what was written is read as another (-was +is):\n%s", diff)
		}
	})
}

func TestKeys(t *testing.T) {
	for _, tt := range []struct {
		key  Key
		text string
		of50 int32
	}{ // as Apache Kafka has them
		{goldenKey, "g:AQIDBAUGBwgJCgsMDQ4PEA:3", 49},
		{Key{Group: "orders", Topic: goldenKey.Topic, Partition: 4}, "orders:AQIDBAUGBwgJCgsMDQ4PEA:4", 42},
	} {
		if got := tt.key.String(); got != tt.text {
			t.Errorf("got %q, want %q", got, tt.text)
		}
		if got, err := ParseKey(tt.text); err != nil || got != tt.key {
			t.Errorf("%q: got %v, %v", tt.text, got, err)
		}
		if got := coordinator.PartitionFor(tt.text, 50); got != tt.of50 {
			t.Errorf("%q: partition %d, want %d", tt.text, got, tt.of50)
		}
	}
	odd := Key{Group: "a:b:c", Topic: goldenKey.Topic}
	if got, err := ParseKey(odd.String()); err != nil || got != odd {
		t.Errorf("group with colons: got %v, %v", got, err)
	}
	for _, bad := range []string{"", "g", "g:1", ":AQIDBAUGBwgJCgsMDQ4PEA:3", "g:AQIDBAUGBwgJCgsMDQ4PEA:", "g:AQIDBAUGBwgJCgsMDQ4PEA:-1", "g:AQIDBAUGBwgJ:3", "g:x:3"} {
		if k, err := ParseKey(bad); err == nil {
			t.Errorf("%q is taken for %v", bad, k)
		}
	}
	// Java: "polygenelubricants".hashCode() is the least of all ints, whose magnitude Kafka takes for 0.
	if got := coordinator.PartitionFor("polygenelubricants", 50); got != 0 {
		t.Errorf("hash without a magnitude: partition %d", got)
	}
}
