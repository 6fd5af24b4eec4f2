package tiering

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tidelinehq/tideline/internal/record"
	"github.com/tidelinehq/tideline/tiering/manifest"
	"github.com/tidelinehq/tideline/tiering/objstore"
	"github.com/tidelinehq/tideline/tiering/objstore/faultstore"
	"github.com/tidelinehq/tideline/tiering/objstore/memstore"
	"github.com/tidelinehq/tideline/tiering/segment"
)

// history is one tiered partition and the ledger's view of it.
type history struct {
	id    partitionID
	store *memstore.Store
	bytes []byte // of all batches
	end   int64

	mu   sync.Mutex
	segs []manifest.Segment
}

type historyOptions struct {
	segments, batches, records, value int // batches per segment, records per batch, bytes per value
	block                             int
	random                            bool
	batch                             func(i int, o *record.Options)
	end                               func(i int, e *segment.SectionEnd)
}

func newHistory(t testing.TB, o historyOptions) *history {
	t.Helper()
	h := &history{id: partitionID{[16]byte{1, 2}, 3}, store: memstore.New(nil)}
	rng := rand.New(rand.NewPCG(7, 7))
	var chain [32]byte
	n := 0
	for i := range o.segments {
		var run []byte
		base := h.end
		for range o.batches {
			opts := record.Options{BaseOffset: h.end, ProducerID: record.NoProducerID}
			if o.batch != nil {
				o.batch(n, &opts)
			}
			b := record.NewBuilder(opts)
			value := bytes.Repeat([]byte("tide "), o.value/5+1)[:o.value]
			for j := range o.records {
				if o.random {
					for k := 0; k+8 <= len(value); k += 8 {
						binary.LittleEndian.PutUint64(value[k:], rng.Uint64())
					}
				}
				if err := b.Add(record.Record{Timestamp: int64(n*100 + j), Key: []byte("k"), Value: value}); err != nil {
					t.Fatal(err)
				}
			}
			run = append(run, b.Build()...)
			h.end += int64(o.records)
			n++
		}
		end := segment.SectionEnd{}
		if o.end != nil {
			o.end(i, &end)
		}
		seg := h.upload(t, [16]byte{byte(i), byte(i >> 8), 0xee}, segment.SectionStart{Topic: h.id.topic, Partition: h.id.partition, Base: base, PrevChain: chain}, end, o.block, run)
		chain = seg.Chain
		h.segs = append(h.segs, seg)
		h.bytes = append(h.bytes, run...)
	}
	return h
}

func (h *history) upload(t testing.TB, id [16]byte, start segment.SectionStart, end segment.SectionEnd, block int, run []byte) manifest.Segment {
	t.Helper()
	var out bytes.Buffer
	w, err := segment.NewWriter(&out, segment.WriterOptions{Object: id, BlockBytes: block})
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(w.Begin(start), w.Append(run)); err != nil {
		t.Fatal(err)
	}
	seg, err := w.End(end)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Finish(); err != nil {
		t.Fatal(err)
	}
	if _, err := h.store.Put(t.Context(), objstore.DataKey(id), objstore.BytesBody(out.Bytes()), objstore.Condition{}); err != nil {
		t.Fatal(err)
	}
	return manifest.Segment(seg)
}

func (h *history) Locate(_ context.Context, topic [16]byte, partition int32, offset int64) (manifest.Segment, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, s := range h.segs {
		if s.Base <= offset && offset < s.End {
			return s, nil
		}
	}
	return manifest.Segment{}, fmt.Errorf("%w offset=%d", manifest.ErrNotTiered, offset)
}

// Generation implements Locator: each change of a test changes how many segments there are.
func (h *history) Generation([16]byte, int32) (uint64, bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return uint64(len(h.segs)), true
}

func (h *history) request(offset int64, most int) ReadRequest {
	return ReadRequest{Topic: h.id.topic, Partition: h.id.partition, Offset: offset, MaxBytes: most, AtLeastOne: true}
}

func (h *history) reader(t testing.TB, store objstore.Store, set func(*ReaderOptions)) *Reader {
	t.Helper()
	o := ReaderOptions{Store: store, Locator: h, CacheBytes: 64 << 20, ReadBytes: 32 << 20}
	if set != nil {
		set(&o)
	}
	r, err := NewReader(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := r.Close(); err != nil {
			t.Error(err)
		}
		if s := r.Memory(); s.Used != 0 || s.Peak > s.Limit {
			t.Errorf("memory after close: %+v", s)
		}
	})
	return r
}

// replay reads from an offset to the end of what is tiered.
func (h *history) replay(ctx context.Context, r *Reader, offset int64, most int) ([]byte, error) {
	var out []byte
	for offset < h.end {
		c, err := r.Read(ctx, h.request(offset, most))
		if err != nil {
			return out, err
		}
		for _, b := range c.Buffers {
			out = append(out, b...)
		}
		if c.NextOffset <= offset {
			c.Release()
			return out, fmt.Errorf("no progress at offset=%d", offset)
		}
		offset = c.NextOffset
		c.Release()
	}
	return out, nil
}

func (h *history) mustReplay(t testing.TB, r *Reader, most int) {
	t.Helper()
	got, err := h.replay(t.Context(), r, 0, most)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, h.bytes) {
		t.Fatalf("replayed %d bytes, want %d", len(got), len(h.bytes))
	}
}

var small = historyOptions{segments: 6, batches: 60, records: 4, value: 1200, block: 16 << 10, random: true}

func TestReplayIsByteExact(t *testing.T) {
	compressible := small
	compressible.random = false
	tiny := historyOptions{segments: 50, batches: 1, records: 1, value: 50, block: 16 << 10}
	large := historyOptions{segments: 2, batches: 4, records: 10, value: 10_000, block: 4 << 10, random: true}
	for name, o := range map[string]historyOptions{"raw": small, "zstd": compressible, "tiny sections": tiny, "batches above the block size": large} {
		for _, most := range []int{1, 5000, 50_000, 1 << 20, 50 << 20} {
			for _, caching := range []int64{0, 1 << 20, 64 << 20} {
				t.Run(fmt.Sprintf("%s/max=%d/cache=%d", name, most, caching), func(t *testing.T) {
					h := newHistory(t, o)
					h.mustReplay(t, h.reader(t, h.store, func(o *ReaderOptions) { o.CacheBytes = caching }), most)
				})
			}
		}
	}
}

func TestReadBoundaries(t *testing.T) {
	h := newHistory(t, small)
	r := h.reader(t, h.store, nil)
	batch := len(h.bytes) / 360
	for _, tc := range []struct {
		name        string
		req         ReadRequest
		bytes       int
		first, next int64
	}{
		{"middle of a batch", ReadRequest{Offset: 6, MaxBytes: batch}, batch, 4, 8},
		{"too small", ReadRequest{Offset: 8, MaxBytes: 10}, 0, 0, 8},
		{"at least one", ReadRequest{Offset: 8, MaxBytes: 10, AtLeastOne: true}, batch, 8, 12},
		{"limit", ReadRequest{Offset: 0, MaxBytes: 1 << 20, Limit: 8}, 2 * batch, 0, 8},
		{"limit inside a batch", ReadRequest{Offset: 4, MaxBytes: 1 << 20, Limit: 9, AtLeastOne: true}, batch, 4, 8},
		{"at the limit", ReadRequest{Offset: 8, MaxBytes: 1 << 20, Limit: 8, AtLeastOne: true}, 0, 0, 8},
		{"last batch", ReadRequest{Offset: h.end - 1, MaxBytes: 1 << 20}, batch, h.end - 4, h.end},
		{"segment given", ReadRequest{Offset: 240, MaxBytes: batch, Segment: &h.segs[1]}, batch, 240, 244},
	} {
		tc.req.Topic, tc.req.Partition = h.id.topic, h.id.partition
		c, err := r.Read(t.Context(), tc.req)
		if err != nil {
			t.Fatalf("%s: %v", tc.name, err)
		}
		if c.Bytes != tc.bytes || c.NextOffset != tc.next {
			t.Errorf("%s: bytes=%d next=%d, want %d %d", tc.name, c.Bytes, c.NextOffset, tc.bytes, tc.next)
		}
		if c.Bytes > 0 && record.Batch(c.Buffers[0]).BaseOffset() != tc.first {
			t.Errorf("%s: first batch %d, want %d", tc.name, record.Batch(c.Buffers[0]).BaseOffset(), tc.first)
		}
		c.Release()
	}
	if _, err := r.Read(t.Context(), h.request(h.end, 1)); !errors.Is(err, manifest.ErrNotTiered) {
		t.Error(err)
	}
}

// Compaction may leave nothing at the end of a segment, or of all of them.
func TestReadStepsOverHoles(t *testing.T) {
	h := newHistory(t, small)
	empty := segment.SectionStart{Topic: h.id.topic, Partition: h.id.partition, Base: h.end, Sparse: true}
	h.segs = append(h.segs, h.upload(t, [16]byte{99}, empty, segment.SectionEnd{End: h.end + 100}, 0, nil))
	r := h.reader(t, h.store, nil)
	c, err := r.Read(t.Context(), h.request(h.end, 1000))
	if err != nil || c.Bytes != 0 || c.NextOffset != h.end+100 {
		t.Fatalf("%+v %v", c, err)
	}
	b := record.NewBuilder(record.Options{BaseOffset: h.end + 100, ProducerID: -1})
	if err := b.Add(record.Record{Value: []byte("x")}); err != nil {
		t.Fatal(err)
	}
	start := segment.SectionStart{Topic: h.id.topic, Partition: h.id.partition, Base: h.end + 100}
	seg := h.upload(t, [16]byte{98}, start, segment.SectionEnd{}, 0, b.Build())
	h.mu.Lock()
	h.segs = append(h.segs, seg)
	h.mu.Unlock()
	c, err = r.Read(t.Context(), h.request(h.end, 1000))
	if err != nil || c.Bytes == 0 || c.NextOffset != h.end+101 {
		t.Fatalf("%+v %v", c, err)
	}
	c.Release()
}

func TestFindTime(t *testing.T) {
	stamps := []int64{500, 900, 100, 950, 20, 5000, 40}
	h := newHistory(t, historyOptions{segments: 1, batches: len(stamps), records: 1, value: 600, block: 1 << 10, batch: func(i int, o *record.Options) {
		o.LogAppendTime, o.AppendTime = true, stamps[i]
		if i == 5 {
			o.Control, o.Transactional, o.ProducerID = true, true, 1
		}
	}})
	r := h.reader(t, h.store, nil)
	for _, tc := range []struct {
		from, ts int64
		want     int64 // -1: none
	}{{0, 0, 0}, {0, 501, 1}, {0, 901, 3}, {0, 951, -1}, {2, 100, 2}, {2, 101, 3}, {4, 21, 6}, {4, 41, -1}} {
		base, c, err := r.FindTime(t.Context(), h.id.topic, h.id.partition, h.segs[0], tc.from, tc.ts)
		if err != nil {
			t.Fatal(err)
		}
		if c == nil {
			base = -1
		} else {
			if b := record.Batch(c.Buffers[0]); b.BaseOffset() != base || len(c.Buffers) != 1 {
				t.Errorf("chunk of another batch: %d", b.BaseOffset())
			}
			c.Release()
		}
		if base != tc.want {
			t.Errorf("from=%d ts=%d: %d, want %d", tc.from, tc.ts, base, tc.want)
		}
	}
}

func TestAborted(t *testing.T) {
	// Three segments of 240 offsets. Transaction 1 lies in the first, 2 began there and was decided in the second, 3 is in the third.
	txn := []segment.AbortedTxn{{ProducerID: 1, FirstOffset: 10, LastOffset: 20}, {ProducerID: 2, FirstOffset: 200, LastOffset: 300}, {ProducerID: 3, FirstOffset: 500, LastOffset: 510}}
	o := small
	o.segments = 3
	o.end = func(i int, e *segment.SectionEnd) {
		switch i {
		case 0:
			e.Aborted, e.StableOffset = txn[:1], 200
		case 1:
			e.Aborted, e.StableOffset = txn[1:2], 480
		case 2:
			e.Aborted, e.StableOffset = txn[2:], 600
		}
	}
	h := newHistory(t, o)
	r := h.reader(t, h.store, nil)
	for _, tc := range []struct {
		from, to int64
		want     []segment.AbortedTxn
		until    int64
	}{
		{0, 100, txn[:1], math.MaxInt64}, {21, 100, nil, math.MaxInt64}, {0, 240, txn[:2], math.MaxInt64}, {201, 230, txn[1:2], math.MaxInt64},
		{0, 600, txn, math.MaxInt64}, {250, 490, txn[1:2], math.MaxInt64}, {500, 720, txn[2:], 720}, {511, 600, nil, math.MaxInt64},
	} {
		got, until, err := r.Aborted(t.Context(), h.id.topic, h.id.partition, h.segs[tc.from/240], tc.from, tc.to)
		if err != nil || until != tc.until || !slices.Equal(got, tc.want) {
			t.Errorf("[%d, %d): %v %v %v", tc.from, tc.to, got, until, err)
		}
	}
}

func TestReadAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHistory(t, small)
		slow := faultstore.New(h.store, 1, faultstore.Rule{Ops: faultstore.Get, Fault: faultstore.Slow, Delay: 50 * time.Millisecond})
		r := h.reader(t, slow, nil)
		var reqs []ReadRequest
		for i := range h.segs {
			reqs = append(reqs, h.request(h.segs[i].Base, 10_000))
		}
		start := time.Now()
		out := r.ReadAll(t.Context(), append(reqs, h.request(h.end, 1)), 22_000)
		if took := time.Since(start); took > 110*time.Millisecond {
			t.Errorf("took %v: an index and a block are 100 ms", took)
		}
		total := 0
		for i, res := range out[:len(reqs)] {
			if res.Err != nil {
				t.Fatal(res.Err)
			}
			if i > 3 && res.Chunk.Bytes > 0 {
				t.Errorf("request %d got %d bytes above the limit", i, res.Chunk.Bytes)
			}
			total += res.Chunk.Bytes
			res.Chunk.Release()
		}
		if total > 22_000 || total < 16_000 || !errors.Is(out[len(reqs)].Err, manifest.ErrNotTiered) {
			t.Errorf("total=%d last=%v", total, out[len(reqs)].Err)
		}
	})
}

func TestCloseEndsReads(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHistory(t, small)
		stuck := faultstore.New(h.store, 1, faultstore.Rule{Ops: faultstore.Get, Fault: faultstore.Timeout})
		r, err := NewReader(ReaderOptions{Store: stuck, Locator: h})
		if err != nil {
			t.Fatal(err)
		}
		done := make(chan error, 10)
		for i := range int64(10) {
			go func() { _, err := r.Read(t.Context(), h.request(i*100, 1000)); done <- err }()
		}
		synctest.Wait()
		if err := r.Close(); err != nil {
			t.Error(err)
		}
		for range 10 {
			if err := <-done; err == nil || errors.Is(err, io.EOF) {
				t.Error("a read of a closed reader succeeded")
			}
		}
		if _, err := r.Read(t.Context(), h.request(0, 1)); !errors.Is(err, ErrReaderClosed) {
			t.Error(err)
		}
	})
}
