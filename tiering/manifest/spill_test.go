package manifest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"reflect"
	"sync/atomic"
	"testing"
	"testing/synctest"
)

// pageStore keeps page objects in memory and counts reads.
type pageStore struct {
	objects map[[16]byte][]byte
	reads   atomic.Int64
	gate    chan struct{} // when set, a read waits for it
	fail    error
}

func (p *pageStore) read(_ context.Context, ref PageRef) ([]byte, error) {
	p.reads.Add(1)
	if p.gate != nil {
		<-p.gate
	}
	if p.fail != nil {
		return nil, p.fail
	}
	b, ok := p.objects[ref.Object]
	if !ok {
		return nil, fmt.Errorf("no object %x", ref.Object)
	}
	return b[ref.Position:][:ref.Size], nil
}

// model is a partition with the reference rule applied by hand.
type model struct {
	t     testing.TB
	store *pageStore
	loc   *Locator
	l     Ledger
	all   []Segment
	refs  map[PageRef]bool // live pages
	next  byte
	holey bool // leaves need not be full: entries were replaced
}

func newModel(t testing.TB) *model {
	m := &model{t: t, store: &pageStore{objects: map[[16]byte][]byte{}}, refs: map[PageRef]bool{}}
	m.loc = NewLocator(LocatorOptions{
		View:     func([16]byte, int32) (Ledger, bool) { return m.l, true },
		ReadPage: m.store.read,
	})
	return m
}

func (m *model) append(segs []Segment) {
	m.all = append(m.all, segs...)
	m.l.Hot = append(m.l.Hot[:len(m.l.Hot):len(m.l.Hot)], segs...)
	m.l.Tiered = segs[len(segs)-1].End
	m.l.Segments += int64(len(segs))
}

func (m *model) spill(keep int) {
	m.t.Helper()
	ctx := context.Background()
	in := SpillInput{ID: testID, Live: m.l.PagedSegments(), Root: m.l.Root, Move: m.l.Hot[:len(m.l.Hot)-keep]}
	var err error
	if in.Leaves, err = m.loc.Leaves(ctx, testID, in.Root); err != nil {
		m.t.Fatal(err)
	}
	if SpillNeedsLast(in.Leaves) {
		if in.Last, err = m.loc.Leaf(ctx, testID, in.Leaves[len(in.Leaves)-1]); err != nil {
			m.t.Fatal(err)
		}
	}
	m.next++
	object := [16]byte{0xff, m.next}
	var buf bytes.Buffer
	w := NewObjectWriter(&buf, object)
	r, err := SpillPages(w, in)
	if err != nil {
		m.t.Fatal(err)
	}
	if _, err := w.Close(); err != nil {
		m.t.Fatal(err)
	}
	m.store.objects[object] = buf.Bytes()
	for _, ref := range r.Released {
		m.release(ref)
	}
	if r.Pages != w.Count() {
		m.t.Fatalf("pages=%d written=%d", r.Pages, w.Count())
	}
	m.refs[r.Root] = true
	for _, a := range r.Added {
		m.refs[a.Ref] = true
	}
	m.l.Root, m.l.RootEnd, m.l.Hot = r.Root, r.RootEnd, m.l.Hot[len(m.l.Hot)-keep:]
}

func (m *model) release(ref PageRef) {
	m.t.Helper()
	if !m.refs[ref] {
		m.t.Fatalf("released %+v, which is not referred to", ref)
	}
	delete(m.refs, ref)
}

// retain releases the oldest n segments, and with the last entry of a leaf its page, as tiering does.
func (m *model) retain(n int64) {
	m.t.Helper()
	leaves, err := m.loc.Tree(context.Background(), testID, &m.l)
	if err != nil {
		m.t.Fatal(err)
	}
	n = min(n, max(m.l.PagedSegments()-1, 0)) // this model keeps a root
	if n == 0 {
		return
	}
	first, skip, err := FirstLive(leaves, m.l.PagedSegments())
	if err != nil {
		m.t.Fatal(err)
	}
	m.l.Segments -= n
	for left := n + skip; left >= leaves[first].Segments; first++ {
		left -= leaves[first].Segments
		m.release(leaves[first].Ref)
	}
	m.all = m.all[n:]
	m.l.LogStart = m.all[0].Base
}

func (m *model) check(rnd *rand.Rand) {
	m.t.Helper()
	ctx := context.Background()
	// The live part of the tree refers to exactly the pages that are counted.
	live := map[PageRef]bool{}
	leaves, err := m.loc.Tree(ctx, testID, &m.l)
	if err != nil {
		m.t.Fatal(err)
	}
	if !m.l.Root.IsZero() {
		live[m.l.Root] = true
		first, _, err := FirstLive(leaves, m.l.PagedSegments())
		if err != nil {
			m.t.Fatal(err)
		}
		for i, l := range leaves[first:] {
			live[l.Ref] = true
			if !m.holey && i < len(leaves)-first-1 && i > 0 && l.Segments != MaxLeafSegments {
				m.t.Fatalf("leaf %d of %d has %d entries", i, len(leaves), l.Segments)
			}
		}
	}
	if !reflect.DeepEqual(live, m.refs) {
		m.t.Fatalf("tree refers to %d pages, counted %d", len(live), len(m.refs))
	}
	for _, from := range []int64{0, m.l.LogStart, m.l.LogStart + rnd.Int64N(m.l.Tiered-m.l.LogStart)} {
		var got []Segment
		for s, err := range m.loc.Segments(ctx, testID.Topic, testID.Partition, from) {
			if err != nil {
				m.t.Fatal(err)
			}
			got = append(got, s)
		}
		var want []Segment
		for _, s := range m.all {
			if s.End > max(from, m.l.LogStart) {
				want = append(want, s)
			}
		}
		if !reflect.DeepEqual(got, want) {
			m.t.Fatalf("from %d: %d segments, want %d", from, len(got), len(want))
		}
	}
	for range 20 {
		offset := m.l.LogStart + rnd.Int64N(m.l.Tiered-m.l.LogStart)
		i, _ := FindOffset(m.all, offset)
		if got, err := m.loc.Locate(ctx, testID.Topic, testID.Partition, offset); err != nil || got != m.all[i] {
			m.t.Fatalf("offset %d: %+v %v", offset, got, err)
		}
		ts := m.all[rnd.IntN(len(m.all))].MaxTimestamp + rnd.Int64N(3) - 1
		j, ok := FindTime(m.all, max(offset, m.l.LogStart), ts)
		got, found, err := m.loc.LocateTime(ctx, testID.Topic, testID.Partition, offset, ts)
		if err != nil || found != ok || (ok && got != m.all[j]) {
			m.t.Fatalf("time %d from %d: found %v want %v: %v", ts, offset, found, ok, err)
		}
	}
}

func TestSpillGrowsATreeThatFindsEverything(t *testing.T) {
	rnd := rand.New(rand.NewPCG(21, 22))
	m := newModel(t)
	for round := range 120 {
		base := m.l.Tiered
		m.append(run(rnd, base, 1+rnd.IntN(200)))
		if len(m.l.Hot) > 64 {
			m.spill(16)
		}
		if round%7 == 6 {
			m.retain(rnd.Int64N(m.l.PagedSegments()/4 + 1))
		}
		m.check(rnd)
	}
	leaves, err := m.loc.Leaves(context.Background(), testID, m.l.Root)
	if err != nil || len(leaves) < 5 {
		t.Fatalf("leaves=%d: %v", len(leaves), err)
	}
}

func TestLookUpCostsTwoReadsThenNone(t *testing.T) {
	m := newModel(t)
	m.append(run(rand.New(rand.NewPCG(1, 1)), 0, 3000))
	m.spill(16)
	m.store.reads.Store(0)
	cold := NewLocator(LocatorOptions{View: func([16]byte, int32) (Ledger, bool) { return m.l, true }, ReadPage: m.store.read})
	for lookUp := range 3 {
		if _, err := cold.Locate(t.Context(), testID.Topic, testID.Partition, m.all[1500].Base); err != nil {
			t.Fatal(err)
		}
		if got := m.store.reads.Load(); got != 2 {
			t.Fatalf("look-up %d: %d reads in all", lookUp, got)
		}
	}
	for _, c := range []struct {
		offset int64
		want   error
	}{{-1, ErrBelowStart}, {m.l.Tiered, ErrNotTiered}} {
		if _, err := cold.Locate(t.Context(), testID.Topic, testID.Partition, c.offset); !errors.Is(err, c.want) {
			t.Errorf("offset %d: %v", c.offset, err)
		}
	}
}

func TestMissesShareOneReadAndMayLeave(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newModel(t)
		m.append(run(rand.New(rand.NewPCG(1, 1)), 0, 100))
		m.spill(16)
		m.store.gate = make(chan struct{})
		cold := NewLocator(LocatorOptions{View: func([16]byte, int32) (Ledger, bool) { return m.l, true }, ReadPage: m.store.read})
		ctx, cancel := context.WithCancel(t.Context())
		errs := make(chan error, 10)
		for i := range 10 {
			c := t.Context()
			if i == 0 {
				c = ctx
			}
			go func() {
				_, err := cold.Locate(c, testID.Topic, testID.Partition, 0)
				errs <- err
			}()
		}
		synctest.Wait()
		cancel()
		if err := <-errs; !errors.Is(err, context.Canceled) {
			t.Fatal(err)
		}
		close(m.store.gate)
		for range 9 {
			if err := <-errs; err != nil {
				t.Fatal(err)
			}
		}
		if n := m.store.reads.Load(); n != 2 {
			t.Fatalf("%d reads", n)
		}
	})
}

func TestCacheStaysInItsBudget(t *testing.T) {
	m := newModel(t)
	var ledgers []Ledger
	for range 60 {
		m.l = Ledger{}
		m.append(run(rand.New(rand.NewPCG(1, 1)), 0, 1024+16))
		m.spill(16)
		ledgers = append(ledgers, m.l)
	}
	var l Ledger
	loc := NewLocator(LocatorOptions{View: func([16]byte, int32) (Ledger, bool) { return l, true }, ReadPage: m.store.read, CacheBytes: 1})
	for _, l = range ledgers {
		if _, err := loc.Locate(t.Context(), testID.Topic, testID.Partition, 0); err != nil {
			t.Fatal(err)
		}
		if loc.cache.bytes > minCacheBytes {
			t.Fatalf("cache holds %d bytes", loc.cache.bytes)
		}
	}
	m.store.fail = errors.New("gone")
	l = ledgers[0]
	if _, err := loc.Locate(t.Context(), testID.Topic, testID.Partition, 0); !errors.Is(err, m.store.fail) {
		t.Fatalf("the oldest pages are still cached: %v", err)
	}
}
