package objstore

import (
	"context"
	"io"
	"time"
)

const (
	// MaxObjectSize is the greatest size of one object in bytes: what S3 takes in a single PUT.
	MaxObjectSize = 5 << 30
	// MaxDeleteKeys is how many keys one Delete may name: the bound of S3's multi-object delete.
	MaxDeleteKeys = 1000
	// MaxListKeys is how many keys one List returns at most, whatever was asked for.
	MaxListKeys = 1000
)

// Store is a flat space of immutable or atomically replaced objects. See the package page for what holds for all of
// them. Errors are of the classes in errors.go; the context's own error is returned (wrapped) when the context ended.
type Store interface {
	// Put writes the object at key as one unit, durable when it returns nil, and returns its new ETag. It reads body.Size
	// bytes from body, maybe more than once, and only until it returns. The store checks them against body.CRC32C.
	//
	// Errors: ErrPrecondition when cond does not hold (an absent key does not match any ETag); ErrUnavailable when the
	// outcome is unknown or nothing happened; ErrCorrupt when the bytes do not have the CRC; ErrInvalid, ErrDenied.
	Put(ctx context.Context, key string, body Body, cond Condition) (etag string, err error)

	// Get opens n bytes of the object from byte off on, n < 0 meaning all that follow. The range is cut at the object's
	// end, and info.Size is the size of the whole object, so a caller can tell. n = 0 is ErrInvalid. A range that begins at
	// or behind the end is ErrRange, except off = 0 with n < 0, which reads an empty object as empty. The reader must be
	// closed; its Read fails with ErrUnavailable when the bytes stop before the end of the range.
	Get(ctx context.Context, key string, off, n int64) (r io.ReadCloser, info Info, err error)

	// Head tells size and ETag of the object, or ErrNotFound.
	Head(ctx context.Context, key string) (Info, error)

	// Delete removes the objects at keys, at most MaxDeleteKeys of them. A key that is not there counts as removed. err is
	// for the call as a whole: then nothing is known about any key. Otherwise failed has the keys that
	// were not removed, with the reason for each, and is nil when all were.
	Delete(ctx context.Context, keys []string) (failed map[string]error, err error)

	// List returns at most max objects whose keys begin with prefix and sort (by bytes) behind after, in order, and whether
	// there are more. prefix may be empty or any string, not only whole parts of keys. For audits only, never in steady state.
	List(ctx context.Context, prefix, after string, max int) (objects []Info, more bool, err error)

	// Close frees connections and file handles. The objects stay.
	Close() error
}

// Condition restricts a Put. The zero value does not. At most one field may be set.
type Condition struct {
	IfNoneMatch bool   // only when there is no object at the key
	IfMatch     string // only when the object at the key has this ETag
}

// IsZero reports whether the put is unconditional.
func (c Condition) IsZero() bool { return c == Condition{} }

// Check refuses a contradiction with ErrInvalid.
func (c Condition) Check() error {
	if c.IfNoneMatch && c.IfMatch != "" {
		return Errorf(ErrInvalid, "condition has both if-none-match and if-match")
	}
	return nil
}

// Info describes one object.
type Info struct {
	Key      string    // as the caller names it, without the store's prefix
	Size     int64     // of the whole object, bytes
	ETag     string    // opaque, without quotes; equal ETags of one key mean equal bytes
	Modified time.Time // by the store's clock; zero when the store did not say. For audits: never decide by it
}
