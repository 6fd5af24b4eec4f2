package tiering_test

import (
	"context"
	"math/rand/v2"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tidelinehq/tideline/internal/record"
	"github.com/tidelinehq/tideline/internal/vfs"
	"github.com/tidelinehq/tideline/tiering"
	"github.com/tidelinehq/tideline/tiering/compact"
	"github.com/tidelinehq/tideline/tiering/ledgertest"
	"github.com/tidelinehq/tideline/tiering/manifest"
	"github.com/tidelinehq/tideline/tiering/objstore/memstore"
)

// fixedSource always has the same pending.
type fixedSource struct {
	tiering.Source
	id manifest.ID
}

func (s fixedSource) ID() manifest.ID { return s.id }
func (s fixedSource) Status() tiering.SourceStatus {
	return tiering.SourceStatus{LeaderEpoch: 1, HighWatermark: 10, PendingBytes: 100, OldestPending: time.Now()}
}
func (s fixedSource) Settings() tiering.Settings {
	return tiering.Settings{RollBytes: 1 << 40, RollAfter: time.Hour, RetentionMs: -1, RetentionBytes: -1}
}

func benchEngine(b testing.TB) *tiering.Engine {
	state := ledgertest.New()
	ledger, store := state.Broker(1, false), memstore.New(nil)
	e, err := tiering.New(tiering.Options{Ledger: ledger, Store: store, FS: vfs.OS(), Dir: b.TempDir(), Locator: tiering.NewLocator(ledger, store, 0, nil)})
	if err != nil {
		b.Fatal(err)
	}
	return e
}

// BenchmarkAdvanced is what the hot path of a produce pays.
func BenchmarkAdvanced(b *testing.B) {
	l := benchEngine(b).Lead(fixedSource{})
	l.Advanced(1)
	b.ReportAllocs()
	for b.Loop() {
		l.Advanced(1)
	}
}

func TestAdvancedDoesNotAllocate(t *testing.T) {
	l := benchEngine(t).Lead(fixedSource{})
	l.Advanced(1)
	if n := testing.AllocsPerRun(1000, func() { l.Advanced(1) }); n != 0 {
		t.Fatalf("%v allocations", n)
	}
}

// BenchmarkStatusOfManyPartitions looks at 10,000 led partitions, as a scrape or a console does.
func BenchmarkStatusOfManyPartitions(b *testing.B) {
	e := benchEngine(b)
	for i := range 10_000 {
		e.Lead(fixedSource{id: manifest.ID{Topic: topicID(i)}})
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- e.Run(ctx) }()
	b.ReportAllocs()
	for b.Loop() {
		if n := len(e.Status().Partitions); n != 10_000 {
			b.Fatal(n)
		}
	}
	cancel()
	<-done
}

// streamSource is a partition that always has one more object's worth of data: one batch, over and over.
type streamSource struct {
	state *ledgertest.State
	id    manifest.ID
	batch record.Batch
	hw    atomic.Int64
	done  chan int64
}

func (s *streamSource) ID() manifest.ID { return s.id }
func (s *streamSource) Status() tiering.SourceStatus {
	v, _ := s.state.Broker(0, false).View(s.id.Topic, s.id.Partition)
	n := (s.hw.Load() - v.Tiered) / int64(s.batch.Count()) * int64(len(s.batch))
	return tiering.SourceStatus{LeaderEpoch: 1, HighWatermark: s.hw.Load(), PendingBytes: n, OldestPending: time.Now()}
}
func (s *streamSource) Settings() tiering.Settings {
	return tiering.Settings{RollBytes: 1 << 20, RollAfter: time.Hour, RetentionMs: -1, RetentionBytes: 1}
}
func (s *streamSource) Read(_ context.Context, from, limit int64, maxBytes int) (tiering.SourceChunk, error) {
	var buf []byte
	for ; from < limit && len(buf)+len(s.batch) <= max(maxBytes, len(s.batch)); from += int64(s.batch.Count()) {
		start := len(buf)
		buf = append(buf, s.batch...)
		record.Batch(buf[start:]).SetBaseOffset(from)
	}
	return tiering.SourceChunk{Buffers: [][]byte{buf}, Next: from, Release: func() {}}, nil
}
func (s *streamSource) Snapshot(context.Context, int64, int64) (tiering.Snapshot, error) {
	return tiering.Snapshot{}, nil
}
func (s *streamSource) Producers() map[int64]compact.LastRecord { return nil }
func (s *streamSource) Tiered(to int64)                         { s.done <- to }

// BenchmarkUpload is one partition of 64 MiB an object, from reading the log to the commit, into memory: incompressible 64 KiB
// batches, so that checksums, hashing and copying are what is measured.
func BenchmarkUpload(b *testing.B) {
	state := ledgertest.New()
	id := manifest.ID{Topic: topicID(1)}
	state.Create(id, 1)
	builder := record.NewBuilder(record.Options{ProducerID: record.NoProducerID})
	value := make([]byte, 1000)
	rnd := rand.New(rand.NewPCG(1, 2))
	for range 64 {
		for i := range value {
			value[i] = byte(rnd.Uint32())
		}
		if err := builder.Add(record.Record{Timestamp: 1, Value: value}); err != nil {
			b.Fatal(err)
		}
	}
	s := &streamSource{state: state, id: id, batch: builder.Build(), done: make(chan int64)}
	ledger, store := state.Broker(1, false), memstore.New(nil)
	e, err := tiering.New(tiering.Options{Ledger: ledger, Store: store, FS: vfs.OS(), Dir: b.TempDir(), Locator: tiering.NewLocator(ledger, store, 0, nil)})
	if err != nil {
		b.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- e.Run(ctx) }()
	lease := e.Lead(s)
	const batches = 64 << 20 / 65_000
	b.SetBytes(int64(batches * len(s.batch)))
	b.ReportAllocs()
	for b.Loop() {
		to := s.hw.Add(int64(batches * s.batch.Count()))
		lease.Advanced(int64(batches * len(s.batch)))
		if got := <-s.done; got != to {
			b.Fatalf("tiered %d of %d", got, to)
		}
		for _, key := range store.Keys() {
			if _, err := store.Delete(ctx, []string{key}); err != nil { // keeps the memory of the benchmark flat
				b.Fatal(err)
			}
		}
	}
	cancel()
	<-done
}
