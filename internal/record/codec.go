package record

import (
	"fmt"
	"strconv"
)

// Codec is the compression of a batch's records, as in the attribute bits.
type Codec int8

// The codecs of the Kafka protocol.
const (
	None   Codec = 0
	Gzip   Codec = 1
	Snappy Codec = 2
	LZ4    Codec = 3
	Zstd   Codec = 4
)

var codecNames = [...]string{None: "none", Gzip: "gzip", Snappy: "snappy", LZ4: "lz4", Zstd: "zstd"}

// String is the name that Kafka's compression.type uses.
func (c Codec) String() string {
	if c.valid() {
		return codecNames[c]
	}
	return "codec(" + strconv.Itoa(int(c)) + ")"
}

// ParseCodec is the codec of a compression.type name; "uncompressed" is None
// too. The error is ErrCodec.
func ParseCodec(name string) (Codec, error) {
	if name == "uncompressed" {
		return None, nil
	}
	for c, n := range codecNames {
		if n == name {
			return Codec(c), nil
		}
	}
	return None, fmt.Errorf("%w: name=%q", ErrCodec, name)
}

func (c Codec) valid() bool { return c >= None && c <= Zstd }

// Compress appends the compressed src to dst. The bytes are what Apache Kafka's
// Java client reads: one gzip member, xerial-framed snappy, an lz4 frame of
// independent blocks, one zstd frame. The only error is ErrCodec.
func (c Codec) Compress(dst, src []byte) ([]byte, error) {
	switch c {
	case None:
		return append(dst, src...), nil
	case Gzip:
		return compressGzip(dst, src, gzipUsual)
	case Snappy:
		return compressSnappy(dst, src), nil
	case LZ4:
		return compressLZ4(dst, src, lz4Usual)
	case Zstd:
		return zstdEncoder().EncodeAll(src, dst), nil
	}
	return dst, fmt.Errorf("%w: codec=%d", ErrCodec, int8(c))
}

// declared is how much src says that it inflates to, which is to be believed as far as
// saving a vain attempt; 0 when it does not say.
func (c Codec) declared(src []byte) int {
	if c == Zstd {
		return zstdDeclared(src)
	}
	return 0
}

// Decompress appends the decompressed src to dst, at most maxBytes of it. The
// error is ErrTooLarge beyond that, ErrCorrupt for bytes that the codec cannot
// read, ErrCodec for an unknown codec. The room made in dst stays below twice
// maxBytes whatever a header claims. dst keeps what it held.
func (c Codec) Decompress(dst, src []byte, maxBytes int) ([]byte, error) {
	if maxBytes < 0 {
		maxBytes = 0
	}
	var err error
	out := dst
	switch c {
	case None:
		if len(src) > maxBytes {
			err = ErrTooLarge
			break
		}
		out = append(dst, src...)
	case Gzip:
		out, err = decompressGzip(dst, src, maxBytes)
	case Snappy:
		out, err = decompressSnappy(dst, src, maxBytes)
	case LZ4:
		out, err = decompressLZ4(dst, src, maxBytes)
	case Zstd:
		out, err = decompressZstd(dst, src, maxBytes)
	default:
		return dst, fmt.Errorf("%w: codec=%d", ErrCodec, int8(c))
	}
	if err == ErrTooLarge {
		return dst, fmt.Errorf("%w: codec=%v compressed_bytes=%d limit_bytes=%d", err, c, len(src), maxBytes)
	}
	if err != nil {
		return dst, fmt.Errorf("%w: codec=%v compressed_bytes=%d: %w", ErrCorrupt, c, len(src), err)
	}
	return out, nil
}
