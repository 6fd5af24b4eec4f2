package streams

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// TestChurn lets members come, go, die, lose answers, and give up tasks late, while
// topics and settings change and the coordinator moves; then it lets things calm down.
func TestChurn(t *testing.T) {
	for seed := range uint64(20) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) { churn(t, seed) })
	}
}

// churner is a member that may be slow to give up tasks.
type churner struct{ *app }

func churn(t *testing.T, seed uint64) {
	rng := rand.New(rand.NewPCG(seed, 7))
	w := newWorld(t, map[string]int32{"in": 3 + rng.Int32N(12)})
	w.sparse = 25
	w.env.Config.StandbyReplicas = rng.IntN(3)
	if rng.IntN(2) == 0 {
		w.env.Config.InitialRebalanceDelay = 3 * time.Second
	}
	if rng.IntN(2) == 0 {
		w.env.Config.AssignmentInterval = time.Second
	}
	var live []*churner
	next := 0
	for range 300 {
		switch n := rng.IntN(100); {
		case n < 12 && len(live) < 8:
			c := &churner{app: newApp(fmt.Sprintf("m%03d", next), fmt.Sprintf("p%d", rng.IntN(4)))}
			if rng.IntN(3) == 0 {
				c.endpoint = c.id
			}
			next++
			live = append(live, c)
			c.beat(w, rng, false)
		case n < 16 && len(live) > 0: // leaves
			i := rng.IntN(len(live))
			req := live[i].request()
			req.MemberEpoch = -1
			w.heartbeat(req)
			live = slices.Delete(live, i, i+1)
		case n < 20 && len(live) > 0: // dies
			i := rng.IntN(len(live))
			live = slices.Delete(live, i, i+1)
		case n < 22:
			w.failover()
		case n < 24:
			w.env.Config.StandbyReplicas = rng.IntN(3)
		case n < 25:
			w.topics.create("unrelated", rng.Int32N(9)+1)
		case n < 35:
			w.advance(time.Duration(rng.IntN(4000)) * time.Millisecond)
		case len(live) > 0:
			live[rng.IntN(len(live))].beat(w, rng, rng.IntN(10) == 0)
		}
		checkHeld(t, w, live)
	}
	// Calm: all are heard, nothing is lost.
	if len(live) == 0 {
		live = append(live, &churner{app: newApp("last", "p0")})
	}
	for range 60 { // longer than any session of the dead
		for _, c := range live {
			c.beat(w, nil, false)
		}
		checkHeld(t, w, live)
		w.advance(time.Second)
	}
	if w.g.StateName() != stateStable || w.g.Size() != len(live) {
		t.Fatalf("seed %d: %s, %d members of %d", seed, w.g.StateName(), w.g.Size(), len(live))
	}
	members := make([]candidate, len(live))
	got := make([]Tasks, len(live))
	slices.SortFunc(live, func(a, b *churner) int { return slices.Compare([]string{a.id}, []string{b.id}) })
	for i, c := range live {
		members[i] = candidate{member: c.id, process: c.process}
		got[i] = c.owned
		if !c.owned.equal(w.stripped(c.id)) {
			t.Fatalf("seed %d: %s holds %v, and has %v", seed, c.id, c.owned, w.g.member(c.id).Assigned)
		}
	}
	checkAssignment(t, members, w.g.configured.Subtopologies, w.env.Config.StandbyReplicas, got)
	w.checkLog()
	n := len(w.log)
	for _, c := range live {
		c.beat(w, nil, false)
	}
	if len(w.log) != n {
		t.Fatalf("seed %d: a stable group writes records", seed)
	}
}

// stripped is what the group believes a member has, without epochs.
func (w *world) stripped(id string) Tasks {
	a := w.g.member(id).Assigned
	return Tasks{taskSet(a.Active.ids()), taskSet(a.Standby.ids()), taskSet(a.Warmup.ids())}
}

// beat sends a heartbeat with what the member holds, and takes in the answer unless it is
// lost. With a random source some of what is to be given up is kept for a while.
func (c *churner) beat(w *world, rng *rand.Rand, lost bool) {
	req := c.request()
	r := w.heartbeat(req)
	for _, it := range r.Create {
		w.topics.create(it.Name, it.Partitions)
	}
	if lost {
		return
	}
	before := c.owned
	c.hear(r.Response)
	if r.Response.ErrorCode != 0 || r.Response.ActiveTasks == nil {
		if r.Response.ErrorCode == 0 && (rng == nil || rng.IntN(2) == 0) {
			c.owned = c.wanted
		}
		return
	}
	keep, lose := before.Active.split(c.wanted.Active)
	if len(lose) > 0 && rng != nil && rng.IntN(2) == 0 {
		// It is busy: it keeps all it had, and begins nothing.
		c.owned = Tasks{Active: keep.union(lose), Standby: before.Standby, Warmup: before.Warmup}
	}
}

// checkHeld looks at what the members hold, those that the group knows: a task is never
// active twice.
func checkHeld(t *testing.T, w *world, live []*churner) {
	t.Helper()
	active := map[Task]string{}
	for _, c := range live {
		if w.g.member(c.id) == nil {
			continue // its session is over; it will hear of it
		}
		for _, task := range c.owned.Active {
			if other, ok := active[task.key()]; ok {
				t.Fatalf("%v is active in %s and %s", task, other, c.id)
			}
			active[task.key()] = c.id
		}
	}
}
