package controller

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/tidelinehq/tideline/metadata"
	"github.com/tidelinehq/tideline/metadata/record"
)

const sessionTimeout = 9 * time.Second

// sessionRun drives a tracker and carries out its verdicts.
type sessionRun struct {
	*cluster
	s   *Sessions
	now time.Time
}

func newSessionRun(t testing.TB, brokers int) *sessionRun {
	r := &sessionRun{cluster: newCluster(t, brokers), s: NewSessions(Policy{MinISR: 2}, sessionTimeout), now: now}
	r.s.Lead(r.Image, true, r.now)
	return r
}

func (r *sessionRun) beat(h Heartbeat) HeartbeatReply {
	b, ok := r.Broker(h.Broker)
	if ok && h.Epoch == 0 {
		h.Epoch = b.Epoch
	}
	if h.Reached == 0 {
		h.Reached = r.Index()
	}
	return r.s.Heartbeat(r.Image, h, r.now)
}

// carry applies what is due.
func (r *sessionRun) carry() Verdicts {
	r.t.Helper()
	v := r.s.Tick(r.Image, r.now)
	change := func(entries []record.PartitionChange) {
		for _, c := range record.ChunkChange(entries) {
			r.apply(c)
		}
	}
	for _, b := range v.Fence {
		r.apply(&record.FenceBroker{ID: b.Broker, Epoch: b.Epoch})
		change(Policy{MinISR: 2}.Fenced(r.Image, b.Broker))
	}
	for _, b := range v.Unfence {
		r.apply(&record.UnfenceBroker{ID: b.Broker, Epoch: b.Epoch})
		change(Policy{MinISR: 2}.Unfenced(r.Image, b.Broker, true))
	}
	for _, b := range v.Shutdown {
		r.apply(&record.ShutdownBroker{ID: b.Broker, Epoch: b.Epoch})
	}
	return v
}

func (v Verdicts) String() string {
	ids := func(list []BrokerEpoch) []int32 {
		out := []int32{}
		for _, b := range list {
			out = append(out, b.Broker)
		}
		return out
	}
	return fmt.Sprint("fence", ids(v.Fence), " unfence", ids(v.Unfence), " shutdown", ids(v.Shutdown))
}

func TestSessions(t *testing.T) {
	const quiet = "fence[] unfence[] shutdown[]"
	r := newSessionRun(t, 3)
	r.create("t", 6, 3)
	expect := func(want string) {
		t.Helper()
		if got := r.carry().String(); got != want {
			t.Fatalf("%s, want %s", got, want)
		}
	}
	expect(quiet)
	if got := r.s.Next(r.Image); !got.Equal(now.Add(sessionTimeout)) {
		t.Fatal(got)
	}
	r.now = r.now.Add(8 * time.Second)
	r.beat(Heartbeat{Broker: 0})
	r.beat(Heartbeat{Broker: 1})
	r.now = r.now.Add(time.Second)
	expect("fence[2] unfence[] shutdown[]")
	expect(quiet)

	// Back, first without having caught up.
	if a := r.beat(Heartbeat{Broker: 2, Reached: 1}); !a.Fenced || a.CaughtUp {
		t.Fatalf("%+v", a)
	}
	expect(quiet)
	if a := r.beat(Heartbeat{Broker: 2, WantFence: true}); !a.CaughtUp {
		t.Fatalf("%+v", a)
	}
	expect(quiet)
	r.beat(Heartbeat{Broker: 2})
	expect("fence[] unfence[2] shutdown[]")

	// A lost connection is not a dead process, one that refuses is.
	b, _ := r.Broker(1)
	r.s.Lost(r.Image, 1, b.Epoch, false, r.now)
	expect(quiet)
	r.s.Lost(r.Image, 1, b.Epoch-1, true, r.now)
	expect(quiet)
	r.s.Lost(r.Image, 1, b.Epoch, true, r.now)
	expect("fence[1] unfence[] shutdown[]")
	if r.LedCount(1) != 0 {
		t.Fatal("a dead broker leads")
	}
	if a := r.beat(Heartbeat{Broker: 1, Epoch: b.Epoch + 9}); !a.Stale {
		t.Fatalf("%+v", a)
	}
	if a := r.beat(Heartbeat{Broker: 9}); !a.Stale {
		t.Fatalf("%+v", a)
	}
	r.apply(&record.RegisterBroker{ID: 1, Incarnation: metadata.ID{99}})
	expect(quiet)
	r.beat(Heartbeat{Broker: 1})
	expect("fence[] unfence[1] shutdown[]")

	// Another leader knows nothing and waits for a whole timeout.
	r.now = r.now.Add(100 * time.Second)
	r.s.Lead(r.Image, false, r.now)
	expect(quiet)
	r.s.Lead(r.Image, true, r.now)
	expect(quiet)
	for b := range int32(3) {
		r.beat(Heartbeat{Broker: b})
	}
	expect(quiet)

	// Ready to serve no more, and again.
	r.beat(Heartbeat{Broker: 0, WantFence: true})
	expect("fence[0] unfence[] shutdown[]")
	r.beat(Heartbeat{Broker: 0})
	expect("fence[] unfence[0] shutdown[]")
}

// A controller that slept does not take its own silence for that of the others.
func TestSleptThroughSessions(t *testing.T) {
	r := newSessionRun(t, 3)
	expect := func(want string) {
		t.Helper()
		if got := r.carry().String(); got != want {
			t.Fatalf("%s, want %s", got, want)
		}
	}
	const quiet = "fence[] unfence[] shutdown[]"
	r.now = r.now.Add(sessionTimeout + 30*time.Second)
	expect(quiet)
	r.now = r.now.Add(time.Second)
	r.beat(Heartbeat{Broker: 0})
	r.beat(Heartbeat{Broker: 1})
	r.now = r.s.Next(r.Image)
	if late := r.now.Sub(now); late > 2*sessionTimeout+30*time.Second {
		t.Fatal(late)
	}
	expect("fence[2] unfence[] shutdown[]")

	// Once: whoever is silent through two sleeps is away.
	r.now = r.now.Add(10 * sessionTimeout)
	expect(quiet)
	r.now = r.now.Add(10 * sessionTimeout)
	expect("fence[0 1] unfence[] shutdown[]")
}

// A broker shuts down in order: what it leads moves, it leaves the ISRs, the
// others hear of it, and only then may it stop.
func TestControlledShutdown(t *testing.T) {
	p := Policy{MinISR: 2}
	r := newSessionRun(t, 3)
	topic := r.create("t", 6, 3)
	alone := r.create("alone", 3, 1)
	led := r.LedCount(0)
	if led == 0 {
		t.Fatal("leads nothing")
	}
	if a := r.beat(Heartbeat{Broker: 0, WantShutdown: true}); a.MayStop {
		t.Fatal("may stop at once")
	}
	if v := r.carry(); v.String() != "fence[] unfence[] shutdown[0]" {
		t.Fatal(v)
	}
	rounds := 0
	for {
		changes, done := p.Shutdown(r.Image, 0)
		if done {
			break
		}
		if rounds++; rounds > 2 {
			t.Fatal("not done")
		}
		for _, c := range changes {
			if x, _ := r.Partition(c.Topic, c.Partition); rounds == 1 && (c.Leader == 0 || c.Leader == x.Leader || c.ISR != nil) {
				t.Fatalf("leaders move first: %+v", c)
			}
		}
		r.apply(&record.ChangePartition{Entries: changes})
		if a := r.beat(Heartbeat{Broker: 0, WantShutdown: true}); a.MayStop && rounds < 2 {
			t.Fatal("may stop too early")
		}
	}
	for x := range r.Partitions(topic) {
		if x.Leader == 0 || slices.Contains(x.ISR, 0) || len(x.ELR) > 0 {
			t.Fatalf("%+v", x)
		}
	}
	for x := range r.Partitions(alone) {
		if x.Replicas[0] == 0 && x.Leader != 0 {
			t.Fatalf("nobody else could lead: %+v", x)
		}
	}
	r.beat(Heartbeat{Broker: 1})
	if a := r.beat(Heartbeat{Broker: 0, WantShutdown: true}); a.MayStop {
		t.Fatal("broker 2 does not know yet")
	}
	r.beat(Heartbeat{Broker: 2})
	if a := r.beat(Heartbeat{Broker: 0, WantShutdown: true}); !a.MayStop {
		t.Fatalf("%+v", a)
	}
	if v := r.carry(); v.String() != "fence[0] unfence[] shutdown[]" {
		t.Fatal(v)
	}
	if a := r.beat(Heartbeat{Broker: 0, WantShutdown: true}); !a.MayStop || !a.Fenced {
		t.Fatalf("%+v", a)
	}
	if v := r.carry(); len(v.Unfence) > 0 {
		t.Fatal(v)
	}
	res := r.apply(&record.RegisterBroker{ID: 0, Incarnation: metadata.ID{42}})
	r.beat(Heartbeat{Broker: 0, Epoch: res.BrokerEpoch})
	if v := r.carry(); v.String() != "fence[] unfence[0] shutdown[]" {
		t.Fatal(v)
	}
}

// Random signs of life, looked at late: a broker is in service only while it was heard
// within twice the timeout, and one that is heard and caught up comes into service.
func TestSessionsRandomly(t *testing.T) {
	for seed := range uint64(20) {
		rnd := rand.New(rand.NewPCG(seed, 1))
		r := newSessionRun(t, 4)
		r.create("t", 8, 3)
		heard := map[int32]time.Time{}
		for b := range int32(4) {
			heard[b] = r.now
		}
		process := byte(50)
		for range 400 {
			b := rnd.Int32N(4)
			x, _ := r.Broker(b)
			switch rnd.IntN(8) {
			case 0:
				if x.Fenced {
					process++
					r.apply(&record.RegisterBroker{ID: b, Incarnation: metadata.ID{process, byte(seed), byte(r.Index()), byte(r.Index() >> 8)}})
				}
			case 1:
				r.s.Lost(r.Image, b, x.Epoch, true, r.now)
				heard[b] = r.now.Add(-2 * sessionTimeout)
			case 2:
				if rnd.IntN(4) == 0 {
					r.s.Lead(r.Image, false, r.now)
					r.s.Lead(r.Image, true, r.now)
					for b := range int32(4) {
						heard[b] = r.now
					}
				}
			default:
				r.beat(Heartbeat{Broker: b})
				heard[b] = r.now
			}
			r.now = r.now.Add(time.Duration(rnd.IntN(3000)) * time.Millisecond)
			r.carry()
			for b := range r.Brokers() {
				if dead := r.now.Sub(heard[b.ID]) >= 2*sessionTimeout; dead && !b.Fenced {
					t.Fatalf("seed %d: broker %d is silent and in service", seed, b.ID)
				}
				if b.Fenced && r.LedCount(b.ID) > 0 {
					t.Fatalf("seed %d: broker %d is fenced and leads", seed, b.ID)
				}
			}
			if r.now.Sub(heard[b]) < time.Second {
				r.beat(Heartbeat{Broker: b})
				heard[b] = r.now
				r.carry()
				if x, _ := r.Broker(b); x.Fenced {
					t.Fatalf("seed %d: broker %d is heard and caught up, and fenced", seed, b)
				}
			}
		}
	}
}
