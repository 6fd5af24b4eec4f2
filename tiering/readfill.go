package tiering

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync/atomic"

	"go.opentelemetry.io/otel/trace"

	"github.com/tidelinehq/tideline/tiering/cache"
	"github.com/tidelinehq/tideline/tiering/objstore"
	"github.com/tidelinehq/tideline/tiering/segment"
)

// job fills a run of adjacent blocks of one section, by one GET; or one block from the disk tier.
type job struct {
	r       *Reader
	s       *section
	first   int // number of the first block
	flights []*cache.Flight
	onDisk  bool
	caller  trace.SpanContext // the span of the Read that began it, where it is recorded
	started atomic.Bool
	hurried atomic.Bool
}

// submit queues a job. When the queue is full its flights end: as busy for who waits for them, as dropped for read-ahead.
func (r *Reader) submit(j *job, urgent bool) bool {
	queue, full := r.ahead, errDropped
	if urgent {
		j.hurried.Store(true)
		queue, full = r.urgent, cache.ErrBusy
	} else {
		for _, f := range j.flights {
			f.OnHurry(j.hurry) // somebody may have joined already; the job then runs once, from whichever queue is first
		}
	}
	select {
	case queue <- j:
	default:
		r.metrics.refused.Inc()
		j.drop(full)
		return false
	}
	if r.ctx.Err() != nil {
		j.drop(ErrReaderClosed) // Close may have emptied the queues already
	}
	return true
}

// hurry moves a job that still waits behind the read-ahead of others to the front.
func (j *job) hurry() {
	if j.started.Load() || !j.hurried.CompareAndSwap(false, true) {
		return
	}
	select {
	case j.r.urgent <- j:
	default: // full: it keeps its turn
	}
}

// drop ends a job that has not started.
func (j *job) drop(err error) {
	if j.started.CompareAndSwap(false, true) {
		j.complete(0, err)
	}
}

// complete ends the flights from number i on.
func (j *job) complete(i int, err error) {
	for _, f := range j.flights[i:] {
		f.Complete(nil, err)
	}
}

// worker runs jobs. Only some workers do read-ahead, so that a read that waits never waits for all of it.
func (r *Reader) worker(readAhead bool) {
	defer r.work.Done()
	ahead := r.ahead
	if !readAhead {
		ahead = nil
	}
	for {
		select {
		case j := <-r.urgent:
			j.run()
			continue
		case <-r.ctx.Done():
			return
		default:
		}
		select {
		case j := <-r.urgent:
			j.run()
		case j := <-ahead:
			j.run()
		case <-r.ctx.Done():
			return
		}
	}
}

func (j *job) run() {
	if !j.started.CompareAndSwap(false, true) {
		return // queued twice
	}
	bufs, stage, err := j.alloc()
	if err != nil {
		j.complete(0, err)
		return
	}
	if j.onDisk && j.r.disk.Read(j.flights[0].Key(), bufs[0].Bytes()) {
		j.flights[0].Complete(bufs[0], nil)
	} else {
		j.fetch(bufs, stage)
	}
	if stage != nil {
		stage.Release()
	}
}

// alloc gets all memory that the job needs: a buffer per block, and one for compressed bytes on their way in. When there is
// not enough at once, read-ahead is given up, and only what somebody waits for is waited for.
func (j *job) alloc() (bufs []*cache.Buffer, stage *cache.Buffer, err error) {
	sizes, packed := j.sizes()
	bufs, ok := j.r.pool.TryAlloc(sizes...)
	if !ok {
		if !j.trim() {
			j.r.metrics.dropped.Inc()
			return nil, nil, errDropped
		}
		sizes, packed = j.sizes()
		ctx, cancel := context.WithTimeout(j.r.ctx, j.r.opts.BudgetWait)
		defer cancel()
		if bufs, err = j.r.pool.Alloc(ctx, sizes...); err != nil {
			if j.r.ctx.Err() != nil {
				err = ErrReaderClosed
			}
			return nil, nil, err
		}
	}
	if packed {
		stage = bufs[len(bufs)-1]
		bufs = bufs[:len(bufs)-1]
	}
	return bufs, stage, nil
}

// sizes are those of the buffers; the last one is for compressed bytes if packed.
func (j *job) sizes() (sizes []int, packed bool) {
	sizes = make([]int, 0, len(j.flights)+1)
	most := int32(0)
	for i := range j.flights {
		k := j.block(i)
		sizes = append(sizes, int(k.Raw))
		if k.Codec != segment.Raw {
			most = max(most, k.Stored)
		}
	}
	if most > 0 {
		sizes = append(sizes, int(most))
	}
	return sizes, most > 0
}

// trim reduces the job to the blocks that somebody waits for and what lies between them. It is false when there are none.
func (j *job) trim() bool {
	first, last := -1, -1
	for i, f := range j.flights {
		if f.Wanted() {
			if first < 0 {
				first = i
			}
			last = i
		}
	}
	if first < 0 {
		if !j.hurried.Load() {
			return false
		}
		first, last = 0, 0 // the first block of an urgent run, just before it is waited for
	}
	given := j.flights[last+1:]
	for _, f := range j.flights[:first] {
		f.Complete(nil, errDropped)
	}
	for _, f := range given {
		f.Complete(nil, errDropped)
	}
	j.flights, j.first = j.flights[first:last+1], j.first+first
	return true
}

func (j *job) block(i int) *segment.Block { return &j.s.idx.Blocks[j.first+i] }

// A block whose bytes were short or damaged is asked for twice, and one job makes so many GETs at most.
const (
	triesPerBlock = 2
	getsPerJob    = 4
)

// fetch fills bufs from the object store and completes every flight.
func (j *job) fetch(bufs []*cache.Buffer, stage *cache.Buffer) {
	done := 0 // flights completed
	var err error
	for gets, tries := 0, 0; done < len(bufs) && gets < getsPerJob && tries < triesPerBlock; gets++ {
		if gets > 0 {
			j.r.metrics.repeated.Inc()
		}
		var n int
		n, err = j.get(bufs[done:], stage, done)
		if done += n; n > 0 {
			tries = 0
		}
		tries++
		if err != nil && !damaged(err) && !errors.Is(err, objstore.ErrUnavailable) || j.r.ctx.Err() != nil {
			break
		}
	}
	for _, b := range bufs[done:] {
		b.Release()
	}
	if done == len(bufs) {
		return
	}
	if j.r.ctx.Err() != nil {
		err = ErrReaderClosed
	}
	if !damaged(err) {
		j.complete(done, fmt.Errorf("read blocks: %w", err))
		return
	}
	// Only the first of them is known to be damaged. The others are asked for again when they are needed.
	k := j.block(done)
	bad := &CorruptError{
		Key: objstore.DataKey(j.s.seg.Object), Topic: j.s.id.topic, Partition: j.s.id.partition,
		Base: k.First, End: k.End, Position: j.s.seg.Position + k.Position, Err: err,
	}
	j.r.metrics.corrupt.Inc()
	j.r.opts.Logger.Error("tiered block is damaged", "error", bad)
	j.flights[done].Complete(nil, bad)
	j.complete(done+1, errDropped)
}

// get reads the blocks from number skip on with one GET and completes each as soon as its bytes are there. It returns how
// many, and what stopped it.
func (j *job) get(bufs []*cache.Buffer, stage *cache.Buffer, skip int) (done int, err error) {
	m := j.r.metrics
	first, last := j.block(skip), j.block(skip+len(bufs)-1)
	size := last.Position + int64(last.Stored) - first.Position
	ctx, cancel := context.WithTimeout(within(j.r.ctx, j.caller), j.r.opts.GetTimeout)
	defer cancel()
	m.gets.blocks.Inc()
	body, info, err := j.r.opts.Store.Get(ctx, objstore.DataKey(j.s.seg.Object), j.s.seg.Position+first.Position, size)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, body.Close()) }()
	if end := j.s.seg.Position + last.Position + int64(last.Stored); info.Size < end {
		return 0, fmt.Errorf("%w: object size=%d want at least=%d", segment.ErrTorn, info.Size, end)
	}
	for i, buf := range bufs {
		k := j.block(skip + i)
		dst := buf.Bytes()
		if k.Codec != segment.Raw {
			dst = stage.Bytes()[:k.Stored]
		}
		n, err := io.ReadFull(body, dst)
		m.fetched.Add(float64(n))
		if err != nil {
			if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
				err = fmt.Errorf("%w: body ended short: %w", objstore.ErrUnavailable, err)
			}
			return i, err
		}
		if k.Codec == segment.Raw {
			err = k.CheckStored(dst)
		} else {
			_, err = k.Decode(buf.Bytes(), dst, 0)
		}
		if err != nil {
			return i, err
		}
		if i > 0 {
			m.coalesced.Inc()
		}
		j.flights[skip+i].Complete(buf, nil)
		m.filled.Inc()
	}
	return len(bufs), nil
}
