package wal

import (
	"errors"
	"fmt"
	"path"
	"strconv"
	"strings"
	"sync/atomic"

	"github.com/tidelinehq/tideline/internal/vfs"
)

const (
	fileSuffix  = ".wal"
	spareSuffix = ".spare"
	lockName    = "LOCK"
)

func fileName(sequence uint64) string { return fmt.Sprintf("%016x%s", sequence, fileSuffix) }

func parseFileName(name string) (sequence uint64, ok bool) {
	hex, ok := strings.CutSuffix(name, fileSuffix)
	if !ok || len(hex) != 16 {
		return 0, false
	}
	sequence, err := strconv.ParseUint(hex, 16, 64)
	return sequence, err == nil
}

// file is one file of the log.
//
//	prepared → open (the writer fills it) → full (ends in an end frame) → sealed (has its index) → dead → gone
type file struct {
	log    *Log
	name   string // within the directory
	head   fileHeader
	seed   uint32
	size   atomic.Int64 // bytes on disk; shrinks when a short file is sealed
	reader vfs.File     // buffered

	// refs is one while the file is in the log, plus one for each reader; it is retired when all are gone.
	refs  atomic.Int32
	index atomic.Pointer[index] // nil until sealed

	writer vfs.File // direct when possible; owned by the writer, then by the sealer, which closes it
	pos    int64    // owned by the writer: where the next group goes

	// Counted by the writer, so that it always knows whether the index still fits.
	metaCount, dirCount, entryCount int

	// Owned by whoever completes groups, then by the sealer.
	touched []*Partition // have entries in this file
	metas   []meta
	dataEnd int64

	free freeState // owned by the freer
}

// place is where a frame lies; the zero place is nowhere.
type place struct {
	sequence uint64
	position uint32
	length   uint32 // payload bytes
}

func (f *file) sequence() uint64 { return f.head.sequence }

// tryAcquire keeps the file readable until release; false when it is gone.
func (f *file) tryAcquire() bool {
	for {
		n := f.refs.Load()
		if n == 0 {
			return false
		}
		if f.refs.CompareAndSwap(n, n+1) {
			return true
		}
	}
}

func (f *file) release() {
	if f.refs.Add(-1) == 0 {
		f.log.prepare.retire(f)
	}
}

// openFile opens both handles of a file that exists. The direct one writes; the buffered one reads, so that
// the page cache serves many slow consumers of one range, and index pages. Writes go through whole blocks, which
// the kernel drops from the page cache as they are written.
func (l *Log) openFile(name string, head fileHeader, writable bool) (*file, error) {
	f := &file{log: l, name: name, head: head, seed: head.seed()}
	var err error
	if f.reader, err = l.fs.Open(path.Join(l.dir, name), vfs.ReadOnly); err != nil {
		return nil, err
	}
	size, err := f.reader.Size()
	if err != nil {
		return nil, errors.Join(err, f.reader.Close())
	}
	f.size.Store(size)
	if writable {
		if err := f.openWriter(); err != nil {
			return nil, errors.Join(err, f.reader.Close())
		}
	}
	f.refs.Store(1)
	return f, nil
}

func (f *file) openWriter() error {
	var flags vfs.Flag
	if f.log.opts.DirectIO {
		flags = vfs.Direct
	}
	w, err := f.log.fs.Open(path.Join(f.log.dir, f.name), flags)
	f.writer = w
	return err
}

func (f *file) closeWriter() error {
	if f.writer == nil {
		return nil
	}
	w := f.writer
	f.writer = nil
	return w.Close()
}

func (f *file) close() error { return errors.Join(f.closeWriter(), f.reader.Close()) }

// damaged reports damage once per finding and returns the error.
func (f *file) damaged(position int64, id ID, from, to int64, reason string, err error) *CorruptError {
	e := &CorruptError{File: f.name, Position: position, ID: id, From: from, To: to, Reason: reason, Err: err}
	f.log.m.corrupt.Inc()
	f.log.damages.Add(1)
	f.log.log.Error("wal is damaged", "file", f.name, "position", position, "partition", id.String(),
		"from", from, "to", to, "reason", reason, "error", err)
	return e
}

// files is the ordered set of the log's files, replaced as a whole. Sequences have no gaps.
type files []*file

func (fs files) find(sequence uint64) *file {
	if len(fs) == 0 || sequence < fs[0].sequence() || sequence-fs[0].sequence() >= uint64(len(fs)) {
		return nil
	}
	return fs[sequence-fs[0].sequence()]
}

// file returns the file with a reference taken, or nil when it is gone.
func (l *Log) file(sequence uint64) *file {
	f := l.files.Load().find(sequence)
	if f == nil || !f.tryAcquire() {
		return nil
	}
	return f
}

// editFiles replaces the set. l.mu is held.
func (l *Log) editFiles(edit func(files) files) {
	next := edit(append(files(nil), *l.files.Load()...))
	l.files.Store(&next)
	l.m.files.Set(float64(len(next)))
}
