package tiering_test

import (
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tidelinehq/tideline/tiering"
	"github.com/tidelinehq/tideline/tiering/ledgertest"
	"github.com/tidelinehq/tideline/tiering/manifest"
	"github.com/tidelinehq/tideline/tiering/objstore/faultstore"
)

// long reports whether the long form of campaigns was asked for: TIDELINE_TIERING_CAMPAIGN=runs.
func long() bool { return os.Getenv("TIDELINE_TIERING_CAMPAIGN") != "" }

// TestCampaign lets engines live through faults of store and ledger, crashes, changes of leader, DeleteRecords and deleted
// topics, then heals everything and requires: all committed exactly once and contiguous, nothing dangling, no orphan.
func TestCampaign(t *testing.T) {
	eachSeed(t, 12, campaign)
}

// eachSeed runs a campaign with some seeds, or with what TIDELINE_TIERING_CAMPAIGN and TIDELINE_TIERING_SEED say.
func eachSeed(t *testing.T, runs int, campaign func(t *testing.T, seed uint64)) {
	t.Helper()
	first := uint64(1)
	if s := os.Getenv("TIDELINE_TIERING_CAMPAIGN"); s != "" {
		n, err := strconv.Atoi(s)
		if err != nil {
			t.Fatal(err)
		}
		runs = n
	}
	if s := os.Getenv("TIDELINE_TIERING_SEED"); s != "" {
		n, err := strconv.ParseUint(s, 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		runs, first = 1, n
	}
	for seed := first; seed < first+uint64(runs); seed++ {
		t.Run(fmt.Sprintf("seed=%d", seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { campaign(t, seed) })
		})
	}
}

// trouble has the store fail as kinds say and the ledger, each with a probability up to those given. Random draws from rnd as the faults
// do, heal ends all trouble.
func (w *world) trouble(rnd *rand.Rand, store, ledger float64, kinds ...faultstore.Fault) (random func(n int) int, heal func()) {
	for _, f := range kinds {
		w.store.Add(faultstore.Rule{Fault: f, Probability: rnd.Float64() * store, Delay: time.Duration(rnd.IntN(40)) * time.Second})
	}
	var mu sync.Mutex
	faults, ledgerFaults := true, rnd.Float64()*ledger
	w.state.Fault = func(string) ledgertest.Fault {
		mu.Lock()
		defer mu.Unlock()
		if !faults || rnd.Float64() > ledgerFaults {
			return ledgertest.None
		}
		return []ledgertest.Fault{ledgertest.Refuse, ledgertest.LostFirst, ledgertest.LostReply, ledgertest.LostReply}[rnd.IntN(4)]
	}
	return func(n int) int {
			mu.Lock()
			defer mu.Unlock()
			return rnd.IntN(n)
		}, func() {
			mu.Lock()
			faults = false
			mu.Unlock()
			w.store.Heal()
			w.store.SetDown(false)
		}
}

// runAgain runs an engine that can be restarted, and logs in detail when a single seed is asked for.
func (w *world) runAgain(o tiering.Options) (restart, stop func()) {
	if os.Getenv("TIDELINE_TIERING_SEED") != "" {
		o.Logger = slog.New(slog.NewTextHandler(w.t.Output(), &slog.HandlerOptions{Level: slog.LevelDebug}))
	}
	_, end := w.run(o)
	return func() {
		end()
		o.Locator = w.options(w.state.Broker(1, true)).Locator
		_, end = w.run(o)
	}, func() { end() }
}

// leadAt has the leader lead on with another epoch.
func (l *localLog) leadAt(epoch int32) {
	l.w.state.SetEpoch(l.id, epoch)
	l.mu.Lock()
	l.epoch = epoch
	l.mu.Unlock()
	l.lease.Changed()
}

func campaign(t *testing.T, seed uint64) {
	w := newWorld(t, seed)
	rnd := rand.New(rand.NewPCG(seed, 2))
	for i := range 3 + rnd.IntN(6) {
		l := w.create(i/2, int32(i%2))
		l.settings.RollAfter = time.Duration(1+rnd.IntN(60)) * time.Second
		l.settings.RollBytes = 100 + rnd.Int64N(5000)
		if rnd.IntN(2) == 0 {
			l.settings.RetentionMs = 1000 + rnd.Int64N(3_600_000)
		}
		if rnd.IntN(3) == 0 {
			l.settings.RetentionBytes = rnd.Int64N(20_000)
		}
	}
	random, heal := w.trouble(rnd, 0.15, 0.3, faultstore.Unavailable, faultstore.LostReply, faultstore.Slow, faultstore.Denied, faultstore.PartialDelete, faultstore.ShortBody, faultstore.CorruptBody, faultstore.LateReply)

	o := w.options(w.state.Broker(1, true))
	o.SpillAt, o.SpillKeep = 8, 3
	o.MemoryBytes = 2000
	o.MaxSegmentBytes, o.LargeBytes = 6000, 3000
	o.HeadSpread = time.Minute
	o.Grace = 20 * time.Minute
	restart, stop := w.runAgain(o)
	epoch := int32(1)
	for range 400 {
		for _, id := range w.ids() {
			if random(3) == 0 {
				w.logs[id].append(1+random(4), 1+random(400))
			}
		}
		switch random(60) {
		case 0:
			restart()
		case 1: // leadership goes away and comes back
			l := w.logs[w.ids()[random(len(w.logs))]]
			epoch++
			l.leadAt(epoch)
		case 2: // DeleteRecords
			l := w.logs[w.ids()[random(len(w.logs))]]
			if v := l.view(); l.end > v.LogStart {
				w.state.SetLogStart(l.id, v.LogStart+1+int64(random(int(l.end-v.LogStart))))
				l.lease.Changed()
			}
		case 3:
			if random(4) == 0 && len(w.logs) > 2 {
				topic := w.ids()[random(len(w.logs))].Topic
				w.state.DeleteTopic(topic)
				for _, id := range w.ids() {
					if id.Topic == topic {
						w.logs[id].lease.Close()
						delete(w.logs, id)
					}
				}
			}
		case 4:
			w.store.SetDown(true)
		case 5, 6, 7:
			w.store.SetDown(false)
		}
		pass(time.Duration(1+random(20_000)) * time.Millisecond)
	}

	heal()
	if random(2) == 0 {
		restart()
	}
	pass(30 * time.Minute)
	synctest.Wait()
	w.allTiered()
	for _, id := range w.ids() { // let go what retention holds for times to come
		l := w.logs[id]
		if v := l.view(); len(v.Hot) > 2*o.SpillAt {
			t.Errorf("%v: %d hot entries", id, len(v.Hot))
		}
		l.mu.Lock()
		l.settings.RetentionMs, l.settings.RetentionBytes = -1, -1
		l.mu.Unlock()
		l.lease.Changed()
	}
	pass(2 * time.Hour)
	synctest.Wait()
	stop()
	w.check()
	w.clean()
	t.Logf("objects=%d faults=%d spills=%d retains=%d", len(w.mem.Keys()), len(w.store.Events()), w.state.Applied("Spill"), w.state.Applied("Retain"))
}

// ids are the partitions in order.
func (w *world) ids() []manifest.ID { return sortedIDs(w.logs) }
