package tiering

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/tidelinehq/tideline/internal/vfs"
	"github.com/tidelinehq/tideline/internal/vfs/memfs"
	"github.com/tidelinehq/tideline/tiering/cache"
	"github.com/tidelinehq/tideline/tiering/objstore/faultstore"
)

// Twenty consumers at different places with a budget for a few: all finish, and the budget holds at every moment.
func TestBudgetHolds(t *testing.T) {
	h := newHistory(t, historyOptions{segments: 8, batches: 64, records: 8, value: 4000, block: 256 << 10, random: true})
	r := h.reader(t, h.store, func(o *ReaderOptions) {
		o.CacheBytes, o.ReadBytes, o.BudgetWait = 2<<20, 4<<20, 30*time.Second
	})
	var group sync.WaitGroup
	for i := range 20 {
		group.Go(func() {
			from := h.segs[i%8].Base
			got, err := h.replay(t.Context(), r, from, 300_000)
			if err != nil || !bytes.HasSuffix(h.bytes, got) {
				t.Errorf("consumer %d: %v", i, err)
			}
		})
	}
	group.Wait()
	if s := r.Memory(); s.Peak > s.Limit || s.Limit != 6<<20 {
		t.Errorf("%+v", s)
	}
}

// Consumers that never release what they got use the budget up: others are told so in time, and served again after.
func TestBudgetUsedUpIsBusy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHistory(t, historyOptions{segments: 8, batches: 64, records: 8, value: 4000, block: 512 << 10, random: true})
		r := h.reader(t, h.store, func(o *ReaderOptions) { o.CacheBytes, o.ReadBytes = 0, 4<<20 })
		var held []*Chunk
		start := time.Now()
		var err error
		for i := int64(0); err == nil; i++ {
			var c *Chunk
			if c, err = r.Read(t.Context(), h.request(i*128%h.end, 1<<20)); err == nil {
				held = append(held, c)
			}
		}
		if !errors.Is(err, cache.ErrBusy) || time.Since(start) > 5*time.Second || len(held) < 4 {
			t.Fatalf("%v after %v with %d chunks", err, time.Since(start), len(held))
		}
		for _, c := range held {
			c.Release()
		}
		h.mustReplay(t, r, 1<<20)
	})
}

// The read-ahead of consumers that went away gives way to those who are there.
func TestIdleReadAheadGivesWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHistory(t, historyOptions{segments: 8, batches: 64, records: 8, value: 4000, block: 256 << 10, random: true})
		r := h.reader(t, h.store, func(o *ReaderOptions) { o.CacheBytes, o.ReadBytes = 0, 4<<20 })
		for i := range 8 {
			for n, offset := 0, h.segs[i].Base; n < 4; n++ {
				c, err := r.Read(t.Context(), h.request(offset, 300_000))
				if err != nil {
					t.Fatal(err)
				}
				offset = c.NextOffset
				c.Release()
			}
			synctest.Wait()
		}
		start := time.Now()
		h.mustReplay(t, r, 1<<20)
		if took := time.Since(start); took > 100*time.Millisecond {
			t.Errorf("waited %v for memory that nobody used", took)
		}
		<-time.After(time.Minute)
		synctest.Wait()
		if s := r.Memory(); s.Used != 0 {
			t.Errorf("streams were forgotten, memory was not: %+v", s)
		}
	})
}

func TestReadAheadRunsBeforeTheConsumer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHistory(t, historyOptions{segments: 6, batches: 64, records: 4, value: 4000, block: 64 << 10, random: true})
		slow := faultstore.New(h.store, 1, faultstore.Rule{Ops: faultstore.Get, Fault: faultstore.Slow, Delay: 50 * time.Millisecond})
		r := h.reader(t, slow, nil)
		blocks := len(h.bytes) / (64 << 10)
		before := h.store.Counts().Get
		start := time.Now()
		for offset := int64(0); offset < h.end; {
			c, err := r.Read(t.Context(), h.request(offset, 64<<10))
			if err != nil {
				t.Fatal(err)
			}
			offset = c.NextOffset
			c.Release()
			<-time.After(time.Millisecond) // the consumer's round trip
		}
		took, gets := time.Since(start), h.store.Counts().Get-before
		// One by one it would be 50 ms per block.
		if serial := time.Duration(blocks) * 50 * time.Millisecond; took > serial/5 {
			t.Errorf("took %v, one by one %v", took, serial)
		}
		if gets > blocks/2+2*len(h.segs) {
			t.Errorf("GETs %d for %d blocks", gets, blocks)
		}
	})
}

// Readers at random places pay for what they read, and for no read-ahead.
func TestRandomReadsDoNotReadAhead(t *testing.T) {
	h := newHistory(t, small)
	r := h.reader(t, h.store, func(o *ReaderOptions) { o.CacheBytes = 0 })
	rng := rand.New(rand.NewPCG(1, 1))
	if _, err := h.replay(t.Context(), r, h.end-4, 1); err != nil {
		t.Fatal(err)
	}
	for range len(h.segs) {
		c, err := r.Read(t.Context(), h.request(rng.Int64N(h.end), 1000))
		if err != nil {
			t.Fatal(err)
		}
		c.Release()
	}
	before := h.store.Counts().Get
	const n = 100
	for range n {
		c, err := r.Read(t.Context(), h.request(rng.Int64N(h.end/8)*8+1, 1000))
		if err != nil {
			t.Fatal(err)
		}
		c.Release()
	}
	if got := h.store.Counts().Get - before; got > n+len(h.segs) {
		t.Errorf("%d GETs for %d reads", got, n)
	}
}

func TestDiskTierServesWhatMemoryLost(t *testing.T) {
	h := newHistory(t, small)
	disk := &cache.DiskOptions{FS: vfs.OS(), Dir: t.TempDir(), Bytes: 8 << 20, SlotBytes: 4 << 10}
	set := func(o *ReaderOptions) { o.CacheBytes, o.Disk = 0, disk }
	r, err := NewReader(ReaderOptions{Store: h.store, Locator: h, ReadBytes: 32 << 20, Disk: disk})
	if err != nil {
		t.Fatal(err)
	}
	// Seen, written, read; on a busy machine some blocks are left out and written in a later round.
	const most = 1000
	for round := 1; ; round++ {
		before := h.store.Counts().Get
		h.mustReplay(t, r, 10_000)
		if h.store.Counts().Get == before {
			break
		}
		if round == most {
			t.Fatalf("%d replays, and the disk has not all of it yet", round)
		}
	}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	again := h.reader(t, h.store, set) // after a clean restart
	before := h.store.Counts().Get
	h.mustReplay(t, again, 10_000)
	if got := h.store.Counts().Get - before; got > 2*len(h.segs) {
		t.Errorf("%d GETs with a warm disk", got)
	}
}

// The counters add up, and register beside each other.
func TestReadMetrics(t *testing.T) {
	h := newHistory(t, historyOptions{segments: 3, batches: 64, records: 8, value: 4000, block: 128 << 10, random: true})
	registry := prometheus.NewRegistry()
	r := h.reader(t, h.store, func(o *ReaderOptions) {
		o.Registerer, o.CacheBytes = registry, 1<<20
		o.Disk = &cache.DiskOptions{FS: vfs.OS(), Dir: t.TempDir(), Bytes: 16 << 20}
	})
	h.mustReplay(t, r, 100_000)
	got := map[string]float64{}
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		for _, m := range f.Metric {
			name := f.GetName()
			for _, l := range m.Label {
				name += "/" + l.GetValue()
			}
			got[name] = m.GetCounter().GetValue() + m.GetGauge().GetValue()
		}
	}
	blocks := got["tideline_coldread_filled_blocks_total"]
	if blocks < 45 || got["tideline_coldread_gets_total/blocks"]+got["tideline_coldread_coalesced_blocks_total"] != blocks {
		t.Errorf("blocks=%v gets=%v coalesced=%v", blocks, got["tideline_coldread_gets_total/blocks"], got["tideline_coldread_coalesced_blocks_total"])
	}
	if n := float64(len(h.bytes)); got["tideline_coldread_read_bytes_total"] != n || got["tideline_coldread_fetched_bytes_total"] < n {
		t.Errorf("read=%v fetched=%v of %v", got["tideline_coldread_read_bytes_total"], got["tideline_coldread_fetched_bytes_total"], n)
	}
	if got["tideline_coldread_readahead_bytes_total/useful"] < float64(len(h.bytes))/2 || got["tideline_coldread_readahead_bytes_total/wasted"] != 0 {
		t.Errorf("useful=%v wasted=%v", got["tideline_coldread_readahead_bytes_total/useful"], got["tideline_coldread_readahead_bytes_total/wasted"])
	}
	if got["tideline_cache_memory_limit_bytes"] != 33<<20 || got["tideline_cache_misses_total"] != blocks {
		t.Errorf("limit=%v misses=%v", got["tideline_cache_memory_limit_bytes"], got["tideline_cache_misses_total"])
	}
}

// An error from before is not held against a consumer who comes later.
func TestStaleErrorsOfReadAheadPass(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHistory(t, small)
		faults := faultstore.New(h.store, 1)
		r := h.reader(t, faults, nil)
		var offset int64
		step := func() {
			c, err := r.Read(t.Context(), h.request(offset, 5000))
			if err != nil {
				t.Fatalf("at offset=%d: %v", offset, err)
			}
			offset = c.NextOffset
			c.Release()
		}
		step()
		synctest.Wait()
		faults.SetDown(true)
		step() // sequential now: read-ahead begins, and fails
		synctest.Wait()
		faults.SetDown(false)
		for offset < h.end {
			step()
		}
	})
}

// TestNoRoomForTheDiskCache: a disk cache that can not be had is no reason not to read.
func TestNoRoomForTheDiskCache(t *testing.T) {
	h := newHistory(t, small)
	r, err := NewReader(ReaderOptions{Store: h.store, Locator: h, Disk: &cache.DiskOptions{FS: memfs.New(1 << 20), Dir: "cache", Bytes: 1 << 30}})
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Close(); err != nil {
		t.Error(err)
	}
}
