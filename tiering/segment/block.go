package segment

import (
	"crypto/sha256"
	"fmt"
	"hash/crc32"
	"iter"

	"github.com/klauspost/compress/zstd"

	"github.com/tidelinehq/tideline/internal/record"
)

// Compression of blocks pays when it saves at least minSaving of the bytes: below that, the reader's CPU and the lost
// path without a copy cost more than the stored bytes.
const minSaving = 8 // percent

// minCompress is the least block in bytes that is worth the frame and the decoder's set-up.
const minCompress = 512

// sampleBytes is how much of a large block is compressed to learn whether the rest is worth trying.
const sampleBytes = 32 << 10

// encoder is safe for concurrent use and bounded by the number of processors. Its window is one block.
var encoder = func() *zstd.Encoder {
	e, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithWindowSize(DefaultBlockBytes),
		zstd.WithEncoderCRC(false), zstd.WithLowerEncoderMem(true))
	if err != nil {
		panic("segment: zstd encoder: " + err.Error()) // the options are constants
	}
	e.EncodeAll(nil, nil) // it sets itself up at first use, which may be in a test's synctest bubble
	return e
}()

// decoder is safe for concurrent use and bounded by the capacity of what it decodes into.
var decoder = func() *zstd.Decoder {
	d, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(0), zstd.WithDecoderMaxMemory(MaxBlockBytes),
		zstd.WithDecodeAllCapLimit(true), zstd.WithDecoderLowmem(true))
	if err != nil {
		panic("segment: zstd decoder: " + err.Error()) // the options are constants
	}
	return d
}()

// compress returns a zstd frame of raw in dst's memory, or nil when storing raw as it is costs less.
func compress(dst, raw []byte) []byte {
	if len(raw) < minCompress {
		return nil
	}
	if len(raw) > 4*sampleBytes {
		middle := len(raw) / 2
		dst = encoder.EncodeAll(raw[middle:middle+sampleBytes], dst[:0])
		if !pays(len(dst), sampleBytes) {
			return nil
		}
	}
	dst = encoder.EncodeAll(raw, dst[:0])
	if !pays(len(dst), len(raw)) {
		return nil
	}
	return dst
}

func pays(stored, raw int) bool { return stored*100 <= raw*(100-minSaving) }

// digest fills the checksums of the stored bytes in.
func (k *Block) digest(stored []byte) {
	k.CRC = crc32.Checksum(stored, castagnoli)
	k.Digest = sha256.Sum256(stored)
}

// Decode checks the stored bytes of block k and returns its batches. A raw block is returned as it is, without a copy;
// a compressed one is decoded into dst, which is grown when its capacity is below k.Raw. limit bounds k.Raw in bytes
// (ErrTooLarge), 0 meaning MaxBlockBytes. ErrTorn when stored is shorter than the block.
func (k *Block) Decode(dst, stored []byte, limit int) ([]byte, error) {
	if limit <= 0 || limit > MaxBlockBytes {
		limit = MaxBlockBytes
	}
	if int64(k.Raw) > int64(limit) {
		return nil, fmt.Errorf("%w: block raw=%d limit=%d", ErrTooLarge, k.Raw, limit)
	}
	if err := k.CheckStored(stored); err != nil {
		return nil, err
	}
	stored = stored[:k.Stored]
	if k.Codec == Raw {
		return stored, nil
	}
	if cap(dst) < int(k.Raw) {
		dst = make([]byte, 0, k.Raw)
	}
	raw, err := decoder.DecodeAll(stored, dst[:0:k.Raw])
	if err != nil {
		return nil, fmt.Errorf("%w: block first=%d: %w", ErrCorrupt, k.First, err)
	}
	if len(raw) != int(k.Raw) {
		return nil, fmt.Errorf("%w: block first=%d raw=%d want=%d", ErrCorrupt, k.First, len(raw), k.Raw)
	}
	return raw, nil
}

// CheckStored verifies length and CRC-32C of the stored bytes of block k.
func (k *Block) CheckStored(stored []byte) error {
	if len(stored) < int(k.Stored) || k.Stored < 0 {
		return fmt.Errorf("%w: block first=%d stored=%d want=%d", ErrTorn, k.First, len(stored), k.Stored)
	}
	if got := crc32.Checksum(stored[:k.Stored], castagnoli); got != k.CRC {
		return fmt.Errorf("%w: block checksum first=%d got=%08x want=%08x", ErrCorrupt, k.First, got, k.CRC)
	}
	return nil
}

// Batches yields the batches of a decoded block in order. An error ends it: the CRC of the block was right, so its
// writer stored what is no batch.
func Batches(raw []byte) iter.Seq2[record.Batch, error] {
	return func(yield func(record.Batch, error) bool) {
		for len(raw) > 0 {
			b, rest, err := record.Next(raw)
			if err != nil {
				yield(nil, fmt.Errorf("%w: block holds no whole batch at remaining=%d: %w", ErrCorrupt, len(raw), err))
				return
			}
			if !yield(b, nil) {
				return
			}
			raw = rest
		}
	}
}
