package vfs

import (
	"errors"
	"io"
	"sync"
)

// streamBytes is what a stream writes or reads at once.
const streamBytes = 1 << 20

// streamBuffers are aligned and of streamBytes.
var streamBuffers = sync.Pool{New: func() any { b := AlignedBuffer(streamBytes); return &b }}

// errStreamClosed is returned after Finish or Close.
var errStreamClosed = errors.New("stream is closed")

// StreamFile is what a stream needs of a file.
type StreamFile interface {
	io.ReaderAt
	io.WriterAt
	Truncate(size int64) error
}

// Writer writes a file from its beginning to its end in large aligned pieces, as direct I/O wants it. Large files that are
// written once, and not read soon by others, should not go through the page cache: it costs an order of magnitude more
// processor time than the disk does. A Writer belongs to one goroutine.
type Writer struct {
	f    StreamFile
	buf  *[]byte
	n    int   // bytes in buf
	size int64 // bytes before buf
}

// NewWriter makes a writer of an empty file. It must be ended by Finish.
func NewWriter(f StreamFile) *Writer {
	return &Writer{f: f, buf: streamBuffers.Get().(*[]byte)}
}

// Write implements io.Writer.
func (w *Writer) Write(b []byte) (int, error) {
	if w.buf == nil {
		return 0, errStreamClosed
	}
	written := 0
	for len(b) > 0 {
		n := copy((*w.buf)[w.n:], b)
		w.n, b, written = w.n+n, b[n:], written+n
		if w.n < streamBytes {
			break
		}
		if err := w.flush(streamBytes); err != nil {
			return written, err
		}
		w.size, w.n = w.size+streamBytes, 0
	}
	return written, nil
}

func (w *Writer) flush(n int) error {
	_, err := w.f.WriteAt((*w.buf)[:n], w.size)
	return err
}

// Finish writes what is left and gives the file its size. The writer is of no use then, whether it failed or not.
func (w *Writer) Finish() error {
	if w.buf == nil {
		return errStreamClosed
	}
	defer func() {
		streamBuffers.Put(w.buf)
		w.buf = nil
	}()
	if w.n == 0 {
		return nil
	}
	padded := (w.n + BlockSize - 1) / BlockSize * BlockSize
	clear((*w.buf)[w.n:padded])
	if err := w.flush(padded); err != nil {
		return err
	}
	w.size += int64(w.n)
	if padded == w.n {
		return nil
	}
	return w.f.Truncate(w.size)
}

// Reader reads a file that was opened with Direct, at any position and for any length, through one window that suits
// sequential reading. It may be used by several goroutines, which take turns.
type Reader struct {
	f    io.ReaderAt
	size int64

	mu   sync.Mutex // guards the window
	buf  *[]byte
	from int64
	n    int
}

// NewReader makes a reader of the first size bytes of a file. It must be closed.
func NewReader(f io.ReaderAt, size int64) *Reader {
	return &Reader{f: f, size: size, buf: streamBuffers.Get().(*[]byte)}
}

// ReadAt implements io.ReaderAt.
func (r *Reader) ReadAt(b []byte, position int64) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.buf == nil {
		return 0, errStreamClosed
	}
	read := 0
	for read < len(b) {
		if position >= r.size {
			return read, io.EOF
		}
		if position < r.from || position >= r.from+int64(r.n) {
			if err := r.fill(position); err != nil {
				return read, err
			}
		}
		at := int(position - r.from)
		n := copy(b[read:], (*r.buf)[at:min(int64(r.n), r.size-r.from)])
		if n == 0 {
			return read, io.ErrUnexpectedEOF
		}
		read, position = read+n, position+int64(n)
	}
	return read, nil
}

// fill moves the window to the block of position.
func (r *Reader) fill(position int64) error {
	r.from, r.n = position/BlockSize*BlockSize, 0
	n, err := r.f.ReadAt(*r.buf, r.from)
	r.n = n
	if errors.Is(err, io.EOF) && r.from+int64(n) >= r.size {
		err = nil
	}
	return err
}

// Close gives the window back. It does not close the file.
func (r *Reader) Close() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.buf != nil {
		streamBuffers.Put(r.buf)
		r.buf = nil
	}
}
