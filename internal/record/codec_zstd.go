package record

import (
	"errors"
	"slices"
	"sync"

	"github.com/klauspost/compress/zstd"
)

// zstdMaxWindow is what the zstd command and Java's decoder accept by default.
const zstdMaxWindow = 128 << 20

// One encoder and one decoder serve all goroutines: each keeps as many
// workspaces as there are processors, and callers beyond that wait for one.
// They run on the caller's goroutine.
var (
	zstdEncoder = sync.OnceValue(func() *zstd.Encoder {
		e, err := zstd.NewWriter(nil,
			zstd.WithEncoderLevel(zstd.SpeedDefault),
			zstd.WithWindowSize(1<<20), // batches are small; memory per workspace
			zstd.WithEncoderCRC(false), // the batch has a checksum
			zstd.WithZeroFrames(true),
			zstd.WithLowerEncoderMem(true))
		if err != nil {
			panic(err) // constant options
		}
		return e
	})
	zstdDecoder = sync.OnceValue(func() *zstd.Decoder {
		d, err := zstd.NewReader(nil,
			zstd.WithDecoderConcurrency(0),
			zstd.WithDecoderLowmem(true),
			zstd.WithDecoderMaxWindow(zstdMaxWindow),
			zstd.WithDecodeAllCapLimit(true))
		if err != nil {
			panic(err) // constant options
		}
		return d
	})
)

// decompressZstd decodes straight into dst's spare room, which bounds the
// output; when that was too little it is quadrupled and the decode repeated, so
// that all attempts together cost 4/3 of the last one.
func decompressZstd(dst, src []byte, maxBytes int) ([]byte, error) {
	at := len(dst)
	room := max(cap(dst)-at, 4*len(src), 4<<10)
	for {
		room = min(room, maxBytes)
		dst = slices.Grow(dst, room)
		room = min(cap(dst)-at, maxBytes)
		out, err := zstdDecoder().DecodeAll(src, dst[at:at:at+room])
		if err == nil && len(out) <= room {
			return dst[:at+len(out)], nil
		}
		if err != nil && !errors.Is(err, zstd.ErrDecoderSizeExceeded) {
			return dst[:at], err
		}
		if room >= maxBytes {
			return dst[:at], ErrTooLarge
		}
		if room > maxBytes/4 {
			room = maxBytes
		} else {
			room *= 4
		}
	}
}
