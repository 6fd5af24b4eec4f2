package record

import (
	"bytes"
	"encoding/binary"
	"errors"
	"slices"

	"github.com/klauspost/compress/s2"
	"github.com/klauspost/compress/snappy"
)

// Java's snappy streams ("xerial") are a header and length-prefixed raw blocks:
//
//	0  82 53 4e 41 50 50 59 00   magic
//	8  version int32 = 1
//	12 oldest compatible version int32 = 1
//	16 { block length int32 │ raw snappy block }…
//
// Clients in other languages send either that or one raw block.

var xerialMagic = []byte{0x82, 'S', 'N', 'A', 'P', 'P', 'Y', 0}

const (
	xerialHeaderSize = 16
	xerialBlockSize  = 32 << 10

	// snappyMaxRatio bounds what one compressed byte can become: the densest
	// element is a copy of 64 bytes in three.
	snappyMaxRatio = 22
)

var (
	errSnappyShort = errors.New("snappy stream is cut short")
	errSnappyRatio = errors.New("snappy block claims more than its bytes can hold")
)

func compressSnappy(dst, src []byte) []byte {
	dst = append(dst, xerialMagic...)
	dst = append(dst, 0, 0, 0, 1, 0, 0, 0, 1)
	for len(src) > 0 {
		block := src[:min(len(src), xerialBlockSize)]
		src = src[len(block):]
		at := len(dst)
		dst = slices.Grow(dst, 4+s2.MaxEncodedLen(len(block)))
		body := s2.EncodeSnappy(dst[at+4:cap(dst)], block)
		dst = binary.BigEndian.AppendUint32(dst, uint32(len(body)))
		dst = dst[:at+4+len(body)]
	}
	return dst
}

func decompressSnappy(dst, src []byte, maxBytes int) ([]byte, error) {
	if !bytes.HasPrefix(src, xerialMagic) {
		return decompressSnappyBlock(dst, src, maxBytes)
	}
	if len(src) < xerialHeaderSize {
		return dst, errSnappyShort
	}
	src = src[xerialHeaderSize:]
	start := len(dst)
	for len(src) > 0 {
		if len(src) < 4 {
			return dst[:start], errSnappyShort
		}
		n := int64(int32(binary.BigEndian.Uint32(src)))
		src = src[4:]
		if n < 0 || n > int64(len(src)) {
			return dst[:start], errSnappyShort
		}
		var err error
		dst, err = decompressSnappyBlock(dst, src[:n], maxBytes-(len(dst)-start))
		if err != nil {
			return dst[:start], err
		}
		src = src[n:]
	}
	return dst, nil
}

// decompressSnappyBlock appends one raw block. The strict decoder is meant: the
// s2 extensions would be unreadable for other clients.
func decompressSnappyBlock(dst, src []byte, maxBytes int) ([]byte, error) {
	n, err := snappy.DecodedLen(src)
	if err != nil {
		return dst, err
	}
	if n > maxBytes {
		return dst, ErrTooLarge
	}
	if n > snappyMaxRatio*len(src) {
		return dst, errSnappyRatio
	}
	at := len(dst)
	if cap(dst)-at < n {
		dst = slices.Grow(dst, max(n, min(at, maxBytes))) // at least double
	}
	if _, err := snappy.DecodeStrict(dst[at:at:at+n], src); err != nil {
		return dst[:at], err
	}
	return dst[:at+n], nil
}
