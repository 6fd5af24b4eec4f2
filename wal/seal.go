package wal

import (
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/tidelinehq/tideline/internal/vfs"
)

// sealLoop gives full files their index, in order.
func (l *Log) sealLoop() {
	for f := range l.seals {
		if l.failed.Load() != nil {
			continue
		}
		if err := l.seal(f); err != nil {
			l.fail(fmt.Errorf("seal file=%s: %w", f.name, err))
		}
	}
	l.roll.finish()
}

// seal writes the index of a full file and moves readers over to it.
func (l *Log) seal(f *file) error {
	touched := f.touched
	slices.SortFunc(touched, func(a, b *Partition) int { return int(int64(a.ordinal) - int64(b.ordinal)) })
	touched = slices.Compact(touched)
	runs := make([]indexRun, 0, len(touched))
	for _, p := range touched {
		p.mu.Lock()
		for i := range p.runs {
			// A dropped partition's too: its drop frame may not be durable yet.
			if p.runs[i].file == f {
				runs = append(runs, indexRun{p.ordinal, p.runs[i].entries})
			}
		}
		p.mu.Unlock()
	}
	before := f.size.Load()
	if err := l.writeIndex(f, runs); err != nil {
		return err
	}
	l.used.Add(f.size.Load() - before)
	for _, p := range touched {
		p.see(f)
	}
	f.touched, f.metas = nil, nil
	if err := f.closeWriter(); err != nil {
		return err
	}
	l.m.sealed.Inc()
	l.free.kick()
	l.roll.rolled(touched)
	return nil
}

// indexRun is what one partition has in a file.
type indexRun struct {
	ordinal uint32
	entries []entry
}

// writeIndex writes metas, directory, entries and footer at the end of the file, and syncs them. A file that is
// mostly empty (the log was closed, or recovered) is cut short behind its index; the order of the two steps lets
// a crash in between find the same frames again.
func (l *Log) writeIndex(f *file, runs []indexRun) error {
	metas := compactMetas(f.metas)
	entries := 0
	for _, r := range runs {
		entries += len(r.entries)
	}
	size := f.size.Load()
	need := indexBytes(len(metas), len(runs), entries)
	at := size - need
	if f.dataEnd < size/2 {
		at = alignBlock(f.dataEnd)
	}
	if at < f.dataEnd {
		return fmt.Errorf("index does not fit: end=%d need=%d size=%d", f.dataEnd, need, size)
	}
	l.mu.Lock()
	foot := fileFooter{sequence: f.sequence(), salt: f.head.salt, flags: f.head.flags, created: f.head.created,
		dataEnd: f.dataEnd, nextOrdinal: l.nextOrdinal}
	l.mu.Unlock()
	w := pageWriter{f: f, at: at, buf: vfs.AlignedBuffer(pageWriterBytes)}

	foot.metas = w.begin(pageMetas, metaSize)
	for i := range metas {
		metas[i].put(w.record())
	}
	foot.metas.count = w.end()

	dirs := make([]dir, len(runs))
	first := uint32(0)
	foot.dirs = w.begin(pageDirs, dirSize)
	for i, r := range runs {
		dirs[i] = summarize(r.ordinal, r.entries)
		dirs[i].firstEntry = first
		first += dirs[i].count
		foot.batchBytes += dirs[i].bytes
		dirs[i].put(w.record())
	}
	foot.dirs.count = w.end()

	foot.entries = w.begin(pageEntries, entrySize)
	for _, r := range runs {
		for i := range r.entries {
			r.entries[i].put(w.record())
		}
	}
	foot.entries.count = w.end()

	// The footer vouches for the pages, which nobody checks as a whole again, so it follows them.
	w.flush()
	if w.err == nil {
		w.err = f.writer.Sync()
	}
	foot.put(w.page())
	w.flush()
	if w.err == nil {
		w.err = f.writer.Sync()
	}
	if w.err != nil {
		return w.err
	}
	if w.at < size {
		if err := errors.Join(f.writer.Truncate(w.at), f.writer.Sync()); err != nil {
			return err
		}
		f.size.Store(w.at)
	}
	f.index.Store(newIndex(foot, dirs))
	return nil
}

// compactMetas leaves the newest anchor of each partition, each truncation and each drop, in log order.
func compactMetas(all []meta) []meta {
	newest := make(map[uint32]uint32, len(all))
	for _, m := range all {
		if m.typ != frameDrop {
			newest[m.ordinal] = m.position
		}
	}
	var kept []meta
	for _, m := range all {
		if m.typ != frameState || newest[m.ordinal] == m.position {
			kept = append(kept, m)
		}
	}
	return kept
}

// pageWriterBytes is how much of an index is buffered per write.
const pageWriterBytes = 256 << 10

// pageWriter lays records into pages. The first error sticks.
type pageWriter struct {
	f    *file
	at   int64 // position of buf[0] in the file
	buf  []byte
	used int // whole pages in buf
	err  error

	kind   pageKind
	size   int // of a record
	count  int // records in the current page
	number uint32
	total  uint32
	cur    []byte
}

func (w *pageWriter) begin(kind pageKind, size int) section {
	w.kind, w.size, w.count, w.number, w.total, w.cur = kind, size, 0, 0, 0, nil
	return section{position: w.at + int64(w.used)}
}

// record returns room for the next record.
func (w *pageWriter) record() []byte {
	if w.cur != nil && pageHeaderSize+(w.count+1)*w.size > blockSize {
		w.sealPage()
	}
	if w.cur == nil {
		w.cur = w.page()
	}
	at := pageHeaderSize + w.count*w.size
	w.count++
	w.total++
	return w.cur[at : at+w.size]
}

func (w *pageWriter) sealPage() {
	sealPage(w.cur, w.f.seed, w.kind, w.number, w.count)
	w.cur, w.count = nil, 0
	w.number++
}

func (w *pageWriter) end() uint32 {
	if w.cur != nil {
		w.sealPage()
	}
	return w.total
}

// page returns the next zeroed page.
func (w *pageWriter) page() []byte {
	if w.used == len(w.buf) {
		w.flush()
	}
	b := w.buf[w.used : w.used+blockSize]
	clear(b)
	w.used += blockSize
	return b
}

func (w *pageWriter) flush() {
	if w.err == nil && w.used > 0 {
		_, w.err = w.f.writer.WriteAt(w.buf[:w.used], w.at)
	}
	w.at += int64(w.used)
	w.used = 0
}

// roller tells the owner about sealed files. Rolls that come while the owner is busy are told together.
type roller struct {
	l    *Log
	wake chan struct{}

	mu      sync.Mutex
	pending map[*Partition]struct{} // guarded by mu; bounded by the partitions
	closed  bool                    // guarded by mu
}

func newRoller(l *Log) *roller { return &roller{l: l, wake: make(chan struct{}, 1)} }

func (r *roller) rolled(ps []*Partition) {
	if r.l.opts.OnRoll == nil || len(ps) == 0 {
		return
	}
	r.mu.Lock()
	if r.pending == nil {
		r.pending = make(map[*Partition]struct{}, len(ps))
	}
	for _, p := range ps {
		r.pending[p] = struct{}{}
	}
	r.mu.Unlock()
	r.signal()
}

func (r *roller) signal() {
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

func (r *roller) finish() {
	r.mu.Lock()
	r.closed = true
	r.mu.Unlock()
	r.signal()
}

func (r *roller) run() {
	for range r.wake {
		r.mu.Lock()
		ps := make([]*Partition, 0, len(r.pending))
		for p := range r.pending {
			ps = append(ps, p)
		}
		r.pending = nil
		closed := r.closed
		r.mu.Unlock()
		if closed {
			return
		}
		if len(ps) > 0 {
			slices.SortFunc(ps, func(a, b *Partition) int { return int(int64(a.ordinal) - int64(b.ordinal)) })
			r.l.opts.OnRoll(ps)
		}
	}
}
