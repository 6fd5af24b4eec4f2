package record

import (
	"bytes"
	"encoding/binary"
	"io"
	"sync"

	"github.com/klauspost/compress/zstd"
)

// peek is the room for the first bytes of compressed records.
type peek struct {
	b [MaxTraceInflate]byte
}

var peeks = sync.Pool{New: func() any { return new(peek) }}

// begin fills the room behind dst with what src begins with when it is inflated, as far as
// that can be read: it may be cut short, and what is wrong with it is for others to say.
func (c Codec) begin(dst, src []byte) []byte {
	switch c {
	case Gzip:
		g := gzipReaders.Get().(*gzipReader)
		defer gzipReaders.Put(g)
		defer g.in.Reset(nil)
		g.in.Reset(src)
		if g.r.Reset(&g.in) != nil {
			return dst
		}
		return fill(dst, &g.r)
	case Snappy:
		return beginSnappy(dst, src)
	case LZ4:
		l := lz4Readers.Get().(*lz4Reader)
		defer lz4Readers.Put(l)
		defer l.in.Reset(nil)
		l.in.Reset(src)
		l.r.Reset(&l.in)
		return fill(dst, l.r)
	case Zstd:
		return beginZstd(dst, src)
	}
	return dst
}

// fill reads until the room behind dst is full or r has no more.
func fill(dst []byte, r io.Reader) []byte {
	n, _ := io.ReadFull(r, dst[len(dst):cap(dst)])
	return dst[:len(dst)+n]
}

// zstdPeekWindow bounds the memory of the one stream decoder, which has as much room as a
// frame says that it refers back. Clients' encoders say 8 MiB or less at all usual levels.
const zstdPeekWindow = 8 << 20

// zstdPeeks has the one stream decoder, or nil before its first use. Who finds it lent
// waits for one block of at most 128 KiB.
var zstdPeeks = func() chan *zstd.Decoder {
	c := make(chan *zstd.Decoder, 1)
	c <- nil
	return c
}()

func beginZstd(dst, src []byte) []byte {
	d := <-zstdPeeks
	defer func() { zstdPeeks <- d }()
	if d == nil {
		var err error
		d, err = zstd.NewReader(nil,
			zstd.WithDecoderConcurrency(1), // on the caller's goroutine, one block after another
			zstd.WithDecoderLowmem(true),
			zstd.WithDecoderMaxWindow(zstdPeekWindow))
		if err != nil {
			panic(err) // constant options
		}
	}
	if d.Reset(bytes.NewReader(src)) != nil {
		return dst
	}
	dst = fill(dst, d)
	_ = d.Reset(nil) // it lets go of src, and says that there is nothing to read
	return dst
}

func beginSnappy(dst, src []byte) []byte {
	if !bytes.HasPrefix(src, xerialMagic) {
		return beginSnappyBlock(dst, src)
	}
	if len(src) < xerialHeaderSize {
		return dst
	}
	src = src[xerialHeaderSize:]
	for len(src) >= 4 && len(dst) < cap(dst) {
		n := int64(int32(binary.BigEndian.Uint32(src)))
		src = src[4:]
		if n < 0 || n > int64(len(src)) {
			break
		}
		was := len(dst)
		// Only the last block ends before it is whole, where dst is full.
		if dst = beginSnappyBlock(dst, src[:n]); len(dst) == was {
			break
		}
		src = src[n:]
	}
	return dst
}

// beginSnappyBlock appends the first bytes of one raw block. Its elements are literals and
// copies of what came before, told apart by the low two bits of a tag:
//
//	00  literal: length-1 in the upper six bits, or from 60 on in one to four bytes behind
//	01  copy of 4 to 11 bytes, 11 bits of distance
//	10  copy of 1 to 64 bytes, 16 bits of distance
//	11  copy of 1 to 64 bytes, 32 bits of distance
//
// The library decodes whole blocks alone, and clients outside of Java make a block of all
// records.
func beginSnappyBlock(dst, src []byte) []byte {
	start := len(dst)
	_, n := binary.Uvarint(src)
	if n <= 0 {
		return dst
	}
	src = src[n:]
	for len(src) > 0 && len(dst) < cap(dst) {
		tag, size := src[0], 1+int(src[0]>>2)
		src = src[1:]
		if tag&3 == 0 {
			if size > 60 {
				var ok bool
				if size, src, ok = snappyNumber(src, size-60); !ok {
					break
				}
				size++
			}
			if size > len(src) {
				break
			}
			dst = append(dst, src[:min(size, cap(dst)-len(dst))]...)
			src = src[size:]
			continue
		}
		extra := [4]int{1: 1, 2: 2, 3: 4}[tag&3]
		distance, rest, ok := snappyNumber(src, extra)
		if !ok {
			break
		}
		src = rest
		if tag&3 == 1 {
			size = 4 + int(tag>>2&7)
			distance |= int(tag>>5) << 8
		}
		if distance == 0 || distance > len(dst)-start {
			break
		}
		for ; size > 0 && len(dst) < cap(dst); size-- {
			dst = append(dst, dst[len(dst)-distance])
		}
	}
	return dst
}

// snappyNumber reads n bytes, the lowest first.
func snappyNumber(src []byte, n int) (v int, rest []byte, ok bool) {
	if len(src) < n {
		return 0, src, false
	}
	for i := n - 1; i >= 0; i-- {
		v = v<<8 | int(src[i])
	}
	return v, src[n:], true
}
