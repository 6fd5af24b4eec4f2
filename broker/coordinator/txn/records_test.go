package txn

import (
	"bytes"
	"reflect"
	"testing"

	"github.com/tidelinehq/tideline/internal/golden"
)

func goldenRecords(t testing.TB) map[string][]byte {
	return golden.Read(t, "testdata/golden/v1/records.hex")
}

// goldenTxn is the transaction of the golden file, as Kafka's classes had it.
func goldenTxn(change func(*transaction)) *transaction {
	t := &transaction{
		producerID: 1001, previousID: 1001, nextID: noProducerID, epoch: 7, lastEpoch: noEpoch, timeoutMS: 60_000, state: Ongoing,
		partitions: []topicPartition{{"t", 0}, {"t", 1}}, started: 1_700_000_000_000, updated: 1_700_000_000_001, version: 2,
	}
	change(t)
	return t
}

func TestRecordBytes(t *testing.T) {
	g := goldenRecords(t)
	if key := recordKey("tx"); !bytes.Equal(key, g["key v0"]) {
		t.Errorf("key: got %x, want %x", key, g["key v0"])
	}
	empty := func(t *transaction) {
		t.epoch, t.state, t.partitions, t.started, t.updated, t.version = 0, Empty, nil, noTime, 1_700_000_000_000, 0
	}
	rigid := func(t *transaction) { t.previousID, t.version = noProducerID, 0 } // which v0 does not say
	for _, tt := range []struct {
		name  string
		level int16
		t     *transaction
	}{
		{"empty v0", 0, goldenTxn(func(t *transaction) { empty(t); rigid(t) })},
		{"ongoing v0", 0, goldenTxn(rigid)},
		{"empty v1", 1, goldenTxn(empty)},
		{"ongoing v1", 2, goldenTxn(func(*transaction) {})},
		{"prepare commit v1", 2, goldenTxn(func(t *transaction) { t.epoch, t.nextID, t.state = 32767, 1002, PrepareCommit })},
		{"complete commit v1", 2, goldenTxn(func(t *transaction) {
			t.producerID, t.epoch, t.state, t.partitions, t.updated = 1002, 0, CompleteCommit, nil, 1_700_000_000_002
		})},
	} {
		if got := transactionRecord("tx", tt.t, tt.level).Value; !bytes.Equal(got, g[tt.name]) {
			t.Errorf("%s:\n got %x\nwant %x", tt.name, got, g[tt.name])
		}
		e, err := decode(g["key v0"], g[tt.name])
		if err != nil || e.id != "tx" || !reflect.DeepEqual(e.t, tt.t) {
			t.Errorf("%s: decoded %+v, %v; want %+v", tt.name, e.t, err, tt.t)
		}
		for n := range g[tt.name] {
			if _, err := decode(g["key v0"], g[tt.name][:n]); err == nil {
				t.Errorf("%s: torn at %d is taken", tt.name, n)
			}
		}
	}
	if e, err := decode(g["key v0"], nil); err != nil || e.t != nil || e.id != "tx" {
		t.Errorf("tombstone: %+v %v", e, err)
	}
}

func TestRecordsThatAreNotUnderstood(t *testing.T) {
	g := goldenRecords(t)
	value := func(at int, b byte) []byte {
		v := bytes.Clone(g["ongoing v1"])
		v[at] = b
		return v
	}
	for name, r := range map[string][2][]byte{
		"no key":              {nil, nil},
		"another kind":        {{0, 1, 0, 0}, nil},
		"key with more":       {append(bytes.Clone(g["key v0"]), 0), nil},
		"a newer value":       {g["key v0"], value(1, 9)},
		"no such state":       {g["key v0"], value(16, 8)},
		"state of a decision": {g["key v0"], value(16, 6)},
		"too many topics":     {g["key v0"], value(17, 0x7f)},
	} {
		if e, err := decode(r[0], r[1]); err == nil {
			t.Errorf("%s: decoded %+v", name, e)
		}
	}
	// Tags of a newer version are skipped.
	v := bytes.Clone(g["empty v1"])
	v[len(v)-11] = 2
	v = append(v, 3, 2, 0xff, 0xff)
	if _, err := decode(g["key v0"], v); err != nil {
		t.Errorf("unknown tag: %v", err)
	}
}

func FuzzDecode(f *testing.F) {
	g := goldenRecords(f)
	for name, b := range g {
		if name != "key v0" {
			f.Add(g["key v0"], b)
		}
	}
	f.Fuzz(func(t *testing.T, key, value []byte) {
		e, err := decode(key, value)
		if err != nil || e.t == nil {
			return
		}
		again, err := decode(recordKey(e.id), transactionRecord(e.id, e.t, 2).Value)
		if err != nil || again.id != e.id || !reflect.DeepEqual(again.t, e.t) {
			t.Fatalf("%+v became %+v, %v", e.t, again.t, err)
		}
	})
}
