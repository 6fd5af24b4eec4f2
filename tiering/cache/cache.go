package cache

import (
	"context"
	"sync/atomic"
)

// Options are the settings of a Cache.
type Options struct {
	// MemoryBytes is the budget of the memory tier, 0 = off. It is part of Pool's limit, which must be larger: what is left
	// is for blocks being filled and blocks that consumers hold.
	MemoryBytes int64
	Pool        *Pool
	Disk        *Disk // nil: no disk tier
	Metrics     *Metrics
}

// Bounds of the sharding: a shard must hold many blocks for its queues to mean anything.
const (
	maxShards     = 4 // blocks are large, so that one lock already serves gigabytes a second
	minShardBytes = 64 << 20
	scanBytes     = 32 << 20  // of blocks that were asked for once: about the processor's own cache
	ghostBlock    = 256 << 10 // ghost entries are one per so many bytes of both tiers
	minGhost      = 256
	maxGhost      = 1 << 18
)

// Cache is a block cache with single-flight fills. All methods may be called by any number of goroutines.
type Cache struct {
	shards  []shard
	disk    *Disk
	metrics *Metrics
}

// New makes a Cache.
func New(o Options) *Cache {
	n := 1
	for n < maxShards && o.MemoryBytes/int64(2*n) >= minShardBytes {
		n *= 2
	}
	if o.Metrics == nil {
		o.Metrics = NewMetrics(nil, o.Pool)
	}
	c := &Cache{shards: make([]shard, n), disk: o.Disk, metrics: o.Metrics}
	remember := o.MemoryBytes
	if o.Disk != nil {
		remember += o.Disk.Capacity()
	}
	for i := range c.shards {
		s := &c.shards[i]
		s.entries, s.flights = make(map[Key]*entry), make(map[Key]*Flight)
		s.limit, s.scan = o.MemoryBytes/int64(n), scanBytes/int64(n)
		s.ghost = newGhost(int(min(max(remember/int64(n)/ghostBlock, minGhost), maxGhost)))
	}
	return c
}

func (c *Cache) shard(k Key) *shard { return &c.shards[int(k.hash()>>48)&(len(c.shards)-1)] }

// Claim asks for a block. There are three answers: a hit, and the claim is ready; somebody else is filling it, and the
// claim joins the wait; or nobody is, flight is not nil, and the caller must see to it that flight.Complete is called in any
// event. Each Claim must be released.
func (c *Cache) Claim(key Key) (claim Claim, flight *Flight) {
	s := c.shard(key)
	s.mu.Lock()
	defer s.mu.Unlock()
	if e := s.entries[key]; e != nil {
		e.freq = min(e.freq+1, maxFreq)
		e.buf.Retain()
		c.metrics.hits.memory.Inc()
		return Claim{buf: e.buf}, nil
	}
	if f := s.flights[key]; f != nil {
		f.refs++
		c.metrics.joined.Inc()
		return Claim{flight: f}, nil
	}
	c.metrics.misses.Inc()
	f := &Flight{cache: c, shard: s, key: key, refs: 1, done: make(chan struct{})}
	s.flights[key] = f
	return Claim{flight: f}, f
}

// Contains tells whether the block is in memory now, without counting as a use.
func (c *Cache) Contains(key Key) bool {
	s := c.shard(key)
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.entries[key] != nil
}

// Disk is the disk tier, or nil.
func (c *Cache) Disk() *Disk { return c.disk }

// Bytes is what the memory tier holds now.
func (c *Cache) Bytes() (n int64) {
	for i := range c.shards {
		s := &c.shards[i]
		s.mu.Lock()
		n += s.small.bytes + s.main.bytes
		s.mu.Unlock()
	}
	return n
}

// Clear drops all blocks from memory. Those that somebody holds stay valid for him.
func (c *Cache) Clear() {
	for i := range c.shards {
		s := &c.shards[i]
		s.mu.Lock()
		for _, e := range s.entries {
			e.buf.Release()
		}
		clear(s.entries)
		s.small, s.main = queue{}, queue{}
		s.mu.Unlock()
	}
}

// Flight is one fill under way.
type Flight struct {
	cache *Cache
	shard *shard
	key   Key
	refs  int // claims not yet released; guarded by shard.mu until done
	done  chan struct{}
	buf   *Buffer // set before done is closed
	err   error

	wanted atomic.Bool
	hurry  atomic.Pointer[func()]
}

// Key is the block that is being filled.
func (f *Flight) Key() Key { return f.key }

// Wanted tells whether somebody has called Hurry on a claim of it.
func (f *Flight) Wanted() bool { return f.wanted.Load() }

// OnHurry names what to do when somebody needs the block now, while the fill still waits for its turn. When somebody does
// already, it is called at once. The function may be called more than once and must not block.
func (f *Flight) OnHurry(fn func()) {
	f.hurry.Store(&fn)
	if f.wanted.Load() {
		fn()
	}
}

// Complete ends the fill with a block or an error, exactly once. It takes over the caller's reference to buf. All claims
// get the outcome; an error is not kept, so the next Claim starts a new fill.
func (f *Flight) Complete(buf *Buffer, err error) {
	s := f.shard
	s.mu.Lock()
	delete(s.flights, f.key)
	f.buf, f.err = buf, err
	var evicted []*entry
	again := false
	if err == nil {
		for range f.refs {
			buf.Retain()
		}
		evicted, again = s.insert(f.key, buf)
	}
	close(f.done)
	s.mu.Unlock()

	if err != nil {
		return
	}
	if d := f.cache.disk; d != nil {
		if again {
			d.Offer(f.key, buf)
		}
		for _, e := range evicted {
			if e.freq > 0 || e.inMain {
				d.Offer(e.key, e.buf)
			}
		}
	}
	for _, e := range evicted {
		f.cache.metrics.evicted.Add(float64(e.buf.charge))
		e.buf.Release()
	}
	buf.Release()
}

// Claim is one party's interest in a block. It belongs to one goroutine at a time. The zero Claim is released.
type Claim struct {
	flight *Flight
	buf    *Buffer
}

// Ready tells whether Wait would return at once.
func (c *Claim) Ready() bool {
	if c.buf != nil {
		return true
	}
	select {
	case <-c.flight.done:
		return true
	default:
		return false
	}
}

// Done is closed when Wait would return at once.
func (c *Claim) Done() <-chan struct{} {
	if c.buf != nil {
		return closed
	}
	return c.flight.done
}

var closed = func() chan struct{} { c := make(chan struct{}); close(c); return c }()

// Hurry tells whoever fills the block that somebody waits for it now.
func (c *Claim) Hurry() {
	if c.flight == nil {
		return
	}
	c.flight.wanted.Store(true)
	if fn := c.flight.hurry.Load(); fn != nil {
		(*fn)()
	}
}

// Wait returns the block as soon as it is there. The buffer is valid until the Claim is released; Retain it to keep it
// longer. When ctx ends first, its error is returned, the fill goes on, and the Claim must still be released.
func (c *Claim) Wait(ctx context.Context) (*Buffer, error) {
	if c.buf != nil {
		return c.buf, nil
	}
	select {
	case <-c.flight.done:
		return c.flight.buf, c.flight.err
	default:
	}
	select {
	case <-c.flight.done:
		return c.flight.buf, c.flight.err
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// Release gives the interest up; a fill that nobody waits for any more goes on.
func (c *Claim) Release() {
	f, buf := c.flight, c.buf
	*c = Claim{}
	if f != nil {
		s := f.shard
		s.mu.Lock()
		f.refs--
		select {
		case <-f.done:
			buf = f.buf
		default:
		}
		s.mu.Unlock()
	}
	if buf != nil {
		buf.Release()
	}
}
