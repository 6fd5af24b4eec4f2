package wal

import (
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/tidelinehq/tideline/internal/record"
	"github.com/tidelinehq/tideline/internal/vfs"
)

// recovery rebuilds the partitions from the files, oldest first. A sealed file contributes its directory and its
// metas, any other is scanned and then sealed, so that this start's scan is the last one of it.
type recovery struct {
	l            *Log
	parts        map[uint32]*recovering
	gone         map[uint32]struct{} // dropped; an index tells of their batches after it told of the drop
	nextSequence uint64
	spares       []string
	scanned      int
}

// recovering is a partition on the way; without an anchor nobody knows whose it is.
type recovering struct {
	*Partition
	known bool
}

func (l *Log) recover() (*recovery, error) {
	r := &recovery{l: l, parts: map[uint32]*recovering{}, gone: map[uint32]struct{}{}, nextSequence: 1}
	names, err := r.list()
	if err != nil {
		return nil, err
	}
	if err := l.noteLoss(len(names) == 0); err != nil {
		return nil, err
	}
	for i, name := range names {
		if err := r.load(name, i == len(names)-1); err != nil {
			return nil, err
		}
	}
	// A spare gets a new header before it gets its new name; its old name must not come back after that.
	if err := l.fs.SyncDir(l.dir); err != nil {
		return nil, err
	}
	r.finish()
	return r, l.noteLoss(l.damages.Load() > 0)
}

// list returns the log's files in order and takes note of the spares.
func (r *recovery) list() ([]string, error) {
	infos, err := r.l.fs.ReadDir(r.l.dir)
	if err != nil {
		return nil, err
	}
	var names []string
	var last uint64
	for _, info := range infos { // sorted by name, which is by sequence
		if strings.HasSuffix(info.Name, spareSuffix) {
			if info.Size == r.l.opts.FileBytes && len(r.spares) < maxSpares {
				r.spares = append(r.spares, info.Name)
			} else if err := r.l.fs.Remove(path.Join(r.l.dir, info.Name)); err != nil {
				return nil, err
			}
			continue
		}
		sequence, ok := parseFileName(info.Name)
		if !ok {
			continue
		}
		if len(names) > 0 && sequence != last+1 {
			return nil, fmt.Errorf("%w: after=%s next=%s", ErrMissing, fileName(last), info.Name)
		}
		names = append(names, info.Name)
		last = sequence
		r.nextSequence = sequence + 1
	}
	return names, nil
}

// load takes one file over.
func (r *recovery) load(name string, last bool) error {
	l := r.l
	f, foot, err := r.open(name)
	if err != nil {
		return err
	}
	sealed := false
	if foot != nil {
		if sealed, err = r.fromIndex(f, foot); err != nil {
			return errors.Join(err, f.close())
		}
	}
	if !sealed {
		empty, err := r.fromFrames(f, last)
		if err != nil {
			return errors.Join(err, f.close())
		}
		if empty {
			// It was ready for use and never used, or its first group is torn.
			r.nextSequence = f.sequence()
			return r.putBack(f)
		}
	}
	l.mu.Lock()
	l.editFiles(func(fs files) files { return append(fs, f) })
	l.nextOrdinal = max(l.nextOrdinal, f.head.nextOrdinal)
	l.mu.Unlock()
	l.used.Add(f.size.Load())
	return nil
}

// open reads header and footer. The footer is nil when there is none of this life of the file.
func (r *recovery) open(name string) (*file, *fileFooter, error) {
	l := r.l
	sequence, _ := parseFileName(name)
	f, err := l.openFile(name, fileHeader{}, false)
	if err != nil {
		return nil, nil, err
	}
	fail := func(err error) (*file, *fileFooter, error) { return nil, nil, errors.Join(err, f.close()) }
	size := f.size.Load()
	if size < 2*blockSize || size%blockSize != 0 || size > maxFileBytes {
		return fail(f.damaged(0, ID{}, -1, -1, "impossible file size", nil))
	}
	b := make([]byte, blockSize)
	if _, err := f.reader.ReadAt(b, size-blockSize); err != nil {
		return fail(f.damaged(size-blockSize, ID{}, -1, -1, "footer cannot be read", err))
	}
	foot, footErr := parseFileFooter(b, size)
	if errors.Is(footErr, ErrVersion) {
		return fail(fmt.Errorf("file=%s: %w", name, footErr))
	}
	if _, err := f.reader.ReadAt(b, 0); err != nil {
		return fail(f.damaged(0, ID{}, -1, -1, "header cannot be read", err))
	}
	head, headErr := parseFileHeader(b)
	switch {
	case errors.Is(headErr, ErrVersion):
		return fail(fmt.Errorf("file=%s: %w", name, headErr))
	case headErr != nil && footErr == nil && foot.sequence == sequence:
		f.damaged(0, ID{}, -1, -1, "header, the footer stands in", headErr)
		head = fileHeader{flags: foot.flags, sequence: sequence, salt: foot.salt, size: size, created: foot.created, nextOrdinal: foot.nextOrdinal}
	case headErr != nil:
		return fail(f.damaged(0, ID{}, -1, -1, "header", headErr))
	case head.sequence != sequence:
		return fail(f.damaged(0, ID{}, -1, -1, fmt.Sprintf("header is of file sequence=%d", head.sequence), nil))
	}
	f.head, f.seed = head, head.seed()
	if footErr != nil || foot.salt != head.salt || foot.sequence != sequence {
		return f, nil, nil
	}
	f.head.nextOrdinal = max(head.nextOrdinal, foot.nextOrdinal)
	f.dataEnd = foot.dataEnd
	return f, &foot, nil
}

// part returns the partition of an ordinal.
func (r *recovery) part(ordinal uint32) *recovering {
	p := r.parts[ordinal]
	if p == nil {
		p = &recovering{Partition: &Partition{log: r.l, ordinal: ordinal}}
		r.parts[ordinal] = p
		r.l.nextOrdinal = max(r.l.nextOrdinal, ordinal+1)
	}
	return p
}

// fromIndex applies a sealed file. It returns false when its index is damaged, and nothing was applied.
func (r *recovery) fromIndex(f *file, foot *fileFooter) (bool, error) {
	x := &index{foot: *foot}
	from := foot.metas.position
	b := make([]byte, foot.entries.position-from)
	if _, err := f.reader.ReadAt(b, from); err != nil {
		f.damaged(from, ID{}, -1, -1, "index cannot be read", err)
		return false, nil
	}
	metas := make([]meta, 0, foot.metas.count)
	for i := uint32(0); uint32(len(metas)) < foot.metas.count; i++ {
		records, n, ok := openPage(b[int64(i)*blockSize:], f.seed, pageMetas, i, metaSize)
		if !ok || n == 0 {
			f.damaged(from+int64(i)*blockSize, ID{}, -1, -1, "index page", nil)
			return false, nil
		}
		for j := range n {
			metas = append(metas, getMeta(records[j*metaSize:]))
		}
	}
	dirs := make([]dir, 0, foot.dirs.count)
	b = b[foot.dirs.position-from:]
	for i := uint32(0); uint32(len(dirs)) < foot.dirs.count; i++ {
		records, n, ok := openPage(b[int64(i)*blockSize:], f.seed, pageDirs, i, dirSize)
		if !ok || n == 0 {
			f.damaged(foot.dirs.position+int64(i)*blockSize, ID{}, -1, -1, "index page", nil)
			return false, nil
		}
		for j := range n {
			dirs = append(dirs, getDir(records[j*dirSize:]))
		}
	}
	*x = *newIndex(*foot, dirs)
	f.index.Store(x)
	for _, m := range metas {
		r.meta(f, m)
	}
	for _, d := range dirs {
		if _, gone := r.gone[d.ordinal]; gone {
			continue
		}
		p := r.part(d.ordinal)
		p.note(seen{f.sequence(), d.first, p.total})
		p.total += d.bytes
		p.end = max(p.end, d.end)
	}
	return true, nil
}

// meta applies a frame that is not batches.
func (r *recovery) meta(f *file, m meta) {
	if m.typ == frameDrop {
		r.gone[m.ordinal] = struct{}{}
		if p := r.parts[m.ordinal]; p != nil {
			p.dropped = true
			delete(r.parts, m.ordinal)
		}
		return
	}
	p := r.part(m.ordinal)
	p.known, p.id, p.start = true, m.body.id, m.body.start
	p.end = max(p.end, m.body.end)
	p.anchorFile = f.sequence()
	p.settleAnchor(place{f.sequence(), m.position, m.length}, m.body, true)
}

// fromFrames scans a file that has no index, applies its frames, and seals it. The last file is
// left alone when it has none.
func (r *recovery) fromFrames(f *file, last bool) (empty bool, err error) {
	r.scanned++
	s := scanner{f: f, frame: func(h frameHeader, payload []byte) { r.frame(f, h, payload) },
		lost: func(h frameHeader) { r.lose(f, h.ordinal, h.base, h.base+int64(h.span), int64(h.position)) }}
	f.dataEnd, err = s.run()
	if err != nil || s.frames == 0 && last {
		return true, err
	}
	var runs []indexRun
	slices.SortFunc(f.touched, func(a, b *Partition) int { return int(int64(a.ordinal) - int64(b.ordinal)) })
	f.touched = slices.Compact(f.touched)
	for _, p := range f.touched {
		for _, u := range p.runs {
			if u.file == f && !p.dropped {
				runs = append(runs, indexRun{p.ordinal, u.entries})
			}
		}
	}
	// Before the file has an index, by which the next Open would not see the damage.
	if err := r.l.noteLoss(r.l.damages.Load() > 0); err != nil {
		return false, err
	}
	if err := f.openWriter(); err != nil {
		return false, err
	}
	// What the scan accepted may still be in the page cache only; the sync within makes it durable before
	// anybody acts on it.
	err = r.l.writeIndex(f, runs)
	for _, p := range f.touched {
		p.see(f)
	}
	f.touched, f.metas = nil, nil
	return false, errors.Join(err, f.closeWriter())
}

// frame applies one scanned frame.
func (r *recovery) frame(f *file, h frameHeader, payload []byte) {
	switch h.typ {
	case frameBatches:
		e := entry{base: h.base, position: h.position, length: h.length, span: h.span}
		n := 0
		for b := range record.All(payload) {
			if b == nil {
				break // the writer only takes whole batches, and the checksum was right
			}
			if n++; n == 1 || timeOf(b) > e.maxTime {
				e.maxTime = timeOf(b)
			}
		}
		if n > 1 {
			e.flags |= entryMulti
		}
		p := r.part(h.ordinal)
		switch {
		case e.base < p.end:
			f.damaged(int64(h.position), p.id, e.base, p.end, "frame repeats offsets", nil)
			return
		case e.base > p.end && (p.known || p.end > 0):
			r.lose(f, h.ordinal, p.end, e.base, int64(h.position))
		}
		p.publish(f, e)
	case frameState, frameTruncate:
		body, _, ok := parseAnchor(payload)
		if !ok {
			f.damaged(int64(h.position), ID{}, -1, -1, "state frame", nil)
			return
		}
		m := meta{h.ordinal, h.position, h.length, h.typ, body}
		f.metas = append(f.metas, m)
		r.meta(f, m)
	case frameDrop:
		m := meta{ordinal: h.ordinal, position: h.position, typ: frameDrop, body: anchorBody{keep: -1}}
		if p := r.parts[h.ordinal]; p != nil {
			m.body.id = p.id
		}
		f.metas = append(f.metas, m)
		r.meta(f, m)
	}
}

// lose marks offsets whose frame is damaged, so that reading them is refused and everything else is served.
func (r *recovery) lose(f *file, ordinal uint32, from, to, position int64) {
	p := r.part(ordinal)
	from = max(from, p.end)
	f.damaged(position, p.id, from, to, "batches are lost", nil)
	for from < to {
		span := min(to-from, 1<<30)
		p.publish(f, entry{base: from, span: uint32(span), position: uint32(position), flags: entryLost})
		from += span
	}
}

// putBack makes a spare of a file that holds nothing.
func (r *recovery) putBack(f *file) error {
	l := r.l
	name := path.Join(l.dir, f.name)
	if err := f.close(); err != nil {
		return err
	}
	if f.size.Load() == l.opts.FileBytes && len(r.spares) < maxSpares {
		spare := strings.TrimSuffix(f.name, fileSuffix) + spareSuffix
		if err := l.fs.Rename(name, path.Join(l.dir, spare)); err != nil {
			return err
		}
		r.spares = append(r.spares, spare)
	} else if err := l.fs.Remove(name); err != nil {
		return err
	}
	return l.fs.SyncDir(l.dir)
}

// finish settles starts and ends, and hands the partitions to the log.
func (r *recovery) finish() {
	l := r.l
	for ordinal, p := range r.parts {
		if !p.known {
			l.m.corrupt.Inc()
			l.damages.Add(1)
			l.log.Error("wal holds frames of an unknown partition, its state frame is lost", "ordinal", ordinal, "end", p.end)
			continue
		}
		// What was below has been freed since the start was last written.
		if len(p.sealed) > 0 {
			p.start = max(p.start, p.sealed[0].first)
		} else {
			p.start = max(p.start, p.end)
		}
		p.end = max(p.end, p.start)
		p.next = p.end
		l.partitions[p.id] = p.Partition
		l.ordinals[ordinal] = p.Partition
	}
	l.log.Info("wal recovered", "files", len(*l.files.Load()), "scanned", r.scanned, "partitions", len(l.partitions), "bytes", l.used.Load())
}

// scanner finds the valid frames of a file without index.
type scanner struct {
	f     *file
	frame func(h frameHeader, payload []byte)
	lost  func(h frameHeader) // a batch frame whose header is whole and whose payload is not

	frames int
	buf    []byte
	at     int64 // position of buf[0]
	n      int   // valid bytes in buf
}

const scanBytes = 1 << 20

// run returns the position behind the last valid frame.
//
// A frame that is not valid ends the file: it is the torn tail of what was never acknowledged. But where groups were
// synced one by one, a valid group further on proves that this one was acknowledged; then it is damage, and the
// scan goes on behind it.
func (s *scanner) run() (end int64, err error) {
	size := s.f.size.Load()
	synced := s.f.head.flags&flagSyncedGroups != 0
	next := int64(-1) // known start of a later group
	pos, end := int64(blockSize), int64(blockSize)
	for {
		if pos+frameHeaderSize > size {
			return end, nil
		}
		h, payload, headOK, ok, err := s.read(pos, size)
		if err != nil {
			return end, err
		}
		if ok {
			s.frames++
			pos += frameSize(int(h.length))
			end = pos
			switch h.typ {
			case frameEnd:
				return end, nil
			case framePad:
				s.frames--
			default:
				s.frame(h, payload)
			}
			continue
		}
		if room := blockSize - pos%blockSize; room < frameHeaderSize && !headOK {
			pos += room // a group ended here, with too little left for a padding frame
			continue
		}
		if !synced {
			return end, nil
		}
		if next <= pos {
			if next, err = s.findGroup(alignBlock(pos+1), size); err != nil {
				return end, err
			}
			if next < 0 {
				return end, nil
			}
			s.f.damaged(pos, ID{}, -1, -1, "a frame in front of acknowledged ones", nil)
		}
		if headOK && pos+frameSize(int(h.length)) <= next {
			if h.typ == frameBatches {
				s.lost(h)
			}
			pos += frameSize(int(h.length))
		} else {
			pos = next
		}
	}
}

// read checks the frame at pos.
func (s *scanner) read(pos, size int64) (h frameHeader, payload []byte, headOK, ok bool, err error) {
	b, err := s.bytes(pos, frameHeaderSize)
	if err != nil {
		return h, nil, false, false, err
	}
	if h, headOK = parseFrameHeader(b, s.f.seed, pos); !headOK || pos+frameSize(int(h.length)) > size {
		return h, nil, false, false, nil
	}
	if b, err = s.bytes(pos, frameHeaderSize+int(h.length)); err != nil {
		return h, nil, false, false, err
	}
	payload = b[frameHeaderSize:]
	return h, payload, true, checksum(payload) == h.payloadCRC, nil
}

// findGroup looks for the start of a group at and behind from, or returns -1.
func (s *scanner) findGroup(from, size int64) (int64, error) {
	for pos := from; pos+blockSize <= size; pos += blockSize {
		b, err := s.bytes(pos, frameHeaderSize)
		if err != nil {
			return -1, err
		}
		if h, ok := parseFrameHeader(b, s.f.seed, pos); ok && h.flags&flagGroup != 0 {
			return pos, nil
		}
	}
	return -1, nil
}

// bytes returns n bytes from pos; they are valid until the next call.
func (s *scanner) bytes(pos int64, n int) ([]byte, error) {
	if pos < s.at || pos+int64(n) > s.at+int64(s.n) {
		want := max(n, scanBytes)
		if cap(s.buf) < want {
			s.buf = vfs.AlignedBuffer(want)
		}
		want = int(min(int64(want), s.f.size.Load()-pos))
		if want < n {
			return nil, s.f.damaged(pos, ID{}, -1, -1, "file is shorter than it says", nil)
		}
		if _, err := s.f.reader.ReadAt(s.buf[:want], pos); err != nil {
			return nil, fmt.Errorf("read file=%s position=%d: %w", s.f.name, pos, err)
		}
		s.at, s.n = pos, want
	}
	at := int(pos - s.at)
	return s.buf[at : at+n], nil
}
