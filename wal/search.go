package wal

import (
	"errors"
	"math"
	"sort"

	"github.com/tidelinehq/tideline/internal/record"
)

// frame calls use with the verified payload of a batch frame, from the tail or from disk.
func (p *Partition) frame(f *file, e entry, use func(payload []byte) error) error {
	if e.flags&entryLost != 0 {
		return &CorruptError{File: f.name, Position: int64(e.position), ID: p.id, From: e.base, To: e.end(), Reason: "batches are lost"}
	}
	if b, s := p.log.tail.find(f.sequence(), int64(e.position)+frameHeaderSize, int(e.length)); s != nil {
		defer s.release()
		return use(b)
	}
	buf := getReadBuffer(frameHeaderSize + int(e.length))
	defer buf.release()
	if _, err := f.reader.ReadAt(buf.b, int64(e.position)); err != nil {
		return f.damaged(int64(e.position), p.id, e.base, e.end(), "frame cannot be read", err)
	}
	p.log.m.readBytes.Add(float64(len(buf.b)))
	payload, err := f.check(buf.b, e, p)
	if err != nil {
		return err
	}
	return use(payload)
}

// eachBatch calls fn with the live batches of a frame below limit, until it returns false.
func (p *Partition) eachBatch(f *file, e entry, limit int64, fn func(record.Batch) bool) error {
	return p.frame(f, e, func(payload []byte) error {
		for b := range record.All(payload) {
			if b == nil || b.NextOffset() > min(limit, e.end()) || !fn(b) {
				break
			}
		}
		return nil
	})
}

// Replay calls fn with the header (record.HeaderSize bytes, valid during the call) of each batch from the one that
// contains from to the log end. Bodies are neither read nor verified where that can be avoided. It returns fn's error,
// ErrBelowStart, or a *CorruptError.
func (p *Partition) Replay(from int64, fn func(header record.Batch) error) error {
	cur := p.seekTo(from)
	defer cur.close()
	var win window
	defer win.close()
	for {
		f, e, ok, err := cur.next()
		if err != nil || !ok {
			return err
		}
		if e.flags == 0 {
			b, err := win.header(p, f, e)
			if err != nil {
				return err
			}
			if err := fn(b); err != nil {
				return err
			}
			continue
		}
		var failed error
		err = p.eachBatch(f, e, math.MaxInt64, func(b record.Batch) bool {
			if b.NextOffset() <= from {
				return true
			}
			failed = fn(b[:record.HeaderSize:record.HeaderSize])
			return failed == nil
		})
		if failed != nil {
			return failed
		}
		if err != nil {
			return err
		}
	}
}

// window reads ahead while headers lie close together.
type window struct {
	file *file
	at   int64
	b    *readBuffer
	n    int
}

const (
	windowBytes = 64 << 10
	// windowFrame is the frame size from which reading ahead would mostly read bodies.
	windowFrame = 16 << 10
)

func (w *window) close() {
	if w.b != nil {
		w.b.release()
	}
}

// header returns the first batch header of a frame; the frame's own header is verified.
func (w *window) header(p *Partition, f *file, e entry) (record.Batch, error) {
	const need = frameHeaderSize + record.HeaderSize
	from := int64(e.position)
	if w.file != f || from < w.at || from+need > w.at+int64(w.n) {
		if w.b == nil {
			w.b = getReadBuffer(windowBytes)
		}
		w.n = blockSize
		if e.length < windowFrame {
			w.n = windowBytes
		}
		w.n = int(min(int64(w.n), f.size.Load()-from))
		if _, err := f.reader.ReadAt(w.b.b[:w.n], from); err != nil {
			w.n = 0
			return nil, f.damaged(from, p.id, e.base, e.end(), "frame header cannot be read", err)
		}
		w.file, w.at = f, from
	}
	b := w.b.b[from-w.at:]
	h, ok := parseFrameHeader(b, f.seed, from)
	batch := record.Batch(b[frameHeaderSize:need:need])
	if !ok || h.ordinal != p.ordinal || h.base != e.base || batch.BaseOffset() != e.base {
		return nil, f.damaged(from, p.id, e.base, e.end(), "frame header", nil)
	}
	return batch, nil
}

// FindTime returns the base offset of the first batch in [from, limit) whose greatest timestamp is ts or later.
func (p *Partition) FindTime(ts int64, from, limit int64) (base int64, ok bool, err error) {
	from = max(from, p.Start())
	cur := p.seekTo(from)
	defer cur.close()
	for {
		f, e, more, err := cur.nextSkipping(func(d dir) bool { return d.maxTime < ts && d.flags&entryLost == 0 })
		if err != nil || !more || e.base >= limit {
			return 0, false, err
		}
		if e.flags&entryLost == 0 && e.maxTime < ts {
			continue
		}
		if e.flags == 0 {
			return e.base, e.end() <= limit, nil
		}
		found := false
		err = p.eachBatch(f, e, limit, func(b record.Batch) bool {
			found = b.NextOffset() > from && timeOf(b) >= ts
			base = b.BaseOffset()
			return !found
		})
		if err != nil || found {
			return base, found, err
		}
	}
}

// MaxTime returns the first of the batches below limit that hold the greatest timestamp, and that timestamp. Damaged
// batches are passed over; ok is false when there is no batch.
func (p *Partition) MaxTime(limit int64) (base int64, ts int64, ok bool) {
	start := p.Start()
	cur := p.seekTo(start)
	defer cur.close()
	for {
		f, e, more, err := cur.nextSkipping(func(d dir) bool {
			if d.flags&(entryMulti|entryPartial|entryLost) != 0 || d.end > limit || d.first < start {
				return ok && d.maxTime <= ts
			}
			if !ok || d.maxTime > ts {
				base, ts, ok = d.maxTimeBase, d.maxTime, true
			}
			return true
		})
		if err != nil {
			p.log.log.Warn("wal passes over damage in search of the greatest timestamp", "partition", p.id.String(), "error", err)
			return base, ts, ok
		}
		if !more || e.base >= limit {
			return base, ts, ok
		}
		if e.flags&entryLost != 0 || ok && e.maxTime <= ts {
			continue
		}
		if e.flags == 0 {
			if e.end() <= limit {
				base, ts, ok = e.base, e.maxTime, true
			}
			continue
		}
		err = p.eachBatch(f, e, limit, func(b record.Batch) bool {
			if b.NextOffset() > start && (!ok || timeOf(b) > ts) {
				base, ts, ok = b.BaseOffset(), timeOf(b), true
			}
			return true
		})
		if err != nil {
			p.log.log.Warn("wal passes over damage in search of the greatest timestamp", "partition", p.id.String(), "error", err)
		}
	}
}

// Cut returns the greatest batch boundary up to limit that has at most maxBytes of batches between from and it, and
// these bytes; but at least one batch, if one ends by limit. Without any, to is from.
func (p *Partition) Cut(from, limit, maxBytes int64) (to int64, bytes int64, err error) {
	cur := p.seekTo(from)
	defer cur.close()
	to = from
	for to < limit {
		f, e, more, err := cur.nextSkipping(func(d dir) bool {
			if d.flags&(entryPartial|entryLost) != 0 || d.first < from || d.end > limit || bytes+d.bytes > maxBytes {
				return false
			}
			bytes += d.bytes
			to = d.end
			return true
		})
		if err != nil || !more || e.base >= limit {
			return to, bytes, err
		}
		if e.flags&(entryMulti|entryPartial|entryLost) == 0 || e.flags == entryMulti && e.base >= from && e.end() <= limit && bytes+int64(e.length) <= maxBytes {
			if e.end() > limit || to > from && bytes+int64(e.length) > maxBytes {
				return to, bytes, nil
			}
			to, bytes = e.end(), bytes+int64(e.length)
			continue
		}
		full := false
		err = p.eachBatch(f, e, limit, func(b record.Batch) bool {
			if b.NextOffset() <= from {
				return true
			}
			if to > from && bytes+int64(b.Size()) > maxBytes {
				full = true
				return false
			}
			to, bytes = b.NextOffset(), bytes+int64(b.Size())
			return true
		})
		if err != nil || full || e.end() > limit {
			return to, bytes, err
		}
	}
	return to, bytes, nil
}

// Bytes returns how many bytes of batches the log holds from its start on. It looks into one or a few files, however many
// the log spans. After a truncation that reached into a sealed file it may count a part of that file too much.
func (p *Partition) Bytes() (int64, error) {
	for {
		from, to, behind := p.remembered()
		if from >= to {
			return behind, nil
		}
		_, n, err := p.Cut(from, to, math.MaxInt64)
		if errors.Is(err, ErrBelowStart) && p.Start() > from {
			continue // the start has moved on
		}
		return n + behind, err
	}
}

// remembered returns the start, the first remembered place behind it, and how many bytes there are behind that.
func (p *Partition) remembered() (start, place, behind int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	i := sort.Search(len(p.sealed), func(i int) bool { return p.sealed[i].first >= p.start })
	if i < len(p.sealed) {
		return p.start, p.sealed[i].first, p.total - p.sealed[i].before
	}
	i = sort.Search(len(p.runs), func(i int) bool { return p.runs[i].entries[0].base >= p.start })
	if i < len(p.runs) {
		return p.start, p.runs[i].entries[0].base, p.total - p.runs[i].before
	}
	return p.start, p.end, 0
}

// nextSkipping is next, but offers the rest of a sealed file's run as a whole first, when the cursor enters it at
// its first entry and no truncation reaches into it. skip returns true to pass over it.
func (c *cursor) nextSkipping(skip func(d dir) bool) (f *file, e entry, ok bool, err error) {
	c.skip = skip
	defer func() { c.skip = nil }()
	return c.next()
}
