package wire

import (
	"fmt"

	"github.com/tidelinehq/tideline/internal/codec"
)

// MaxTopics and MaxPartitions bound one request: far above what one broker
// leads, and low enough that the structures stay small beside the frame.
const (
	MaxTopics     = 100_000
	MaxPartitions = 200_000
)

// reader reads the lengths of the Kafka protocol in either encoding.
type reader struct {
	codec.Reader
	flexible bool
}

func newReader(b []byte, flexible bool) reader {
	return reader{Reader: codec.NewReader(b), flexible: flexible}
}

// failure is the reader's error as ErrMalformed, or nil.
func (r *reader) failure(what string, version int16) error {
	if err := r.Err(); err != nil {
		return fmt.Errorf("%w: %s version=%d: %w", ErrMalformed, what, version, err)
	}
	return nil
}

// length is a compact length; -1 for null.
func (r *reader) length() int { return int(r.Uvarint32()) - 1 }

// nullableString is a view; nil for null.
func (r *reader) nullableString() []byte {
	n := 0
	if r.flexible {
		n = r.length()
	} else {
		n = int(r.Int16())
	}
	if n == -1 {
		return nil
	}
	return r.Take(n)
}

// nonNullString is a view; null fails.
func (r *reader) nonNullString() []byte {
	s := r.nullableString()
	if s == nil {
		r.Fail(codec.ErrInvalid)
	}
	return s
}

// nullableBytes is a view; nil for null.
func (r *reader) nullableBytes() []byte {
	n := 0
	if r.flexible {
		n = r.length()
	} else {
		n = int(r.Int32())
	}
	if n == -1 {
		return nil
	}
	return r.Take(n)
}

// count reads the length of an array that cannot be null, whose elements take
// at least elementBytes and of which limit are allowed.
func (r *reader) count(elementBytes, limit int) int {
	n := 0
	if r.flexible {
		n = r.length()
	} else {
		n = int(r.Int32())
	}
	if r.Err() != nil {
		return 0
	}
	if n < 0 || n > limit || n > r.Remaining()/elementBytes {
		r.Fail(codec.ErrInvalid)
		return 0
	}
	return n
}

// tags calls each for every tagged field with a view of its bytes.
func (r *reader) tags(each func(tag uint32, value *reader)) {
	if !r.flexible {
		return
	}
	previous := int64(-1)
	for n := r.Uvarint32(); n > 0 && r.Err() == nil; n-- {
		tag := r.Uvarint32()
		value := r.Take(int(r.Uvarint32()))
		if r.Err() != nil {
			return
		}
		if int64(tag) <= previous {
			r.Fail(codec.ErrInvalid)
			return
		}
		previous = int64(tag)
		if each == nil {
			continue
		}
		v := newReader(value, true)
		if each(tag, &v); v.Err() != nil {
			r.Fail(v.Err())
		}
	}
}

// skipTags passes over the tagged fields.
func (r *reader) skipTags() {
	if r.flexible && !r.noTags() {
		r.tags(nil)
	}
}

// noTags reads the one zero byte that the tagged fields are in almost all
// requests; it reads nothing when there are some.
func (r *reader) noTags() bool {
	if r.Peek() != 0 {
		return false
	}
	r.Skip(1)
	return true
}
