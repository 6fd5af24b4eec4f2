package wal

import (
	"math"
	"sort"
)

// cursor walks the entries of one partition in offset order, through unsealed files in memory and sealed ones on
// disk. Each entry comes as truncations left it. close releases the file that it stands on.
type cursor struct {
	p      *Partition
	offset int64 // the next entry holds it
	file   *file // with a reference

	buf  [32]entry
	n, i int

	// In a sealed file: what is left of the run.
	x     *index
	at    uint32
	stop  uint32
	limit int64 // dead from here on

	skip func(dir) bool // see nextSkipping
}

// seekTo makes a cursor whose first entry holds offset.
func (p *Partition) seekTo(offset int64) cursor { return cursor{p: p, offset: offset} }

func (c *cursor) close() {
	if c.file != nil {
		c.file.release()
		c.file = nil
	}
	c.n, c.i, c.x = 0, 0, nil
}

// next returns the next entry and the file that holds it, which stays readable until the next call. ok is false
// at the durable log end.
func (c *cursor) next() (f *file, e entry, ok bool, err error) {
	for {
		if c.i < c.n {
			e = c.buf[c.i]
			c.i++
			c.offset = e.end()
			return c.file, e, true, nil
		}
		if c.x != nil && c.at < c.stop {
			if err := c.refill(); err != nil {
				return nil, e, false, err
			}
			continue
		}
		if ok, err := c.locate(); !ok || err != nil {
			return nil, e, false, err
		}
	}
}

// refill reads more entries of the sealed run that the cursor is in.
func (c *cursor) refill() error {
	n, err := c.file.entries(c.x, c.at, c.buf[:min(len(c.buf), int(c.stop-c.at))])
	if err != nil {
		return err
	}
	if n == 0 {
		c.at = c.stop
		return nil
	}
	c.at += uint32(n)
	for i := range n {
		e := &c.buf[i]
		if e.base >= c.limit {
			c.at = c.stop
			n = i
			break
		}
		if e.end() > c.limit {
			e.span = uint32(c.limit - e.base)
			e.flags |= entryPartial
		}
	}
	c.n, c.i = n, 0
	return nil
}

// locate finds the run that holds c.offset. ok is false at the end of the log.
func (c *cursor) locate() (ok bool, err error) {
	p := c.p
	c.close()
	for try := 0; ; try++ {
		p.mu.Lock()
		if c.offset >= p.end {
			p.mu.Unlock()
			return false, nil
		}
		if c.offset < p.start {
			p.mu.Unlock()
			return false, ErrBelowStart
		}
		if c.locateUnsealed() {
			p.mu.Unlock()
			return true, nil
		}
		from, to := p.candidates(c.offset)
		p.mu.Unlock()
		found, err := c.locateSealed(from, to)
		if found || err != nil {
			return found, err
		}
		// A truncation, a seal or a free may have moved it between the two looks; but not again and again,
		// because each of them needs a file to be filled meanwhile.
		if try == 3 {
			return false, p.hole(c.offset)
		}
	}
}

// locateUnsealed takes entries from memory. p.mu is held.
func (c *cursor) locateUnsealed() bool {
	runs := c.p.runs
	for i := len(runs) - 1; i >= 0; i-- {
		es := runs[i].entries
		if es[0].base > c.offset {
			continue
		}
		if es[len(es)-1].end() <= c.offset {
			return false
		}
		if !runs[i].file.tryAcquire() {
			return false
		}
		c.file = runs[i].file
		at := sort.Search(len(es), func(j int) bool { return es[j].end() > c.offset })
		c.n, c.i = copy(c.buf[:], es[at:]), 0
		return true
	}
	return false
}

// candidates bounds the sealed files that may hold offset: sequences [from, to). It is the first of them unless files
// behind it were forgotten. p.mu is held.
func (p *Partition) candidates(offset int64) (from, to uint64) {
	i := sort.Search(len(p.sealed), func(i int) bool { return p.sealed[i].first > offset })
	switch {
	case i == 0:
		return 0, 0
	case i < len(p.sealed):
		to = p.sealed[i].sequence
	case len(p.runs) > 0:
		to = p.runs[0].file.sequence()
	default:
		to = math.MaxUint64
	}
	return p.sealed[i-1].sequence, to
}

// locateSealed probes the files oldest first. Where a truncation let two of them hold the same offset, the older one's
// copy is dead, which enter knows.
func (c *cursor) locateSealed(from, to uint64) (bool, error) {
	fs := *c.p.log.files.Load()
	for i := sort.Search(len(fs), func(i int) bool { return fs[i].sequence() >= from }); i < len(fs); i++ {
		f := fs[i]
		if f.sequence() >= to {
			break
		}
		x := f.index.Load()
		if x == nil || !f.tryAcquire() {
			continue
		}
		found, err := c.enter(f, x)
		if found {
			return true, nil
		}
		f.release()
		if err != nil {
			return false, err
		}
	}
	return false, nil
}

// enter points the cursor into a sealed file if that holds c.offset.
func (c *cursor) enter(f *file, x *index) (bool, error) {
	d, ok, err := f.dirOf(x, c.p.ordinal)
	if err != nil || !ok || d.first > c.offset || d.end <= c.offset {
		return false, err
	}
	c.p.mu.Lock()
	limit := c.p.capOf(f.sequence())
	c.p.mu.Unlock()
	if limit <= c.offset {
		return false, nil
	}
	at, err := f.seek(x, d, c.offset)
	if err != nil || at >= d.firstEntry+d.count {
		return false, err
	}
	c.file, c.x, c.at, c.stop, c.limit = f, x, at, d.firstEntry+d.count, limit
	if c.skip != nil && at == d.firstEntry && limit >= d.end && c.skip(d) {
		c.at, c.offset = c.stop, d.end
	}
	return true, nil
}

// hole reports offsets that should be there and are in no file.
func (p *Partition) hole(offset int64) error {
	p.mu.Lock()
	to := p.end
	for _, r := range p.runs {
		if b := r.entries[0].base; b > offset {
			to = min(to, b)
		}
	}
	for _, s := range p.sealed {
		if s.first > offset {
			to = min(to, s.first)
		}
	}
	below := offset < p.start
	p.mu.Unlock()
	if below {
		return ErrBelowStart
	}
	p.log.m.corrupt.Inc()
	e := &CorruptError{ID: p.id, From: offset, To: to, Reason: "no file holds the offsets"}
	p.log.log.Error("wal is damaged", "partition", p.id.String(), "from", offset, "to", to, "reason", e.Reason)
	return e
}
