package wal

import (
	"errors"
	"fmt"
	"hash/crc32"
	"math/bits"
	"sync"

	"github.com/tidelinehq/tideline/internal/record"
)

func checksum(b []byte) uint32 { return crc32.Update(0, castagnoli, b) }

// Chunk is what a Read returned: whole batches in memory that the log owns until Release.
type Chunk struct {
	// Buffers hold whole batches, in order. They must not be changed.
	Buffers [][]byte
	// Bytes is their total length.
	Bytes int
	// Base is the base offset of the first batch, which may be below the offset asked for; NextOffset follows the
	// last batch. Both are the offset asked for when the chunk is empty.
	Base, NextOffset int64
	// DiskBytes is how many of the bytes were read from the log's files; the others were in memory.
	DiskBytes int

	slabs []*slab
	bufs  []*readBuffer
}

// Held is how much memory is the chunk's alone. What it shares with the tail is none of it.
func (c *Chunk) Held() (n int) {
	for _, b := range c.bufs {
		n += cap(b.b)
	}
	return n
}

var chunks = sync.Pool{New: func() any { return new(Chunk) }}

// Release gives the memory back. The chunk and its buffers must not be used any more.
func (c *Chunk) Release() {
	for _, s := range c.slabs {
		s.release()
	}
	for _, b := range c.bufs {
		b.release()
	}
	clear(c.Buffers)
	clear(c.slabs)
	clear(c.bufs)
	*c = Chunk{Buffers: c.Buffers[:0], slabs: c.slabs[:0], bufs: c.bufs[:0]}
	chunks.Put(c)
}

// readBuffer is pooled by powers of two.
type readBuffer struct {
	b    []byte
	pool *sync.Pool
}

const (
	minReadBits = 12
	maxReadBits = 22
)

var readBuffers = func() (pools [maxReadBits - minReadBits + 1]sync.Pool) { return }()

// readClass is that of the buffers which n bytes need.
func readClass(n int) int { return max(bits.Len(uint(n-1)), minReadBits) - minReadBits }

func getReadBuffer(n int) *readBuffer {
	class := readClass(n)
	if class >= len(readBuffers) {
		return &readBuffer{b: make([]byte, n)}
	}
	pool := &readBuffers[class]
	if r, ok := pool.Get().(*readBuffer); ok {
		r.b = r.b[:n]
		return r
	}
	return &readBuffer{b: make([]byte, n, 1<<(class+minReadBits)), pool: pool}
}

func (r *readBuffer) release() {
	if r.pool != nil {
		r.pool.Put(r)
	}
}

const (
	// mergeGap is how much of other partitions' bytes a read from disk takes along to save a system call.
	mergeGap = 16 << 10
	// mergeBytes bounds one such read, unless one frame is larger.
	mergeBytes = 1 << 20
)

// Read returns whole batches from the one that contains offset on, all below limit, at most maxBytes of them; with
// atLeastOne the first is returned even when it is larger. At the log end, or when nothing fits, the chunk is empty.
// Errors are ErrBelowStart, ErrAboveEnd, ErrDropped, and *CorruptError when the first batch is damaged.
func (p *Partition) Read(offset, limit int64, maxBytes int, atLeastOne bool) (*Chunk, error) {
	c, _, err := p.read(offset, limit, maxBytes, atLeastOne, nil, true)
	return c, err
}

// errNoSlot is the answer to a reader that needs the disk and has no slot of its lane.
var errNoSlot = errors.New("wal: all slots of the lane are taken")

// read is Read, in a lane of the disk unless that is nil. slot says that the reader has a slot of the lane, before and after.
func (p *Partition) read(offset, limit int64, maxBytes int, atLeastOne bool, lane *lane, slot bool) (*Chunk, bool, error) {
	p.mu.Lock()
	start, end, dropped := p.start, p.end, p.dropped
	p.mu.Unlock()
	switch {
	case dropped:
		return nil, slot, ErrDropped
	case offset < start:
		return nil, slot, fmt.Errorf("%w: offset=%d start=%d", ErrBelowStart, offset, start)
	case offset > end:
		return nil, slot, fmt.Errorf("%w: offset=%d end=%d", ErrAboveEnd, offset, end)
	}
	c := chunks.Get().(*Chunk)
	c.Base, c.NextOffset = offset, offset
	r := readings.Get().(*reading)
	r.p, r.c, r.offset, r.limit, r.left, r.force, r.full = p, c, offset, min(limit, end), maxBytes, atLeastOne, false
	r.want, r.planned = r.room[:0], 0
	r.lane, r.slot = lane, slot
	err := r.run()
	slot = r.slot
	r.p, r.c, r.file, r.lane = nil, nil, nil, nil
	readings.Put(r)
	if err != nil && c.Bytes == 0 {
		c.Release()
		return nil, slot, err
	}
	// Damage behind good batches is told to whoever asks for it.
	return c, slot, nil
}

// ReadAhead returns whole batches from offset on that are being written and are not durable yet, at most maxBytes of them or
// one frame, from the memory that goes to the disk: for replicas that make them durable elsewhere meanwhile. It is nil when
// there are none, when offset is not where a frame begins, and when the memory has been given to newer ones; then they are
// durable in a moment.
func (p *Partition) ReadAhead(offset int64, maxBytes int) *Chunk {
	var room [32]laid
	want := room[:0]
	p.mu.Lock()
	for i, next := 0, offset; i < len(p.laid) && len(want) < cap(want); i++ {
		x := p.laid[i]
		if x.e.base < next {
			continue
		}
		if x.e.base != next || len(want) > 0 && int(x.e.length) > maxBytes {
			break
		}
		want = append(want, x)
		next = x.e.end()
		maxBytes -= int(x.e.length)
	}
	p.mu.Unlock()
	if len(want) == 0 {
		return nil
	}
	c := chunks.Get().(*Chunk)
	c.Base, c.NextOffset = offset, offset
	for _, x := range want {
		b, s := p.log.tail.find(x.sequence, int64(x.e.position)+frameHeaderSize, int(x.e.length))
		if s == nil {
			break
		}
		if s.tail.crowded() {
			s.release()
			break // durable in a moment, and read as a copy
		}
		c.keep(s)
		c.Buffers = append(c.Buffers, b)
		c.Bytes += len(b)
		c.NextOffset = x.e.end()
	}
	if c.Bytes == 0 {
		c.Release()
		return nil
	}
	return c
}

var readings = sync.Pool{New: func() any { return new(reading) }}

// reading is the state of one Read.
type reading struct {
	cur cursor

	p      *Partition
	c      *Chunk
	offset int64
	limit  int64
	left   int  // bytes still allowed
	force  bool // the next batch is returned whatever its size
	full   bool

	file *file // of the frames in want
	want []entry
	room [32]entry

	planned int // bytes of the frames in want

	lane *lane // nil: of the broker's own
	slot bool
}

func (r *reading) run() error {
	cur := &r.cur
	cur.p, cur.offset = r.p, r.offset
	defer func() {
		cur.close()
		cur.p = nil
	}()
	for !r.full && r.c.NextOffset < r.limit {
		f, e, ok, err := cur.next()
		if err != nil || !ok || e.base >= r.limit {
			return r.flushOr(err)
		}
		if e.flags&entryLost != 0 {
			return r.flushOr(&CorruptError{File: f.name, Position: int64(e.position), ID: r.p.id, From: e.base, To: e.end(), Reason: "batches are lost"})
		}
		if r.planned > 0 && r.planned+int(e.length) > r.left {
			if err := r.flush(); err != nil || r.full {
				return err
			}
		}
		if e.flags&entryMulti == 0 && int(e.length) > r.left && !r.force {
			return r.flush()
		}
		// The next call of the cursor may let the file go, so what was planned in it is read before.
		if b, s := r.p.log.tail.find(f.sequence(), int64(e.position)+frameHeaderSize, int(e.length)); s != nil {
			if err := r.flush(); err != nil {
				s.release()
				return err
			}
			r.p.log.m.tailHits.Inc()
			r.add(e, r.c.keepOrCopy(s, b))
		} else {
			r.file = f
			r.want = append(r.want, e)
			r.planned += int(e.length)
			if cur.i == cur.n || len(r.want) == cap(r.want) {
				if err := r.flush(); err != nil {
					return err
				}
			}
		}
	}
	return r.flush()
}

func (r *reading) flushOr(err error) error {
	if e := r.flush(); e != nil {
		return e
	}
	return err
}

// keepOrCopy holds the slab of b, or copies b when readers hold too much of what has left the tail already.
func (c *Chunk) keepOrCopy(s *slab, b []byte) []byte {
	if !s.tail.crowded() {
		c.keep(s)
		return b
	}
	buf := getReadBuffer(len(b))
	copy(buf.b, b)
	s.release()
	c.bufs = append(c.bufs, buf)
	return buf.b
}

// keep holds each slab once.
func (c *Chunk) keep(s *slab) {
	if n := len(c.slabs); n > 0 && c.slabs[n-1] == s {
		s.release()
		return
	}
	c.slabs = append(c.slabs, s)
}

// flush reads the wanted frames from disk, neighbours together. What the chunk keeps is the frames and not what lies
// between them: its reader may hold it for long.
func (r *reading) flush() error {
	var dense *readBuffer // wanted frames, one behind the other
	filled := 0
	for len(r.want) > 0 && !r.full {
		if err := r.turn(); err != nil {
			return err
		}
		run, from, to := r.neighbours()
		buf := getReadBuffer(int(to - from))
		if _, err := r.file.reader.ReadAt(buf.b, from); err != nil {
			buf.release()
			return r.file.damaged(from, r.p.id, run[0].base, run[len(run)-1].end(), "frames cannot be read", err)
		}
		r.p.log.m.readBytes.Add(float64(to - from))
		r.p.log.m.tailMisses.Add(float64(len(run)))
		frames := buf.b
		whole := dense == nil && len(run) == len(r.want) && readClass(len(buf.b)) == readClass(framesSize(run))
		if whole {
			r.c.bufs = append(r.c.bufs, buf)
		} else {
			if dense == nil {
				dense = getReadBuffer(framesSize(r.want))
				r.c.bufs = append(r.c.bufs, dense)
			}
			frames = dense.b[filled:]
			for _, e := range run {
				filled += copy(dense.b[filled:], buf.b[int64(e.position)-from:][:frameHeaderSize+int(e.length)])
			}
			buf.release()
		}
		for _, e := range run {
			if whole {
				frames = buf.b[int64(e.position)-from:]
			}
			size := frameHeaderSize + int(e.length)
			payload, err := r.file.check(frames[:size], e, r.p)
			if err != nil {
				return err
			}
			frames = frames[size:]
			before := r.c.Bytes
			r.add(e, payload)
			r.c.DiskBytes += r.c.Bytes - before
			if r.full {
				break
			}
		}
		r.want = r.want[len(run):]
	}
	r.want, r.planned = r.room[:0], 0
	return nil
}

// turn is asked before each read from the disk. Its error ends the reading.
func (r *reading) turn() error {
	switch {
	case r.lane == nil:
		return nil
	case !r.slot:
		r.slot = r.lane.try()
		if !r.slot {
			return errNoSlot
		}
	case r.c.DiskBytes >= laneTurn && r.lane.waiting.Load() > 0:
		return errNoSlot // others' turn
	}
	return nil
}

// neighbours are the first of the wanted frames that one read brings, and that read's range in the file.
func (r *reading) neighbours() (run []entry, from, to int64) {
	from = int64(r.want[0].position)
	to = from + frameHeaderSize + int64(r.want[0].length)
	n := 1
	for n < len(r.want) {
		e := r.want[n]
		end := int64(e.position) + frameHeaderSize + int64(e.length)
		if int64(e.position) < to || int64(e.position)-to > mergeGap || end-from > mergeBytes {
			break
		}
		to = end
		n++
	}
	return r.want[:n], from, to
}

func framesSize(frames []entry) (n int) {
	for _, e := range frames {
		n += frameHeaderSize + int(e.length)
	}
	return n
}

// check verifies a frame that was read from disk and returns its payload.
func (f *file) check(b []byte, e entry, p *Partition) ([]byte, error) {
	h, ok := parseFrameHeader(b, f.seed, int64(e.position))
	if !ok || h.ordinal != p.ordinal || h.base != e.base || h.length != e.length || h.typ != frameBatches {
		return nil, f.damaged(int64(e.position), p.id, e.base, e.end(), "frame header", nil)
	}
	payload := b[frameHeaderSize : frameHeaderSize+int(h.length) : frameHeaderSize+int(h.length)]
	if checksum(payload) != h.payloadCRC {
		return nil, f.damaged(int64(e.position), p.id, e.base, e.end(), "frame checksum", nil)
	}
	return payload, nil
}

// add appends the batches of a frame that the caller may have.
func (r *reading) add(e entry, payload []byte) {
	if e.flags&(entryMulti|entryPartial) == 0 {
		if e.end() > r.limit || len(payload) > r.left && !r.force {
			r.full = true
			return
		}
		r.take(e.base, e.end(), payload)
		return
	}
	from, to := 0, 0
	base, next := int64(-1), int64(0)
	left := r.left
	for b := range record.All(payload) {
		if b == nil {
			break // whole when it was appended, and the checksum is right
		}
		size := b.Size()
		if b.NextOffset() <= r.c.NextOffset {
			from += size
			to = from
			continue
		}
		if b.NextOffset() > min(r.limit, e.end()) {
			break
		}
		if size > left && !(r.force && base < 0) {
			r.full = true
			break
		}
		if base < 0 {
			base = b.BaseOffset()
		}
		next = b.NextOffset()
		to += size
		left -= size
	}
	if base >= 0 {
		r.take(base, next, payload[from:to:to])
	}
	if !r.full && e.end() <= r.limit {
		// Offsets of a batch that was cut in two by a truncation are in no batch.
		r.c.NextOffset = e.end()
	}
}

func (r *reading) take(base, next int64, b []byte) {
	if len(r.c.Buffers) == 0 {
		r.c.Base = base
	}
	r.c.Buffers = append(r.c.Buffers, b)
	r.c.Bytes += len(b)
	r.c.NextOffset = next
	r.left -= len(b)
	r.force = false
	if r.left <= 0 {
		r.full = true
	}
}
