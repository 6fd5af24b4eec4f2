package partition

import (
	"errors"
	"log/slog"
	"testing"
	"time"

	"github.com/tidelinehq/tideline/internal/record"
	"github.com/tidelinehq/tideline/internal/vfs/memfs"
	"github.com/tidelinehq/tideline/wal"
)

// owner collects the outcome of one append.
type owner chan error

func (o owner) Appended(_ *Append, err error) { o <- err }

// world is a partition over a write-ahead log on a disk in memory.
type world struct {
	t   *testing.T
	fs  *memfs.FS
	log *wal.Log
	now time.Time
	*Partition
}

var testID = wal.ID{Topic: [16]byte{1}, Partition: 3}

func newWorld(t *testing.T) *world {
	w := &world{t: t, fs: memfs.New(0), now: time.UnixMilli(1_700_000_000_000)}
	w.open(0, 0)
	t.Cleanup(func() {
		if err := w.log.Close(); err != nil {
			t.Error(err)
		}
	})
	return w
}

func (w *world) open(logStart, tiered int64) {
	w.t.Helper()
	w.openLog(logStart, tiered)
	w.Lead(alone(4), nil, nil)
}

// openLog opens the replica, which neither leads nor follows yet.
func (w *world) openLog(logStart, tiered int64) {
	w.t.Helper()
	var err error
	w.log, err = wal.Open(wal.Options{FS: w.fs, Dir: "wal", FileBytes: 1 << 20, MaxBytes: 16 << 20, TailBytes: 1 << 20})
	if err != nil {
		w.t.Fatal(err)
	}
	w.Partition, err = Open(Options{
		Topic: "t", ID: testID, Log: w.log, LogStart: logStart, Tiered: tiered,
		Settings: Settings{MaxMessageBytes: 1 << 20, TimestampAfterMax: time.Hour, TimestampBeforeMax: 1 << 62},
		Now:      func() time.Time { return w.now }, Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		w.t.Fatal(err)
	}
}

// alone is the leadership of a partition with one replica.
func alone(epoch int32) Leadership {
	return Leadership{Epoch: epoch, PartitionEpoch: epoch, ISR: []int32{1}, MinISR: 1}
}

// reopen closes and opens again, as a restart does.
func (w *world) reopen(logStart, tiered int64) {
	w.t.Helper()
	if err := w.log.Close(); err != nil {
		w.t.Fatal(err)
	}
	w.open(logStart, tiered)
}

// batch makes count records of a producer, the i-th with the timestamp first+i.
func batch(o record.Options, count int, first int64) record.Batch {
	b := record.NewBuilder(o)
	for i := range count {
		if err := b.Add(record.Record{Key: []byte("k"), Value: make([]byte, 100), Timestamp: first + int64(i)}); err != nil {
			panic(err)
		}
	}
	return b.Build()
}

func plain(count int, first int64) record.Batch {
	return batch(record.Options{ProducerID: record.NoProducerID}, count, first)
}

// append appends and waits until it is durable.
func (w *world) append(b record.Batch) (*Append, error) {
	w.t.Helper()
	a, done := &Append{}, make(owner, 1)
	if err := w.Append(a, b, FromClient, done); err != nil {
		return a, err
	}
	return a, <-done
}

func (w *world) mustAppend(b record.Batch) *Append {
	w.t.Helper()
	a, err := w.append(b)
	if err != nil {
		w.t.Fatal(err)
	}
	return a
}

func TestAppendAssignsOffsets(t *testing.T) {
	w := newWorld(t)
	if a := w.mustAppend(plain(3, 1000)); a.BaseOffset != 0 {
		t.Errorf("first base offset = %d", a.BaseOffset)
	}
	if a := w.mustAppend(plain(2, 2000)); a.BaseOffset != 3 || w.HighWatermark() != 5 || w.End() != 5 {
		t.Errorf("base=%d high watermark=%d end=%d", a.BaseOffset, w.HighWatermark(), w.End())
	}
	chunk, err := w.Read(4, 1<<20, false, ReadUncommitted)
	if err != nil {
		t.Fatal(err)
	}
	defer chunk.Release()
	got, _, err := record.Next(chunk.Buffers[0])
	if err != nil || got.BaseOffset() != 3 || got.LeaderEpoch() != 4 || got.Validate() != nil {
		t.Errorf("read back base=%d epoch=%d err=%v", got.BaseOffset(), got.LeaderEpoch(), err)
	}
	if c, err := w.Read(5, 1<<20, true, ReadUncommitted); c != nil || err != nil {
		t.Errorf("at the end: chunk=%v err=%v", c, err)
	}
	for _, offset := range []int64{-1, 6} {
		if _, err := w.Read(offset, 1<<20, true, ReadUncommitted); !errors.Is(err, ErrOffsetOutOfRange) {
			t.Errorf("offset %d: %v", offset, err)
		}
	}
}

func TestDuplicateIsAnsweredNotAppended(t *testing.T) {
	w := newWorld(t)
	of := func(seq int32) record.Batch {
		return batch(record.Options{ProducerID: 9, Sequence: seq}, 2, 1000)
	}
	w.mustAppend(of(0))
	w.mustAppend(of(2))
	for range 2 {
		if a := w.mustAppend(of(0)); !a.Duplicate || a.BaseOffset != 0 {
			t.Errorf("duplicate=%v base=%d", a.Duplicate, a.BaseOffset)
		}
		if _, err := w.append(of(10)); !errors.Is(err, ErrOutOfOrderSequence) {
			t.Errorf("gap: %v", err)
		}
		w.reopen(0, 0) // the memory of producers survives, from the batches
	}
	w.SaveState()
	w.reopen(0, 0) // and from the state frame
	if a := w.mustAppend(of(2)); !a.Duplicate || a.BaseOffset != 2 {
		t.Errorf("after state frame: duplicate=%v base=%d", a.Duplicate, a.BaseOffset)
	}
	if w.End() != 4 {
		t.Errorf("log end = %d, want 4", w.End())
	}
}

func TestRefusedBatches(t *testing.T) {
	w := newWorld(t)
	w.Configure(Settings{MaxMessageBytes: 400, TimestampAfterMax: time.Hour, TimestampBeforeMax: time.Hour, Compacted: true})
	now := w.now.UnixMilli()
	noKey := record.NewBuilder(record.Options{ProducerID: record.NoProducerID})
	if err := noKey.Add(record.Record{Value: []byte("v"), Timestamp: now}); err != nil {
		t.Fatal(err)
	}
	broken := plain(1, now)
	broken[len(broken)-1]++
	tests := map[string]struct {
		b    record.Batch
		want error
	}{
		"too large":      {plain(20, now), ErrTooLarge},
		"too new":        {plain(1, now+3_700_000), ErrInvalidTimestamp},
		"too old":        {plain(1, now-3_700_000), ErrInvalidTimestamp},
		"without a key":  {noKey.Build(), ErrInvalidRecord},
		"control":        {batch(record.Options{ProducerID: 1, Control: true, Sequence: -1}, 1, now), record.ErrInvalid},
		"bad checksum":   {broken, record.ErrChecksum},
		"two batches":    {append(plain(1, now), plain(1, now)...), ErrInvalidRecord},
		"cut short":      {plain(1, now)[:50], record.ErrShort},
		"nothing at all": {nil, ErrInvalidRecord},
	}
	for name, c := range tests {
		if _, err := w.append(c.b); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
	if w.End() != 0 {
		t.Errorf("log end = %d: something was appended", w.End())
	}
}

func TestWaitersHearOfRecords(t *testing.T) {
	w := newWorld(t)
	wait := make(highWatermarkWait, 1)
	if seen := w.Watch(wait); seen != 0 {
		t.Errorf("high watermark = %d", seen)
	}
	w.mustAppend(plain(1, 1000))
	<-wait
	w.Unwatch(wait)
	done := make(chan error, 1)
	go func() { done <- w.AwaitHighWatermark(t.Context(), 2) }()
	w.mustAppend(plain(1, 1000))
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func TestTimestamps(t *testing.T) {
	w := newWorld(t)
	for _, first := range []int64{1000, 5000, 3000} {
		w.mustAppend(plain(3, first))
	}
	for ts, want := range map[int64]int64{0: 0, 1001: 1, 1003: 3, 3000: 3, 5002: 5} {
		if got, ok, err := w.FindTime(t.Context(), ts, 0, ReadUncommitted); err != nil || !ok || got.Offset != want {
			t.Errorf("FindTime(%d) = %v %v %v, want %d", ts, got, ok, err, want)
		}
	}
	if got, ok, err := w.FindTime(t.Context(), 1000, 4, ReadUncommitted); err != nil || !ok || got.Offset != 4 {
		t.Errorf("from the middle of a batch: %v %v %v", got, ok, err)
	}
	if _, ok, err := w.FindTime(t.Context(), 5003, 0, ReadUncommitted); ok || err != nil {
		t.Errorf("beyond the last: %v %v", ok, err)
	}
	if got, ok, err := w.MaxTime(t.Context()); err != nil || !ok || got.Offset != 5 || got.Timestamp != 5002 {
		t.Errorf("MaxTime = %v %v %v", got, ok, err)
	}
}

func TestTheBucketKnowsMore(t *testing.T) {
	w := newWorld(t)
	w.mustAppend(plain(10, 1000))
	w.reopen(5, 1000)
	if w.End() != 1000 || w.HighWatermark() != 1000 || w.LogStart() != 5 || w.LocalStart() != 1000 {
		t.Errorf("end=%d high watermark=%d start=%d local start=%d", w.End(), w.HighWatermark(), w.LogStart(), w.LocalStart())
	}
	if _, err := w.Read(7, 100, true, ReadUncommitted); !errors.Is(err, ErrCold) {
		t.Errorf("below the local log: %v", err)
	}
	if a := w.mustAppend(plain(1, 1000)); a.BaseOffset != 1000 {
		t.Errorf("next offset = %d", a.BaseOffset)
	}
	w.reopen(5, 1000)
	if w.End() != 1001 {
		t.Errorf("end after restart = %d", w.End())
	}
}

func TestLocalRetention(t *testing.T) {
	w := newWorld(t)
	for i := range 10 {
		w.mustAppend(plain(1, int64(i)*1000))
	}
	w.SetTiered(8)
	tests := []struct {
		ms, bytes int64
		want      int64
	}{
		{-1, -1, 0}, {-1, 0, 8}, {0, -1, 8}, {-1, 1 << 30, 0},
		{5000, -1, 5}, // now is 10 s: what is older than 5 s goes
	}
	for _, c := range tests {
		got, err := w.LocalBound(c.ms, c.bytes, time.UnixMilli(10_000))
		if err != nil || got != c.want {
			t.Errorf("LocalBound(%d ms, %d bytes) = %d %v, want %d", c.ms, c.bytes, got, err, c.want)
		}
	}
	w.FreeLocal(100)
	if w.LocalStart() != 8 {
		t.Errorf("local start = %d: what is not tiered must stay", w.LocalStart())
	}
}

func TestStopWakesAndRefuses(t *testing.T) {
	w := newWorld(t)
	done := make(chan error, 1)
	ready := make(chan struct{})
	go func() { close(ready); done <- w.AwaitHighWatermark(t.Context(), 1) }()
	<-ready
	w.Stop()
	if err := <-done; !errors.Is(err, ErrStopped) {
		t.Errorf("waiting: %v", err)
	}
	if _, err := w.append(plain(1, 1)); !errors.Is(err, ErrStopped) {
		t.Errorf("append: %v", err)
	}
}

func TestLogAppendTime(t *testing.T) {
	w := newWorld(t)
	w.Configure(Settings{MaxMessageBytes: 1 << 20, LogAppendTime: true})
	a := w.mustAppend(plain(2, 1))
	if a.AppendTime != w.now.UnixMilli() {
		t.Errorf("append time = %d", a.AppendTime)
	}
	got, ok, err := w.FindTime(t.Context(), w.now.UnixMilli(), 0, ReadUncommitted)
	if err != nil || !ok || got.Offset != 0 || got.Timestamp != w.now.UnixMilli() {
		t.Errorf("FindTime = %v %v %v", got, ok, err)
	}
}

// A producer that is held back sends nothing new: the same bytes are appended
// once there is room.
func TestFullLogTakesTheSameBatchLater(t *testing.T) {
	w := newWorld(t)
	of := func() record.Batch { return plain(1000, 1000) }
	var refused record.Batch
	for range 1000 {
		b := of()
		if _, err := w.append(b); err != nil {
			if !errors.Is(err, wal.ErrFull) {
				t.Fatal(err)
			}
			refused = b
			break
		}
	}
	if refused == nil {
		t.Fatal("the log never ran full")
	}
	if _, err := w.append(refused); !errors.Is(err, wal.ErrFull) {
		t.Fatalf("the same batch again: %v, want %v", err, wal.ErrFull)
	}
	end := w.End()
	w.SaveState()
	w.SetTiered(end)
	w.FreeLocal(end)
	if err := w.log.WaitRoom(t.Context(), len(refused)); err != nil {
		t.Fatal(err)
	}
	if a := w.mustAppend(refused); a.BaseOffset != end {
		t.Errorf("base offset = %d, want %d", a.BaseOffset, end)
	}
}

// TestOffsetsAreNotUsedTwice: records that were deleted, and lost on the local
// disk afterwards, may have been read. Their offsets must not come again.
func TestOffsetsAreNotUsedTwice(t *testing.T) {
	w := newWorld(t)
	w.mustAppend(batch(record.Options{ProducerID: 9}, 10, 1000))
	w.reopen(100, 0) // the ledger: all below 100 is deleted
	if w.End() != 100 || w.HighWatermark() != 100 || w.LogStart() != 100 {
		t.Errorf("end=%d high watermark=%d start=%d", w.End(), w.HighWatermark(), w.LogStart())
	}
	if a := w.mustAppend(batch(record.Options{ProducerID: 9, Sequence: 40}, 1, 1000)); a.BaseOffset != 100 {
		t.Errorf("next offset = %d", a.BaseOffset)
	}
}

func TestDeletedRecordsArePendingNoMore(t *testing.T) {
	w := newWorld(t)
	w.mustAppend(plain(10, 1000))
	if bytes, _ := w.Pending(); bytes == 0 {
		t.Fatal("nothing is pending")
	}
	w.SetLogStart(10)
	if bytes, since := w.Pending(); bytes != 0 || !since.IsZero() {
		t.Errorf("all is deleted, and pending: bytes=%d since=%v", bytes, since)
	}
	w.mustAppend(plain(1, 1000))
	if bytes, _ := w.Pending(); bytes == 0 {
		t.Error("the new record is not pending")
	}
}

// TestTieredBeforeCommitted: a follower may hear that records are in the object store before it hears that they are committed.
func TestTieredBeforeCommitted(t *testing.T) {
	w := newWorld(t)
	w.Follow(5)
	a, done := &Append{}, make(owner, 1)
	if err := w.Replicate(a, 5, plain(10, 1000), 0, done); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	w.SetTiered(10)
	if err := w.Commit(5, 10); err != nil {
		t.Fatal(err)
	}
	if bytes, since := w.Pending(); w.HighWatermark() != 10 || bytes != 0 || !since.IsZero() {
		t.Errorf("all is tiered, and pending: high watermark=%d bytes=%d since=%v", w.HighWatermark(), bytes, since)
	}
}
