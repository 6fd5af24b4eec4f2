package objstore

import (
	"context"
	"errors"
	"fmt"
	"strings"
)

// The classes of errors. Each error of a Store is exactly one of these by errors.Is, or a context's error.
var (
	// ErrNotFound: there is no such object. (A missing bucket is ErrDenied: it must never pass for a missing object.)
	ErrNotFound = errors.New("object not found")
	// ErrPrecondition: the Condition of a Put did not hold; nothing was written.
	ErrPrecondition = errors.New("precondition failed")
	// ErrDenied: credentials, policy or the bucket's absence. Repeating does not help (but see retry); somebody must change something.
	ErrDenied = errors.New("access denied")
	// ErrUnavailable: 5xx, SlowDown, a timeout, a broken or refused connection, a 409 between two writers, a body that ended
	// short. Worth repeating. A Put or Delete may or may not have happened.
	ErrUnavailable = errors.New("object store unavailable")
	// ErrCorrupt: bytes do not have the checksum they should have, on the way in or on the way out, or the body of a Put cannot be read.
	ErrCorrupt = errors.New("object corrupt")
	// ErrRange: the range begins at or behind the object's end.
	ErrRange = errors.New("range beyond the end of the object")
	// ErrInvalid: the call itself is wrong (bad key, contradictory condition, object too large), or the store does not implement
	// it. A bug or a wrong store, not a state of the world.
	ErrInvalid = errors.New("invalid object store request")
)

// ErrUncertain is a mark on an ErrPrecondition, not a class: the object that is there is another writer's, but an attempt whose reply was
// lost may have written ours before that. Whoever only asks "am I the owner now" need not care. Whoever must know whether its
// write ever happened looks for its id in the history that the object carries.
var ErrUncertain = errors.New("an earlier attempt may have happened and been replaced")

// classes in the order in which ClassOf asks.
var classes = []error{ErrNotFound, ErrPrecondition, ErrDenied, ErrCorrupt, ErrRange, ErrInvalid, ErrUnavailable}

// ClassOf returns the class sentinel of err, or nil when it has none (a context's error, or nil).
func ClassOf(err error) error {
	if err == nil {
		return nil
	}
	for _, class := range classes {
		if errors.Is(err, class) {
			return class
		}
	}
	return nil
}

// Error is an error of a class with what the store said. Backends return it; errors.As finds it.
type Error struct {
	Class     error  // one of the sentinels
	Op        string // put, get, head, delete, list; "" when not known here
	Key       string // "" when not about one key
	Status    int    // HTTP status, 0 when there was no answer or no HTTP
	Code      string // the store's error code, for example SlowDown
	RequestID string // the store's id of the request, for its operator
	Detail    string // what went wrong, when there is no Cause that says so
	Cause     error  // underlying error, may be nil
}

// Error has the class first and the values last.
func (e *Error) Error() string {
	var b strings.Builder
	if e.Op != "" {
		b.WriteString(e.Op)
		b.WriteString(": ")
	}
	b.WriteString(e.Class.Error())
	if e.Detail != "" {
		b.WriteString(": ")
		b.WriteString(e.Detail)
	}
	if e.Cause != nil {
		b.WriteString(": ")
		b.WriteString(e.Cause.Error())
	}
	if e.Key != "" {
		fmt.Fprintf(&b, " key=%s", e.Key)
	}
	if e.Status != 0 {
		fmt.Fprintf(&b, " status=%d", e.Status)
	}
	if e.Code != "" {
		fmt.Fprintf(&b, " code=%s", e.Code)
	}
	if e.RequestID != "" {
		fmt.Fprintf(&b, " request_id=%s", e.RequestID)
	}
	return b.String()
}

// Unwrap gives errors.Is the class and the cause.
func (e *Error) Unwrap() []error {
	if e.Cause == nil {
		return []error{e.Class}
	}
	return []error{e.Class, e.Cause}
}

// Errorf makes an Error of a class without a key or cause.
func Errorf(class error, format string, args ...any) error {
	return &Error{Class: class, Detail: fmt.Sprintf(format, args...)}
}

// Retriable reports whether a later attempt of the same call can succeed without anybody doing anything.
func Retriable(err error) bool { return ClassOf(err) == ErrUnavailable }

// Canceled reports whether err says only that the caller's context ended.
func Canceled(err error) bool {
	return ClassOf(err) == nil && (errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded))
}
