package compact

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/tidelinehq/tideline/internal/record"
	"github.com/tidelinehq/tideline/tiering/segment"
)

// line is a log under test: batches in order, and how to run a round over all of them.
type line struct {
	t         *testing.T
	batches   []record.Batch
	aborted   []segment.AbortedTxn
	producers map[int64]LastRecord
	from      int64
	keyBytes  int64
	stats     Stats
}

func newLine(t *testing.T) *line { return &line{t: t, keyBytes: 1 << 16} }

func (l *line) end() int64 {
	if n := len(l.batches); n > 0 {
		return l.batches[n-1].NextOffset()
	}
	return 0
}

// add appends a batch of "key=value" records; "key" alone is a tombstone, "=value" has no key.
func (l *line) add(o record.Options, records ...string) {
	l.t.Helper()
	o.BaseOffset = l.end()
	b := record.NewBuilder(o)
	for i, s := range records {
		r := record.Record{Timestamp: int64(1000 + i)}
		key, value, has := strings.Cut(s, "=")
		if key != "" {
			r.Key = []byte(key)
		}
		if has {
			r.Value = []byte(value)
		}
		if err := b.Add(r); err != nil {
			l.t.Fatal(err)
		}
	}
	l.batches = append(l.batches, b.Build())
}

func (l *line) plain(records ...string) {
	l.add(record.Options{ProducerID: record.NoProducerID}, records...)
}

func (l *line) txn(id int64, records ...string) {
	l.add(record.Options{ProducerID: id, Transactional: true}, records...)
}

func (l *line) marker(id int64, kind record.ControlType) {
	b := record.NewBuilder(record.Options{ProducerID: id, Transactional: true, Control: true, Sequence: record.NoSequence, BaseOffset: l.end()})
	if err := b.Add(record.ControlRecord(kind, 1, 2000)); err != nil {
		l.t.Fatal(err)
	}
	l.batches = append(l.batches, b.Build())
}

// round compacts everything as one segment at a time in ms, tombstones staying for retention.
func (l *line) round(now, retention int64) {
	l.t.Helper()
	keys := NewKeys(1000, l.keyBytes, 0.9)
	defer keys.Free()
	x := Index{Keys: keys, Txns: NewTxns(l.aborted, l.from), From: l.from}
	end := l.from
	for _, b := range l.batches {
		var full bool
		var err error
		if b.NextOffset() <= l.from {
			continue // a round reads the dirty range alone for its keys
		}
		if end, full, err = x.Add(b); err != nil {
			l.t.Fatal(err)
		}
		if full {
			break
		}
	}
	f := Filter{Keys: keys, End: end, Txns: NewTxns(l.aborted, 0), Producers: l.producers, Now: now, Retention: retention}
	var out []byte
	for i, b := range l.batches {
		var err error
		if out, err = f.Append(out, b, i == len(l.batches)-1); err != nil {
			l.t.Fatal(err)
		}
	}
	l.aborted, l.from, l.stats = f.Txns.Kept(), end, f.Stats
	l.batches = nil
	for b, err := range record.All(out) {
		if err == nil {
			err = b.ValidateCRC()
		}
		if err != nil {
			l.t.Fatal(err)
		}
		l.batches = append(l.batches, b)
	}
}

// String shows what is there: offsets, records, and what batches are.
func (l *line) String() string {
	var s strings.Builder
	for _, b := range l.batches {
		fmt.Fprintf(&s, "[%d-%d", b.BaseOffset(), b.LastOffset())
		if b.DeleteHorizon() {
			fmt.Fprintf(&s, " horizon=%d", b.FirstTimestamp())
		}
		for r, err := range b.Records(1 << 20) {
			if err != nil {
				l.t.Fatal(err)
			}
			if b.Control() {
				kind, _, _ := record.ParseControl(r)
				fmt.Fprintf(&s, " %s", map[record.ControlType]string{record.Abort: "abort", record.Commit: "commit"}[kind])
				continue
			}
			fmt.Fprintf(&s, " %d:%s", r.Offset, r.Key)
			if r.Value != nil {
				fmt.Fprintf(&s, "=%s", r.Value)
			}
		}
		s.WriteString("]")
	}
	return s.String()
}

func (l *line) want(s string) {
	l.t.Helper()
	if got := l.String(); got != s {
		l.t.Fatalf("got  %s\nwant %s", got, s)
	}
}

func TestTheLastValueOfEachKeyStays(t *testing.T) {
	l := newLine(t)
	l.plain("a=1", "b=1", "c=1")
	l.plain("b=2", "=no key")
	l.plain("a=3")
	l.plain("b=4", "d=4")
	l.round(1, 1)
	l.want("[0-2 2:c=1][5-5 5:a=3][6-7 6:b=4 7:d=4]")
	again := l.String()
	l.round(2, 1)
	l.want(again)
	if l.stats.Changed != 0 {
		t.Errorf("%d batches changed where nothing was to be done", l.stats.Changed)
	}
}

func TestTombstonesStayForTheirTime(t *testing.T) {
	l := newLine(t)
	l.plain("a=1", "b=1")
	l.plain("a", "c=2")
	l.plain("end=")
	l.round(10_000, 500)
	l.want("[0-1 1:b=1][2-3 horizon=10500 2:a 3:c=2][4-4 4:end=]")
	if l.stats.Horizon != 10_500 {
		t.Errorf("horizon=%d", l.stats.Horizon)
	}
	l.round(10_499, 500) // the horizon was set once and for all
	l.want("[0-1 1:b=1][2-3 horizon=10500 2:a 3:c=2][4-4 4:end=]")
	l.round(10_500, 500)
	l.want("[0-1 1:b=1][2-3 horizon=10500 3:c=2][4-4 4:end=]")
	if l.stats.Horizon != 0 {
		t.Errorf("horizon=%d when nothing waits for it", l.stats.Horizon)
	}
	for r := range l.batches[1].Records(100) {
		if r.Timestamp != 1001 {
			t.Errorf("the record's time is %d", r.Timestamp)
		}
	}
	l.plain("b")
	l.plain("end=2")
	l.round(20_000, 0)
	l.want("[2-3 horizon=10500 3:c=2][5-5 horizon=20000 5:b][6-6 6:end=2]")
}

func TestTheLastBatchOfASegmentStays(t *testing.T) {
	l := newLine(t)
	l.plain("a=1")
	l.plain("=no key", "=no key")
	l.round(1, 1)
	l.want("[0-0 0:a=1][1-2]")
	if b := l.batches[1]; b.Count() != 0 || b.MaxTimestamp() != 1001 || len(b) != record.HeaderSize {
		t.Errorf("count=%d time=%d size=%d", b.Count(), b.MaxTimestamp(), len(b))
	}
	l.round(2, 1)
	l.want("[0-0 0:a=1][1-2]")
	if l.stats.Changed != 0 {
		t.Error("an empty batch changed")
	}
	l.plain("a=2")
	l.round(3, 1)
	l.want("[3-3 3:a=2]")
}

func TestTheLastSequenceOfAnActiveProducerStays(t *testing.T) {
	l := newLine(t)
	l.producers = map[int64]LastRecord{7: {DataOffset: 3}, 8: {DataOffset: 4}, 9: {DataOffset: -1, Epoch: 2}}
	l.add(record.Options{ProducerID: 7, Sequence: 0, ProducerEpoch: 5}, "a=0", "a=1")
	l.add(record.Options{ProducerID: 7, Sequence: 2, ProducerEpoch: 5}, "a=2", "a=3")
	l.add(record.Options{ProducerID: 6, Sequence: 0}, "a=4") // not active any more
	l.plain("a=5")
	l.round(1, 1)
	l.want("[2-3][5-5 5:a=5]")
	if b := l.batches[0]; b.ProducerID() != 7 || b.BaseSequence() != 2 || b.LastSequence() != 3 || b.ProducerEpoch() != 5 {
		t.Errorf("producer=%d epoch=%d sequences=%d-%d", b.ProducerID(), b.ProducerEpoch(), b.BaseSequence(), b.LastSequence())
	}
}

func TestAbortedRecordsGoAndMarkersFollow(t *testing.T) {
	l := newLine(t)
	l.plain("a=1")
	l.txn(7, "a=2", "b=2")     // 1, 2: aborted
	l.txn(8, "c=3")            // 3: committed
	l.marker(7, record.Abort)  // 4
	l.marker(8, record.Commit) // 5
	l.txn(8, "d=6")            // 6: aborted, while 7 commits
	l.txn(7, "e=7")            // 7
	l.marker(8, record.Abort)  // 8
	l.marker(7, record.Commit) // 9
	l.plain("end=")            // 10
	l.aborted = []segment.AbortedTxn{{ProducerID: 8, FirstOffset: 6, LastOffset: 8}, {ProducerID: 7, FirstOffset: 1, LastOffset: 4}, {ProducerID: 7, FirstOffset: 1, LastOffset: 4}}
	l.round(100, 50)
	// The markers of aborted transactions stay while their batches were still met, and with them their entries.
	l.want("[0-0 0:a=1][3-3 3:c=3][4-4 abort][5-5 commit][7-7 7:e=7][8-8 abort][9-9 commit][10-10 10:end=]")
	if len(l.aborted) != 2 || l.aborted[0].ProducerID != 7 || l.aborted[1].ProducerID != 8 {
		t.Fatalf("%+v", l.aborted)
	}
	l.round(200, 50)
	l.want("[0-0 0:a=1][3-3 3:c=3][4-4 horizon=250 abort][5-5 commit][7-7 7:e=7][8-8 horizon=250 abort][9-9 commit][10-10 10:end=]")
	if len(l.aborted) != 0 {
		t.Fatalf("%+v", l.aborted)
	}
	l.plain("c=11")
	l.round(250, 50)
	l.want("[0-0 0:a=1][5-5 commit][7-7 7:e=7][9-9 commit][10-10 10:end=][11-11 11:c=11]")
	l.round(300, 50)
	l.want("[0-0 0:a=1][5-5 horizon=350 commit][7-7 7:e=7][9-9 commit][10-10 10:end=][11-11 11:c=11]")
	l.round(349, 50)
	l.round(350, 50)
	l.want("[0-0 0:a=1][7-7 7:e=7][9-9 commit][10-10 10:end=][11-11 11:c=11]")
}

// A transaction that ended in the clean range says nothing of what its producer wrote behind.
func TestAnOldAbortDoesNotHideNewKeys(t *testing.T) {
	l := newLine(t)
	l.txn(7, "a=0")
	l.marker(7, record.Abort)
	l.plain("a=2")
	l.aborted = []segment.AbortedTxn{{ProducerID: 7, FirstOffset: 0, LastOffset: 1}}
	l.round(100, 50)
	if len(l.aborted) != 1 {
		t.Fatalf("%+v", l.aborted)
	}
	l.txn(7, "a=3")
	l.marker(7, record.Commit)
	l.plain("end=")
	l.round(200, 50)
	l.want("[1-1 horizon=250 abort][3-3 3:a=3][4-4 commit][5-5 5:end=]")
}

func TestAMarkerWithTheEpochOfAnActiveProducerStays(t *testing.T) {
	l := newLine(t)
	l.producers = map[int64]LastRecord{9: {DataOffset: -1, Epoch: 0}}
	l.marker(9, record.Abort)
	l.plain("a=1")
	l.round(100, 10)
	l.want("[0-0 horizon=110 abort][1-1 1:a=1]")
	l.round(200, 10)
	l.want("[0-0][1-1 1:a=1]")
	if b := l.batches[0]; !b.Control() || b.ProducerID() != 9 {
		t.Error("not a control batch any more")
	}
	l.producers = nil
	l.round(300, 10)
	l.want("[1-1 1:a=1]")
}

// With too many keys a round ends where the map does; what is behind is left alone, and the next round goes on.
func TestAFullMapEndsTheRound(t *testing.T) {
	l := newLine(t)
	l.keyBytes = 4 * slotBytes // three keys
	l.plain("a=0", "b=1", "a=2", "c=3", "d=4", "a=5")
	l.plain("b=6")
	l.round(1, 1)
	if l.from != 4 {
		t.Fatalf("the round ended at %d", l.from)
	}
	l.want("[0-5 1:b=1 2:a=2 3:c=3 4:d=4 5:a=5][6-6 6:b=6]")
	l.round(1, 1)
	l.want("[0-5 3:c=3 4:d=4 5:a=5][6-6 6:b=6]")
	if l.from != 7 {
		t.Fatalf("the round ended at %d", l.from)
	}
}

func TestCodecsTimesAndHeadersStay(t *testing.T) {
	for _, codec := range []record.Codec{record.None, record.Gzip, record.Snappy, record.LZ4, record.Zstd} {
		for _, appendTime := range []int64{0, 777} {
			b := record.NewBuilder(record.Options{ProducerID: 3, Sequence: 9, ProducerEpoch: 2, LeaderEpoch: 11, Codec: codec, BaseOffset: 100, LogAppendTime: appendTime != 0, AppendTime: appendTime})
			for i := range 10 {
				r := record.Record{Timestamp: int64(500 - i), Key: fmt.Append(nil, i%4), Value: bytes.Repeat([]byte{byte(i)}, 50), Headers: []record.Header{{Key: []byte("h"), Value: fmt.Append(nil, i)}, {Key: []byte("n")}}}
				if err := b.Add(r); err != nil {
					t.Fatal(err)
				}
			}
			in := b.Build()
			l := newLine(t)
			l.batches = []record.Batch{in}
			l.round(1, 1)
			out := l.batches[0]
			if out.Codec() != codec || out.LeaderEpoch() != 11 || out.ProducerEpoch() != 2 || out.BaseSequence() != 9 || out.LastSequence() != 18 ||
				out.LastOffset() != 109 || out.BaseOffset() != 100 || out.LogAppendTime() != in.LogAppendTime() {
				t.Errorf("%s: another batch", codec)
			}
			var was []record.Record
			for r := range in.Records(1 << 20) {
				was = append(was, r)
			}
			i := 6
			for r, err := range out.Records(1 << 20) {
				if err != nil {
					t.Fatal(err)
				}
				w := was[i]
				if r.Offset != w.Offset || r.Timestamp != w.Timestamp || !bytes.Equal(r.Value, w.Value) || !slices.EqualFunc(r.Headers, w.Headers, func(a, b record.Header) bool {
					return bytes.Equal(a.Key, b.Key) && bytes.Equal(a.Value, b.Value) && (a.Value == nil) == (b.Value == nil)
				}) {
					t.Errorf("%s: record %d is another one", codec, r.Offset)
				}
				i++
			}
			if i != 10 {
				t.Errorf("%s: %d records", codec, i-6)
			}
		}
	}
}

// FuzzFilter: no batch panics; what stays is valid, keeps its offsets, and is stable.
func FuzzFilter(f *testing.F) {
	seed := func(o record.Options, rs ...record.Record) {
		b := record.NewBuilder(o)
		for _, r := range rs {
			if err := b.Add(r); err != nil {
				f.Fatal(err)
			}
		}
		f.Add([]byte(b.Build()), true)
	}
	seed(record.Options{ProducerID: record.NoProducerID}, record.Record{Key: []byte("a"), Value: []byte("1")}, record.Record{Key: []byte("a")}, record.Record{Value: []byte("2")})
	seed(record.Options{ProducerID: 1, Transactional: true, Codec: record.Zstd}, record.Record{Key: []byte("a"), Value: []byte("1")})
	seed(record.Options{ProducerID: 1, Transactional: true, Control: true, Sequence: record.NoSequence}, record.ControlRecord(record.Abort, 1, 1))
	seed(record.Options{ProducerID: record.NoProducerID, DeleteHorizon: 5}, record.Record{Key: []byte("a")})
	f.Fuzz(func(t *testing.T, b []byte, last bool) {
		batch, err := record.Parse(b)
		if err != nil || batch.ValidateHeader() != nil || batch.BaseOffset() < 0 || batch.LastOffset() < 0 {
			return
		}
		run := func(in record.Batch) []byte {
			keys := NewKeys(100, 1<<12, 0.9)
			defer keys.Free()
			x := Index{Keys: keys, Txns: NewTxns(nil, 0)}
			end, _, err := x.Add(in)
			if err != nil {
				return nil
			}
			f := Filter{Keys: keys, End: end, Txns: NewTxns(nil, 0), Now: 10, Retention: 10}
			out, err := f.Append(nil, in, last)
			if err != nil {
				return nil
			}
			return out
		}
		out := run(batch)
		if len(out) == 0 {
			return
		}
		once, err := record.Parse(out)
		if err != nil {
			t.Fatal(err)
		}
		if once.BaseOffset() != batch.BaseOffset() || once.LastOffset() != batch.LastOffset() || once.ProducerID() != batch.ProducerID() {
			t.Fatal("offsets or producer changed")
		}
		if again := run(once); last && !bytes.Equal(again, out) {
			t.Fatalf("not stable\n%x\n%x", out, again)
		}
	})
}
