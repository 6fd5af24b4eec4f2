package cache

import (
	"container/list"
	"context"
	"fmt"
	"sync"
	"time"
)

// Table is a cache of decoded values, bounded by what they cost, least recently used out first, with single-flight loads.
// It is for small things that many reads need, such as section indexes. All methods may be called by any number of
// goroutines.
type Table[K comparable, V any] struct {
	limit   int64
	timeout time.Duration
	base    context.Context
	slots   chan struct{} // bounds the loads under way
	load    func(context.Context, K) (V, int64, error)
	carry   func(base, caller context.Context) context.Context

	running sync.WaitGroup

	mu      sync.Mutex // guards what follows
	entries map[K]*list.Element
	order   list.List // of *tableEntry, newest first
	cost    int64
	loads   map[K]*loading[V]
}

type tableEntry[K comparable, V any] struct {
	key   K
	value V
	cost  int64
}

type loading[V any] struct {
	done  chan struct{}
	value V
	err   error
}

// TableOptions are the settings of a Table.
type TableOptions[K comparable, V any] struct {
	// Base ends all loads when it ends.
	Base context.Context
	// Limit bounds the cost of what is kept, in bytes.
	Limit int64
	// Timeout bounds one load, the wait for its turn included.
	Timeout time.Duration
	// Loads bounds how many run at once.
	Loads int
	// Load returns a value and what it costs in bytes.
	Load func(context.Context, K) (V, int64, error)
	// Carry gives a load what it should know of the caller that began it, such as his trace: base with values, and nothing
	// that ends it. May be nil.
	Carry func(base, caller context.Context) context.Context
}

// NewTable makes a Table.
func NewTable[K comparable, V any](o TableOptions[K, V]) *Table[K, V] {
	return &Table[K, V]{
		limit: o.Limit, timeout: o.Timeout, base: o.Base, slots: make(chan struct{}, o.Loads), load: o.Load, carry: o.Carry,
		entries: make(map[K]*list.Element), loads: make(map[K]*loading[V]),
	}
}

// Get returns the value of key, loading it when nobody has. The load runs on its own time and context: when ctx ends first,
// its cause is returned and the load goes on for the others. An error is not kept.
func (t *Table[K, V]) Get(ctx context.Context, key K) (V, error) {
	value, _, err := t.Find(ctx, key)
	return value, err
}

// Find is Get, and tells whether the value was there.
func (t *Table[K, V]) Find(ctx context.Context, key K) (value V, had bool, err error) {
	t.mu.Lock()
	if e := t.entries[key]; e != nil {
		t.order.MoveToFront(e)
		t.mu.Unlock()
		return e.Value.(*tableEntry[K, V]).value, true, nil
	}
	l := t.loads[key]
	if l == nil {
		l = &loading[V]{done: make(chan struct{})}
		t.loads[key] = l
		base := t.base
		if t.carry != nil {
			base = t.carry(base, ctx)
		}
		t.running.Go(func() { t.run(base, key, l) })
	}
	t.mu.Unlock()
	select {
	case <-l.done:
		return l.value, false, l.err
	case <-ctx.Done():
		return value, false, context.Cause(ctx)
	}
}

func (t *Table[K, V]) run(base context.Context, key K, l *loading[V]) {
	var cost int64
	ctx, cancel := context.WithTimeout(base, t.timeout)
	defer cancel()
	select {
	case t.slots <- struct{}{}:
		l.value, cost, l.err = t.load(ctx, key)
		<-t.slots
	case <-ctx.Done():
		l.err = fmt.Errorf("%w: no turn to load: %w", ErrBusy, context.Cause(ctx))
	}
	t.mu.Lock()
	delete(t.loads, key)
	if l.err == nil {
		t.add(key, l.value, cost)
	}
	t.mu.Unlock()
	close(l.done)
}

// add keeps a value. The caller holds mu.
func (t *Table[K, V]) add(key K, value V, cost int64) {
	if cost > t.limit {
		return
	}
	if e := t.entries[key]; e != nil {
		t.remove(e)
	}
	for t.cost+cost > t.limit {
		t.remove(t.order.Back())
	}
	t.entries[key] = t.order.PushFront(&tableEntry[K, V]{key, value, cost})
	t.cost += cost
}

func (t *Table[K, V]) remove(e *list.Element) {
	x := e.Value.(*tableEntry[K, V])
	t.order.Remove(e)
	delete(t.entries, x.key)
	t.cost -= x.cost
}

// Wait returns when no load is running; none may be started meanwhile.
func (t *Table[K, V]) Wait() { t.running.Wait() }

// Forget drops a value, for when it turned out to be of no more use.
func (t *Table[K, V]) Forget(key K) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if e := t.entries[key]; e != nil {
		t.remove(e)
	}
}

// Cost is what the kept values cost, in bytes.
func (t *Table[K, V]) Cost() int64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.cost
}
