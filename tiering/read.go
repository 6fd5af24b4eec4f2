package tiering

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/tidelinehq/tideline/tiering/cache"
	"github.com/tidelinehq/tideline/tiering/manifest"
	"github.com/tidelinehq/tideline/tiering/objstore"
)

// ErrReaderClosed is returned by a Reader after Close.
var ErrReaderClosed = errors.New("cold reader is closed")

// Locator finds the segment that holds an offset, as the ledger has it now. *manifest.Locator is one. Its errors pass
// through the Reader as they are, except that the end of what is tiered (manifest.ErrNotTiered) ends read-ahead silently.
type Locator interface {
	Locate(ctx context.Context, topic [16]byte, partition int32, offset int64) (manifest.Segment, error)
	// Generation changes with the ledger, at next to no cost.
	Generation(topic [16]byte, partition int32) (uint64, bool)
}

// ReaderOptions are the parts and settings of a Reader. Zero values mean the defaults in the comments.
type ReaderOptions struct {
	Store   objstore.Store // should retry by itself; the Reader repeats only what it found damaged or short
	Locator Locator

	CacheBytes int64 // memory tier of the block cache; 0 = off
	// ReadBytes is for blocks being read, read-ahead, and blocks that consumers' sockets hold: 256 MiB. CacheBytes and
	// ReadBytes together bound all memory of blocks.
	ReadBytes  int64
	IndexBytes int64              // decoded section indexes: 32 MiB
	Disk       *cache.DiskOptions // disk tier of the block cache; nil or Bytes 0 = off

	Workers      int           // GETs of blocks under way at once: 16. A quarter of them only serve reads that wait
	MaxReads     int           // calls under way at once, above which ErrBusy: 4096
	MaxReadAhead int64         // of one stream in bytes: 32 MiB
	RangeBytes   int64         // of one GET at most: 16 MiB; each costs the store as much as megabytes of body
	MaxStreams   int           // sequential readers that are remembered between their calls: 4096
	BudgetWait   time.Duration // for memory, then ErrBusy: 2 s
	GetTimeout   time.Duration // of one GET to its last byte: 30 s
	StreamIdle   time.Duration // after which the read-ahead of a stream is dropped: 10 s

	Logger     *slog.Logger          // nil discards
	Registerer prometheus.Registerer // nil: not registered
}

func (o *ReaderOptions) setDefaults() error {
	if o.Store == nil || o.Locator == nil {
		return errors.New("cold reader: store and locator are required")
	}
	defaults(&o.ReadBytes, 256<<20)
	defaults(&o.IndexBytes, 32<<20)
	defaults(&o.Workers, 16)
	defaults(&o.MaxReads, 4096)
	defaults(&o.MaxReadAhead, 32<<20)
	defaults(&o.RangeBytes, 16<<20)
	defaults(&o.MaxStreams, 4096)
	defaults(&o.BudgetWait, 2*time.Second)
	defaults(&o.GetTimeout, 30*time.Second)
	defaults(&o.StreamIdle, 10*time.Second)
	if o.CacheBytes < 0 || o.ReadBytes < 4<<20 || o.IndexBytes < 1<<20 || o.Workers < 2 || o.MaxReads < 1 || o.MaxStreams < 1 {
		return fmt.Errorf("cold reader: setting out of bounds cache_bytes=%d read_bytes=%d (min 4 MiB) index_bytes=%d (min 1 MiB) workers=%d (min 2) max_reads=%d max_streams=%d",
			o.CacheBytes, o.ReadBytes, o.IndexBytes, o.Workers, o.MaxReads, o.MaxStreams)
	}
	// One range may use half of the budget at most, so that at least two make progress.
	o.RangeBytes = min(o.RangeBytes, o.ReadBytes/4)
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return nil
}

func defaults[T comparable](v *T, to T) {
	var zero T
	if *v == zero {
		*v = to
	}
}

// Reader reads tiered ranges. It has its own workers and its own budget, so that any number of replaying consumers takes
// no more memory, GETs or goroutines than the options say, and none from the hot path.
//
//	Read ─▶ stream of that (topic, partition, offset), or a new one
//	          │  needs block b; read-ahead wants b+1 … b+n, over segment boundaries
//	          ▼
//	        cache.Claim per block ──hit or somebody fills it──▶ wait
//	          │ nobody does
//	          ▼
//	        jobs: adjacent blocks become one GET ──▶ workers ──▶ blocks are completed one by one as bytes arrive
//
// A fill belongs to nobody: it runs on the Reader's context with a timeout of its own, and finishes when all who waited
// for it have left. All methods may be called by any number of goroutines. They block; call them off the threads of
// connections.
type Reader struct {
	opts    ReaderOptions
	pool    *cache.Pool
	blocks  *cache.Cache
	disk    *cache.Disk
	indexes *cache.Table[indexKey, *section]
	streams streamTable
	metrics *readMetrics

	ctx    context.Context // of all fills
	cancel context.CancelCauseFunc
	urgent chan *job
	ahead  chan *job
	work   sync.WaitGroup
	reads  atomic.Int64

	closing sync.RWMutex // held to start work, and by Close to end it
}

// NewReader makes a Reader and starts its workers.
func NewReader(o ReaderOptions) (*Reader, error) {
	if err := o.setDefaults(); err != nil {
		return nil, err
	}
	r := &Reader{opts: o, urgent: make(chan *job, o.MaxReads), ahead: make(chan *job, 16*o.Workers)}
	r.pool = cache.NewPool(o.CacheBytes + o.ReadBytes)
	cacheMetrics := cache.NewMetrics(o.Registerer, r.pool)
	if o.Disk != nil && o.Disk.Bytes > 0 {
		disk := *o.Disk
		disk.Metrics, disk.Logger = cacheMetrics, o.Logger
		var err error
		if r.disk, err = cache.OpenDisk(disk); err != nil {
			// It would save reads of the object store; it is no reason not to serve.
			o.Logger.Error("there is no disk cache: make room, or turn it off with cache.disk.bytes=0, and start again", "error", err)
		}
	}
	r.ctx, r.cancel = context.WithCancelCause(context.Background())
	r.blocks = cache.New(cache.Options{MemoryBytes: o.CacheBytes, Pool: r.pool, Disk: r.disk, Metrics: cacheMetrics})
	r.indexes = cache.NewTable(cache.TableOptions[indexKey, *section]{
		Base: r.ctx, Limit: o.IndexBytes, Timeout: o.GetTimeout, Loads: o.Workers, Load: r.loadIndex, Carry: carry,
	})
	r.metrics = newReadMetrics(o.Registerer)
	r.streams.init(o.MaxStreams, o.StreamIdle, r.pool, r.metrics)
	r.pool.OnPressure(r.streams.spare)
	for i := range o.Workers {
		r.work.Add(1)
		go r.worker(i >= max(1, o.Workers/4))
	}
	return r, nil
}

// Close ends all fills, waits for the workers, and saves the disk cache. Calls under way return ErrReaderClosed; chunks stay
// valid until they are released.
func (r *Reader) Close() error {
	r.closing.Lock()
	r.cancel(ErrReaderClosed)
	r.closing.Unlock()
	r.work.Wait()
	r.indexes.Wait()
	for _, queue := range []chan *job{r.urgent, r.ahead} {
		for len(queue) > 0 {
			(<-queue).drop(ErrReaderClosed)
		}
	}
	r.streams.close()
	r.blocks.Clear()
	if r.disk == nil {
		return nil
	}
	return r.disk.Close()
}

// Memory tells how much of the budget is in use.
func (r *Reader) Memory() cache.Stats { return r.pool.Stats() }

// ReadRequest asks for batches of one partition.
type ReadRequest struct {
	Topic     [16]byte
	Partition int32
	Segment   *manifest.Segment // the one that holds Offset, when the caller has looked it up already; may be nil
	Offset    int64
	Limit     int64 // only batches that end at or below; 0 = whatever is tiered
	MaxBytes  int
	// AtLeastOne returns the first batch even when it is larger than MaxBytes.
	AtLeastOne bool
}

func (q *ReadRequest) limit() int64 {
	if q.Limit == 0 {
		return math.MaxInt64
	}
	return q.Limit
}

// Chunk is a run of whole batches, in memory that the block cache shares: never written to, and valid until Release.
type Chunk struct {
	Buffers    [][]byte // whole batches each
	Bytes      int
	NextOffset int64 // where the next Read should begin
	Stats      ReadStats
	held       []*cache.Buffer
}

// Release gives the memory back. It must be called once, after the last use of Buffers.
func (c *Chunk) Release() {
	for _, b := range c.held {
		b.Release()
	}
	c.held, c.Buffers = nil, nil
}

func (c *Chunk) add(buf *cache.Buffer, b []byte) {
	buf.Retain()
	c.held = append(c.held, buf)
	c.Buffers = append(c.Buffers, b)
	c.Bytes += len(b)
}

// Read returns batches from the one that holds req.Offset on (in a compacted range, the next that exists). It waits for the
// first block only and adds what is there behind it, up to MaxBytes. A chunk without bytes means that nothing fits between
// Offset and Limit, or that compaction left nothing up to the end of what is tiered; NextOffset tells which.
//
// Errors: cache.ErrBusy (retriable: budget or queue full), *CorruptError, those of the Locator, of objstore, and the cause of
// ctx.
func (r *Reader) Read(ctx context.Context, req ReadRequest) (*Chunk, error) {
	if err := r.enter(); err != nil {
		return nil, err
	}
	defer r.leave()
	start := time.Now()
	st := r.stream(ctx, &req)
	chunk, err := r.serve(ctx, st, &req)
	r.settle(ctx, st, chunk, err, start)
	return chunk, err
}

// stream is the one that goes on at the request's offset, or a new one.
func (r *Reader) stream(ctx context.Context, req *ReadRequest) *stream {
	st := r.streams.take(streamKey{req.Topic, req.Partition, req.Offset})
	if st != nil {
		st.sequential++
	} else {
		st = &stream{id: partitionID{req.Topic, req.Partition}, next: req.Offset}
	}
	st.begun(ctx)
	return st
}

// settle parks a stream after its Read, or drops it.
func (r *Reader) settle(ctx context.Context, st *stream, chunk *Chunk, err error, start time.Time) {
	switch {
	case err == nil:
		st.next = chunk.NextOffset
		st.read += int64(chunk.Bytes)
		r.streams.put(st)
		r.metrics.served(chunk.Bytes, time.Since(start))
	case ctx.Err() != nil:
		r.streams.put(st) // the caller may come back for the same offset; what it waited for will be there
	default:
		r.metrics.failed.Inc()
		st.drop(r.metrics)
	}
}

func (r *Reader) enter() error {
	if r.ctx.Err() != nil {
		return ErrReaderClosed
	}
	if n := r.reads.Add(1); n > int64(r.opts.MaxReads) {
		r.reads.Add(-1)
		r.metrics.refused.Inc()
		return fmt.Errorf("%w: reads=%d", cache.ErrBusy, n)
	}
	return nil
}

func (r *Reader) leave() { r.reads.Add(-1) }
