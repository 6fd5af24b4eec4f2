package tiering_test

import (
	"errors"
	"iter"
	"maps"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/tidelinehq/tideline/tiering"
	"github.com/tidelinehq/tideline/tiering/manifest"
	"github.com/tidelinehq/tideline/tiering/objstore"
	"github.com/tidelinehq/tideline/tiering/objstore/faultstore"
)

func TestRollByTimeMakesOneBundle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 1)
		for i := range 50 {
			w.create(i, 0)
		}
		_, stop := w.run(w.options(w.state.Broker(1, true)))
		for _, l := range w.logs {
			l.append(3, 100)
			l.append(1, 100)
		}
		pass(59 * time.Second)
		synctest.Wait()
		if n := w.mem.Counts().Total(); n != 0 {
			t.Fatalf("%d requests before anything is due", n)
		}
		pass(2 * time.Second)
		synctest.Wait()
		if c := w.mem.Counts(); c.Put != 1 || c.Total() != 1 {
			t.Fatalf("requests %+v", c)
		}
		w.allTiered()
		for _, l := range w.logs {
			if l.notified != l.end {
				t.Errorf("%v: told %d of %d", l.id, l.notified, l.end)
			}
		}
		stop()
		w.check()
		w.clean()
	})
}

func TestRollByBytesAndPressure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 2)
		full, half, little := w.create(0, 0), w.create(1, 0), w.create(2, 0)
		for _, l := range w.logs {
			l.settings.RollBytes = 10_000
		}
		e, stop := w.run(w.options(w.state.Broker(1, true)))
		half.append(1, 6_000)
		little.append(1, 1_000)
		full.append(1, 5_000)
		synctest.Wait()
		if n := w.mem.Counts().Put; n != 0 {
			t.Fatalf("%d puts before anything is full", n)
		}
		pass(time.Second)
		full.append(1, 5_000)
		synctest.Wait()
		if n := w.mem.Counts().Put; n != 1 || full.view().Tiered != 2 || half.view().Tiered != 1 || little.view().Tiered != 0 {
			t.Fatalf("puts=%d tiered full=%d half=%d little=%d", n, full.view().Tiered, half.view().Tiered, little.view().Tiered)
		}
		e.Pressure(1)
		synctest.Wait()
		if little.view().Tiered != 1 {
			t.Fatal("pressure did not move the oldest data")
		}
		stop()
		w.check()
		w.clean()
	})
}

// TestIdleIsSilent: nothing pending, nothing expiring, no request and no command, whatever the number of partitions.
func TestIdleIsSilent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 3)
		for i := range 200 {
			w.create(i, 0).append(1, 10)
		}
		_, stop := w.run(w.options(w.state.Broker(1, true)))
		pass(5 * time.Minute)
		synctest.Wait()
		w.allTiered()
		w.mem.ResetCounts()
		commands := w.state.Applied("BeginUpload") + w.state.Applied("AbortUpload") + w.state.Applied("CollectGarbage")
		pass(24 * time.Hour)
		synctest.Wait()
		if n := w.mem.Counts().Total(); n != 0 {
			t.Errorf("%d requests while idle", n)
		}
		if n := w.state.Applied("BeginUpload") + w.state.Applied("AbortUpload") + w.state.Applied("CollectGarbage"); n != commands {
			t.Errorf("%d commands while idle", n-commands)
		}
		stop()
	})
}

func TestPutBudget(t *testing.T) {
	partitions, minutes := 100, 75
	if long() {
		partitions = 1000
	}
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 4)
		for i := range partitions {
			w.create(i, 0)
		}
		_, stop := w.run(w.options(w.state.Broker(1, true)))
		// All partitions begin at different times and go on; two appends an interval.
		perMinute := make([]int, 0, minutes)
		for range minutes {
			before := w.mem.Counts().Put
			for step := range 10 {
				i := 0
				for id := range partitions {
					l := w.logs[manifest.ID{Topic: topicID(id)}]
					if i%5 == step%5 {
						l.append(1, 20)
					}
					i++
				}
				pass(6 * time.Second)
			}
			synctest.Wait()
			perMinute = append(perMinute, w.mem.Counts().Put-before)
		}
		var sum, worst int
		for _, n := range perMinute[2:] {
			sum += n
			worst = max(worst, n)
		}
		t.Logf("%d partitions: %.2f puts a minute, at most %d, spills %d", partitions, float64(sum)/float64(minutes-2), worst, w.state.Applied("Spill"))
		if worst > 3 || w.state.Applied("Spill") == 0 {
			t.Errorf("at most %d puts a minute, spills %d", worst, w.state.Applied("Spill"))
		}
		pass(3 * time.Hour)
		synctest.Wait()
		stop()
		w.check()
		w.clean()
		for _, l := range w.logs {
			if n := len(l.view().Hot); n > 64 {
				t.Fatalf("%d hot entries", n)
			}
		}
	})
}

func TestOutageDrains(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 5)
		for i := range 20 {
			w.create(i, 0)
		}
		o := w.options(w.state.Broker(1, true))
		o.WALUsage = func() (int64, int64) { return 600_000, 1_000_000 }
		registry := prometheus.NewRegistry()
		o.Registerer = registry
		e, stop := w.run(o)
		w.store.SetDown(true)
		for range 120 {
			for _, l := range w.logs {
				l.append(1, 50)
			}
			pass(10 * time.Second)
		}
		synctest.Wait()
		s := e.Status()
		if s.Store.Failures == 0 || s.Store.Err == nil || s.WALFullIn <= 0 || s.Total.LagRecords != 20*120 || s.Total.Lag < 15*time.Minute {
			t.Fatalf("status of the outage: %+v %+v fullIn=%s", s.Store, s.Total, s.WALFullIn)
		}
		told := gauges(t, registry)
		if late := s.Total.Lag - time.Minute; told["recovery_point_lag_records"] != 20*120 || told["recovery_point_lag_seconds"] != s.Total.Lag.Seconds() ||
			told["roll_overdue_seconds"] != late.Seconds() || told["faulty_partitions"] != 0 || told["paused_partitions"] != 0 {
			t.Errorf("metrics of the outage: %v, of %s late", told, late)
		}
		if n := w.state.Applied("BeginUpload"); n > 40 {
			t.Errorf("%d tries in 20 minutes", n)
		}
		w.store.SetDown(false)
		pass(2 * time.Minute)
		synctest.Wait()
		w.allTiered()
		if s := e.Status(); s.Store.Failures != 0 || s.Total.LagRecords != 0 || s.Total.Lag != 0 {
			t.Fatalf("status after: %+v %+v", s.Store, s.Total)
		}
		for name, v := range gauges(t, registry) {
			if v != 0 {
				t.Errorf("%s is %v after the outage", name, v)
			}
		}
		pass(3 * time.Hour)
		synctest.Wait()
		stop()
		w.check()
		w.clean()
	})
}

// gauges are the metrics of how far the bucket is behind.
func gauges(t *testing.T, r *prometheus.Registry) map[string]float64 {
	t.Helper()
	families, err := r.Gather()
	if err != nil {
		t.Fatal(err)
	}
	out := make(map[string]float64)
	for _, f := range families {
		switch name := strings.TrimPrefix(f.GetName(), "tideline_tiering_"); name {
		case "pending_bytes", "recovery_point_lag_records", "recovery_point_lag_seconds", "roll_overdue_seconds", "faulty_partitions", "paused_partitions":
			out[name] = f.GetMetric()[0].GetGauge().GetValue()
		}
	}
	return out
}

func TestAStaleLeaderLosesOnlyItsOwn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 6)
		lost, kept := w.create(0, 0), w.create(1, 0)
		_, stop := w.run(w.options(w.state.Broker(1, true)))
		lost.append(2, 10)
		kept.append(2, 10)
		w.state.SetEpoch(lost.id, 2) // another broker leads, and this one does not know yet
		pass(61 * time.Second)
		synctest.Wait()
		if lost.view().Tiered != 0 || kept.view().Tiered != 2 {
			t.Fatalf("tiered lost=%d kept=%d", lost.view().Tiered, kept.view().Tiered)
		}
		lost.lease.Close()
		pass(3 * time.Hour)
		synctest.Wait()
		stop()
		w.check()
		w.clean()
		if lost.view().Tiered != 0 {
			t.Fatal("a closed lease went up")
		}
	})
}

func TestAnUnreadablePartitionFailsAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 7)
		bad, torn, good := w.create(0, 0), w.create(1, 0), w.create(2, 0)
		for _, l := range w.logs {
			l.append(2, 10)
		}
		bad.readErr = errors.New("bad sector")
		torn.append(1, 10)
		torn.batches[1][record0] ^= 1
		e, stop := w.run(w.options(w.state.Broker(1, true)))
		pass(10 * time.Minute)
		synctest.Wait()
		if good.view().Tiered != 2 || bad.view().Tiered != 0 || torn.view().Tiered != 0 {
			t.Fatalf("tiered good=%d bad=%d torn=%d", good.view().Tiered, bad.view().Tiered, torn.view().Tiered)
		}
		for i, p := range e.Status().Partitions {
			if (p.Fault != nil) != (i < 2) {
				t.Errorf("partition %d: fault %v", i, p.Fault)
			}
		}
		bad.mu.Lock()
		bad.readErr = nil
		bad.mu.Unlock()
		torn.mu.Lock()
		torn.batches[1][record0] ^= 1
		torn.mu.Unlock()
		pass(5 * time.Minute)
		synctest.Wait()
		w.allTiered()
		stop()
		w.check()
	})
}

const record0 = 61 // first byte after the batch header

func TestRetentionThroughPages(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 8)
		byTime, bySize, deleted, paused := w.create(0, 0), w.create(1, 0), w.create(2, 0), w.create(3, 0)
		byTime.settings.RetentionMs = (150 * time.Minute).Milliseconds()
		bySize.settings.RetentionBytes = 10_000
		_, stop := w.run(w.options(w.state.Broker(1, true)))
		for range 300 {
			for _, l := range w.logs {
				l.append(1, 30)
			}
			pass(61 * time.Second)
		}
		paused.mu.Lock()
		paused.settings.Paused = true
		paused.mu.Unlock()
		paused.lease.Changed()
		paused.append(1, 1)
		pass(2 * time.Minute)
		synctest.Wait()
		w.check()
		if v := byTime.view(); v.Segments < 145 || v.Segments > 150 || v.Root.IsZero() {
			t.Errorf("by time: %d segments", v.Segments)
		}
		if v := bySize.view(); v.LogBytes < 10_000 || v.LogBytes > 10_200 {
			t.Errorf("by size: %d bytes", v.LogBytes)
		}
		if v := deleted.view(); v.LogStart != 0 || v.Segments != 300 || v.Root.IsZero() {
			t.Errorf("untouched: %+v", v.Segments)
		}
		if v := paused.view(); v.Tiered != 300 {
			t.Errorf("paused: tiered %d", v.Tiered)
		}
		w.state.SetLogStart(deleted.id, 200)
		deleted.lease.Changed()
		pass(10 * time.Minute)
		synctest.Wait()
		if v := deleted.view(); v.LogStart != 200 || v.Segments != 100 {
			t.Errorf("deleted to 200: logStart=%d segments=%d", v.LogStart, v.Segments)
		}
		w.check()
		deleted.append(5, 10)
		w.state.SetLogStart(deleted.id, 303) // above what is tiered, in the middle of a batch
		deleted.lease.Changed()
		pass(10 * time.Minute)
		synctest.Wait()
		if v := deleted.view(); v.LogStart != 303 || v.Segments != 1 || v.Tiered != 305 {
			t.Errorf("deleted to 303: %+v", v)
		}
		paused.mu.Lock()
		paused.settings.Paused = false
		paused.mu.Unlock()
		paused.lease.Changed()
		pass(4 * time.Hour)
		synctest.Wait()
		w.allTiered()
		if v := byTime.view(); v.Segments != 0 || v.LogStart != 300 || !v.Root.IsZero() {
			t.Errorf("all expired: %+v", v)
		}
		stop()
		w.check()
		w.clean()
	})
}

// TestDeletedTopicLeavesAnEmptyBucket is the pain of every tiered log: create, tier, delete, and the bucket must list empty.
// TestDeletedBeyondThePages: records are deleted up to what is not uploaded yet, while a new leader has not looked at the oldest
// segment. The pages go first, at once, because nothing is taken before; until then nothing is uploaded to be refused.
func TestDeletedBeyondThePages(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 8)
		l := w.create(0, 0)
		o := w.options(w.state.Broker(1, true))
		_, stop := w.run(o)
		for range 300 {
			l.append(1, 30)
			pass(61 * time.Second)
		}
		if v := l.view(); v.Tiered != 300 || v.Root.IsZero() {
			t.Fatalf("tiered %d, no pages", v.Tiered)
		}
		stop()
		o.HeadSpread = 24 * time.Hour
		_, stop = w.run(o)
		synctest.Wait()
		before := w.nextID.Load()
		l.append(5, 10)
		l.append(5, 10)
		w.state.SetLogStart(l.id, 307)
		l.lease.Changed()
		pass(61 * time.Second)
		synctest.Wait()
		if v := l.view(); v.LogStart != 307 || v.Tiered != 310 || v.Segments != 1 || !v.Root.IsZero() {
			t.Errorf("log start=%d tiered=%d segments=%d", v.LogStart, v.Tiered, v.Segments)
		}
		if n := w.nextID.Load() - before; n != 1 {
			t.Errorf("%d objects were made, one is needed", n)
		}
		w.check()
		pass(4 * time.Hour)
		synctest.Wait()
		stop()
		w.clean()
	})
}

func TestDeletedTopicLeavesAnEmptyBucket(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 9)
		var logs []*localLog
		for p := range int32(5) {
			logs = append(logs, w.create(0, p))
		}
		_, stop := w.run(w.options(w.state.Broker(1, true)))
		for range 150 {
			for _, l := range logs[:4] { // the last one stays empty
				l.append(1, 30)
			}
			pass(61 * time.Second)
		}
		synctest.Wait()
		if logs[0].view().Root.IsZero() || len(w.mem.Keys()) < 100 {
			t.Fatalf("nothing to delete: %d objects", len(w.mem.Keys()))
		}
		logs[0].append(1, 10) // on its way while the topic goes
		w.state.DeleteTopic(topicID(0))
		for _, l := range logs {
			l.lease.Close()
		}
		for range 6 { // the cleaner is killed over and over
			pass(20 * time.Second)
			stop()
			w.logs = nil
			_, stop = w.run(w.options(w.state.Broker(1, true)))
		}
		pass(3 * time.Hour)
		synctest.Wait()
		stop()
		w.check()
		if keys := w.mem.Keys(); len(keys) != 0 {
			t.Fatalf("%d objects are left: %v", len(keys), keys[0])
		}
		for range w.state.Broker(0, false).Purges() {
			t.Fatal("the purge entry is left")
		}
		w.clean()
	})
}

func TestPoisonedKeyIsParkedAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 10)
		l := w.create(0, 0)
		l.settings.RetentionMs = 1000
		e, stop := w.run(w.options(w.state.Broker(1, true)))
		for range 6 {
			l.append(1, 30)
			pass(2 * time.Minute)
		}
		synctest.Wait()
		w.store.Add(faultstore.Rule{Ops: faultstore.Delete, Fault: faultstore.PartialDelete, Count: 5})
		pass(time.Hour + 10*time.Minute)
		synctest.Wait()
		if keys := w.mem.Keys(); len(keys) != 0 {
			t.Fatalf("%d objects are left", len(keys))
		}
		if n := e.Status().ParkedGarbage; n != 0 {
			t.Fatalf("%d parked", n)
		}
		stop()
		w.clean()
	})
}

func TestVerifyFindsDamage(t *testing.T) {
	for name, tc := range map[string]struct {
		harm func(w *world, l *localLog)
		want string
	}{
		"missing object": {func(w *world, l *localLog) {
			if _, err := w.mem.Delete(t.Context(), []string{objstore.DataKey(l.view().Hot[0].Object)}); err != nil {
				t.Fatal(err)
			}
		}, "dangling"},
		"missing pages": {func(w *world, l *localLog) {
			if _, err := w.mem.Delete(t.Context(), []string{objstore.PagesKey(l.view().Root.Object)}); err != nil {
				t.Fatal(err)
			}
		}, "dangling"},
		"flipped bit in a block": {func(w *world, l *localLog) {
			s := l.view().Hot[3]
			w.mem.Mutate(objstore.DataKey(s.Object), func(b []byte) []byte { b[s.Position+20] ^= 4; return b })
		}, "corrupt"},
		"flipped bit in a page": {func(w *world, l *localLog) {
			r := l.view().Root
			w.mem.Mutate(objstore.PagesKey(r.Object), func(b []byte) []byte { b[r.Position+40] ^= 4; return b })
		}, "corrupt"},
		"stray object": {func(w *world, l *localLog) {
			if _, err := w.mem.Put(t.Context(), objstore.DataKey([16]byte{9}), objstore.BytesBody([]byte("x")), objstore.Condition{}); err != nil {
				t.Fatal(err)
			}
		}, "orphan"},
		"stray key": {func(w *world, l *localLog) {
			if _, err := w.mem.Put(t.Context(), "data/readme", objstore.BytesBody([]byte("x")), objstore.Condition{}); err != nil {
				t.Fatal(err)
			}
		}, "orphan"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, 11)
				l := w.create(0, 0)
				_, stop := w.run(w.options(w.state.Broker(1, true)))
				for range 70 {
					l.append(1, 30)
					pass(61 * time.Second)
				}
				pass(3 * time.Hour)
				stop()
				if r := w.verify(); !r.Whole() || r.Segments != 70 || r.Listed == 0 || r.Bytes == 0 {
					t.Fatalf("before: %+v", r)
				}
				tc.harm(w, l)
				r := w.verify()
				if r.Whole() || string(r.Found[0].Kind) != tc.want {
					t.Fatalf("%+v", r)
				}
				t.Log(r.Found[0].Err)
			})
		})
	}
}

// staleAudit shows Verify a ledger that has moved on: its pages were replaced and the old ones collected.
type staleAudit struct {
	audited
	old map[manifest.ID]manifest.Ledger
}

func (a staleAudit) Ledgers() iter.Seq2[manifest.ID, manifest.Ledger] { return maps.All(a.old) }

func TestVerifyBesideAWorkingCluster(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 12)
		l := w.create(0, 0)
		_, stop := w.run(w.options(w.state.Broker(1, true)))
		grow := func(n int) {
			for range n {
				l.append(1, 30)
				pass(61 * time.Second)
			}
		}
		grow(80)
		old := w.state.Ledgers()
		if old[l.id].Root.IsZero() {
			t.Fatal("no pages yet")
		}
		grow(130)
		stop()
		b := w.state.Broker(0, false)
		r, err := tiering.Verify(t.Context(), tiering.VerifyOptions{Ledger: staleAudit{audited{b}, old}, Store: w.mem, Locator: tiering.NewLocator(b, w.mem, 0, nil), Orphans: true})
		if err != nil || !r.Whole() || r.Segments < 200 {
			t.Fatalf("%+v %v", r, err)
		}
	})
}

// lateCommit shows Verify an upload that is open when it begins, and committed while it walks the ledgers that it was given before.
type lateCommit struct {
	audited
	old       map[manifest.ID]manifest.Ledger
	object    [16]byte
	committed *bool
}

func (a lateCommit) Ledgers() iter.Seq2[manifest.ID, manifest.Ledger] {
	*a.committed = true
	return maps.All(a.old)
}

func (a lateCommit) Unreferenced() iter.Seq[[16]byte] {
	return func(yield func([16]byte) bool) {
		if !*a.committed && !yield(a.object) {
			return
		}
		a.audited.Unreferenced()(yield)
	}
}

func TestVerifyKnowsWhatIsCommittedMeanwhile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 13)
		l := w.create(0, 0)
		_, stop := w.run(w.options(w.state.Broker(1, true)))
		grow := func() {
			l.append(1, 30)
			pass(61 * time.Second)
		}
		grow()
		old := w.state.Ledgers()
		grow()
		stop()
		hot := w.state.Ledgers()[l.id].Hot
		b := w.state.Broker(0, false)
		meanwhile := lateCommit{audited{b}, old, hot[len(hot)-1].Object, new(bool)}
		r, err := tiering.Verify(t.Context(), tiering.VerifyOptions{Ledger: meanwhile, Store: w.mem, Locator: tiering.NewLocator(b, w.mem, 0, nil), Orphans: true})
		if err != nil || !r.Whole() || r.Listed != 2 || r.Segments != 1 {
			t.Fatalf("%+v %v", r, err)
		}
	})
}

// uncommitted is a source whose pending bytes lie above the high watermark, as on a new leader without followers.
type uncommitted struct {
	*localLog
	looks atomic.Int64
}

func (u *uncommitted) Status() tiering.SourceStatus {
	s := u.localLog.Status()
	if u.looks.Add(1) < 1000 { // so that an engine which spins comes to an end, too
		s.PendingBytes, s.OldestPending = 1000, time.Unix(1, 0)
	}
	return s
}

// TestWhatIsNotCommittedIsNotDue: the engine does not look again and again for something to upload.
func TestWhatIsNotCommittedIsNotDue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 3)
		l := w.create(1, 0)
		src := &uncommitted{localLog: l}
		e, stop := w.start(w.options(w.state.Broker(1, true)))
		lease := e.Lead(src)
		pass(time.Hour)
		if n := src.looks.Load(); n > 20 {
			t.Errorf("%d looks in an hour", n)
		}
		l.lease = lease
		src.looks.Store(1000)
		l.append(1, 10) // and is committed
		pass(5 * time.Minute)
		synctest.Wait()
		w.allTiered()
		l.lease = nil
		lease.Close()
		stop()
	})
}
