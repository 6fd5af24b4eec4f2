package cache

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

func TestClasses(t *testing.T) {
	last := 0
	for n := 1; n <= 1<<maxClassBits; n += 1 + n/97 {
		class, size := classOf(n)
		if size < n || class >= classes || class < last {
			t.Fatalf("n=%d class=%d size=%d", n, class, size)
		}
		if n > 1<<minClassBits && size-n > size/5 {
			t.Fatalf("n=%d wastes %d of %d", n, size-n, size)
		}
		if again, same := classOf(size); again != class || same != size {
			t.Fatalf("class of its own size: %d %d, want %d %d", again, same, class, size)
		}
		last = class
	}
	if _, size := classOf(1 << 20); size != 1<<20 {
		t.Errorf("a full block takes %d", size)
	}
}

// Many goroutines with random sizes: the budget holds at every moment, everybody gets his turn, nothing is lost.
func TestPoolBudget(t *testing.T) {
	const limit = 4 << 20
	p := NewPool(limit)
	var group sync.WaitGroup
	for g := range 8 {
		group.Go(func() {
			rng := rand.New(rand.NewPCG(uint64(g), 1))
			for range 300 {
				sizes := make([]int, 1+rng.IntN(3))
				for i := range sizes {
					sizes[i] = 1 + rng.IntN(400<<10)
				}
				bufs, err := p.Alloc(context.Background(), sizes...)
				if err != nil {
					t.Error(err)
					return
				}
				for i, b := range bufs {
					if len(b.Bytes()) != sizes[i] {
						t.Errorf("length %d, want %d", len(b.Bytes()), sizes[i])
					}
					b.Bytes()[0] = byte(g)
					b.Retain()
					b.Release()
					b.Release()
				}
			}
		})
	}
	group.Wait()
	if s := p.Stats(); s.Used != 0 || s.Peak > limit || s.Idle > limit {
		t.Errorf("%+v", s)
	}
	p.Trim()
	if s := p.Stats(); s.Idle != 0 {
		t.Errorf("%+v", s)
	}
}

func TestPoolWaitsInTurn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := NewPool(1 << 20)
		pressed := int64(0)
		p.OnPressure(func(need int64) { pressed += need })
		all, err := p.Alloc(t.Context(), 1<<20)
		if err != nil {
			t.Fatal(err)
		}
		order := make(chan int, 3)
		for i, size := range []int{1 << 20, 4096, 4096} {
			go func() {
				b, err := p.Alloc(t.Context(), size)
				if err != nil {
					t.Error(err)
					return
				}
				order <- i
				b[0].Release()
			}()
			synctest.Wait()
		}
		if _, ok := p.TryAlloc(4096); ok {
			t.Error("took the turn of one who waits")
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := p.Alloc(ctx, 4096); !errors.Is(err, ErrBusy) || !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
		all[0].Release()
		if first := <-order; first != 0 {
			t.Errorf("first was %d", first)
		}
		<-order
		<-order
		synctest.Wait()
		if s := p.Stats(); s.Used != 0 || s.Waits != 4 || pressed != 1<<20+3*4096 {
			t.Errorf("%+v pressed=%d", s, pressed)
		}
	})
}

// What is larger than the limit is granted alone.
func TestPoolAboveTheLimit(t *testing.T) {
	p := NewPool(1 << 20)
	small, ok := p.TryAlloc(100)
	if !ok {
		t.Fatal("no memory")
	}
	if _, ok := p.TryAlloc(4 << 20); ok {
		t.Error("granted beside others")
	}
	small[0].Release()
	b, ok := p.TryAlloc(2<<20, 2<<20)
	if !ok || p.Stats().Used != 1<<20 {
		t.Fatalf("%v %+v", ok, p.Stats())
	}
	b[0].Release()
	b[1].Release()
	if s := p.Stats(); s.Used != 0 || s.Idle > s.Limit {
		t.Errorf("%+v", s)
	}
}

// Each misuse has a buffer of its own: after a panic the reference count of a buffer means nothing.
func TestUseAfterTheLastReleasePanics(t *testing.T) {
	for name, misuse := range map[string]func(*Buffer){"release": (*Buffer).Release, "retain": (*Buffer).Retain} {
		t.Run(name, func(t *testing.T) {
			b, ok := NewPool(1 << 20).TryAlloc(1)
			if !ok {
				t.Fatal("no memory")
			}
			b[0].Release()
			defer func() {
				if recover() == nil {
					t.Error("no panic after the last release")
				}
			}()
			misuse(b[0])
		})
	}
}

func BenchmarkPool(b *testing.B) {
	p := NewPool(64 << 20)
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if bufs, ok := p.TryAlloc(1 << 20); ok {
				bufs[0].Release()
			}
		}
	})
}
