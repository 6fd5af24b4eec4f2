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

// gzipUsual is the place of the writers whose level is the library's own.
const gzipUsual = 0

// gzipWriters are writers by level.
var gzipWriters [gzip.BestCompression + 1]sync.Pool

// gzipLevel is the place of the writers of a level of Kafka's, where -1 is the library's own.
func gzipLevel(level int) int {
	if level < gzip.BestSpeed || level > gzip.BestCompression {
		return gzipUsual
	}
	return level
}

func newGzipWriter(level int) *gzipWriter {
	if level == gzipUsual {
		level = gzip.DefaultCompression
	}
	w, err := gzip.NewWriterLevel(nil, level)
	if err != nil {
		panic(err) // the level is one of the library's
	}
	return &gzipWriter{w: w}
}

func compressGzip(dst, src []byte, level int) ([]byte, error) {
	g, ok := gzipWriters[level].Get().(*gzipWriter)
	if !ok {
		g = newGzipWriter(level)
	}
	defer gzipWriters[level].Put(g)
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

// lz4Usual is the place of the writers of the fast compressor.
const lz4Usual = 0

// lz4Levels are the levels of the library, which are powers of two, by ours.
var lz4Levels = [...]lz4.CompressionLevel{
	lz4.Fast, lz4.Level1, lz4.Level2, lz4.Level3, lz4.Level4, lz4.Level5, lz4.Level6, lz4.Level7, lz4.Level8, lz4.Level9,
}

// lz4Writers are writers by level.
var lz4Writers [len(lz4Levels)]sync.Pool

// lz4Level is the place of the writers of a level of Kafka's: 9 is the fast compressor there, any
// other one the thorough one at that level.
func lz4Level(level int) int {
	switch {
	case level == 9 || level < 1:
		return lz4Usual
	case level >= len(lz4Levels):
		return len(lz4Levels) - 1
	}
	return level
}

// Kafka's own frames have 64 KiB blocks and no content checksum: the batch has one.
func newLZ4Writer(level int) *lz4Writer {
	w := lz4.NewWriter(nil)
	err := w.Apply(lz4.BlockSizeOption(lz4.Block64Kb), lz4.ChecksumOption(false), lz4.ConcurrencyOption(1), lz4.CompressionLevelOption(lz4Levels[level]))
	if err != nil {
		panic(err) // constant options
	}
	return &lz4Writer{w: w}
}

func compressLZ4(dst, src []byte, level int) ([]byte, error) {
	l, ok := lz4Writers[level].Get().(*lz4Writer)
	if !ok {
		l = newLZ4Writer(level)
	}
	defer lz4Writers[level].Put(l)
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
