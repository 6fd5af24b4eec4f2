package objstore

import (
	"bytes"
	"fmt"
	"hash/crc32"
	"io"
	"sync/atomic"
)

// castagnoli is the polynomial of every checksum of this project and of x-amz-checksum-crc32c.
var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// copyBufferSize is what Copy-like loops of this package read at once, bytes.
const copyBufferSize = 256 << 10

// Body is what a Put writes: Size bytes of ReaderAt from position 0 on, with their CRC-32C (Castagnoli). It must give the same
// bytes however often it is read, because a repeated attempt reads it again. It is not read after Put has returned.
type Body struct {
	io.ReaderAt
	Size   int64
	CRC32C uint32
}

// BytesBody is a body in memory. b must not change until the Put has returned.
func BytesBody(b []byte) Body {
	return Body{ReaderAt: bytes.NewReader(b), Size: int64(len(b)), CRC32C: crc32.Checksum(b, castagnoli)}
}

// ReaderBody is a body of size bytes whose checksum is not known yet: it reads all of r once to compute it. A writer that
// computed the checksum while it wrote makes the Body itself and saves that pass.
func ReaderBody(r io.ReaderAt, size int64) (Body, error) {
	b := Body{ReaderAt: r, Size: size}
	crc, err := b.Checksum()
	if err != nil {
		return Body{}, err
	}
	b.CRC32C = crc
	return b, nil
}

// Reader reads the body from its beginning. It is an io.ReadSeeker and io.ReaderAt, as S3 clients want it.
func (b Body) Reader() *io.SectionReader { return io.NewSectionReader(b.ReaderAt, 0, b.Size) }

// Source is Reader for a backend: failed tells afterwards whether the body itself could not be read, or has fewer bytes than its size.
// That is ErrCorrupt and not the store's fault, whatever the client made of it.
func (b Body) Source(key string) (r *io.SectionReader, failed func() error) {
	src := &source{body: b, key: key}
	return io.NewSectionReader(src, 0, b.Size), func() error {
		if err := src.err.Load(); err != nil {
			return err
		}
		return nil
	}
}

// source remembers the first failure of a body. Clients may still read in a goroutine of theirs when their call has returned.
type source struct {
	body Body
	key  string
	err  atomic.Pointer[Error]
}

func (s *source) ReadAt(p []byte, off int64) (int, error) {
	n, err := s.body.ReadAt(p, off)
	if n < len(p) {
		e := &Error{Class: ErrCorrupt, Op: "put", Key: s.key, Detail: fmt.Sprintf("body cannot be read position=%d size=%d", off+int64(n), s.body.Size), Cause: err}
		s.err.CompareAndSwap(nil, e)
		return n, e
	}
	return n, nil
}

// Checksum reads the whole body and returns the CRC-32C of its bytes. Fails when it has fewer than Size.
func (b Body) Checksum() (uint32, error) {
	h := crc32.New(castagnoli)
	n, err := io.CopyBuffer(writerOnly{h}, b.Reader(), make([]byte, min(copyBufferSize, max(b.Size, 1))))
	if err != nil {
		return 0, fmt.Errorf("read body: %w", err)
	}
	if n != b.Size {
		return 0, fmt.Errorf("read body: %w got=%d size=%d", io.ErrUnexpectedEOF, n, b.Size)
	}
	return h.Sum32(), nil
}

// writerOnly hides ReadFrom and the like, so that CopyBuffer uses the buffer it was given.
type writerOnly struct{ io.Writer }
