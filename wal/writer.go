package wal

import (
	"fmt"
	"runtime"
	"sync/atomic"
	"time"

	"github.com/tidelinehq/tideline/internal/vfs"
)

// group is what one write and one sync make durable.
type group struct {
	file   *file
	writes []write
	placed []placed
	ops    *op // barriers and skipped copies, which have no frame
	bytes  int64
	frames int
	sync   bool
	last   bool // the file ends here
	traced bool // there are appends with a Trace

	written, durable time.Time // when its write began, and when it was done
}

// write is a range of a slab that goes to disk.
type write struct {
	slab     *slab
	from, to int
}

// placed is a frame in a group.
type placed struct {
	op   *op
	e    entry
	done bool // the op's last frame
}

// writer is the one goroutine that writes frames. It takes all that is queued, lays the frames into a slab,
// writes and syncs, and hands the group to the completer, while the next group gathers in the queue.
type writer struct {
	l        *Log
	file     *file
	slab     *slab
	from     int // of the current write in the slab
	started  bool
	backlog  *op    // taken and not laid
	tailOp   *op    // the last of backlog
	lost     *group // could not be written
	unsynced bool   // the last group went without a sync

	groups  chan *group // free ones; their number bounds the groups in flight
	pending atomic.Int32
}

// groupsInFlight lets one group be completed while the next is written.
const groupsInFlight = 3

func newWriter(l *Log) *writer {
	w := &writer{l: l, groups: make(chan *group, groupsInFlight)}
	for range groupsInFlight {
		w.groups <- new(group)
	}
	return w
}

// run ends when the log is closed and everything queued is on disk, or when a write has failed.
func (w *writer) run() {
	closing := false
	for {
		w.fetch()
		if w.backlog == nil {
			if closing {
				w.adopt(w.l.queue.shut())
				if w.backlog == nil {
					break
				}
			} else {
				select {
				case <-w.l.queue.wake:
				case <-w.l.quit:
					closing = true
				case <-w.l.dead:
					w.abandon(*w.l.failed.Load())
					return
				}
				continue
			}
		}
		if err := w.group(); err != nil {
			w.abandon(err)
			return
		}
		// Those who were just answered, and whose next requests have arrived, come first: what they append shares
		// the next sync. Without anybody else to run this costs nothing.
		runtime.Gosched()
	}
	if err := w.l.failed.Load(); err != nil {
		w.abandon(*err)
		return
	}
	if w.file != nil {
		if err := w.finish(); err != nil {
			w.abandon(err)
			return
		}
	}
	w.dropSlab()
}

// fetch moves what is queued to the end of the backlog.
func (w *writer) fetch() { w.adopt(w.l.queue.take()) }

func (w *writer) adopt(first *op) {
	if first == nil {
		return
	}
	if w.backlog == nil {
		w.backlog = first
	} else {
		w.tailOp.next = first
	}
	for first.next != nil {
		first = first.next
	}
	w.tailOp = first
}

// abandon completes everything with the error: nothing can be written any more.
func (w *writer) abandon(err error) {
	w.adopt(w.l.queue.shut())
	inFlight := groupsInFlight
	if w.lost != nil {
		inFlight--
	}
	for range inFlight { // what was written before completes first
		<-w.groups
	}
	if g := w.lost; g != nil {
		for i := range g.placed {
			if pl := &g.placed[i]; pl.done {
				w.l.queue.settle(pl.op)
				pl.op.finish(err)
			}
		}
		w.finishAll(g.ops, err)
		for _, wr := range g.writes {
			wr.slab.release()
		}
	}
	w.finishAll(w.backlog, err)
	w.backlog = nil
	w.dropSlab()
}

// finishAll completes a list of ops.
func (w *writer) finishAll(o *op, err error) {
	for o != nil {
		next := o.next
		w.l.queue.settle(o)
		o.finish(err)
		o = next
	}
}

// group lays, writes and syncs one group. The error is final.
func (w *writer) group() error {
	if w.file == nil {
		f, err := w.l.prepare.await(w.l.quit)
		if err != nil {
			return err
		}
		w.file = f
		w.l.mu.Lock()
		w.l.editFiles(func(fs files) files { return append(fs, f) })
		w.l.mu.Unlock()
		w.l.used.Add(f.pos)
		w.fetch()
	}
	g := <-w.groups
	g.file, g.sync = w.file, w.l.opts.Sync == SyncAlways
	for w.backlog != nil && g.bytes < maxGroupBytes {
		o := w.backlog
		fit, done := w.lay(g, o)
		if !fit {
			g.last = true
			break
		}
		if done {
			w.backlog = o.next
		}
	}
	return w.flush(g)
}

// finish ends the open file, so that the next start finds it sealed.
func (w *writer) finish() error {
	g := <-w.groups
	g.file, g.sync, g.last = w.file, true, true
	return w.flush(g)
}

// lay puts an op's frames into the group. fit is false when the file is full, done when nothing of the op is
// left to lay.
func (w *writer) lay(g *group, o *op) (fit, done bool) {
	p := o.p
	switch o.kind {
	case opBatches:
		for {
			pc := &o.one
			if o.pieces != nil {
				pc = &o.pieces[0]
			}
			newDir := 0
			if p.dirFile != w.file.sequence() {
				newDir = 1
			}
			if !w.fits(pc.n, 0, newDir, 1) {
				return false, false
			}
			p.dirFile = w.file.sequence()
			w.file.dirCount += newDir
			w.file.entryCount++
			position := w.place(g, frameHeader{typ: frameBatches, ordinal: p.ordinal, epoch: pc.epoch,
				span: uint32(pc.end - pc.base), base: pc.base, payloadCRC: pc.crc}, o.payload[:pc.n])
			e := entry{base: pc.base, maxTime: pc.maxTime, position: position, length: uint32(pc.n),
				span: uint32(pc.end - pc.base), flags: pc.flags}
			o.payload = o.payload[pc.n:]
			last := len(o.payload) == 0
			g.traced = g.traced || last && o.append.Trace != nil
			g.placed = append(g.placed, placed{o, e, last})
			if p.lay(w.file.sequence(), e) && last {
				if ahead, ok := o.append.Done.(Ahead); ok {
					ahead.AppendLaid(o.append)
				}
			}
			if last {
				return true, true
			}
			o.pieces = o.pieces[1:]
			if g.bytes >= maxGroupBytes {
				return true, false
			}
		}
	case opState, opTruncate, opCopy:
		if o.kind == opCopy && (p.gone || p.anchorFile != o.from.sequence) {
			break // a newer anchor or a drop was laid since, in this group or before
		}
		if !w.fits(len(o.payload), 1, 0, 0) {
			return false, false
		}
		w.file.metaCount++
		p.anchorFile = w.file.sequence()
		typ := frameState
		if o.kind == opTruncate {
			typ = frameTruncate
			// A file that is sealed from now on leaves the dead frames out of its index, so the truncation must not
			// be lost where SyncOS could lose it.
			g.sync = true
		}
		position := w.place(g, frameHeader{typ: typ, ordinal: p.ordinal, base: o.body.end, payloadCRC: o.one.crc}, o.payload)
		g.placed = append(g.placed, placed{o, entry{position: position, length: uint32(len(o.payload))}, true})
		return true, true
	case opDrop:
		if !w.fits(0, 1, 0, 0) {
			return false, false
		}
		w.file.metaCount++
		p.gone = true
		position := w.place(g, frameHeader{typ: frameDrop, ordinal: p.ordinal}, nil)
		g.placed = append(g.placed, placed{o, entry{position: position}, true})
		return true, true
	case opBarrier:
		g.sync = true
	}
	// The op needs no frame of its own; it completes with the group.
	w.backlog = o.next
	o.next = g.ops
	g.ops = o
	return true, false
}

// fits tells whether the file takes a frame with that payload and still has room for an end frame and the index.
func (w *writer) fits(payload, metas, dirs, entries int) bool {
	f := w.file
	end := alignBlock(alignBlock(f.pos)+frameSize(payload)) + blockSize
	return end+indexBytes(f.metaCount+metas, f.dirCount+dirs, f.entryCount+entries) <= f.size.Load()
}

// place copies a frame into the slab and returns its position in the file.
func (w *writer) place(g *group, h frameHeader, payload []byte) uint32 {
	f := w.file
	need := int(frameSize(len(payload)))
	if w.slab == nil || w.slab.sequence != f.sequence() || w.slab.used+need > len(w.slab.buf) {
		w.cutWrite(g)
		w.dropSlab()
		w.slab = w.l.tail.take(f.sequence(), f.pos, need)
		w.from = 0
	}
	if !w.started {
		w.started = true
		h.flags |= flagGroup
	}
	s := w.slab
	h.length, h.position = uint32(len(payload)), uint32(f.pos)
	b := s.buf[s.used : s.used+need]
	h.put(b, f.seed)
	n := frameHeaderSize + copy(b[frameHeaderSize:], payload)
	clear(b[n:])
	s.used += need
	f.pos += int64(need)
	g.bytes += int64(need)
	g.frames++
	return h.position
}

// cutWrite pads what was laid to a whole block and adds it to the group's writes.
func (w *writer) cutWrite(g *group) {
	s := w.slab
	if s == nil || s.used == w.from {
		return
	}
	if rest := int(alignBlock(int64(s.used))) - s.used; rest > 0 {
		b := s.buf[s.used : s.used+rest]
		clear(b)
		if rest >= frameHeaderSize {
			n := rest - frameHeaderSize
			h := frameHeader{typ: framePad, length: uint32(n), position: uint32(w.file.pos), payloadCRC: zeroCRC[n]}
			h.put(b, w.file.seed)
		}
		s.used += rest
		w.file.pos += int64(rest)
	}
	s.acquire()
	g.writes = append(g.writes, write{s, w.from, s.used})
	w.from = s.used
}

func (w *writer) dropSlab() {
	if w.slab != nil {
		w.slab.release()
		w.slab = nil
	}
}

// flush writes and syncs the group, and hands it to be completed.
func (w *writer) flush(g *group) error {
	l, f := w.l, w.file
	if g.last {
		w.place(g, frameHeader{typ: frameEnd, payloadCRC: zeroCRC[0]}, nil)
		f.dataEnd = f.pos
		g.sync = true // the next file must not outlive what this one still owes
	}
	w.cutWrite(g)
	w.started = false
	began := time.Now()
	var written int64
	// One system call less, where the group is one write and nothing before it waits for a sync.
	fused, _ := f.writer.(vfs.SyncWriter)
	if len(g.writes) != 1 || !g.sync || w.unsynced {
		fused = nil
	}
	for _, wr := range g.writes {
		position := wr.slab.position + int64(wr.from)
		var err error
		if b := wr.slab.buf[wr.from:wr.to]; fused != nil {
			_, err = fused.WriteAtSync(b, position)
		} else {
			_, err = f.writer.WriteAt(b, position)
		}
		if err != nil {
			return w.broken(g, fmt.Errorf("write file=%s position=%d bytes=%d: %w", f.name, position, wr.to-wr.from, err))
		}
		written += int64(wr.to - wr.from)
	}
	wrote := time.Now()
	g.written, g.durable = began, wrote
	if fused == nil {
		l.m.writeSeconds.Observe(wrote.Sub(began).Seconds())
	} else {
		l.m.syncSeconds.Observe(wrote.Sub(began).Seconds())
	}
	w.unsynced = !g.sync
	if g.sync && fused == nil {
		if err := f.writer.Sync(); err != nil {
			return w.broken(g, fmt.Errorf("sync file=%s: %w", f.name, err))
		}
		g.durable = time.Now()
		l.m.syncSeconds.Observe(g.durable.Sub(wrote).Seconds())
	}
	if err := l.failed.Load(); err != nil {
		w.lost = g
		return *err
	}
	l.m.writtenBytes.Add(float64(written))
	l.m.groupBytes.Observe(float64(g.bytes))
	l.m.frames.Add(float64(g.frames))
	l.used.Add(written)
	if g.last {
		l.used.Add(f.size.Load() - f.pos)
		w.file = nil
		w.dropSlab()
	}
	// A lone append is completed right here, which saves a hand-over between goroutines. When more is waiting, or
	// the completer still has a group, the completer takes it and the next write starts at once.
	if w.pending.Load() == 0 && !g.last && w.backlog == nil && l.queue.head.Load() == nil {
		w.complete(g)
		return nil
	}
	w.pending.Add(1)
	l.groups <- g
	return nil
}

// broken ends the log's life because of a group that is lost.
func (w *writer) broken(g *group, err error) error {
	w.lost = g
	w.l.fail(err)
	return *w.l.failed.Load()
}

// completeLoop completes groups in order.
func (w *writer) completeLoop() {
	for g := range w.l.groups {
		w.complete(g)
		w.pending.Add(-1)
	}
	close(w.l.seals)
}

// complete makes a group readable and tells the owners.
func (w *writer) complete(g *group) {
	l, f := w.l, g.file
	if g.traced {
		w.trace(g) // the appends are their owners' again in a moment
	}
	anchors, bytes := false, 0
	for i := range g.placed {
		pl := &g.placed[i]
		o := pl.op
		p := o.p
		switch o.kind {
		case opBatches:
			p.publish(f, pl.e)
			bytes += int(pl.e.length)
		case opState, opTruncate, opCopy:
			at := place{f.sequence(), pl.e.position, pl.e.length}
			typ := frameState
			if o.kind == opTruncate {
				typ = frameTruncate
			}
			f.metas = append(f.metas, meta{p.ordinal, at.position, at.length, typ, o.body})
			p.settleAnchor(at, o.body, o.lowers)
			anchors = true
		case opDrop:
			f.metas = append(f.metas, meta{ordinal: p.ordinal, position: pl.e.position, typ: frameDrop,
				body: anchorBody{id: p.id, keep: -1}})
		}
		if pl.done {
			l.queue.settle(o)
			o.finish(nil)
		}
	}
	w.finishAll(g.ops, nil)
	l.m.appendedBytes.Add(float64(bytes))
	l.room.grew() // after the queue's counts went down, or a waiter could miss it
	last := g.last
	w.recycle(g)
	if last {
		l.seals <- f
	}
	if anchors {
		l.free.kick()
	}
}

// recycle returns an emptied group to the writer.
func (w *writer) recycle(g *group) {
	for _, wr := range g.writes {
		wr.slab.release()
	}
	clear(g.writes)
	clear(g.placed)
	*g = group{writes: g.writes[:0], placed: g.placed[:0]}
	w.groups <- g
}
