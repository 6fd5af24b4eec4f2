package manifest

import (
	"container/list"
	"context"
	"fmt"
	"sync"
	"time"
	"unsafe"
)

const (
	// fillTimeout bounds one read of a page, which goes on when the waiter that began it has left.
	fillTimeout = time.Minute
	// maxFills bounds the page reads in flight: look-ups are small, and the store is shared with uploads and reads.
	maxFills = 32
	// minCacheBytes holds the largest inner page and some leaves: below it the cache would thrash on one partition.
	minCacheBytes = 4 << 20
)

// page is a decoded page; one of the two is set.
type page struct {
	leaf  []Segment
	inner []LeafRef
}

func (p *page) bytes() int64 {
	const overhead = 256 // list element, map entry, headers
	return overhead + int64(len(p.leaf))*int64(unsafe.Sizeof(Segment{})) + int64(len(p.inner))*int64(unsafe.Sizeof(LeafRef{}))
}

// pageCache holds decoded pages, the least recently used leaving first, and shares the reads of those it lacks.
type pageCache struct {
	read    func(context.Context, PageRef) ([]byte, error)
	limit   int64
	slots   chan struct{} // one per read in flight
	metrics *metrics

	mu    sync.Mutex
	bytes int64
	pages map[PageRef]*list.Element // of *cached
	order *list.List                // front: used last
	fills map[PageRef]*fill
}

type cached struct {
	ref  PageRef
	page *page
}

type fill struct {
	done chan struct{}
	page *page
	err  error
}

func newPageCache(read func(context.Context, PageRef) ([]byte, error), limit int64, m *metrics) *pageCache {
	return &pageCache{
		read: read, limit: max(limit, minCacheBytes), slots: make(chan struct{}, maxFills), metrics: m,
		pages: map[PageRef]*list.Element{}, order: list.New(), fills: map[PageRef]*fill{},
	}
}

// get returns the page that ref names. Any number of callers that miss on it share one read, and a caller whose context
// ends leaves without ending that read.
func (c *pageCache) get(ctx context.Context, ref PageRef, id ID, kind Kind) (*page, error) {
	c.mu.Lock()
	if e, ok := c.pages[ref]; ok {
		c.order.MoveToFront(e)
		c.mu.Unlock()
		c.metrics.hits.Inc()
		return e.Value.(*cached).page, nil
	}
	f, ok := c.fills[ref]
	if !ok {
		f = &fill{done: make(chan struct{})}
		c.fills[ref] = f
		go c.fill(context.WithoutCancel(ctx), f, ref, id, kind)
	}
	c.mu.Unlock()
	c.metrics.misses.Inc()
	select {
	case <-f.done:
		return f.page, f.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (c *pageCache) fill(ctx context.Context, f *fill, ref PageRef, id ID, kind Kind) {
	c.slots <- struct{}{}
	ctx, cancel := context.WithTimeout(ctx, fillTimeout)
	f.page, f.err = c.load(ctx, ref, id, kind)
	cancel()
	<-c.slots
	c.mu.Lock()
	delete(c.fills, ref)
	if f.err == nil {
		c.add(ref, f.page)
	}
	c.mu.Unlock()
	close(f.done)
}

func (c *pageCache) load(ctx context.Context, ref PageRef, id ID, kind Kind) (*page, error) {
	if ref.Size < pageMinSize || ref.Size > MaxPageBytes {
		return nil, fmt.Errorf("%w: page reference size=%d", ErrCorrupt, ref.Size)
	}
	b, err := c.read(ctx, ref)
	if err != nil {
		return nil, fmt.Errorf("read page object=%x position=%d: %w", ref.Object, ref.Position, err)
	}
	p := new(page)
	if kind == KindLeaf {
		p.leaf, err = DecodeLeaf(b, ref, id)
	} else {
		p.inner, err = DecodeInner(b, ref, id)
	}
	if err != nil {
		return nil, fmt.Errorf("page object=%x position=%d: %w", ref.Object, ref.Position, err)
	}
	return p, nil
}

// put adds a page that its writer has at hand.
func (c *pageCache) put(ref PageRef, p *page) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.add(ref, p)
}

// add requires mu.
func (c *pageCache) add(ref PageRef, p *page) {
	if _, ok := c.pages[ref]; ok || p.bytes() > c.limit {
		return
	}
	c.pages[ref] = c.order.PushFront(&cached{ref, p})
	c.bytes += p.bytes()
	for c.bytes > c.limit {
		old := c.order.Remove(c.order.Back()).(*cached)
		delete(c.pages, old.ref)
		c.bytes -= old.page.bytes()
	}
	c.metrics.bytes.Set(float64(c.bytes))
}
