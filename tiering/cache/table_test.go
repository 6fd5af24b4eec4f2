package cache

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

func TestTable(t *testing.T) {
	loads := 0
	fail := errors.New("no")
	table := NewTable(TableOptions[int, int]{
		Base: t.Context(), Limit: 10, Timeout: time.Second, Loads: 2,
		Load: func(_ context.Context, k int) (int, int64, error) {
			loads++
			if k < 0 {
				return 0, 0, fail
			}
			return k * k, int64(k), nil
		},
	})
	want := func(k, v, loaded int) {
		t.Helper()
		before := loads
		got, err := table.Get(t.Context(), k)
		if err != nil || got != v || loads-before != loaded {
			t.Errorf("get %d: %d %v, loads %d", k, got, err, loads-before)
		}
	}
	want(3, 9, 1)
	want(4, 16, 1)
	want(3, 9, 0)
	want(5, 25, 1) // 4 goes: it was used longest ago
	want(3, 9, 0)
	want(4, 16, 1)
	want(11, 121, 1) // costs more than all
	want(11, 121, 1)
	if c := table.Cost(); c > 10 {
		t.Errorf("cost %d", c)
	}
	table.Forget(4)
	table.Forget(400)
	want(4, 16, 1)
	for range 2 {
		before := loads
		if _, err := table.Get(t.Context(), -1); err != fail || loads != before+1 {
			t.Error("error kept or lost", err)
		}
	}
}

func TestTableSharesLoads(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var loads, running, most atomic.Int32
		base, stop := context.WithCancel(t.Context())
		table := NewTable(TableOptions[int, int]{
			Base: base, Limit: 100, Timeout: time.Minute, Loads: 2,
			Load: func(ctx context.Context, k int) (int, int64, error) {
				loads.Add(1)
				most.Store(max(most.Load(), running.Add(1)))
				defer running.Add(-1)
				select {
				case <-time.After(time.Second):
					return k, 1, nil
				case <-ctx.Done():
					return 0, 0, context.Cause(ctx)
				}
			},
		})
		leaving, leave := context.WithCancel(t.Context())
		var group sync.WaitGroup
		for i := range 40 {
			group.Go(func() {
				ctx := t.Context()
				if i >= 20 {
					ctx = leaving
				}
				v, err := table.Get(ctx, i%4)
				if i < 20 && (err != nil || v != i%4) || i >= 20 && !errors.Is(err, context.Canceled) {
					t.Errorf("%d: %d %v", i, v, err)
				}
			})
		}
		synctest.Wait()
		leave()
		group.Wait()
		if loads.Load() != 4 || most.Load() != 2 {
			t.Errorf("loads=%d at once=%d", loads.Load(), most.Load())
		}
		go stop()
		if _, err := table.Get(t.Context(), 9); !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
		table.Wait()
	})
}
