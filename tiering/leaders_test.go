package tiering_test

import (
	"fmt"
	"math/rand/v2"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tidelinehq/tideline/tiering"
	"github.com/tidelinehq/tideline/tiering/manifest"
	"github.com/tidelinehq/tideline/tiering/objstore/faultstore"
)

// replica is one broker's copy of a log, led in an epoch that may have passed.
type replica struct {
	*localLog
	epoch atomic.Int32
	lease *tiering.Lease
}

func (r *replica) Status() tiering.SourceStatus {
	s := r.localLog.Status()
	s.LeaderEpoch = r.epoch.Load()
	return s
}

// TestLeadershipMoves has three brokers take partitions from each other, the old leader often not knowing for a while. Each
// offset is in the bucket once, whoever brought it there.
func TestLeadershipMoves(t *testing.T) {
	for seed := range uint64(5) {
		t.Run(fmt.Sprintf("seed=%d", seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { leadershipMoves(t, seed) })
		})
	}
}

func leadershipMoves(t *testing.T, seed uint64) {
	w := newWorld(t, seed)
	rnd := rand.New(rand.NewPCG(seed, 3))
	for i := range 6 {
		w.create(i, 0).settings.RollAfter = time.Duration(1+rnd.IntN(20)) * time.Second
	}
	w.store.Add(faultstore.Rule{Ops: faultstore.Put, Fault: faultstore.Slow, Probability: 0.5, Delay: 15 * time.Second},
		faultstore.Rule{Ops: faultstore.Put, Fault: faultstore.LostReply, Probability: 0.1})
	const brokers = 3
	var engines [brokers]*tiering.Engine
	for i := range brokers {
		o := w.options(w.state.Broker(int32(i+1), true)) // all clean: two at once must do no harm
		o.Dir = t.TempDir()
		o.SpillAt, o.SpillKeep, o.HeadSpread = 6, 2, time.Second
		e, stop := w.start(o)
		defer stop()
		engines[i] = e
	}
	leading := map[manifest.ID][]*replica{} // the last one leads, the others have not heard
	epoch := int32(1)
	lead := func(id manifest.ID) {
		epoch++
		r := &replica{localLog: w.logs[id]}
		r.epoch.Store(epoch)
		w.state.SetEpoch(id, epoch)
		r.lease = engines[rnd.IntN(brokers)].Lead(r)
		leading[id] = append(leading[id], r)
	}
	for _, id := range w.ids() {
		lead(id)
	}
	for range 300 {
		for _, id := range w.ids() {
			w.logs[id].append(1+rnd.IntN(3), 20)
			if rnd.IntN(10) == 0 {
				lead(id)
			}
			for _, r := range leading[id] {
				r.lease.Advanced(100)
			}
			if old := leading[id]; len(old) > 1 && rnd.IntN(3) == 0 {
				old[0].lease.Close()
				leading[id] = old[1:]
			}
		}
		pass(time.Duration(rnd.IntN(10_000)) * time.Millisecond)
	}
	w.store.Heal()
	for _, id := range w.ids() {
		for old := leading[id]; len(old) > 1; old = old[1:] {
			old[0].lease.Close()
		}
		last := leading[id][len(leading[id])-1]
		last.lease.Changed()
	}
	pass(3 * time.Hour)
	synctest.Wait()
	w.allTiered()
	w.check()
	w.clean()
}
