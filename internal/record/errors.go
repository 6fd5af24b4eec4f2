package record

import "errors"

var (
	// ErrShort means that the bytes end before the batch does: a torn tail, or
	// a read that was cut at a byte limit. More bytes could make it whole.
	ErrShort = errors.New("record batch is cut short")

	// ErrMagic means a message format other than v2.
	ErrMagic = errors.New("unsupported record batch magic")

	// ErrCorrupt means that the bytes contradict themselves; no more bytes
	// could repair them.
	ErrCorrupt = errors.New("corrupt record batch")

	// ErrChecksum is the ErrCorrupt of a CRC mismatch; errors.Is matches both.
	ErrChecksum = checksumError{}

	// ErrInvalid means well-formed bytes that a producer must not send, such
	// as a record count which does not match the offsets.
	ErrInvalid = errors.New("invalid record batch")

	// ErrTooLarge means that the decompressed records exceed the caller's bound.
	ErrTooLarge = errors.New("decompressed records exceed the limit")

	// ErrCodec means a compression codec which this broker does not know.
	ErrCodec = errors.New("unknown compression codec")
)

type checksumError struct{}

func (checksumError) Error() string   { return "record batch checksum mismatch" }
func (checksumError) Is(e error) bool { return e == ErrCorrupt }
