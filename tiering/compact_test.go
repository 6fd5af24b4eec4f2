package tiering_test

import (
	"bytes"
	"context"
	"math/rand/v2"
	"reflect"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tidelinehq/tideline/internal/record"
	"github.com/tidelinehq/tideline/tiering"
	"github.com/tidelinehq/tideline/tiering/compact"
	"github.com/tidelinehq/tideline/tiering/ledgertest"
	"github.com/tidelinehq/tideline/tiering/manifest"
	"github.com/tidelinehq/tideline/tiering/objstore"
	"github.com/tidelinehq/tideline/tiering/objstore/faultstore"
	"github.com/tidelinehq/tideline/tiering/segment"
)

// tombstones is delete.retention.ms of the tests.
const tombstones = 10 * time.Minute

func compacting() tiering.Settings {
	return tiering.Settings{RollBytes: 64 << 20, RollAfter: 10 * time.Second, RetentionMs: -1, RetentionBytes: -1, Compact: true, SegmentBytes: 1 << 30,
		CompactPolicy: compact.Policy{DirtyRatio: 0.3, MaxLagMs: 1 << 40}, DeleteRetentionMs: tombstones.Milliseconds()}
}

// TestCompactionCampaign has keyed logs with transactions compacted while they are written, uploaded, spilled, deleted from and
// led elsewhere, with faults of store and ledger and crashes, and compares what readers find with what was written: on the way,
// and when all is whole again.
func TestCompactionCampaign(t *testing.T) {
	warmUp(t)
	eachSeed(t, 10, compactionCampaign)
}

// warmUp has codecs set themselves up outside of a bubble.
func warmUp(t *testing.T) {
	b := record.NewBuilder(record.Options{ProducerID: record.NoProducerID, Codec: record.Zstd})
	if err := b.Add(record.Record{Value: []byte("x")}); err != nil {
		t.Fatal(err)
	}
	for _, err := range b.Build().Records(100) {
		if err != nil {
			t.Fatal(err)
		}
	}
}

func compactionCampaign(t *testing.T, seed uint64) {
	w := newWorld(t, seed)
	rnd := rand.New(rand.NewPCG(seed, 3))
	var logs []*keyed
	for i := range 2 + rnd.IntN(2) {
		l := w.create(i, 0)
		l.settings = compacting()
		l.settings.RollAfter = time.Duration(1+rnd.IntN(60)) * time.Second
		l.settings.SegmentBytes = 1000 + rnd.Int64N(8000)
		if rnd.IntN(3) == 0 {
			l.settings.CompactPolicy.MinLagMs = rnd.Int64N(600_000)
		}
		if rnd.IntN(3) == 0 {
			l.settings.CompactPolicy.MaxLagMs = l.settings.CompactPolicy.MinLagMs + 1000*rnd.Int64N(600)
		}
		if rnd.IntN(3) == 0 {
			l.settings.RetentionMs = 1000 * (60 + rnd.Int64N(3600)) // compact,delete
		}
		logs = append(logs, follow(l, rand.New(rand.NewPCG(seed, 4+uint64(i))), 3+rnd.IntN(40)))
	}
	random, heal := w.trouble(rnd, 0.05, 0.2, faultstore.Unavailable, faultstore.LostReply, faultstore.Slow, faultstore.PartialDelete, faultstore.ShortBody, faultstore.CorruptBody, faultstore.LateReply)
	o := w.options(w.state.Broker(1, true))
	o.SpillAt, o.SpillKeep = 8, 3
	o.MemoryBytes = 2000
	o.LargeBytes = 3000
	o.HeadSpread = time.Minute
	o.Grace = 20 * time.Minute
	o.CompactKeyBytes = 24 * int64(4+rnd.IntN(60)) // often too few
	restart, stop := w.runAgain(o)
	slow := w.consumer(logs[0], 0) // reads a little at a time, over many replacements
	stopped := false
	defer func() {
		if !stopped { // a failure must not leave goroutines in the bubble
			stop()
			_ = slow.close()
		}
	}()
	epoch := int32(1)
	for range 300 {
		for _, kv := range logs {
			for range random(3) {
				kv.step()
			}
		}
		kv := logs[random(len(logs))]
		l := kv.l
		switch random(40) {
		case 0:
			restart()
		case 1:
			epoch++
			l.leadAt(epoch)
		case 2:
			if v := l.view(); l.end > v.LogStart && random(4) == 0 {
				w.state.SetLogStart(l.id, v.LogStart+1+int64(random(int(l.end-v.LogStart))))
				l.lease.Changed()
			}
		case 3: // the policy changes, and changes back
			l.mu.Lock()
			l.settings.Compact = !l.settings.Compact
			l.mu.Unlock()
			l.lease.Changed()
		case 4:
			w.store.SetDown(true)
		case 5, 6, 7:
			w.store.SetDown(false)
		case 8, 9, 10:
			w.checkKeys(kv, 0, tombstones)
		case 11, 12:
			w.checkKeys(kv, int64(random(int(l.end)+1)), tombstones)
		}
		if _, err := slow.fetch(300); err != nil {
			t.Fatalf("slow reader at %d: %v", slow.offset, err)
		}
		pass(time.Duration(1+random(20_000)) * time.Millisecond)
	}

	heal()
	for _, kv := range logs {
		kv.finish()
		kv.l.mu.Lock()
		kv.l.settings.Compact = true
		kv.l.settings.RetentionMs = -1
		kv.l.settings.CompactPolicy = compact.Policy{DirtyRatio: 0, MaxLagMs: 1 << 40}
		kv.l.mu.Unlock()
		kv.l.lease.Changed()
	}
	if random(2) == 0 {
		restart()
	}
	pass(30 * time.Minute)
	synctest.Wait()
	w.allTiered()
	for _, kv := range logs {
		w.checkKeys(kv, 0, tombstones)
		if v := kv.l.view(); v.Cleaned != max(v.Tiered, v.LogStart) && v.Cleaned != v.Tiered {
			t.Errorf("%v: cleaned to %d of %d", kv.l.id, v.Cleaned, v.Tiered)
		}
	}
	pass(2 * time.Hour) // the time of all tombstones is over, and the garbage is gone
	synctest.Wait()
	for _, kv := range logs {
		w.checkKeys(kv, 0, tombstones)
		w.onceEach(kv)
	}
	if err := slow.close(); err != nil {
		t.Error(err)
	}
	stop()
	stopped = true
	w.checkTrees()
	w.clean()
	t.Logf("objects=%d faults=%d spills=%d replaced=%d cleaned=%d", len(w.mem.Keys()), len(w.store.Events()), w.state.Applied("Spill"), w.state.Applied("Replace"), w.state.Applied("SetCleaned"))
}

// onceEach fails when a key is there more than once, or a tombstone is there at all.
func (w *world) onceEach(kv *keyed) {
	w.t.Helper()
	c := w.consumer(kv, 0)
	defer func() {
		if err := c.close(); err != nil {
			w.t.Error(err)
		}
	}()
	for {
		more, err := c.fetch(1 << 20)
		if err != nil {
			w.t.Fatal(err)
		}
		if !more {
			break
		}
	}
	seen := map[string]bool{}
	for _, x := range c.got {
		if seen[x.key] || x.tombstone {
			w.t.Errorf("%v: %s at %d is there again, or a tombstone=%t, cleaned to %d", kv.l.id, x.key, x.offset, x.tombstone, kv.l.view().Cleaned)
		}
		seen[x.key] = true
	}
}

// checkTrees compares references with what the trees have, and verifies the bucket.
func (w *world) checkTrees() {
	w.t.Helper()
	ctx := context.Background()
	if err := w.state.Check(); err != nil {
		w.t.Fatal(err)
	}
	refs := map[[16]byte]int64{}
	loc := tiering.NewLocator(w.state.Broker(0, false), w.mem, 0, nil)
	for id, v := range w.state.Ledgers() {
		if err := v.Check(); err != nil {
			w.t.Fatalf("%v: %v", id, err)
		}
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
		best := int64(-1)
		for s, err := range loc.Walk(ctx, id, &v, 0) {
			if err != nil {
				w.t.Fatal(err)
			}
			refs[s.Object]++
			best = max(best, s.MaxTimestamp)
			if s.Flags&segment.FlagSparse != 0 {
				w.endsInABatch(id, &s)
			}
		}
		if best != v.MaxTimestamp {
			w.t.Errorf("%v: greatest timestamp %d, the segments have %d", id, v.MaxTimestamp, best)
		}
	}
	if have := w.state.References(); !reflect.DeepEqual(have, refs) {
		w.t.Fatalf("references: the ledger counts %d objects, the trees have %d", len(have), len(refs))
	}
	if r := w.verify(); !r.Whole() {
		w.t.Fatalf("verify: %d findings, first %+v", r.Findings, r.Found[0])
	}
}

// endsInABatch fails when a reader at the end of a compacted segment would find nothing.
func (w *world) endsInABatch(id manifest.ID, s *manifest.Segment) {
	w.t.Helper()
	raw, _, err := objstore.ReadAll(context.Background(), w.mem, objstore.DataKey(s.Object), 1<<30)
	if err != nil {
		w.t.Fatal(err)
	}
	sec, err := segment.OpenSection(context.Background(), segment.FromReaderAt(bytes.NewReader(raw), int64(len(raw))), s.Position, s.Size)
	if err != nil {
		w.t.Fatal(err)
	}
	if x := sec.Index; x.Blocks[len(x.Blocks)-1].End != x.End || x.ReplacedChain == [32]byte{} {
		w.t.Errorf("%v: segment [%d, %d) ends in a batch at %d", id, s.Base, s.End, x.Blocks[len(x.Blocks)-1].End)
	}
}

// TestCompactionCrashAtEveryStep kills the engine once at steps of a life with compaction over hot and paged segments, before and after
// the step's effect, and has its next life go on.
func TestCompactionCrashAtEveryStep(t *testing.T) {
	warmUp(t)
	atEveryStep(t, 300, 31, compactionLife)
}

func compactionLife(t *testing.T, c *crashPoint) (steps int64) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 1)
		l := w.create(0, 0)
		l.settings = compacting()
		l.settings.SegmentBytes = 4000
		kv := follow(l, rand.New(rand.NewPCG(9, 9)), 12)
		o := w.options(w.state.Broker(1, true))
		o.SpillAt, o.SpillKeep, o.HeadSpread, o.Grace = 6, 2, time.Second, 5*time.Minute
		o.MemoryBytes = 200 // everything goes through a spool file
		o.CompactKeyBytes = 24 * 12
		restart, stop := w.runUntil(c, o)
		for range 40 {
			kv.step()
			kv.step()
			pass(31 * time.Second)
			synctest.Wait()
			if c.dead.Load() {
				restart()
			}
		}
		kv.finish()
		pass(time.Hour)
		synctest.Wait()
		if c.dead.Load() {
			restart()
			pass(time.Hour)
			synctest.Wait()
		}
		steps = c.steps.Load()
		stop()
		w.allTiered()
		w.checkKeys(kv, 0, tombstones)
		w.checkTrees()
		w.clean()
	})
	return steps
}

// A leader that was deposed while it compacted replaces nothing, and leaves nothing behind.
func TestADeposedLeaderReplacesNothing(t *testing.T) {
	warmUp(t)
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 1)
		l := w.create(0, 0)
		l.settings = compacting()
		kv := follow(l, rand.New(rand.NewPCG(1, 2)), 5)
		o := w.options(w.state.Broker(1, true))
		o.Grace = time.Minute
		deposed := false
		w.state.Fault = func(command string) ledgertest.Fault {
			if command == "Replace" && !deposed {
				deposed = true
				go w.state.SetEpoch(l.id, 2) // after this command, which is lost
				return ledgertest.LostFirst
			}
			return ledgertest.None
		}
		_, stop := w.run(o)
		for range 20 {
			kv.step()
			pass(11 * time.Second)
		}
		kv.finish()
		pass(10 * time.Minute)
		synctest.Wait()
		if !deposed {
			t.Error("nothing was compacted in time")
		}
		v := l.view()
		if v.Cleaned != 0 {
			t.Errorf("cleaned to %d", v.Cleaned)
		}
		for i := range v.Hot {
			if v.Hot[i].Flags&segment.FlagSparse != 0 {
				t.Errorf("segment at %d was replaced", v.Hot[i].Base)
			}
		}
		stop()
		w.checkKeys(kv, 0, tombstones)
		w.checkTrees()
		if n := len(w.state.AllIntents()); n > 0 {
			t.Errorf("%d uploads are still open", n)
		}
	})
}

// Compaction takes no more of the store than it may, and says so by taking its time.
func TestCompactionKeepsItsRate(t *testing.T) {
	warmUp(t)
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 1)
		l := w.create(0, 0)
		l.settings = compacting()
		kv := follow(l, rand.New(rand.NewPCG(1, 2)), 5)
		o := w.options(w.state.Broker(1, true))
		o.CompactBytesPerSecond = 1000
		_, stop := w.run(o)
		for range 1500 {
			kv.step()
		}
		kv.finish()
		pass(40 * time.Second) // uploaded, and begun with
		synctest.Wait()
		if v := l.view(); v.Tiered != l.end || v.Cleaned != 0 {
			t.Errorf("tiered=%d cleaned=%d of %d", v.Tiered, v.Cleaned, l.end)
		}
		var bytes int64
		for _, s := range l.view().Hot {
			bytes += s.Size
		}
		began := time.Now()
		for l.view().Cleaned == 0 {
			pass(time.Second)
			synctest.Wait()
		}
		if took, least := time.Since(began)+40*time.Second, time.Duration((2*bytes-4<<10)/1000)*time.Second; took < least {
			t.Errorf("%d bytes were read twice in %s, want %s at least", bytes, took, least)
		}
		stop()
		w.checkKeys(kv, 0, tombstones)
	})
}
