package partition

import (
	"errors"
	"testing"
	"time"

	"github.com/tidelinehq/tideline/internal/record"
)

// compressed has w keep its batches in a codec.
func (w *world) compressed(codec record.Codec, maxBytes int) {
	w.Configure(Settings{
		MaxMessageBytes: maxBytes, TimestampAfterMax: time.Hour, TimestampBeforeMax: 1 << 62,
		Compression: &record.Compression{Codec: codec, Level: record.UsualLevel},
	})
}

func TestTopicsHaveACodec(t *testing.T) {
	w := newWorld(t)
	offset := int64(0)
	for from := record.None; from <= record.Zstd; from++ {
		for to := record.None; to <= record.Zstd; to++ {
			w.compressed(to, 1<<20)
			sent := batch(record.Options{Codec: from, ProducerID: 9, Sequence: int32(offset)}, 20, 1000)
			a := w.mustAppend(sent)
			chunk, err := w.Read(offset, 1<<20, true, ReadUncommitted)
			if err != nil {
				t.Fatal(err)
			}
			got, _, err := record.Next(chunk.Buffers[0])
			if err != nil || got.Codec() != to || got.BaseOffset() != offset || got.Count() != 20 || got.Validate() != nil {
				t.Errorf("%v to %v: codec=%v base=%d count=%d, %v, %v", from, to, got.Codec(), got.BaseOffset(), got.Count(), err, got.Validate())
			}
			chunk.Release()
			offset = a.End()
			if again := w.mustAppend(batch(record.Options{Codec: from, ProducerID: 9, Sequence: int32(offset - 20)}, 20, 1000)); !again.Duplicate || again.BaseOffset != offset-20 {
				t.Errorf("%v to %v: sent again: duplicate=%v base=%d", from, to, again.Duplicate, again.BaseOffset)
			}
		}
	}
	if n := inflated.Load(); n != 0 {
		t.Errorf("%d bytes of the budget are not given back", n)
	}
}

// TestRecompressedBatchesAreChecked: the rules of a topic are the same whatever its codec is.
func TestRecompressedBatchesAreChecked(t *testing.T) {
	w := newWorld(t)
	w.compressed(record.None, 1000)
	now := w.now.UnixMilli()
	of := func(count int, first int64) record.Batch {
		return batch(record.Options{Codec: record.Zstd, ProducerID: record.NoProducerID}, count, first)
	}
	broken := of(1, now)
	broken[len(broken)-1]++
	for name, test := range map[string]struct {
		b    record.Batch
		want error
	}{
		"fits":                     {of(5, now), nil},
		"too large when it is out": {of(60, now), record.ErrTooLarge},
		"too new":                  {of(1, now+3_700_000), ErrInvalidTimestamp},
		"bad checksum":             {broken, record.ErrChecksum},
		"two batches":              {append(of(1, now), of(1, now)...), ErrInvalidRecord},
	} {
		if _, err := w.append(test.b); !errors.Is(err, test.want) {
			t.Errorf("%s: %v, want %v", name, err, test.want)
		}
	}
	w.compressed(record.Snappy, 600)
	if _, err := w.append(of(60, now)); !errors.Is(err, ErrTooLarge) {
		t.Errorf("larger than max.message.bytes in the codec of the topic: %v", err)
	}
	bomb := record.NewBuilder(record.Options{Codec: record.Zstd, ProducerID: record.NoProducerID})
	if err := bomb.Add(record.Record{Key: []byte("k"), Value: make([]byte, 80<<20), Timestamp: now}); err != nil {
		t.Fatal(err)
	}
	w.compressed(record.Gzip, 1<<20)
	if _, err := w.append(bomb.Build()); !errors.Is(err, record.ErrTooLarge) {
		t.Errorf("a bomb: %v", err)
	}
	if n := inflated.Load(); n != 0 || w.End() != 5 {
		t.Errorf("%d bytes of the budget are not given back, log end = %d", n, w.End())
	}
}

// TestInflationHasABudget: batches that come out larger than they came in are bounded in all partitions
// together, and one by itself always passes.
func TestInflationHasABudget(t *testing.T) {
	if err := inflate(maxInflated + 1); err != nil {
		t.Error(err)
	}
	if err := inflate(1); !errors.Is(err, ErrBusy) {
		t.Errorf("beyond the budget: %v", err)
	}
	deflate(maxInflated + 1)
	if err := inflate(1); err != nil {
		t.Error(err)
	}
	deflate(1)
	if n := inflated.Load(); n != 0 {
		t.Errorf("%d bytes are not given back", n)
	}
}

// TestRecompressionKeepsTheTimeOfAppending: a topic may have both, a codec and the broker's time.
func TestRecompressionKeepsTheTimeOfAppending(t *testing.T) {
	w := newWorld(t)
	w.Configure(Settings{MaxMessageBytes: 1 << 20, LogAppendTime: true, Compression: &record.Compression{Codec: record.Gzip, Level: 9}})
	a := w.mustAppend(batch(record.Options{Codec: record.LZ4, ProducerID: record.NoProducerID}, 3, 1))
	chunk, err := w.Read(0, 1<<20, true, ReadUncommitted)
	if err != nil {
		t.Fatal(err)
	}
	defer chunk.Release()
	got, _, err := record.Next(chunk.Buffers[0])
	if err != nil || got.Codec() != record.Gzip || !got.LogAppendTime() || got.MaxTimestamp() != a.AppendTime || got.Validate() != nil {
		t.Errorf("codec=%v time=%d want=%d, %v, %v", got.Codec(), got.MaxTimestamp(), a.AppendTime, err, got.Validate())
	}
}
