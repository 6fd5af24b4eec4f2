package wal_test

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"

	"github.com/tidelinehq/tideline/internal/record"
	"github.com/tidelinehq/tideline/wal"
)

// The model knows, for each partition, the frames that were submitted in order. What a log recovers must be the
// outcome of some prefix of them, at least as long as what was acknowledged.

type eventKind int

const (
	evCreate eventKind = iota
	evAppend
	evState
	evTruncate
	evReset // SetStart above the end
	evDrop
)

type event struct {
	kind  eventKind
	base  int64 // create, append, truncate, reset: an offset
	end   int64 // append: next offset; state: what it covers
	bytes []byte
}

// outcome is what a prefix of events leaves.
type outcome struct {
	exists  bool
	origin  int64 // nothing below was ever readable
	end     int64
	batches []event // appends, some maybe cut away
	state   []byte
	covers  int64
}

func (o *outcome) apply(e event) {
	switch e.kind {
	case evCreate:
		*o = outcome{exists: true, origin: e.base, end: e.base, covers: e.base}
	case evAppend:
		o.batches = append(o.batches[:len(o.batches):len(o.batches)], e)
		o.end = e.end
	case evState:
		o.state, o.covers = e.bytes, e.end
	case evTruncate:
		n := len(o.batches)
		for n > 0 && o.batches[n-1].end > e.base {
			n--
		}
		o.batches = o.batches[:n:n]
		o.end, o.state, o.covers = e.base, e.bytes, e.base
		o.origin = min(o.origin, e.base)
	case evReset:
		o.batches, o.origin, o.end, o.state, o.covers = nil, e.base, e.base, nil, e.base
	case evDrop:
		*o = outcome{}
	}
}

type history struct {
	events []event
	acked  int   // events that must survive
	start  int64 // greatest start asked for
}

func (h *history) after(n int) outcome {
	var o outcome
	for _, e := range h.events[:n] {
		o.apply(e)
	}
	return o
}

func (h *history) clone() *history {
	return &history{events: h.events[:len(h.events):len(h.events)], acked: h.acked, start: h.start}
}

// matches compares a recovered partition (nil: absent) with the outcome of every allowed prefix, longest first, and
// returns the length of the one it is.
func (h *history) matches(p *wal.Partition, acked int) (int, error) {
	var why error
	for n := len(h.events); n >= acked; n-- {
		o := h.after(n)
		err := o.compare(p, h.start)
		if err == nil {
			return n, nil
		}
		why = errors.Join(why, fmt.Errorf("prefix %d of %d..%d: %w", n, acked, len(h.events), err))
	}
	return 0, why
}

func (o *outcome) compare(p *wal.Partition, maxStart int64) error {
	if p == nil || !o.exists {
		if p == nil && !o.exists {
			return nil
		}
		return fmt.Errorf("exists=%v, want %v", p != nil, o.exists)
	}
	start, end := p.Start(), p.End()
	if end != o.end {
		return fmt.Errorf("end=%d, want %d", end, o.end)
	}
	if start > max(maxStart, o.origin) || start < o.origin {
		return fmt.Errorf("start=%d, want %d..%d", start, o.origin, maxStart)
	}
	state, covers := p.State()
	if !bytes.Equal(state, o.state) || covers != max(o.covers, start) {
		return fmt.Errorf("state %q covers %d, want %q covers %d", state, covers, o.state, o.covers)
	}
	at := start
	for _, b := range o.batches {
		if b.end <= start {
			continue
		}
		want := b.bytes
		for first := true; at < b.end; first = false {
			c, err := p.Read(at, b.end, 1+int(at%3)*2000, true)
			if err != nil {
				return fmt.Errorf("read %d: %w", at, err)
			}
			if c.Bytes == 0 {
				c.Release()
				return fmt.Errorf("read %d of %d..%d: nothing", at, b.base, b.end)
			}
			if first && c.Base > b.base { // the start lies inside the frame
				want = want[len(want)-len(tailFrom(b.bytes, c.Base)):]
			}
			for _, got := range c.Buffers {
				if !bytes.HasPrefix(want, got) {
					c.Release()
					return fmt.Errorf("read %d: %d bytes differ from what was appended at %d..%d", at, len(got), b.base, b.end)
				}
				want = want[len(got):]
			}
			at = c.NextOffset
			c.Release()
		}
	}
	if at != end && len(o.batches) > 0 && o.batches[len(o.batches)-1].end > start {
		return fmt.Errorf("batches end at %d, log at %d", at, end)
	}
	return nil
}

// tailFrom cuts the batches below offset away.
func tailFrom(b []byte, offset int64) []byte {
	for len(b) > 0 && record.Batch(b).NextOffset() <= offset {
		b = b[record.Batch(b).Size():]
	}
	return b
}

// driver plays random operations against a log and keeps the model. Its mutex is the owner's partition lock.
type driver struct {
	r    *rand.Rand
	tag  byte
	mu   sync.Mutex
	cond *sync.Cond
	l    *wal.Log

	hist     map[wal.ID]*history
	parts    map[wal.ID]*wal.Partition
	inFlight int
	fatal    error
	serial   int
	maxBatch int
}

func newDriver(seed uint64) *driver {
	d := &driver{r: rand.New(rand.NewPCG(seed, 7)), hist: map[wal.ID]*history{}, parts: map[wal.ID]*wal.Partition{}, maxBatch: 3000}
	d.cond = sync.NewCond(&d.mu)
	return d
}

// attach takes over what a log recovered, which must match the model, and cuts the model down to it. acked overrides
// how much must have survived.
func (d *driver) attach(l *wal.Log, acked func(*history) int) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.l = l
	found := map[wal.ID]*wal.Partition{}
	for _, p := range l.Partitions() {
		found[p.ID()] = p
	}
	for id, h := range d.hist {
		p := found[id]
		n, err := h.matches(p, acked(h))
		if err != nil {
			return fmt.Errorf("partition %s: %w", id, err)
		}
		h.events, h.acked = h.events[:n:n], n
		delete(found, id)
		if p != nil {
			d.parts[id] = p
		} else {
			delete(d.parts, id)
		}
	}
	for id := range found {
		return fmt.Errorf("partition %s came from nowhere", id)
	}
	return nil
}

func ackedOf(h *history) int { return h.acked }

// op is one append or truncation in flight; index is its place in the events.
type op struct {
	d     *driver
	h     *history
	index int
	a     wal.Append
}

func (o *op) AppendDone(_ *wal.Append, err error) { o.done(err) }

func (o *op) done(err error) {
	o.d.mu.Lock()
	defer o.d.mu.Unlock()
	if err == nil {
		o.h.acked = max(o.h.acked, o.index+1)
	} else if !errors.Is(err, wal.ErrDropped) {
		o.d.fatal = err
	}
	o.d.inFlight--
	o.d.cond.Broadcast()
}

func (d *driver) roll(ps []*wal.Partition) {
	for _, p := range ps {
		d.mu.Lock()
		if d.parts[p.ID()] == p {
			d.state(p)
		}
		d.mu.Unlock()
	}
}

// state appends one; d.mu is held.
func (d *driver) state(p *wal.Partition) {
	h := d.hist[p.ID()]
	d.serial++
	payload := fmt.Appendf(nil, "state-%d-%d", d.tag, d.serial)
	h.events = append(h.events, event{kind: evState, end: d.next(h), bytes: payload})
	p.AppendState(payload)
}

func (d *driver) next(h *history) int64 {
	o := h.after(len(h.events))
	return o.end
}

// step does one random thing; it returns an error when the log is over.
func (d *driver) step(parts int) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.fatal != nil {
		return d.fatal
	}
	pid := id(d.r.IntN(parts))
	h := d.hist[pid]
	if h == nil {
		h = &history{}
		d.hist[pid] = h
	}
	p := d.parts[pid]
	if p == nil {
		start := int64(d.r.IntN(3) * 100)
		var err error
		h.events = append(h.events, event{kind: evCreate, base: start})
		h.start = max(h.start, start)
		if p, err = d.l.Partition(pid, start); err != nil {
			return err
		}
		d.parts[pid] = p
		return nil
	}
	switch k := d.r.IntN(100); {
	case k < 80: // append one to three batches
		next := d.next(h)
		var all []byte
		var evs []event
		for range 1 + d.r.IntN(3) {
			n := 1 + d.r.IntN(4)
			d.serial++
			b := batch(next, n, 80+d.r.IntN(d.maxBatch), int64(d.serial), byte(d.serial)^d.tag)
			evs = append(evs, event{kind: evAppend, base: next, end: next + int64(n), bytes: b})
			all = append(all, b...)
			next += int64(n)
		}
		o := &op{d: d, h: h, index: len(h.events) + len(evs) - 1}
		o.a = wal.Append{Batches: all, Done: o}
		// A torn group may keep a part of a split append, never of a frame; these are one frame each.
		joined := evs[0]
		joined.end, joined.bytes = evs[len(evs)-1].end, all
		if len(evs) > 1 {
			o.index = len(h.events)
			h.events = append(h.events, joined)
		} else {
			h.events = append(h.events, evs...)
		}
		d.inFlight++
		if err := p.Append(&o.a); err != nil {
			d.inFlight--
			h.events = append([]event(nil), h.events[:len(h.events)-1]...) // copies of the model share the array
			if !errors.Is(err, wal.ErrFull) {
				return err
			}
			p.SetStart(d.raise(h, p, 0))
		}
	case k < 86:
		d.state(p)
	case k < 90:
		o := h.after(len(h.events))
		low := max(p.Start(), o.origin)
		if len(o.batches) == 0 {
			break
		}
		to := o.batches[d.r.IntN(len(o.batches))].base
		if to < low {
			break
		}
		d.serial++
		payload := fmt.Appendf(nil, "trunc-%d-%d", d.tag, d.serial)
		t := &op{d: d, h: h, index: len(h.events)}
		h.events = append(h.events, event{kind: evTruncate, base: to, bytes: payload})
		d.inFlight++
		p.Truncate(to, payload, func(err error) { go t.done(err) })
	case k < 98:
		if s := d.raise(h, p, int64(d.r.IntN(20))); s > p.Start() {
			p.SetStart(s)
		}
	case k < 99:
		next := d.next(h) + 10
		h.events = append(h.events, event{kind: evReset, base: next})
		h.start = max(h.start, next)
		p.SetStart(next)
	default:
		h.events = append(h.events, event{kind: evDrop})
		delete(d.parts, pid)
		p.Drop()
	}
	return nil
}

// raise picks a start below the durable end, as an owner would whose log is tiered up to there.
func (d *driver) raise(h *history, p *wal.Partition, keep int64) int64 {
	s := max(p.Start(), p.End()-keep)
	o := h.after(h.acked)
	if !o.exists || s > o.end || s > d.next(h) {
		return p.Start()
	}
	h.start = max(h.start, s)
	return s
}

// settle waits until nothing is in flight.
func (d *driver) settle() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	for d.inFlight > 0 && d.fatal == nil {
		d.cond.Wait()
	}
	return d.fatal
}

// snapshot copies the model, so that it can be held against a disk cloned right after.
func (d *driver) snapshot() map[wal.ID]int {
	d.mu.Lock()
	defer d.mu.Unlock()
	acked := make(map[wal.ID]int, len(d.hist))
	for id, h := range d.hist {
		acked[id] = h.acked
	}
	return acked
}

func (d *driver) histories() map[wal.ID]*history {
	d.mu.Lock()
	defer d.mu.Unlock()
	hs := make(map[wal.ID]*history, len(d.hist))
	for id, h := range d.hist {
		hs[id] = h.clone()
	}
	return hs
}
