package tiering_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/tidelinehq/tideline/internal/record"
	"github.com/tidelinehq/tideline/tiering"
	"github.com/tidelinehq/tideline/tiering/compact"
	"github.com/tidelinehq/tideline/tiering/manifest"
	"github.com/tidelinehq/tideline/tiering/segment"
)

// keyed writes records with keys, tombstones and transactions to a local log, and knows what a reader must find. The log's mutex
// guards it against the engine; the test is the only writer.
type keyed struct {
	l        *localLog
	rnd      *rand.Rand
	keys     int
	writes   map[int64]*write
	byKey    map[string][]*write // in the order of offsets
	open     map[int64]*txn
	aborted  []segment.AbortedTxn
	sequence map[int64]int32
	last     map[int64]compact.LastRecord
}

// write is one record; txn is nil outside of transactions.
type write struct {
	offset     int64
	key, value string
	tombstone  bool
	at         int64 // ms
	txn        *txn
}

type txn struct {
	first         int64
	done, aborted bool
}

// committed reports whether a reader of committed records sees it.
func (w *write) committed() bool { return w.txn == nil || w.txn.done && !w.txn.aborted }

func follow(l *localLog, rnd *rand.Rand, keys int) *keyed {
	kv := &keyed{l: l, rnd: rnd, keys: keys, writes: map[int64]*write{}, byKey: map[string][]*write{}, open: map[int64]*txn{}, sequence: map[int64]int32{}, last: map[int64]compact.LastRecord{}}
	l.kv = kv
	return kv
}

// stable is the last stable offset. Requires the log's mutex.
func (kv *keyed) stable() int64 {
	lso := kv.l.end
	for _, t := range kv.open {
		lso = min(lso, t.first)
	}
	return lso
}

func (kv *keyed) snapshot(from, end int64) tiering.Snapshot {
	kv.l.mu.Lock()
	defer kv.l.mu.Unlock()
	s := tiering.Snapshot{Epochs: []segment.EpochStart{{Epoch: kv.l.epoch, Start: 0}}, ProducerState: fmt.Appendf(nil, "producers at %d", end), StableOffset: kv.stable()}
	for _, a := range kv.aborted {
		if a.LastOffset >= from && a.FirstOffset < end {
			s.Aborted = append(s.Aborted, a)
		}
	}
	return s
}

func (kv *keyed) producers() map[int64]compact.LastRecord {
	kv.l.mu.Lock()
	defer kv.l.mu.Unlock()
	return maps.Clone(kv.last)
}

// step writes one batch: of records, or a marker that ends a transaction.
func (kv *keyed) step() {
	id := int64(kv.rnd.IntN(5)) // 0: no producer; 1: idempotent; others: transactional
	kv.l.mu.Lock()
	o := record.Options{BaseOffset: kv.l.end, LeaderEpoch: kv.l.epoch, ProducerID: record.NoProducerID}
	if id > 0 {
		o.ProducerID, o.Sequence = id, kv.sequence[id]
	}
	t := kv.open[id]
	if t != nil && kv.rnd.IntN(3) == 0 {
		batch := kv.end(id, t, o)
		kv.l.mu.Unlock()
		kv.l.appendBatch(batch)
		return
	}
	if id > 1 {
		o.Transactional = true
		if t == nil {
			t = &txn{first: kv.l.end}
			kv.open[id] = t
		}
	}
	if kv.rnd.IntN(3) == 0 {
		o.Codec = record.Zstd
	}
	b := record.NewBuilder(o)
	for i := range 1 + kv.rnd.IntN(4) {
		w := &write{offset: kv.l.end + int64(i), key: fmt.Sprint("k", kv.rnd.IntN(kv.keys)), value: fmt.Sprint("v", kv.l.end+int64(i)), at: time.Now().UnixMilli(), txn: t}
		r := record.Record{Timestamp: w.at, Key: []byte(w.key), Value: []byte(w.value)}
		if kv.rnd.IntN(5) == 0 {
			w.tombstone, w.value, r.Value = true, "", nil
		}
		if err := b.Add(r); err != nil {
			panic(err)
		}
		kv.writes[w.offset] = w
		kv.byKey[w.key] = append(kv.byKey[w.key], w)
	}
	batch := b.Build()
	if id > 0 {
		kv.sequence[id] += batch.Count()
		kv.last[id] = compact.LastRecord{DataOffset: batch.LastOffset()}
	}
	kv.l.mu.Unlock()
	kv.l.appendBatch(batch)
}

// end makes the marker of a transaction. Requires the log's mutex.
func (kv *keyed) end(id int64, t *txn, o record.Options) record.Batch {
	t.done, t.aborted = true, kv.rnd.IntN(2) == 0
	kind := record.Commit
	delete(kv.open, id)
	if t.aborted {
		kind = record.Abort
		kv.aborted = append(kv.aborted, segment.AbortedTxn{ProducerID: id, FirstOffset: t.first, LastOffset: o.BaseOffset, LastStableOffset: kv.stable()})
	}
	o.Transactional, o.Control, o.Sequence = true, true, record.NoSequence
	b := record.NewBuilder(o)
	if err := b.Add(record.ControlRecord(kind, 1, time.Now().UnixMilli())); err != nil {
		panic(err)
	}
	return b.Build()
}

// finish ends all transactions.
func (kv *keyed) finish() {
	for _, id := range slices.Sorted(maps.Keys(kv.open)) {
		kv.l.mu.Lock()
		b := kv.end(id, kv.open[id], record.Options{BaseOffset: kv.l.end, LeaderEpoch: kv.l.epoch, ProducerID: id})
		kv.l.mu.Unlock()
		kv.l.appendBatch(b)
	}
}

// consumer reads committed records of what is tiered, as a client does: with the lists of aborted transactions.
type consumer struct {
	kv      *keyed
	reader  *tiering.Reader
	locator *manifest.Locator
	offset  int64
	aborted map[int64]bool
	got     []*write
	empties int
}

func (w *world) consumer(kv *keyed, from int64) *consumer {
	loc := tieringLocator(w, w.mem)
	r, err := tiering.NewReader(tiering.ReaderOptions{Store: w.mem, Locator: loc, Workers: 2, ReadBytes: 4 << 20, IndexBytes: 1 << 20})
	if err != nil {
		w.t.Fatal(err)
	}
	return &consumer{kv: kv, reader: r, locator: loc, offset: from, aborted: map[int64]bool{}}
}

func (c *consumer) close() error { return c.reader.Close() }

// fetch reads on, and is false at the end of what is tiered and stable.
func (c *consumer) fetch(maxBytes int) (bool, error) {
	ctx := context.Background()
	id := c.kv.l.id
	c.kv.l.mu.Lock()
	limit, inMemory := c.kv.stable(), slices.Clone(c.kv.aborted)
	c.kv.l.mu.Unlock()
	v := c.kv.l.view()
	if c.offset < v.LogStart {
		c.offset = v.LogStart // out of range, and reset
	}
	if c.offset >= min(v.Tiered, limit) {
		return false, nil
	}
	chunk, err := c.reader.Read(ctx, tiering.ReadRequest{Topic: id.Topic, Partition: id.Partition, Offset: c.offset, Limit: limit, MaxBytes: maxBytes, AtLeastOne: true})
	if err != nil {
		return false, err
	}
	defer chunk.Release()
	if chunk.Bytes == 0 {
		if chunk.NextOffset > c.offset {
			return false, fmt.Errorf("nothing at %d, though a batch must end there", c.offset)
		}
		return false, nil // the batch there ends above the limit
	}
	seg, err := c.locator.Locate(ctx, id.Topic, id.Partition, c.offset)
	if err != nil {
		return false, err
	}
	lists, until, err := c.reader.Aborted(ctx, id.Topic, id.Partition, seg, c.offset, chunk.NextOffset)
	if err != nil {
		return false, err
	}
	lists = slices.DeleteFunc(lists, func(a segment.AbortedTxn) bool { return a.LastOffset >= until })
	for _, a := range inMemory {
		if a.LastOffset >= until && a.FirstOffset < chunk.NextOffset {
			lists = append(lists, a)
		}
	}
	clear(c.aborted) // a client knows what the list of a response says, no more
	slices.SortFunc(lists, func(a, b segment.AbortedTxn) int { return cmp.Compare(a.FirstOffset, b.FirstOffset) })
	for _, buf := range chunk.Buffers {
		for b, err := range record.All(buf) {
			if err != nil {
				return false, err
			}
			if err := c.take(b, &lists); err != nil {
				return false, err
			}
		}
	}
	if c.offset != chunk.NextOffset {
		return false, fmt.Errorf("chunk says next=%d, its batches say %d", chunk.NextOffset, c.offset)
	}
	return true, nil
}

func (c *consumer) take(b record.Batch, lists *[]segment.AbortedTxn) error {
	if b.NextOffset() <= c.offset && c.offset > 0 {
		return fmt.Errorf("batch %d-%d after offset %d", b.BaseOffset(), b.LastOffset(), c.offset)
	}
	if b.ComputeCRC() != b.CRC() {
		return fmt.Errorf("checksum of batch %d", b.BaseOffset())
	}
	from := c.offset
	c.offset = b.NextOffset()
	for len(*lists) > 0 && (*lists)[0].FirstOffset <= b.LastOffset() {
		c.aborted[(*lists)[0].ProducerID] = true
		*lists = (*lists)[1:]
	}
	if b.Count() == 0 {
		c.empties++
	}
	for r, err := range b.Records(1 << 20) {
		if err != nil {
			return err
		}
		if b.Control() {
			if kind, _, _ := record.ParseControl(r); kind == record.Abort {
				delete(c.aborted, b.ProducerID())
			}
			continue
		}
		w := c.kv.writes[r.Offset]
		if w == nil || w.key != string(r.Key) || w.value != string(r.Value) || w.tombstone != (r.Value == nil) || w.at != r.Timestamp {
			return fmt.Errorf("offset %d has %q=%q, which was never written there", r.Offset, r.Key, r.Value)
		}
		if b.Transactional() && c.aborted[b.ProducerID()] {
			if w.committed() {
				return fmt.Errorf("offset %d is committed, and was taken for aborted", r.Offset)
			}
			continue
		}
		if !w.committed() {
			return fmt.Errorf("offset %d was aborted, and was read", r.Offset)
		}
		if r.Offset >= from {
			c.got = append(c.got, w)
		}
	}
	return nil
}

// checkKeys reads all that is tiered from an offset on, and compares with what was written: each key that was written above has
// its last committed value, unless that is a tombstone whose time may be over.
func (w *world) checkKeys(kv *keyed, from int64, retention time.Duration) {
	w.t.Helper()
	c := w.consumer(kv, from)
	defer func() {
		if err := c.close(); err != nil {
			w.t.Error(err)
		}
	}()
	for {
		more, err := c.fetch(1 + kv.rnd.IntN(4000))
		if errors.Is(err, manifest.ErrBelowStart) {
			return // retention was faster
		}
		if err != nil {
			w.t.Fatalf("%v: read from %d: %v", kv.l.id, from, err)
		}
		if !more {
			break
		}
	}
	v := kv.l.view()
	if v.LogStart > from {
		from = v.LogStart
	}
	got := map[string]*write{}
	for _, x := range c.got {
		got[x.key] = x
	}
	for key, writes := range kv.byKey {
		var want *write
		for _, x := range writes {
			if x.offset < c.offset && x.committed() {
				want = x
			}
		}
		have := got[key]
		switch {
		case want == nil || want.offset < from:
		case have == want:
		case have == nil && want.tombstone && time.Now().UnixMilli() >= want.at+retention.Milliseconds():
		default:
			w.t.Fatalf("%v: read from %d to %d, cleaned to %d: %s is %+v, want %+v", kv.l.id, from, c.offset, v.Cleaned, key, have, want)
		}
	}
}
