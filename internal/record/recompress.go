package record

import (
	"encoding/binary"
	"fmt"
	"math"
)

// Compression is a codec and how hard it tries. Levels are Kafka's, and mean the same as there as
// far as the codecs here have as many: gzip 1 to 9, lz4 1 to 17, zstd -131072 to 22.
type Compression struct {
	Codec Codec
	Level int // UsualLevel: what Codec.Compress does
}

// UsualLevel stands for the level of a codec that was not given one.
const UsualLevel = math.MinInt

// Compress is Codec.Compress with a level.
func (c Compression) Compress(dst, src []byte) ([]byte, error) {
	switch {
	case c.Level == UsualLevel:
	case c.Codec == Gzip:
		return compressGzip(dst, src, gzipLevel(c.Level))
	case c.Codec == LZ4:
		return compressLZ4(dst, src, lz4Level(c.Level))
	case c.Codec == Zstd:
		return zstdEncoderAt(c.Level).EncodeAll(src, dst), nil
	}
	return c.Codec.Compress(dst, src)
}

// Recompress is ValidateProduced of b, and returns the same batch with its records in another
// codec, in memory of its own. What may be in the records is bounded by maxBytes, and so is the
// memory that it takes meanwhile. b is not changed.
func (b Batch) Recompress(c Compression, maxBytes int) (Batch, Summary, error) {
	if err := b.validateProduced(); err != nil {
		return nil, Summary{}, err
	}
	body := []byte(b[HeaderSize:])
	if b.Codec() != None {
		s, err := inflate(b.Codec(), body, maxBytes)
		if err != nil {
			return nil, Summary{}, err
		}
		defer s.release()
		body = s.b
	}
	summary, err := scan(body, b.Count(), b.FirstTimestamp())
	if err != nil {
		return nil, Summary{}, err
	}
	room := len(body)
	if c.Codec != None {
		room = min(len(body), len(b)) // about what it had
	}
	out := append(make([]byte, 0, HeaderSize+room), b[:HeaderSize]...)
	if out, err = c.Compress(out, body); err != nil {
		return nil, Summary{}, err
	}
	if int64(len(out)) > MaxBatchSize {
		return nil, Summary{}, fmt.Errorf("%w: recompressed bytes=%d", ErrTooLarge, len(out))
	}
	binary.BigEndian.PutUint32(out[posLength:], uint32(len(out)-lengthOverhead))
	binary.BigEndian.PutUint16(out[posAttributes:], uint16(b.Attributes()&^attrCodecMask|int16(c.Codec)))
	Batch(out).seal()
	return out, summary, nil
}
