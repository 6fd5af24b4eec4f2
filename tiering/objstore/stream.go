package objstore

import (
	"errors"
	"fmt"
	"hash/crc32"
	"io"
)

// exactReader yields exactly the bytes that were promised, or fails.
type exactReader struct {
	rc       io.ReadCloser
	left     int64
	key      string
	classify func(error) error
	err      error // sticky
}

// Exact makes the reader that every backend returns from Get: it yields n bytes of rc and then io.EOF. When rc ends or
// fails before, Read fails with ErrUnavailable; classify, when not nil, may give a failure another class (a context's error stays
// what it is). Bytes behind the n-th are never read.
func Exact(rc io.ReadCloser, key string, n int64, classify func(error) error) io.ReadCloser {
	return &exactReader{rc: rc, left: n, key: key, classify: classify}
}

func (r *exactReader) Read(p []byte) (int, error) {
	if r.err != nil {
		return 0, r.err
	}
	if r.left == 0 {
		return 0, io.EOF
	}
	if int64(len(p)) > r.left {
		p = p[:r.left]
	}
	n, err := r.rc.Read(p)
	r.left -= int64(n)
	switch {
	case err == nil:
	case r.left == 0:
		// All bytes of the range are here; how the connection ends after them does not matter.
	case errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF):
		r.err = &Error{Class: ErrUnavailable, Op: "get", Key: r.key, Detail: fmt.Sprintf("body ended short missing=%d", r.left)}
	case r.classify != nil:
		r.err = r.classify(err)
	default:
		r.err = &Error{Class: ErrUnavailable, Op: "get", Key: r.key, Cause: err}
	}
	if n > 0 {
		return n, nil // the error, if any, comes with the next call
	}
	return 0, r.err
}

func (r *exactReader) Close() error { return r.rc.Close() }

// SumReader reads the bytes of a body once and fails with ErrCorrupt instead of io.EOF when they are not the bytes of the
// body's CRC-32C. Backends that have no server to check the sum write through it.
type SumReader struct {
	body Body
	r    io.Reader
	key  string
	crc  uint32
	n    int64
}

// NewSumReader starts at the beginning of body; key is for the error.
func NewSumReader(key string, body Body) *SumReader {
	r, _ := body.Source(key) // its errors come out of Read
	return &SumReader{body: body, r: r, key: key}
}

// Read implements io.Reader.
func (s *SumReader) Read(p []byte) (int, error) {
	n, err := s.r.Read(p)
	s.crc = crc32.Update(s.crc, castagnoli, p[:n])
	s.n += int64(n)
	if errors.Is(err, io.EOF) {
		if s.n != s.body.Size {
			return n, &Error{Class: ErrCorrupt, Op: "put", Key: s.key, Detail: fmt.Sprintf("body is shorter than its size got=%d size=%d", s.n, s.body.Size)}
		}
		if s.crc != s.body.CRC32C {
			return n, &Error{Class: ErrCorrupt, Op: "put", Key: s.key, Detail: fmt.Sprintf("body checksum mismatch got=%08x want=%08x", s.crc, s.body.CRC32C)}
		}
	}
	return n, err
}
