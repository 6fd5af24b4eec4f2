package record

import (
	"errors"
	"math"
	"slices"
	"strings"
	"sync"

	"github.com/klauspost/compress/zstd"
)

// zstdMaxWindow is what the zstd command and Java's decoder accept by default.
const zstdMaxWindow = 128 << 20

// One encoder and one decoder serve all goroutines, but for great outputs: each keeps as many
// workspaces as there are processors, and callers beyond that wait for one.
// They run on the caller's goroutine.
var (
	zstdEncoder  = sync.OnceValue(func() *zstd.Encoder { return newZstdEncoder(zstd.SpeedDefault) })
	zstdFastest  = sync.OnceValue(func() *zstd.Encoder { return newZstdEncoder(zstd.SpeedFastest) })
	zstdBetter   = sync.OnceValue(func() *zstd.Encoder { return newZstdEncoder(zstd.SpeedBetterCompression) })
	zstdThorough = sync.OnceValue(func() *zstd.Encoder { return newZstdEncoder(zstd.SpeedBestCompression) })
	zstdDecoder  = sync.OnceValue(func() *zstd.Decoder { return newZstdDecoder(0) })
)

func newZstdEncoder(level zstd.EncoderLevel) *zstd.Encoder {
	e, err := zstd.NewWriter(nil,
		zstd.WithEncoderLevel(level),
		zstd.WithWindowSize(1<<20), // batches are small; memory per workspace
		zstd.WithEncoderCRC(false), // the batch has a checksum
		zstd.WithZeroFrames(true),
		zstd.WithLowerEncoderMem(true))
	if err != nil {
		panic(err) // constant options
	}
	return e
}

// zstdEncoderAt is the encoder that comes closest to a level of Kafka's; the library has four.
func zstdEncoderAt(level int) *zstd.Encoder {
	switch zstd.EncoderLevelFromZstd(level) {
	case zstd.SpeedFastest:
		return zstdFastest()
	case zstd.SpeedBetterCompression:
		return zstdBetter()
	case zstd.SpeedBestCompression:
		return zstdThorough()
	}
	return zstdEncoder()
}

// zstdShared is the room up to which outputs are made by the decoder that all share: each
// workspace keeps hold of its last output.
const zstdShared = 8 << 20

// newZstdDecoder has as many workspaces; 0: one for each processor.
func newZstdDecoder(workspaces int) *zstd.Decoder {
	d, err := zstd.NewReader(nil,
		zstd.WithDecoderConcurrency(workspaces),
		zstd.WithDecoderLowmem(true),
		zstd.WithDecoderMaxWindow(zstdMaxWindow),
		zstd.WithDecodeAllCapLimit(true))
	if err != nil {
		panic(err) // constant options
	}
	return d
}

// decodeZstd decodes into the room behind dst.
func decodeZstd(dst, src []byte) ([]byte, error) {
	if cap(dst)-len(dst) <= zstdShared {
		return zstdDecoder().DecodeAll(src, dst)
	}
	d := newZstdDecoder(1)
	defer d.Close()
	return d.DecodeAll(src, dst)
}

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
		out, err := decodeZstd(dst[at:at:at+room], src)
		if err == nil && len(out) <= room {
			return dst[:at+len(out)], nil
		}
		if err != nil && !wantsRoom(err) {
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

// wantsRoom tells whether an error may mean that the output did not fit. The decoder has a
// name for that error only where the frame says its size; where it does not, as those of
// Java's streams, it speaks of the block that did not fit.
func wantsRoom(err error) bool {
	return errors.Is(err, zstd.ErrDecoderSizeExceeded) || strings.Contains(err.Error(), "output bigger than max block size")
}

// zstdDeclared is how much the first frame says that it inflates to; 0 when it does not say.
func zstdDeclared(src []byte) int {
	var h zstd.Header
	if h.Decode(src[:min(len(src), zstd.HeaderMaxSize)]) != nil || !h.HasFCS || h.FrameContentSize > math.MaxInt {
		return 0
	}
	return int(h.FrameContentSize)
}
