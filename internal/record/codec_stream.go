package record

import (
	"bytes"
	"io"
	"slices"
	"sync"

	"github.com/klauspost/compress/gzip"
	"github.com/pierrec/lz4/v4"
)

// Gzip and lz4 have stream coders, which are costly to make and cheap to reset,
// hence pooled together with the small readers and writers that they need.

// sink is an io.Writer that appends.
type sink struct{ b []byte }

func (s *sink) Write(p []byte) (int, error) {
	s.b = append(s.b, p...)
	return len(p), nil
}

type gzipWriter struct {
	w   *gzip.Writer
	out sink
}

var gzipWriters = sync.Pool{New: func() any { return &gzipWriter{w: gzip.NewWriter(nil)} }}

func compressGzip(dst, src []byte) ([]byte, error) {
	g := gzipWriters.Get().(*gzipWriter)
	defer gzipWriters.Put(g)
	g.out.b = dst
	g.w.Reset(&g.out)
	_, err := g.w.Write(src)
	if err == nil {
		err = g.w.Close()
	}
	out := g.out.b
	g.out.b = nil
	return out, err
}

type gzipReader struct {
	r  gzip.Reader
	in bytes.Reader
}

var gzipReaders = sync.Pool{New: func() any { return new(gzipReader) }}

func decompressGzip(dst, src []byte, maxBytes int) ([]byte, error) {
	g := gzipReaders.Get().(*gzipReader)
	defer gzipReaders.Put(g)
	defer g.in.Reset(nil)
	g.in.Reset(src)
	if err := g.r.Reset(&g.in); err != nil {
		return dst, err
	}
	return readBounded(dst, &g.r, len(src), maxBytes)
}

type lz4Writer struct {
	w   *lz4.Writer
	out sink
}

// Kafka's own frames have 64 KiB blocks and no content checksum: the batch has one.
var lz4Writers = sync.Pool{New: func() any {
	w := lz4.NewWriter(nil)
	err := w.Apply(lz4.BlockSizeOption(lz4.Block64Kb), lz4.ChecksumOption(false), lz4.ConcurrencyOption(1))
	if err != nil {
		panic(err) // constant options
	}
	return &lz4Writer{w: w}
}}

func compressLZ4(dst, src []byte) ([]byte, error) {
	l := lz4Writers.Get().(*lz4Writer)
	defer lz4Writers.Put(l)
	l.out.b = dst
	l.w.Reset(&l.out)
	_, err := l.w.Write(src)
	if err == nil {
		err = l.w.Close()
	}
	out := l.out.b
	l.out.b = nil
	return out, err
}

type lz4Reader struct {
	r  *lz4.Reader
	in bytes.Reader
}

var lz4Readers = sync.Pool{New: func() any {
	l := &lz4Reader{r: lz4.NewReader(nil)}
	if err := l.r.Apply(lz4.ConcurrencyOption(1)); err != nil {
		panic(err) // constant option
	}
	return l
}}

func decompressLZ4(dst, src []byte, maxBytes int) ([]byte, error) {
	l := lz4Readers.Get().(*lz4Reader)
	defer lz4Readers.Put(l)
	defer l.in.Reset(nil)
	l.in.Reset(src)
	l.r.Reset(&l.in)
	return readBounded(dst, l.r, len(src), maxBytes)
}

// readBounded appends what r yields, at most maxBytes of it; srcLen is the size
// of the compressed bytes, for a first guess at the room to make. The room at
// least doubles, so that a stream is copied O(1) times.
func readBounded(dst []byte, r io.Reader, srcLen, maxBytes int) ([]byte, error) {
	start := len(dst)
	dst = slices.Grow(dst, min(max(2*srcLen, 512), maxBytes+1))
	for {
		if len(dst) == cap(dst) {
			dst = slices.Grow(dst, max(512, min(len(dst)-start, maxBytes-(len(dst)-start)+1)))
		}
		n, err := r.Read(dst[len(dst):cap(dst)])
		dst = dst[:len(dst)+n]
		if len(dst)-start > maxBytes {
			return dst[:start], ErrTooLarge
		}
		if err == io.EOF {
			return dst, nil
		}
		if err != nil {
			return dst[:start], err
		}
	}
}
