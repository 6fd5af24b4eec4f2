package segment

import (
	"context"
	"errors"
	"fmt"
	"io"
)

// Source is one object, wherever it lies. Both methods may be called by any number of goroutines.
type Source interface {
	// ReadRange fills dst with the bytes of the object from off on, or fails; ErrTorn (wrapped) when the object ends first.
	ReadRange(ctx context.Context, dst []byte, off int64) error
	// Size is the size of the whole object in bytes.
	Size(ctx context.Context) (int64, error)
}

// FromReaderAt is a Source over a file or memory of size bytes.
func FromReaderAt(r io.ReaderAt, size int64) Source { return readerAt{r, size} }

type readerAt struct {
	r    io.ReaderAt
	size int64
}

func (s readerAt) Size(context.Context) (int64, error) { return s.size, nil }

func (s readerAt) ReadRange(ctx context.Context, dst []byte, off int64) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if off < 0 || off > s.size || int64(len(dst)) > s.size-off {
		return fmt.Errorf("%w: range position=%d size=%d object_size=%d", ErrTorn, off, len(dst), s.size)
	}
	n, err := s.r.ReadAt(dst, off)
	if n == len(dst) {
		return nil
	}
	if err == nil || errors.Is(err, io.EOF) {
		return fmt.Errorf("%w: range position=%d size=%d got=%d", ErrTorn, off, len(dst), n)
	}
	return err
}
