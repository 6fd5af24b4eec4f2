package wire

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// SizePrefix is the number of bytes of a frame's size.
const SizePrefix = 4

// MinRequestSize is the least size that a frame with a request header has.
const MinRequestSize = 10

// MaxResponseHeader is the most that AppendResponseHeader appends.
const MaxResponseHeader = 5

var (
	// ErrMalformed means that bytes are not what their key and version promise.
	ErrMalformed = errors.New("malformed request")

	// ErrUnknownKey means an API key that is not in the protocol.
	ErrUnknownKey = errors.New("unknown api key")
)

// RequestHeader is what precedes every request's body.
type RequestHeader struct {
	Key           int16
	Version       int16
	CorrelationID int32
	ClientID      []byte // a view of the frame; nil: null
}

// ParseRequestHeader splits a frame (without its size) into header and body.
// The errors are ErrMalformed and ErrUnknownKey; with the latter the fixed
// fields of the header are set. Whether the version is supported is for the
// caller to look up.
//
// An ApiVersions request of a version from the future has to be answered, so
// its header is read as far as it can be and the rest is the body.
func ParseRequestHeader(frame []byte) (h RequestHeader, body []byte, err error) {
	r := newReader(frame, false)
	h.Key, h.Version, h.CorrelationID = r.Int16(), r.Int16(), r.Int32()
	if r.Err() == nil && !KnownKey(h.Key) {
		return h, nil, fmt.Errorf("%w: api_key=%d version=%d", ErrUnknownKey, h.Key, h.Version)
	}
	h.ClientID = r.nullableString()
	if r.Err() == nil && Flexible(h.Key, h.Version) {
		fixed := r.Offset()
		r.flexible = true
		r.skipTags()
		if r.Err() != nil && h.Key == KeyApiVersions {
			return h, frame[fixed:], nil
		}
	}
	body = r.Rest()
	if err := r.failure("request header", h.Version); err != nil {
		return RequestHeader{}, nil, err
	}
	return h, body, nil
}

// AppendResponseHeader appends the correlation id and, where the response
// header is flexible, empty tagged fields. The header of ApiVersions never is:
// a client reads it before it knows what the broker speaks.
func AppendResponseHeader(dst []byte, key, version int16, correlationID int32) []byte {
	dst = binary.BigEndian.AppendUint32(dst, uint32(correlationID))
	if key != KeyApiVersions && Flexible(key, version) {
		dst = append(dst, 0)
	}
	return dst
}

// AppendRequestHeader appends a request header with empty tagged fields; peers
// of this broker and tests send with it. A nil clientID is null.
func AppendRequestHeader(dst []byte, h RequestHeader) []byte {
	dst = binary.BigEndian.AppendUint16(dst, uint16(h.Key))
	dst = binary.BigEndian.AppendUint16(dst, uint16(h.Version))
	dst = binary.BigEndian.AppendUint32(dst, uint32(h.CorrelationID))
	if h.ClientID == nil {
		dst = append(dst, 0xff, 0xff)
	} else {
		dst = binary.BigEndian.AppendUint16(dst, uint16(len(h.ClientID)))
		dst = append(dst, h.ClientID...)
	}
	if Flexible(h.Key, h.Version) {
		dst = append(dst, 0)
	}
	return dst
}
