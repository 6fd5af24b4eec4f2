package cache

import (
	"context"
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
)

func key(n int) Key {
	k := Key{Position: int64(n)}
	binary.LittleEndian.PutUint64(k.Object[:], uint64(n)*0xd1342543de82ef95+1)
	return k
}

const testBlock = 4096

// get claims a block and fills it when it must; true when it was there.
func get(t testing.TB, c *Cache, p *Pool, k Key) bool {
	t.Helper()
	claim, flight := c.Claim(k)
	defer claim.Release()
	if flight != nil {
		flight.Complete(block(t, p, k, testBlock), nil)
	}
	b, err := claim.Wait(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	if got := int64(binary.LittleEndian.Uint64(b.Bytes())); got != k.Position {
		t.Fatalf("block %d has the content of %d", k.Position, got)
	}
	return flight == nil
}

func block(t testing.TB, p *Pool, k Key, size int) *Buffer {
	t.Helper()
	b, err := p.Alloc(context.Background(), size)
	if err != nil {
		t.Fatal(err)
	}
	binary.LittleEndian.PutUint64(b[0].Bytes(), uint64(k.Position))
	return b[0]
}

func TestHitsAndBudget(t *testing.T) {
	p := NewPool(80 * testBlock)
	c := New(Options{MemoryBytes: 64 * testBlock, Pool: p})
	for round := range 2 {
		for i := range 50 {
			if hit := get(t, c, p, key(i)); hit != (round == 1) {
				t.Fatalf("round %d block %d hit=%v", round, i, hit)
			}
		}
	}
	for i := range 10_000 {
		get(t, c, p, key(i))
		if c.Bytes() > 64*testBlock {
			t.Fatalf("cache holds %d", c.Bytes())
		}
	}
	c.Clear()
	if s := p.Stats(); s.Used != 0 || s.Peak > s.Limit {
		t.Errorf("%+v", s)
	}
}

// A hot set that is in use while scans of many times the cache's size pass through.
func TestScanResistance(t *testing.T) {
	const capacity, hot = 200, 100
	p := NewPool((capacity + 10) * testBlock)
	c := New(Options{MemoryBytes: capacity * testBlock, Pool: p})
	rng := rand.New(rand.NewPCG(1, 1))
	for range 20 * hot {
		get(t, c, p, key(rng.IntN(hot)))
	}
	hits, asked := 0, 0
	for scanned := range 50 * capacity {
		get(t, c, p, key(1_000_000+scanned))
		if scanned%5 == 0 {
			asked++
			if get(t, c, p, key(rng.IntN(hot))) {
				hits++
			}
		}
	}
	if hits*100 < asked*95 {
		t.Errorf("hot blocks: %d hits of %d during a scan", hits, asked)
	}
	for i := range 100 {
		if c.Contains(key(1_000_000 + i)) {
			t.Errorf("block %d of the scan is still there", i)
		}
	}
}

// A scan uses the same few buffers again, even while most of the budget is free; what is read a second time stays.
func TestScanReusesBuffers(t *testing.T) {
	const size, blocks = 1 << 20, 200
	p := NewPool(1 << 30)
	c := New(Options{MemoryBytes: 900 << 20, Pool: p})
	scan := func() {
		for i := range blocks {
			claim, flight := c.Claim(key(i))
			if flight != nil {
				flight.Complete(block(t, p, key(i), size), nil)
			}
			claim.Release()
		}
	}
	scan()
	if s := p.Stats(); s.Peak > scanBytes+size || c.Bytes() < scanBytes/2 {
		t.Errorf("a scan of %d bytes left %d and took %d", blocks*size, c.Bytes(), s.Peak)
	}
	scan()
	if c.Bytes() < blocks*size*9/10 {
		t.Errorf("read twice, and only %d of %d bytes stay", c.Bytes(), blocks*size)
	}
}

// Two readers that follow each other closely share what is in the small queue.
func TestFollowerFindsBlocks(t *testing.T) {
	p := NewPool(110 * testBlock)
	c := New(Options{MemoryBytes: 100 * testBlock, Pool: p})
	hits := 0
	for i := range 1000 {
		get(t, c, p, key(i))
		if i >= 5 && get(t, c, p, key(i-5)) {
			hits++
		}
	}
	if hits != 995 {
		t.Errorf("follower: %d hits of 995", hits)
	}
}

func TestSingleFlight(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := NewPool(1 << 20)
		c := New(Options{MemoryBytes: 1 << 19, Pool: p})
		mine, flight := c.Claim(key(1))
		if flight == nil || flight.Wanted() {
			t.Fatal("no flight")
		}
		ctx, leave := context.WithCancel(t.Context())
		var group sync.WaitGroup
		for i := range 50 {
			group.Go(func() {
				claim, other := c.Claim(key(1))
				defer claim.Release()
				if other != nil {
					t.Error("a second flight")
				}
				waiting := t.Context()
				if i%2 == 0 {
					waiting = ctx
				}
				b, err := claim.Wait(waiting)
				if i%2 == 0 {
					if !errors.Is(err, context.Canceled) {
						t.Error(err)
					}
				} else if err != nil || b.Bytes()[0] != 1 {
					t.Error(err)
				}
			})
		}
		synctest.Wait()
		leave()
		synctest.Wait()
		if mine.Ready() {
			t.Error("ready before it is filled")
		}
		flight.Complete(block(t, p, key(1), 100), nil)
		group.Wait()
		if !mine.Ready() {
			t.Error("not ready")
		}
		mine.Release()
		c.Clear()
		if s := p.Stats(); s.Used != 0 {
			t.Errorf("%+v", s)
		}
	})
}

func TestErrorsAreNotKept(t *testing.T) {
	p := NewPool(1 << 20)
	c := New(Options{MemoryBytes: 1 << 19, Pool: p})
	a, flight := c.Claim(key(1))
	b, _ := c.Claim(key(1))
	boom := errors.New("boom")
	flight.Complete(nil, boom)
	for _, claim := range []*Claim{&a, &b} {
		if _, err := claim.Wait(t.Context()); err != boom {
			t.Error(err)
		}
		claim.Release()
	}
	if get(t, c, p, key(1)) {
		t.Error("the error was kept")
	}
}

func TestHurry(t *testing.T) {
	p := NewPool(1 << 20)
	c := New(Options{MemoryBytes: 1 << 19, Pool: p})
	for _, before := range []bool{true, false} {
		claim, flight := c.Claim(key(1))
		other, _ := c.Claim(key(1))
		calls := 0
		if before {
			other.Hurry()
		}
		flight.OnHurry(func() { calls++ })
		if !before {
			other.Hurry()
		}
		if calls != 1 || !flight.Wanted() || flight.Key() != key(1) {
			t.Errorf("hurried before=%v: calls=%d", before, calls)
		}
		flight.Complete(nil, errors.New("x"))
		claim.Release()
		other.Release()
	}
	get(t, c, p, key(2))
	hit, _ := c.Claim(key(2))
	hit.Hurry() // nothing to do
	hit.Release()
}

// Everything at once; the race detector and the reference counts are the judges.
func TestConcurrentUse(t *testing.T) {
	p := NewPool(64 * testBlock)
	c := New(Options{MemoryBytes: 32 * testBlock, Pool: p})
	var group sync.WaitGroup
	for g := range 8 {
		group.Go(func() {
			rng := rand.New(rand.NewPCG(uint64(g), 3))
			for range 2000 {
				claim, flight := c.Claim(key(rng.IntN(60)))
				if flight != nil {
					if rng.IntN(10) == 0 {
						flight.Complete(nil, errors.New("x"))
					} else {
						flight.Complete(block(t, p, flight.Key(), testBlock), nil)
					}
				}
				if rng.IntN(3) > 0 {
					if b, err := claim.Wait(context.Background()); err == nil {
						b.Retain()
						b.Release()
					}
				}
				claim.Release()
			}
		})
	}
	group.Wait()
	c.Clear()
	if s := p.Stats(); s.Used != 0 || s.Peak > s.Limit {
		t.Errorf("%+v", s)
	}
}

func TestOff(t *testing.T) {
	p := NewPool(1 << 20)
	c := New(Options{MemoryBytes: 0, Pool: p})
	for range 3 {
		if get(t, c, p, key(1)) {
			t.Error("hit without a cache")
		}
	}
	if s := p.Stats(); s.Used != 0 || c.Bytes() != 0 {
		t.Errorf("%+v", s)
	}
}

func BenchmarkHit(b *testing.B) {
	p := NewPool(1 << 30)
	c := New(Options{MemoryBytes: 1 << 29, Pool: p})
	for i := range 1000 {
		get(b, c, p, key(i))
	}
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for i := 0; pb.Next(); i++ {
			claim, _ := c.Claim(key(i % 1000))
			claim.Release()
		}
	})
}

func BenchmarkFill(b *testing.B) {
	p := NewPool(256 << 20)
	c := New(Options{MemoryBytes: 128 << 20, Pool: p})
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		claim, flight := c.Claim(key(i))
		i++
		bufs, _ := p.TryAlloc(1 << 20)
		flight.Complete(bufs[0], nil)
		claim.Release()
	}
}
