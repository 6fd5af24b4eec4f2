package server

import (
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
)

func TestAdmissionLanes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAdmission(4 << 20) // 1 MiB for small frames, 3 MiB for great ones
		never := make(chan struct{})
		large, small := a.lane(smallFrame+1, false), a.lane(smallFrame, false)
		if large == small {
			t.Fatal("one lane for all")
		}
		if !large.try(2<<20) || large.try(2<<20) {
			t.Fatal("capacity of the great lane")
		}
		var order []int
		var mu sync.Mutex
		for i, bytes := range []int64{10 << 20, 2 << 20, 1 << 10} {
			go func() {
				if !large.wait(bytes, never, never) {
					t.Error("not admitted")
				}
				mu.Lock()
				order = append(order, i)
				mu.Unlock()
			}()
			synctest.Wait()
		}
		if a.waiting() != 3 || large.try(1) {
			t.Fatalf("%d wait; later ones must not overtake", a.waiting())
		}
		if !small.try(smallFrame) {
			t.Fatal("a small frame waits behind great ones")
		}
		for i, step := range []struct {
			release int64
			admits  int
			used    int64
		}{{2 << 20, 1, 10 << 20}, {10 << 20, 3, 2<<20 + 1<<10}} {
			large.release(step.release)
			synctest.Wait()
			mu.Lock()
			if len(order) != step.admits || large.inUse() != step.used {
				t.Fatalf("step %d: admitted %v, used %d", i, order, large.inUse())
			}
			mu.Unlock()
		}
		if order[0] != 0 {
			t.Fatalf("admitted in order %v", order)
		}
	})
}

// TestAdmissionCancel has the head of a queue give up: those behind move on.
func TestAdmissionCancel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAdmission(4 << 20)
		l := &a.large
		if !l.try(2 << 20) {
			t.Fatal("not admitted")
		}
		closed, never := make(chan struct{}), make(chan struct{})
		results := make([]atomic.Int32, 2)
		wait := func(i int, bytes int64, closed chan struct{}) {
			if l.wait(bytes, closed, never) {
				results[i].Store(1)
			} else {
				results[i].Store(-1)
			}
		}
		go wait(0, 3<<20, closed)
		synctest.Wait()
		go wait(1, 1<<20, never)
		synctest.Wait()
		close(closed)
		synctest.Wait()
		if results[0].Load() != -1 || results[1].Load() != 1 || l.inUse() != 3<<20 || l.queued() != 0 {
			t.Fatalf("%d %d used=%d queued=%d", results[0].Load(), results[1].Load(), l.inUse(), l.queued())
		}
	})
}

// TestAdmissionRace takes, gives up and releases from many goroutines.
func TestAdmissionRace(t *testing.T) {
	l := &lane{capacity: 1000}
	var held atomic.Int64
	var wg sync.WaitGroup
	for n := range 8 {
		wg.Add(1)
		go func() {
			defer wg.Done()
			r := rand.New(rand.NewPCG(uint64(n), 1))
			for range 2000 {
				bytes := 1 + r.Int64N(400)
				closed := make(chan struct{})
				if r.IntN(3) == 0 {
					go close(closed)
				}
				if l.try(bytes) || l.wait(bytes, closed, nil) {
					if h := held.Add(bytes); h > 1000 {
						t.Errorf("%d bytes held", h)
					}
					held.Add(-bytes)
					l.release(bytes)
				}
			}
		}()
	}
	wg.Wait()
	if l.inUse() != 0 || l.queued() != 0 {
		t.Fatal(l.inUse(), l.queued())
	}
}

func TestFrameClasses(t *testing.T) {
	last := 0
	for c := range classes {
		size := classSize(c)
		if size <= last || classOf(size) != c || classOf(last+1) != c {
			t.Fatalf("class %d: size=%d after %d, classOf(size)=%d classOf(last+1)=%d", c, size, last, classOf(size), classOf(last+1))
		}
		if last >= smallFrame && float64(size)/float64(last) > 1.25001 {
			t.Errorf("step from %d to %d", last, size)
		}
		last = size
	}
	if last != 1<<maxClassBits || classOf(last+1) != classes {
		t.Fatal(last)
	}
}

// TestStage follows a frame of 100 MiB as its bytes come.
func TestStage(t *testing.T) {
	const size = 100 << 20
	rooms := []int{}
	for have := 1; have < size; {
		room := stage(size, have)
		if room > smallFrame && room > 16*have {
			t.Fatalf("room for %d after %d", room, have)
		}
		rooms = append(rooms, room)
		have = room
	}
	if len(rooms) != 4 || rooms[3] != size {
		t.Fatal(rooms)
	}
	if got := stage(1000, 1); got != 1000 {
		t.Fatal(got)
	}
}
