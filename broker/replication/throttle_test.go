package replication

import (
	"testing"
	"time"

	"github.com/tidelinehq/tideline/broker/partition"
	"github.com/tidelinehq/tideline/wal"
)

func TestBucket(t *testing.T) {
	var b bucket
	start := time.Unix(1000, 0)
	at := func(s float64) time.Time { return start.Add(time.Duration(s * float64(time.Second))) }
	send := func(s float64, bytes int, want time.Duration) {
		t.Helper()
		if got := b.wait(100, at(s)); got != want {
			t.Errorf("at %v s: waits %v, want %v", s, got, want)
		} else if got == 0 {
			b.owed += float64(bytes)
		}
	}
	send(0, 1000, 0) // more than a second's worth passes, and is paid for
	send(0, 1, 10*time.Second)
	send(4, 1, 6*time.Second)
	send(10, 50, 0)
	send(10, 1, 500*time.Millisecond)
	send(3600, 100, 0) // an hour of silence is worth one second
	send(3600, 100, 0)
	send(3600, 1, time.Second)
	b = bucket{owed: 1e30, at: start}
	if got := b.wait(1, start); got <= 0 {
		t.Errorf("much is owed: waits %v", got)
	}
}

// throttled is what the tests below hold back: one partition to one follower, of both sides.
func throttled(leader, follower int64) *Throttles {
	return &Throttles{
		Leader: leader, Followers: map[int32]int64{2: follower},
		Limited: func(id wal.ID, broker int32) (bool, bool) {
			return id.Partition == 0 && broker == 2, id.Partition == 0 && broker == 2
		},
	}
}

// TestThrottle: a follower that catches up gets its turn's worth and no more until time passes or the
// throttle goes. The clock stands, so nothing is ever paid for.
func TestThrottle(t *testing.T) {
	for name, rates := range map[string]*Throttles{"of the leader": throttled(1, 0), "of the follower": throttled(0, 1)} {
		t.Run(name, func(t *testing.T) {
			n := &network{nodes: map[int32]*node{}}
			a, b := n.add(t, 1, 1<<20), n.add(t, 2, 1<<20)
			now := time.Now()
			a.sender.o.Now = func() time.Time { return now }
			a.sender.Throttle(rates)
			slow, free := a.open(0), a.open(1)
			alone := func(p *partition.Partition, epoch int32, followers ...int32) {
				a.sender.Lead(p, partition.Leadership{Epoch: epoch, PartitionEpoch: epoch, Followers: followers, ISR: []int32{1}, MinISR: 1}, nil)
			}
			var waits []told
			for _, p := range []*partition.Partition{slow, free} {
				alone(p, 1)
				for range 20 {
					waits = append(waits, a.append(p, 10))
				}
			}
			all(t, waits)
			of := [2]*partition.Partition{b.open(0), b.open(1)}
			for i, p := range []*partition.Partition{slow, free} {
				of[i].Follow(2)
				alone(p, 2, 2)
			}
			until(t, func() bool { return of[1].End() == free.End() }) // the other partition has the stream for itself
			until(t, a.resting)
			if got := of[0].End(); got == 0 || got >= slow.End() {
				t.Errorf("throttled at %d of %d", got, slow.End())
			}
			a.sender.Throttle(nil)
			until(t, func() bool { return of[0].HighWatermark() == slow.End() }) // which is durable there
			same(t, slow, of[0])
		})
	}
}

// TestInSyncIsNotThrottled: who acknowledges for producers is never held back.
func TestInSyncIsNotThrottled(t *testing.T) {
	n := &network{nodes: map[int32]*node{}}
	a, b := n.add(t, 1, 1<<20), n.add(t, 2, 1<<20)
	now := time.Now()
	a.sender.o.Now = func() time.Time { return now }
	a.sender.Throttle(throttled(1, 1))
	p := a.open(0)
	b.open(0).Follow(1)
	a.lead(p, 1, 2)
	var waits []told
	for range 50 {
		waits = append(waits, a.append(p, 10))
	}
	all(t, waits)
	if a.resting() {
		t.Error("a follower in sync waits")
	}
}

// resting reports whether a partition waits because it is throttled.
func (x *node) resting() bool {
	x.sender.mu.Lock()
	defer x.sender.mu.Unlock()
	for _, o := range x.sender.outlets {
		for _, f := range o.feeds {
			if f.resting.Load() {
				return true
			}
		}
	}
	return false
}

// until waits for what other goroutines bring about.
func until(t *testing.T, cond func() bool) {
	t.Helper()
	deadline := time.After(time.Minute)
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for !cond() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatal("still waiting")
		}
	}
}
