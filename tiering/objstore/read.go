package objstore

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
)

// ReadRange fills dst with the bytes of the object from off on. An object that ends before that is ErrRange: who asks knows
// from the ledger that the bytes must be there.
func ReadRange(ctx context.Context, s Store, key string, off int64, dst []byte) (Info, error) {
	r, info, err := s.Get(ctx, key, off, int64(len(dst)))
	if err != nil {
		return info, err
	}
	if info.Size < off+int64(len(dst)) {
		return info, errors.Join(&Error{Class: ErrRange, Op: "get", Key: key,
			Detail: fmt.Sprintf("offset=%d length=%d size=%d", off, len(dst), info.Size)}, r.Close())
	}
	_, err = io.ReadFull(r, dst)
	return info, errors.Join(err, r.Close())
}

// ReadAll returns the whole object, which must not be larger than max bytes (else ErrInvalid, and nothing is allocated).
func ReadAll(ctx context.Context, s Store, key string, max int64) ([]byte, Info, error) {
	r, info, err := s.Get(ctx, key, 0, -1)
	if err != nil {
		return nil, info, err
	}
	if info.Size > max {
		return nil, info, errors.Join(Errorf(ErrInvalid, "object larger than its reader allows key=%s size=%d max=%d", key, info.Size, max), r.Close())
	}
	b := make([]byte, info.Size)
	_, err = io.ReadFull(r, b)
	if err := errors.Join(err, r.Close()); err != nil {
		return nil, info, err
	}
	return b, info, nil
}

// ReadBack answers, for a conditional put whose outcome is not known, whether the object at key has exactly the bytes of
// body. Bodies of conditional puts carry a unique write id, so mine means: that write happened, and etag is its ETag. An
// absent object is (false, nil). A write that is still on its way in may land after the answer, so a false answer is final
// only when no attempt is under way any more and a conflicting object is there.
func ReadBack(ctx context.Context, s Store, key string, body Body) (mine bool, etag string, err error) {
	r, info, err := s.Get(ctx, key, 0, -1)
	if errors.Is(err, ErrNotFound) {
		return false, "", nil
	}
	if err != nil {
		return false, "", err
	}
	if info.Size != body.Size {
		return false, info.ETag, r.Close()
	}
	mine, err = sameBytes(r, body.Reader(), body.Size)
	return mine, info.ETag, errors.Join(err, r.Close())
}

// sameBytes compares size bytes of both, stopping at the first difference.
func sameBytes(a, b io.Reader, size int64) (bool, error) {
	bufA := make([]byte, min(copyBufferSize, size))
	bufB := make([]byte, len(bufA))
	for size > 0 {
		n := min(size, int64(len(bufA)))
		if _, err := io.ReadFull(a, bufA[:n]); err != nil {
			return false, err
		}
		if _, err := io.ReadFull(b, bufB[:n]); err != nil {
			return false, fmt.Errorf("read body: %w", err)
		}
		if !bytes.Equal(bufA[:n], bufB[:n]) {
			return false, nil
		}
		size -= n
	}
	return true, nil
}
