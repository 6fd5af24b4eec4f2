package wal

import (
	"fmt"
)

// freeState is how far the freer has come with the oldest file. Death is final for a frame, so the directory is
// walked once in total, however often owners raise their starts.
type freeState struct {
	next    uint32     // directory records before it are dead
	blocker *Partition // owner of record next
	until   int64      // its start must reach this
	dead    bool
	broken  bool // the directory cannot be read
}

// freer frees files, oldest first.
type freer struct {
	l    *Log
	wake chan struct{}
}

// copyBatch bounds what is copied forward at once: frames and bytes that the writer gets in its queue.
const (
	copyBatchFrames = 1024
	copyBatchBytes  = 1 << 20
)

func newFreer(l *Log) *freer { return &freer{l: l, wake: make(chan struct{}, 1)} }

func (r *freer) kick() {
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

func (r *freer) run() {
	for {
		select {
		case <-r.wake:
		case <-r.l.quit:
			return
		}
		for {
			freed, err := r.freeOldest()
			if err != nil {
				if r.l.failed.Load() == nil {
					r.l.log.Warn("wal could not free its oldest file", "error", err)
				}
				break
			}
			if !freed {
				break
			}
		}
	}
}

// freeOldest frees the oldest file if nothing in it lives.
func (r *freer) freeOldest() (bool, error) {
	l := r.l
	fs := *l.files.Load()
	if len(fs) == 0 {
		return false, nil
	}
	f := fs[0]
	x := f.index.Load()
	if x == nil {
		return false, nil
	}
	if dead, err := r.dead(f, x); !dead || err != nil {
		return false, err
	}
	if ok, err := r.carry(f, x); !ok || err != nil {
		l.m.freeable.Set(float64(f.size.Load()))
		return false, err
	}
	// What made the file superfluous (a newer anchor, a drop) must be durable before the file goes.
	if err := r.barrier(); err != nil {
		return false, err
	}
	l.mu.Lock()
	l.editFiles(func(fs files) files { return fs[1:] })
	l.mu.Unlock()
	l.used.Add(-f.size.Load())
	l.room.grew()
	l.m.freed.Inc()
	l.m.freeable.Set(0)
	f.release()
	return true, nil
}

// dead tells whether no batch frame of the file can be read any more.
func (r *freer) dead(f *file, x *index) (bool, error) {
	s := &f.free
	if s.dead {
		return true, nil
	}
	if b := s.blocker; b != nil && b.holds(f, s.until) {
		return false, nil
	}
	s.blocker = nil
	if s.broken {
		return r.deadBlind(f), nil
	}
	next, err := f.eachDir(x, s.next, func(d dir) bool {
		r.l.mu.Lock()
		p := r.l.ordinals[d.ordinal]
		r.l.mu.Unlock()
		if p == nil {
			return true
		}
		if until := p.deadAt(f, d); until > 0 {
			s.blocker, s.until = p, until
			return false
		}
		return true
	})
	s.next = next
	if err != nil {
		s.broken = true
		return r.deadBlind(f), nil
	}
	s.dead = s.blocker == nil
	return s.dead, nil
}

// deadAt returns the start at which the directory record's frames are dead, or 0 when they are.
func (p *Partition) deadAt(f *file, d dir) int64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	limit := p.capOf(f.sequence())
	if p.dropped || limit <= d.first || p.start >= min(limit, d.end) {
		return 0
	}
	return min(limit, d.end)
}

// holds tells whether p still needs the file below offset until.
func (p *Partition) holds(f *file, until int64) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return !p.dropped && p.start < min(until, p.capOf(f.sequence()))
}

// deadBlind answers for a file whose directory is damaged: it is dead when every partition's start has reached
// what lies in newer files.
func (r *freer) deadBlind(f *file) bool {
	for _, p := range r.l.Partitions() {
		p.mu.Lock()
		first := p.end
		for _, s := range p.sealed {
			if s.sequence > f.sequence() {
				first = min(first, s.first)
			}
		}
		for _, u := range p.runs {
			first = min(first, u.entries[0].base)
		}
		lives := p.start < first
		p.mu.Unlock()
		if lives {
			return false
		}
	}
	return true
}

// carry copies the newest anchors that lie in the file forward. ok is false when it is not worth it yet.
func (r *freer) carry(f *file, x *index) (ok bool, err error) {
	l := r.l
	var movers []meta
	bytes := int64(0)
	err = f.eachMeta(x, func(m meta) {
		l.mu.Lock()
		p := l.ordinals[m.ordinal]
		l.mu.Unlock()
		if p == nil || m.typ == frameDrop {
			return
		}
		p.mu.Lock()
		newest := p.anchor.sequence == f.sequence() && p.anchor.position == m.position
		p.mu.Unlock()
		if newest {
			movers = append(movers, m)
			bytes += frameSize(int(m.length))
		}
	})
	if err != nil {
		return false, fmt.Errorf("file=%s holds anchors that cannot be listed: %w", f.name, err)
	}
	// A hundred thousand idle partitions are some ten megabytes, which every freed file would move again. While
	// there is plenty of room the file stays instead.
	if bytes > f.head.size/16 && l.used.Load() < l.opts.MaxBytes/2 {
		return false, nil
	}
	for len(movers) > 0 {
		n, bytes := 0, int64(0)
		for n < len(movers) && n < copyBatchFrames && (n == 0 || bytes < copyBatchBytes) {
			bytes += frameSize(int(movers[n].length))
			n++
		}
		if err := r.carryBatch(f, movers[:n]); err != nil {
			return false, err
		}
		movers = movers[n:]
	}
	return true, nil
}

func (r *freer) carryBatch(f *file, movers []meta) error {
	l := r.l
	results := make(chan error, len(movers))
	sent := 0
	for _, m := range movers {
		l.mu.Lock()
		p := l.ordinals[m.ordinal]
		l.mu.Unlock()
		if p == nil {
			continue
		}
		at := place{f.sequence(), m.position, m.length}
		body := anchorBody{id: p.id, end: m.body.end, keep: -1}
		state, err := f.readAnchor(at, p)
		if err != nil {
			state, body.end = nil, 0 // covers nothing: the owner will replay from its start
		}
		p.mu.Lock()
		body.start = p.start
		p.mu.Unlock()
		o := p.anchorOp(opCopy, body, state, func(err error) { results <- err })
		o.from = at
		if !l.queue.push(o) {
			return l.stateOr(ErrClosed)
		}
		sent++
	}
	for range sent {
		if err := <-results; err != nil {
			return err
		}
	}
	l.m.carried.Add(float64(sent))
	return nil
}

// barrier waits until everything queued so far is synced.
func (r *freer) barrier() error {
	done := make(chan error, 1)
	if !r.l.queue.push(&op{kind: opBarrier, done: func(err error) { done <- err }}) {
		return r.l.stateOr(ErrClosed)
	}
	return <-done
}
