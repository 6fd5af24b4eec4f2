package segment

import "errors"

// The three answers that a decoder of stored bytes can give, and two that are the caller's doing. Every error of this
// package about bytes is exactly one of them by errors.Is, or what the Source or the context returned.
var (
	// ErrTorn: the bytes end before the structure does. An upload that did not finish, or a range that was cut: more bytes
	// could make it whole.
	ErrTorn = errors.New("segment object is cut short")
	// ErrCorrupt: the bytes contradict a checksum, a bound or each other; no more bytes can repair them.
	ErrCorrupt = errors.New("segment object is corrupt")
	// ErrVersion: the bytes are whole, and of a format version that this reader does not know.
	ErrVersion = errors.New("unknown segment format version")
	// ErrTooLarge: a well-formed value is above the limit that the caller set, or above the limits of the format on the way in.
	ErrTooLarge = errors.New("segment value exceeds its limit")
	// ErrOrder: batches or sections were handed to a Writer out of order, or a method was called at the wrong time.
	ErrOrder = errors.New("segment writer used out of order")
)
