package partition

import (
	"encoding/binary"
	"errors"
	"math"
	"testing"
	"time"

	"github.com/tidelinehq/tideline/internal/record"
)

// batchOf makes the header of a batch; the checks look at nothing else.
func batchOf(pid int64, epoch int16, sequence int32, count int32, base int64) record.Batch {
	b := record.NewBuilder(record.Options{ProducerID: pid, ProducerEpoch: epoch, Sequence: sequence, BaseOffset: base})
	for range count {
		if err := b.Add(record.Record{Value: []byte("v"), Timestamp: 1000}); err != nil {
			panic(err)
		}
	}
	return b.Build()
}

func TestProducerSequences(t *testing.T) {
	const pid = 7
	type step struct {
		epoch      int16
		seq, count int32
		want       error
		duplicate  bool
	}
	tests := map[string][]step{
		"dense":                      {{0, 0, 1, nil, false}, {0, 1, 3, nil, false}, {0, 4, 1, nil, false}},
		"gap":                        {{0, 0, 1, nil, false}, {0, 2, 1, ErrOutOfOrderSequence, false}, {0, 1, 1, nil, false}},
		"retry of the last":          {{0, 0, 2, nil, false}, {0, 0, 2, nil, true}},
		"retry of the fifth last":    {{0, 0, 1, nil, false}, {0, 1, 1, nil, false}, {0, 2, 1, nil, false}, {0, 3, 1, nil, false}, {0, 4, 1, nil, false}, {0, 0, 1, nil, true}},
		"retry of the sixth last":    {{0, 0, 1, nil, false}, {0, 1, 1, nil, false}, {0, 2, 1, nil, false}, {0, 3, 1, nil, false}, {0, 4, 1, nil, false}, {0, 5, 1, nil, false}, {0, 0, 1, ErrOutOfOrderSequence, false}},
		"same start, other length":   {{0, 0, 2, nil, false}, {0, 0, 1, ErrOutOfOrderSequence, false}},
		"unknown may start anywhere": {{0, 40, 1, nil, false}, {0, 41, 1, nil, false}},
		"new epoch starts at zero":   {{0, 0, 1, nil, false}, {1, 1, 1, ErrOutOfOrderSequence, false}, {1, 0, 1, nil, false}},
		"old epoch is fenced":        {{1, 0, 1, nil, false}, {0, 1, 1, ErrInvalidProducerEpoch, false}},
		"sequence wraps":             {{0, math.MaxInt32 - 1, 2, nil, false}, {0, 0, 1, nil, false}},
		"sequence wraps in a batch":  {{0, math.MaxInt32, 2, nil, false}, {0, 1, 1, nil, false}},
	}
	for name, steps := range tests {
		t.Run(name, func(t *testing.T) {
			var p producers
			next := int64(100)
			for i, s := range steps {
				b := batchOf(pid, s.epoch, s.seq, s.count, next)
				duplicate, err := p.check(b, 0)
				if !errors.Is(err, s.want) || (duplicate != nil) != s.duplicate {
					t.Fatalf("step %d: duplicate=%v err=%v, want duplicate=%v err=%v", i, duplicate, err, s.duplicate, s.want)
				}
				if err == nil && duplicate == nil {
					p.update(b, noMarker, 0)
					next = b.NextOffset()
				}
			}
		})
	}
}

func TestProducersForgetWhatDidNotSurvive(t *testing.T) {
	var p producers
	p.update(batchOf(1, 0, 0, 10, 0), noMarker, 0)
	p.update(batchOf(1, 0, 10, 10, 10), noMarker, 0)
	p.update(batchOf(2, 0, 0, 5, 20), noMarker, 0)
	p.truncate(15)
	if d, err := p.check(batchOf(1, 0, 10, 10, 0), 0); d != nil || err != nil {
		t.Errorf("a batch beyond the end must be appended again: duplicate=%v err=%v", d, err)
	}
	if d, _ := p.check(batchOf(1, 0, 0, 10, 0), 0); d == nil {
		t.Error("a batch below the end must stay known")
	}
	if _, ok := p.entries[2]; ok {
		t.Error("a producer without batches must be forgotten")
	}
}

func TestStateRoundTrip(t *testing.T) {
	var p producers
	for i := int32(0); i < 7; i++ {
		p.update(batchOf(1, 3, i, 1, int64(i)), noMarker, 0)
	}
	p.update(batchOf(900, 0, math.MaxInt32, 2, 7), noMarker, 55)
	es := epochs{{0, 0}, {4, 100}}
	s := state{highWatermark: 77, epochs: es, producers: p}
	decoded, err := decodeState(s.encode())
	if err != nil {
		t.Fatal(err)
	}
	if len(decoded.epochs) != 2 || decoded.epochs[1] != es[1] || decoded.highWatermark != 77 {
		t.Errorf("epochs = %v high watermark = %d", decoded.epochs, decoded.highWatermark)
	}
	got := decoded.producers
	if len(got.entries) != 2 || *got.entries[1] != *p.entries[1] || *got.entries[900] != *p.entries[900] {
		t.Errorf("producers = %+v", got.entries)
	}
}

func TestEpochEnds(t *testing.T) {
	es := epochs{{2, 10}, {5, 20}, {9, 40}}
	tests := []struct {
		epoch, wantEpoch int32
		wantEnd          int64
	}{
		{9, 9, 50}, {5, 5, 40}, {7, 5, 40}, {2, 2, 20}, {3, 2, 20}, {1, 1, 10}, {10, 9, 50}, {11, 11, 50}, {12, -1, -1},
	}
	for _, c := range tests {
		if e, end := es.endOf(c.epoch, 11, 50); e != c.wantEpoch || end != c.wantEnd {
			t.Errorf("endOf(%d) = %d, %d; want %d, %d", c.epoch, e, end, c.wantEpoch, c.wantEnd)
		}
	}
	if got := es.truncateStart(25); got[0] != (EpochStart{5, 25}) || len(got) != 2 {
		t.Errorf("truncateStart = %v", got)
	}
	if got := es.truncateEnd(20); len(got) != 1 {
		t.Errorf("truncateEnd = %v", got)
	}
}

// TestOldTimestampsDoNotForgetProducers: a log that is copied has time stamps of
// long ago, its producer is of today.
func TestOldTimestampsDoNotForgetProducers(t *testing.T) {
	w := newWorld(t)
	of := func(seq int32) record.Batch {
		return batch(record.Options{ProducerID: 9, Sequence: seq}, 1, 1000)
	}
	w.mustAppend(of(0))
	w.reopen(0, 0)
	w.Configure(Settings{MaxMessageBytes: 1 << 20, TimestampAfterMax: time.Hour, TimestampBeforeMax: 1 << 62, ProducerExpiry: 24 * time.Hour})
	w.SaveState()
	if a := w.mustAppend(of(0)); !a.Duplicate {
		t.Errorf("a retry after a restart was appended at %d", a.BaseOffset)
	}
	w.now = w.now.Add(25 * time.Hour)
	w.SaveState()
	if n := len(w.Producers()); n != 0 {
		t.Errorf("%d producers are left after their expiry", n)
	}
}

func TestProducersAreBounded(t *testing.T) {
	var p producers
	one := batchOf(0, 0, 0, 1, 0)
	for i := range int64(maxProducers + 10) {
		b := record.Batch(append([]byte(nil), one...))
		binary.BigEndian.PutUint64(b[43:], uint64(i)) // producer id
		for seq := range int32(retainedBatches) {
			binary.BigEndian.PutUint32(b[53:], uint32(seq)) // base sequence
			b.SetBaseOffset(1<<48 + i)
			p.update(b, noMarker, 1<<41+i)
		}
	}
	if n := len(p.entries); n > maxProducers || n < maxProducers/2 {
		t.Errorf("%d producers", n)
	}
	if p.entries[0] != nil || p.entries[maxProducers+9] == nil {
		t.Error("the oldest must go, the newest must stay")
	}
	for i := range int64(maxDecisions + 10) {
		p.ended.add(decision{id: 1<<40 + i, marker: 1<<48 + i, first: 1 << 47, stable: 1 << 47, coordinatorEpoch: 1 << 20, epoch: 1 << 10})
	}
	if n := len(p.ended.list); n > maxDecisions || n < maxDecisions/2 || p.ended.floor != p.ended.list[0].marker {
		t.Errorf("%d markers from %d on", n, p.ended.floor)
	}
	s := state{producers: p, aborted: make([]AbortedTxn, maxAborted+maxOpenTransactions)}
	for i := range s.aborted {
		s.aborted[i] = AbortedTxn{ProducerID: 1 << 40, FirstOffset: 1 << 47, LastOffset: 1<<48 + int64(i), LastStable: 1 << 47}
	}
	if n := len(s.encode()); n > 8<<20 {
		t.Errorf("state of %d bytes does not fit into a frame of the smallest file", n)
	}
}

// TestFreedIsDescribedFirst: what is freed from the disk can not be replayed any more. Before that, no state frame of
// a partition whose file had not been sealed since told of it, and its producers were forgotten with the file.
func TestFreedIsDescribedFirst(t *testing.T) {
	w := newWorld(t)
	a := w.mustAppend(batch(record.Options{ProducerID: 9}, 2, 1000))
	w.SetTiered(a.End())
	w.FreeLocal(a.End())
	w.mustAppend(plain(1, 1000))
	payload, covered := w.Partition.log.State()
	s, err := decodeState(payload)
	if start := w.Partition.log.Start(); err != nil || covered < start || s.producers.entries[9] == nil {
		t.Errorf("the log begins at %d, its state covers what is below %d: %+v %v", start, covered, s, err)
	}
}
