package objstoretest

import (
	"errors"
	"fmt"
	"io"
	"sync/atomic"
	"testing"

	"github.com/tidelinehq/tideline/tiering/objstore"
)

func testCorruptBody(t *testing.T, s objstore.Store) {
	for _, size := range []int{1, 1000, 3 << 20} {
		body := objstore.BytesBody(Bytes(7, size))
		body.CRC32C ^= 0x10
		_, err := s.Put(t.Context(), "k", body, objstore.Condition{})
		wantClass(t, fmt.Sprintf("put of a body with another checksum, size=%d", size), err, objstore.ErrCorrupt)
		_, err = s.Head(t.Context(), "k")
		wantClass(t, "head after the refused put", err, objstore.ErrNotFound)
	}
	put(t, s, "k", []byte("good"))
	body := objstore.BytesBody([]byte("evil"))
	body.CRC32C++
	_, err := s.Put(t.Context(), "k", body, objstore.Condition{})
	wantClass(t, "replacing put", err, objstore.ErrCorrupt)
	if got := get(t, s, "k"); string(got) != "good" {
		t.Errorf("a refused put left %q", got)
	}
}

// countingReaderAt counts the bytes that are read from a body.
type countingReaderAt struct {
	io.ReaderAt
	n atomic.Int64
}

func (c *countingReaderAt) ReadAt(p []byte, off int64) (int, error) {
	n, err := c.ReaderAt.ReadAt(p, off)
	c.n.Add(int64(n))
	return n, err
}

// testBodyReadOnce: no hidden pass over the body, for a hash or into a buffer.
func testBodyReadOnce(t *testing.T, s objstore.Store) {
	body := objstore.BytesBody(Bytes(3, 4<<20))
	counter := &countingReaderAt{ReaderAt: body.ReaderAt}
	body.ReaderAt = counter
	if _, err := s.Put(t.Context(), "k", body, objstore.Condition{}); err != nil {
		t.Fatal(err)
	}
	if got := counter.n.Load(); got != body.Size {
		t.Errorf("%d bytes were read of a body of %d", got, body.Size)
	}
}

type failingReaderAt struct {
	io.ReaderAt
	from int64
	err  error
}

func (f failingReaderAt) ReadAt(p []byte, off int64) (int, error) {
	if off+int64(len(p)) <= f.from {
		return f.ReaderAt.ReadAt(p, off)
	}
	n, err := f.ReaderAt.ReadAt(p[:max(0, min(int64(len(p)), f.from-off))], off)
	return n, errors.Join(err, f.err)
}

func testFailingBody(t *testing.T, s objstore.Store) {
	put(t, s, "k", []byte("old"))
	body := objstore.BytesBody(Bytes(3, 3<<20))
	body.ReaderAt = failingReaderAt{ReaderAt: body.ReaderAt, from: 2 << 20, err: errors.New("disk on fire")}
	_, err := s.Put(t.Context(), "k", body, objstore.Condition{})
	wantClass(t, "put of a body that fails", err, objstore.ErrCorrupt)
	short := objstore.BytesBody(Bytes(3, 1<<20))
	short.Size++
	_, err = s.Put(t.Context(), "k", short, objstore.Condition{})
	wantClass(t, "put of a body that is too short", err, objstore.ErrCorrupt)
	if got := get(t, s, "k"); string(got) != "old" {
		t.Errorf("a failed put left %d bytes", len(got))
	}
}
