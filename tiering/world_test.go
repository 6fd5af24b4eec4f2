package tiering_test

import (
	"bytes"
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"iter"
	"maps"
	"math/rand/v2"
	"reflect"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tidelinehq/tideline/internal/record"
	"github.com/tidelinehq/tideline/internal/vfs"
	"github.com/tidelinehq/tideline/tiering"
	"github.com/tidelinehq/tideline/tiering/compact"
	"github.com/tidelinehq/tideline/tiering/ledgertest"
	"github.com/tidelinehq/tideline/tiering/manifest"
	"github.com/tidelinehq/tideline/tiering/objstore"
	"github.com/tidelinehq/tideline/tiering/objstore/faultstore"
	"github.com/tidelinehq/tideline/tiering/objstore/memstore"
	"github.com/tidelinehq/tideline/tiering/segment"
)

// world is one ledger, one bucket, and the logs of some partitions.
type world struct {
	t      *testing.T
	rnd    *rand.Rand
	state  *ledgertest.State
	mem    *memstore.Store
	store  *faultstore.Store
	dir    string
	logs   map[manifest.ID]*localLog
	nextID atomic.Uint64
}

func newWorld(t *testing.T, seed uint64) *world {
	mem := memstore.New(nil)
	return &world{t: t, rnd: rand.New(rand.NewPCG(seed, 1)), state: ledgertest.New(), mem: mem, store: faultstore.New(mem, seed),
		dir: t.TempDir(), logs: map[manifest.ID]*localLog{}}
}

// localLog is a partition's local log, and a tiering.Source.
type localLog struct {
	w  *world
	id manifest.ID

	mu       sync.Mutex
	epoch    int32
	batches  []record.Batch
	appended []time.Time
	end      int64
	settings tiering.Settings
	notified int64
	readErr  error
	lease    *tiering.Lease
	kv       *keyed // what it holds, where that is followed
}

func topicID(n int) (t [16]byte) {
	binary.BigEndian.PutUint32(t[:], uint32(n)+1)
	return t
}

func (w *world) create(topic int, partition int32) *localLog {
	l := &localLog{w: w, id: manifest.ID{Topic: topicID(topic), Partition: partition}, epoch: 1,
		settings: tiering.Settings{RollBytes: 64 << 20, RollAfter: time.Minute, RetentionMs: -1, RetentionBytes: -1}}
	w.state.Create(l.id, 1)
	w.logs[l.id] = l
	return l
}

// append adds one batch of n records of size bytes each.
func (l *localLog) append(n, size int) {
	l.mu.Lock()
	b := record.NewBuilder(record.Options{BaseOffset: l.end, LeaderEpoch: l.epoch, ProducerID: record.NoProducerID})
	value := make([]byte, size)
	for i := range value {
		value[i] = byte(l.w.rnd.Uint32())
	}
	for range n {
		if err := b.Add(record.Record{Timestamp: time.Now().UnixMilli(), Value: value}); err != nil {
			panic(err)
		}
	}
	l.mu.Unlock()
	l.appendBatch(b.Build())
}

// appendBatch adds a batch that begins where the log ends.
func (l *localLog) appendBatch(batch record.Batch) {
	l.mu.Lock()
	l.batches = append(l.batches, batch)
	l.appended = append(l.appended, time.Now())
	l.end = batch.NextOffset()
	lease := l.lease
	l.mu.Unlock()
	if lease != nil {
		lease.Advanced(int64(len(batch)))
	}
}

func (l *localLog) ID() manifest.ID { return l.id }

// pending is the index of the first batch that is not in the ledger. Requires mu.
func (l *localLog) pending() int {
	v, _ := l.w.state.Broker(0, false).View(l.id.Topic, l.id.Partition)
	from := max(v.Tiered, v.LogStart)
	i, _ := slices.BinarySearchFunc(l.batches, from, func(b record.Batch, from int64) int {
		if b.NextOffset() <= from {
			return -1
		}
		return 1
	})
	return i
}

func (l *localLog) Status() tiering.SourceStatus {
	l.mu.Lock()
	defer l.mu.Unlock()
	s := tiering.SourceStatus{LeaderEpoch: l.epoch, HighWatermark: l.end}
	i := l.pending()
	for _, b := range l.batches[i:] {
		s.PendingBytes += int64(len(b))
	}
	if i < len(l.batches) {
		s.OldestPending = l.appended[i]
	}
	return s
}

func (l *localLog) Settings() tiering.Settings {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.settings
}

func (l *localLog) Read(ctx context.Context, from, limit int64, maxBytes int) (tiering.SourceChunk, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.readErr != nil {
		return tiering.SourceChunk{}, l.readErr
	}
	c := tiering.SourceChunk{Release: func() {}}
	n := 0
	for _, b := range l.batches {
		if b.NextOffset() <= from || b.NextOffset() > limit {
			continue
		}
		if n > 0 && n+len(b) > maxBytes {
			break
		}
		c.Buffers = append(c.Buffers, b)
		c.Next = b.NextOffset()
		n += len(b)
	}
	return c, ctx.Err()
}

func (l *localLog) Snapshot(_ context.Context, from, end int64) (tiering.Snapshot, error) {
	if l.kv != nil {
		return l.kv.snapshot(from, end), nil
	}
	return tiering.Snapshot{Epochs: []segment.EpochStart{{Epoch: l.epoch, Start: 0}}, ProducerState: fmt.Appendf(nil, "producers at %d", end), StableOffset: end}, nil
}

func (l *localLog) Producers() map[int64]compact.LastRecord {
	if l.kv != nil {
		return l.kv.producers()
	}
	return nil
}

func (l *localLog) Tiered(to int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.notified = max(l.notified, to)
}

func (l *localLog) view() manifest.Ledger {
	v, _ := l.w.state.Broker(0, false).View(l.id.Topic, l.id.Partition)
	return v
}

// options are those of broker 1, the cleaner.
func (w *world) options(ledger *ledgertest.Broker) tiering.Options {
	return tiering.Options{
		Ledger: ledger, Store: w.store, FS: vfs.OS(), Dir: w.dir, Locator: tiering.NewLocator(ledger, w.store, 8<<20, nil),
		NewID: func() (id [16]byte) {
			n := w.nextID.Add(1)
			binary.BigEndian.PutUint64(id[:], n*0x9e3779b97f4a7c15)
			binary.BigEndian.PutUint64(id[8:], n)
			return id
		},
	}
}

// run starts an engine with all logs leased, and returns how to stop it.
func (w *world) run(o tiering.Options) (e *tiering.Engine, stop func()) {
	w.t.Helper()
	e, end := w.start(o)
	for _, id := range sortedIDs(w.logs) {
		l := w.logs[id]
		lease := e.Lead(l)
		l.mu.Lock()
		l.lease = lease
		l.mu.Unlock()
	}
	return e, func() {
		end()
		for _, l := range w.logs {
			l.mu.Lock()
			l.lease = nil
			l.mu.Unlock()
		}
	}
}

// start starts an engine that leads nothing yet.
func (w *world) start(o tiering.Options) (e *tiering.Engine, stop func()) {
	w.t.Helper()
	e, err := tiering.New(o)
	if err != nil {
		w.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- e.Run(ctx) }()
	return e, func() {
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) {
			w.t.Errorf("run ended with %v", err)
		}
	}
}

// audited gives Verify the whole ledger.
type audited struct{ *ledgertest.Broker }

func (a audited) Ledgers() iter.Seq2[manifest.ID, manifest.Ledger] {
	return maps.All(a.State.Ledgers())
}
func (a audited) Unreferenced() iter.Seq[[16]byte] {
	return func(yield func([16]byte) bool) {
		for _, o := range a.AllIntents() {
			if !yield(o) {
				return
			}
		}
		for g := range a.Garbage() {
			if !yield(g.Object) {
				return
			}
		}
	}
}

func (w *world) verify() tiering.VerifyReport {
	w.t.Helper()
	b := w.state.Broker(0, false)
	r, err := tiering.Verify(context.Background(), tiering.VerifyOptions{Ledger: audited{b}, Store: w.mem, Locator: tiering.NewLocator(b, w.mem, 0, nil),
		Blocks: true, Orphans: true})
	if err != nil {
		w.t.Fatal(err)
	}
	return r
}

// check reads back all that is tiered and compares: every batch once, in order, as it was appended; and every reference counted.
func (w *world) check() {
	w.t.Helper()
	ctx := context.Background()
	if err := w.state.Check(); err != nil {
		w.t.Fatal(err)
	}
	refs := map[[16]byte]int64{}
	loc := tiering.NewLocator(w.state.Broker(0, false), w.mem, 0, nil)
	for id, v := range w.state.Ledgers() {
		leaves, err := loc.Tree(ctx, id, &v)
		if err != nil {
			w.t.Fatal(err)
		}
		if !v.Root.IsZero() {
			refs[v.Root.Object]++
			first, _, err := manifest.FirstLive(leaves, v.PagedSegments())
			if err != nil {
				w.t.Fatal(err)
			}
			for _, l := range leaves[first:] {
				refs[l.Ref.Object]++
			}
		}
		next, end := -1, int64(-1)
		for s, err := range loc.Walk(ctx, id, &v, 0) {
			if err != nil {
				w.t.Fatal(err)
			}
			refs[s.Object]++
			if end >= 0 && s.Base != end {
				w.t.Fatalf("%v: gap from %d to %d", id, end, s.Base)
			}
			end = s.End
			l := w.logs[id]
			if l == nil {
				continue
			}
			raw, _, err := objstore.ReadAll(ctx, w.mem, objstore.DataKey(s.Object), 1<<30)
			if err != nil {
				w.t.Fatalf("%v: segment at %d dangles: %v", id, s.Base, err)
			}
			sec, err := segment.OpenSection(ctx, segment.FromReaderAt(bytes.NewReader(raw), int64(len(raw))), s.Position, s.Size)
			if err != nil {
				w.t.Fatal(err)
			}
			for b, err := range sec.Batches(ctx, s.Base) {
				if err != nil {
					w.t.Fatal(err)
				}
				if next < 0 {
					next = slices.IndexFunc(l.batches, func(have record.Batch) bool { return have.BaseOffset() == b.BaseOffset() })
				}
				if next < 0 || next >= len(l.batches) || !bytes.Equal(b, l.batches[next]) {
					w.t.Fatalf("%v: the bucket has another batch at %d than was appended", id, b.BaseOffset())
				}
				next++
			}
		}
		if end >= 0 && end != v.Tiered {
			w.t.Fatalf("%v: segments end at %d, tiered is %d", id, end, v.Tiered)
		}
		if l := w.logs[id]; l != nil && l.notified > v.Tiered {
			w.t.Fatalf("%v: told to free up to %d, tiered is %d", id, l.notified, v.Tiered)
		}
	}
	if have := w.state.References(); !reflect.DeepEqual(have, refs) {
		w.t.Fatalf("references: the ledger counts %d objects, the trees have %d", len(have), len(refs))
	}
	if r := w.verify(); !r.Whole() {
		w.t.Fatalf("verify: %d findings, first %+v", r.Findings, r.Found[0])
	}
}

// clean fails unless the bucket has exactly what the ledger refers to and nothing is on its way out.
func (w *world) clean() {
	w.t.Helper()
	refs := w.state.References()
	for _, key := range w.mem.Keys() {
		if _, id, ok := objstore.ParseKey(key); !ok || refs[id] == 0 {
			w.t.Errorf("orphan %s", key)
		}
	}
	if n := len(slices.Collect(w.state.Broker(0, false).Garbage())); n > 0 {
		w.t.Errorf("%d objects are still garbage", n)
	}
	if n := len(w.state.AllIntents()); n > 0 {
		w.t.Errorf("%d uploads are still open", n)
	}
}

func (w *world) allTiered() {
	w.t.Helper()
	for _, l := range w.logs {
		if v := l.view(); max(v.Tiered, v.LogStart) != l.end {
			w.t.Errorf("%v: tiered %d of %d", l.id, v.Tiered, l.end)
		}
	}
}

func sortedIDs(logs map[manifest.ID]*localLog) []manifest.ID {
	return slices.SortedFunc(maps.Keys(logs), func(a, b manifest.ID) int {
		return cmp.Or(bytes.Compare(a.Topic[:], b.Topic[:]), cmp.Compare(a.Partition, b.Partition))
	})
}

func tieringLocator(w *world, s objstore.Store) *manifest.Locator {
	return tiering.NewLocator(w.state.Broker(1, true), s, 0, nil)
}

// pass lets virtual time pass; for use in a synctest bubble.
func pass(d time.Duration) { <-time.After(d) }
