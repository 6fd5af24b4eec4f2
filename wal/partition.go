package wal

import (
	"fmt"
	"hash/crc32"
	"math"
	"sort"
	"sync"
	"sync/atomic"

	"github.com/tidelinehq/tideline/internal/record"
)

// Partition is the handle of one partition. Append, AppendState, Truncate, SetStart and Drop of one partition
// must not overlap one another (the owner calls them under its own lock); everything else may be called from
// anywhere at any time.
type Partition struct {
	log     *Log
	id      ID
	ordinal uint32

	// Owned by the writer: the newest file in which it counted a directory record, and an anchor, for us.
	dirFile, anchorFile uint64
	gone                bool // the writer has laid our drop frame

	mu      sync.Mutex
	dropped bool
	start   int64  // local log start
	end     int64  // durable log end
	next    int64  // log end with what is queued
	anchor  place  // newest durable anchor
	covers  int64  // log end that it covers
	runs    []run  // in files that are not sealed, oldest first; truncations are applied
	sealed  []seen // sealed files that hold frames of ours, oldest first, thinned; see note
	total   int64  // bytes of batches that ever became durable, less those that truncations in memory cut off
	kills   []kill // truncations that sealed files must honour, oldest first, keep rising
	laid    []laid // frames in groups that are being written, oldest first; noted while eager

	eager atomic.Bool // ReadAhead is wanted
}

// laid is a frame that the writer has placed and that is not durable yet.
type laid struct {
	sequence uint64 // of the file
	e        entry
}

// run is a partition's index in one file that is not sealed.
type run struct {
	file    *file
	entries []entry // never empty
	before  int64   // the partition's total in front of them
}

// seen remembers that a sealed file holds frames of the partition. All fields rise along the list.
type seen struct {
	sequence uint64
	first    int64 // offset
	before   int64 // the partition's total in front of the file
}

// kill says that offsets at and above keep are dead in files before sequence.
type kill struct {
	sequence uint64
	keep     int64
}

// maxSeen bounds the memory of a partition whose log spans many files. When it is reached, every second of the
// older half is forgotten; the files between two that are remembered are then probed.
const maxSeen = 64

// ID names the partition.
func (p *Partition) ID() ID { return p.id }

// Start is the local log start: nothing below it can be read.
func (p *Partition) Start() int64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.start
}

// End is the durable log end: the offset after the last batch whose append has completed.
func (p *Partition) End() int64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.end
}

// Completion is told how an append went.
type Completion interface {
	// AppendDone is called once for each append that was accepted, in log order per partition, on a goroutine
	// of the log. It must not block. The Append and its Batches are the caller's again. An error is ErrFatal or
	// ErrClosed: whether the bytes are in the log is then unknown until it is opened again.
	AppendDone(a *Append, err error)
}

// Ahead is a Completion that is told, too, when ReadAhead can give what was appended. It is called on the goroutine that writes,
// before AppendDone, and must not block.
type Ahead interface {
	AppendLaid(a *Append)
}

// Append is a request to append; it may be used again after AppendDone.
type Append struct {
	Batches []byte // at least one complete batch, contiguous, offsets and epochs in place
	Done    Completion
	Trace   *Trace // nil: nobody asks what becomes of it

	op op
}

// Append queues batches, which must start at the log end, and never blocks. Until AppendDone the Batches must not
// change. It fails with ErrFull (retriable), ErrOffset, ErrInvalid, ErrTooLarge, ErrDropped, ErrClosed or ErrFatal,
// and AppendDone is not called then.
func (p *Partition) Append(a *Append) error {
	o := &a.op
	*o = op{kind: opBatches, p: p, payload: a.Batches, append: a}
	base, end, err := o.split(int(p.log.opts.FileBytes / 2))
	if err != nil {
		return err
	}
	if err := p.log.admit(o.size); err != nil {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.dropped {
		return ErrDropped
	}
	if base != p.next {
		return fmt.Errorf("%w: base=%d end=%d", ErrOffset, base, p.next)
	}
	if !p.log.queue.push(o) {
		return p.log.stateOr(ErrClosed)
	}
	p.next = end
	return nil
}

// admit refuses what would not fit.
func (l *Log) admit(n int64) error {
	if !l.full(n) {
		return nil
	}
	l.m.refused.Inc()
	return ErrFull
}

// full tells whether n more bytes of frames do not fit. A log that has failed is never full: the queue refuses.
func (l *Log) full(n int64) bool {
	queued := l.queue.bytes.Load()
	return (l.used.Load()+queued+n > l.opts.MaxBytes-2*l.opts.FileBytes || l.noSpace.Load() ||
		queued+n > maxQueuedBytes || l.queue.ops.Load() >= maxQueued) && l.failed.Load() == nil
}

// split walks the batch headers, checks that they are complete and contiguous, and cuts the payload into frames.
// The checksums are computed here, on the caller's core and while the bytes are warm, not by the one writer.
func (o *op) split(maxBatch int) (base, end int64, err error) {
	b := o.payload
	from := 0 // of the piece
	var cur piece
	flush := func(to int) {
		cur.n = to - from
		cur.crc = crc32.Update(0, castagnoli, o.payload[from:to])
		o.size += frameSize(cur.n)
	}
	for at := 0; at < len(b); {
		batch, _, err := record.Next(b[at:])
		if err != nil {
			return 0, 0, fmt.Errorf("%w: position=%d: %w", ErrInvalid, at, err)
		}
		first, next, n := batch.BaseOffset(), batch.NextOffset(), batch.Size()
		if next <= first || next-first > math.MaxInt32 || first < 0 {
			return 0, 0, fmt.Errorf("%w: position=%d base=%d next=%d", ErrInvalid, at, first, next)
		}
		if n > maxBatch {
			return 0, 0, fmt.Errorf("%w: bytes=%d limit=%d", ErrTooLarge, n, maxBatch)
		}
		if at == 0 {
			base = first
		} else if first != end {
			return 0, 0, fmt.Errorf("%w: base=%d after=%d", ErrOffset, first, end)
		}
		if at > from && (at+n-from > frameTarget || next-cur.base > math.MaxInt32) {
			flush(at)
			o.pieces = append(o.pieces, cur)
			from = at
		}
		if at == from {
			cur = piece{base: first, maxTime: timeOf(batch), epoch: batch.LeaderEpoch()}
		} else {
			cur.flags |= entryMulti
			cur.maxTime = max(cur.maxTime, timeOf(batch))
		}
		end = next
		cur.end = next
		at += n
	}
	if len(b) == 0 {
		return 0, 0, fmt.Errorf("%w: empty", ErrInvalid)
	}
	flush(len(b))
	if o.pieces == nil {
		o.one = cur
	} else {
		o.pieces = append(o.pieces, cur)
	}
	return base, end, nil
}

// anchorOp makes an op that writes an anchor of the partition.
func (p *Partition) anchorOp(kind opKind, body anchorBody, state []byte, done func(error)) *op {
	o := &op{kind: kind, p: p, body: body, done: done}
	o.payload = body.append(make([]byte, 0, anchorBodySize+len(state)), state)
	o.one = piece{n: len(o.payload), crc: crc32.Checksum(o.payload, castagnoli), base: body.end, end: body.end}
	o.size = frameSize(len(o.payload))
	return o
}

// tooLargeState refuses states that could not share a file with anything.
func (p *Partition) tooLargeState(n int) error {
	if limit := int(p.log.opts.FileBytes / 2); n > limit {
		return fmt.Errorf("%w: state bytes=%d limit=%d", ErrTooLarge, n, limit)
	}
	return nil
}

// AppendState queues the owner's state, which covers all that was appended before. The payload is copied. A state
// that the log cannot take (it has failed, is closed, or the state is larger than half a file) leaves the one
// before it in force.
func (p *Partition) AppendState(payload []byte) {
	if err := p.tooLargeState(len(payload)); err != nil {
		p.log.log.Error("wal keeps the older state", "partition", p.id.String(), "error", err)
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.dropped {
		return
	}
	p.log.queue.push(p.anchorOp(opState, anchorBody{id: p.id, start: p.start, end: p.next, keep: -1}, payload, nil))
}

// Truncate drops all offsets at and above to, and makes state the newest state. It takes effect, for readers too,
// when done is called (from a goroutine of the log; done must not block). Appends that follow start at to. Below
// the local log start it empties the log, which then starts at to; above the log end it only writes the state.
func (p *Partition) Truncate(to int64, state []byte, done func(error)) {
	if err := p.truncate(to, state, done); err != nil && done != nil {
		done(err)
	}
}

func (p *Partition) truncate(to int64, state []byte, done func(error)) error {
	if to < 0 {
		return fmt.Errorf("%w: to=%d", ErrOffset, to)
	}
	if err := p.tooLargeState(len(state)); err != nil {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.dropped {
		return ErrDropped
	}
	to = min(to, p.next)
	body := anchorBody{id: p.id, start: p.start, end: to, keep: to}
	lowers := to < p.start
	if lowers {
		body.start, body.keep = to, 0
	}
	o := p.anchorOp(opTruncate, body, state, done)
	o.lowers = lowers
	if !p.log.queue.push(o) {
		return p.log.stateOr(ErrClosed)
	}
	p.next = to
	return nil
}

// SetStart raises the local log start; what lies below may be freed. It is made durable with the next state: after
// a crash Start may be lower again, as far as the bytes are still there. A start above the log end empties the
// log and moves its end there, which is written at once, with an empty state.
func (p *Partition) SetStart(offset int64) {
	p.mu.Lock()
	if p.dropped || offset <= p.start {
		p.mu.Unlock()
		return
	}
	p.start = offset
	if offset > p.next {
		p.next = offset
		p.log.queue.push(p.anchorOp(opTruncate, anchorBody{id: p.id, start: offset, end: offset, keep: 0}, nil, nil))
	}
	p.mu.Unlock()
	p.log.free.kick()
}

// Drop deletes the partition. Its frames are dead at once; a Partition call with its ID makes a new one.
func (p *Partition) Drop() {
	l := p.log
	l.mu.Lock()
	p.mu.Lock()
	if !p.dropped {
		p.dropped = true
		if l.partitions[p.id] == p {
			delete(l.partitions, p.id)
		}
		delete(l.ordinals, p.ordinal)
		l.queue.push(&op{kind: opDrop, p: p, size: frameSize(0)})
	}
	p.mu.Unlock()
	l.mu.Unlock()
	l.free.kick()
}

// SetEager says whether ReadAhead is wanted: it costs a few bytes for each frame under way.
func (p *Partition) SetEager(on bool) {
	p.eager.Store(on)
	if on {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.laid = nil
}

// lay notes a frame that the writer has placed. It reports whether somebody reads ahead.
func (p *Partition) lay(sequence uint64, e entry) bool {
	if !p.eager.Load() {
		return false
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.laid = append(p.laid, laid{sequence, e})
	return true
}

// AheadEnd is the end of what ReadAhead can give, or the durable end if that is greater.
func (p *Partition) AheadEnd() int64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	if n := len(p.laid); n > 0 {
		return max(p.end, p.laid[n-1].e.end())
	}
	return p.end
}

// publish makes a durable batch frame readable.
func (p *Partition) publish(f *file, e entry) {
	p.mu.Lock()
	if len(p.laid) > 0 && p.laid[0].e.base <= e.base {
		p.laid = append(p.laid[:0], p.laid[1:]...)
	}
	if n := len(p.runs); n > 0 && p.runs[n-1].file == f {
		p.runs[n-1].entries = append(p.runs[n-1].entries, e)
	} else {
		p.runs = append(p.runs, run{f, []entry{e}, p.total})
		if t := len(f.touched); t == 0 || f.touched[t-1] != p {
			f.touched = append(f.touched, p)
		}
	}
	p.end = e.end()
	p.total += int64(e.length)
	p.mu.Unlock()
}

// settleAnchor takes a durable anchor over, with the truncation that it may carry.
//
// lowers says that a truncation below the start emptied the log; otherwise an anchor never lowers the start, which
// may have been raised since the anchor was queued.
func (p *Partition) settleAnchor(at place, body anchorBody, lowers bool) {
	p.mu.Lock()
	p.anchor, p.covers = at, body.end
	if body.keep >= 0 {
		p.cut(at.sequence, body.keep)
		p.end = body.end
		switch {
		case lowers:
			p.start = min(p.start, body.start)
		case body.keep == 0:
			p.start = max(p.start, body.start)
		}
	}
	p.mu.Unlock()
}

// cut removes offsets at and above keep from everything before the frame that says so, which lies in the file
// sequence. p.mu is held.
func (p *Partition) cut(sequence uint64, keep int64) {
	for n := len(p.runs); n > 0; n = len(p.runs) {
		r := &p.runs[n-1]
		i := sort.Search(len(r.entries), func(i int) bool { return r.entries[i].base >= keep })
		for _, e := range r.entries[i:] {
			p.total -= int64(e.length)
		}
		if i > 0 {
			e := r.entries[i-1]
			if e.end() > keep {
				// The entries may be in a sealer's hands, so they are replaced and not changed.
				r.entries = append([]entry(nil), r.entries[:i]...)
				e.span = uint32(keep - e.base)
				e.flags |= entryPartial
				r.entries[i-1] = e
			} else {
				r.entries = r.entries[:i]
			}
			break
		}
		p.runs[n-1] = run{}
		p.runs = p.runs[:n-1]
	}
	for n := len(p.sealed); n > 0 && p.sealed[n-1].first >= keep; n = len(p.sealed) {
		p.total = p.sealed[n-1].before
		p.sealed = p.sealed[:n-1]
	}
	for n := len(p.kills); n > 0 && p.kills[n-1].keep >= keep; n = len(p.kills) {
		p.kills = p.kills[:n-1]
	}
	// A file that is being sealed just now may get an index from before the cut, so the truncation is kept for
	// unsealed files as well.
	if len(p.sealed) > 0 || len(p.runs) > 0 && p.runs[0].file.sequence() < sequence {
		p.kills = append(p.kills, kill{sequence, keep})
	}
}

// capOf is the offset from which everything in that sealed file is dead. p.mu is held.
func (p *Partition) capOf(sequence uint64) int64 {
	i := sort.Search(len(p.kills), func(i int) bool { return p.kills[i].sequence > sequence })
	if i == len(p.kills) {
		return math.MaxInt64
	}
	return p.kills[i].keep
}

// see replaces the in-memory run of a file that was sealed by a note of where it begins.
func (p *Partition) see(f *file) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for i := range p.runs {
		if p.runs[i].file == f {
			p.note(seen{f.sequence(), p.runs[i].entries[0].base, p.runs[i].before})
			p.runs = append(p.runs[:i], p.runs[i+1:]...)
			if len(p.runs) == 0 {
				p.runs = nil
			}
			return
		}
	}
}

// note adds to sealed, which may have to be thinned or rid of freed files first. p.mu is held, or nobody else
// has the partition yet.
func (p *Partition) note(s seen) {
	if len(p.sealed) >= maxSeen {
		p.forget(p.log.oldest())
	}
	if len(p.sealed) >= maxSeen {
		kept := p.sealed[:0]
		for i, old := range p.sealed {
			if i >= maxSeen/2 || i%2 == 0 {
				kept = append(kept, old)
			}
		}
		p.sealed = kept
	}
	p.sealed = append(p.sealed, s)
}

// forget drops what refers to files before oldest. The last of these stands for files behind it too that were thinned
// out, so it is kept as a note of the oldest file. p.mu is held.
func (p *Partition) forget(oldest uint64) {
	i := 0
	for i < len(p.sealed) && p.sealed[i].sequence < oldest {
		i++
	}
	if i > 0 && (i == len(p.sealed) || p.sealed[i].sequence > oldest) {
		i--
		p.sealed[i].sequence = oldest
	}
	p.sealed = p.sealed[i:]
	// A truncation only concerns files before its own.
	i = 0
	for i < len(p.kills) && p.kills[i].sequence <= oldest {
		i++
	}
	p.kills = p.kills[i:]
	if len(p.sealed) == 0 {
		p.sealed = nil
	}
	if len(p.kills) == 0 {
		p.kills = nil
	}
}

// oldest is the sequence of the oldest file.
func (l *Log) oldest() uint64 {
	fs := *l.files.Load()
	if len(fs) == 0 {
		return 0
	}
	return fs[0].sequence()
}
