package record

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"iter"
	"math"
)

// HeaderSize is the number of bytes up to and including the record count.
const HeaderSize = 61

// Positions of the header fields.
const (
	posBaseOffset    = 0
	posLength        = 8
	posLeaderEpoch   = 12
	posMagic         = 16
	posCRC           = 17
	posAttributes    = 21
	posLastDelta     = 23
	posFirstTime     = 27
	posMaxTime       = 35
	posProducerID    = 43
	posProducerEpoch = 51
	posBaseSequence  = 53
	posCount         = 57

	lengthOverhead = 12 // base offset and the length field itself
)

// Bits of the attributes.
const (
	attrCodecMask     = 0x07
	attrLogAppendTime = 1 << 3
	attrTransactional = 1 << 4
	attrControl       = 1 << 5
	attrDeleteHorizon = 1 << 6
)

// Values of absent header fields.
const (
	NoTimestamp     int64 = -1
	NoProducerID    int64 = -1
	NoProducerEpoch int16 = -1
	NoSequence      int32 = -1
	NoLeaderEpoch   int32 = -1
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Batch is a view over one complete v2 batch. The accessors trust its length:
// obtain a Batch from Next, Parse or a Builder, or hand in at least HeaderSize
// bytes when only the header is at hand.
type Batch []byte

// Next splits the first batch from b. The error is ErrShort when b ends before
// the batch does (an empty b included), ErrMagic for message formats v0 and v1,
// ErrCorrupt for a length that no batch can have. It looks at length and magic
// only; see Validate.
func Next(b []byte) (batch Batch, rest []byte, err error) {
	if len(b) > posMagic && b[posMagic] != 2 {
		return nil, b, fmt.Errorf("%w: magic=%d", ErrMagic, int8(b[posMagic]))
	}
	if len(b) < lengthOverhead {
		return nil, b, ErrShort
	}
	n := int64(int32(binary.BigEndian.Uint32(b[posLength:]))) + lengthOverhead
	if n < HeaderSize {
		return nil, b, fmt.Errorf("%w: length=%d", ErrCorrupt, n-lengthOverhead)
	}
	if int64(len(b)) < n {
		return nil, b, ErrShort
	}
	return Batch(b[:n:n]), b[n:], nil
}

// Parse is Next for bytes that must be exactly one batch; bytes after it are
// ErrCorrupt.
func Parse(b []byte) (Batch, error) {
	batch, rest, err := Next(b)
	if err != nil {
		return nil, err
	}
	if len(rest) != 0 {
		return nil, fmt.Errorf("%w: bytes after the batch, count=%d", ErrCorrupt, len(rest))
	}
	return batch, nil
}

// All yields the batches of b in order; a failure of Next is yielded last, with
// a nil batch.
func All(b []byte) iter.Seq2[Batch, error] {
	return func(yield func(Batch, error) bool) {
		for len(b) > 0 {
			batch, rest, err := Next(b)
			if !yield(batch, err) || err != nil {
				return
			}
			b = rest
		}
	}
}

// BaseOffset is the offset of the first record.
func (b Batch) BaseOffset() int64 { return int64(binary.BigEndian.Uint64(b[posBaseOffset:])) }

// SetBaseOffset patches the base offset, which the CRC does not cover.
func (b Batch) SetBaseOffset(o int64) { binary.BigEndian.PutUint64(b[posBaseOffset:], uint64(o)) }

// LeaderEpoch is the epoch of the leader that appended the batch; -1 from clients.
func (b Batch) LeaderEpoch() int32 { return int32(binary.BigEndian.Uint32(b[posLeaderEpoch:])) }

// SetLeaderEpoch patches the leader epoch, which the CRC does not cover.
func (b Batch) SetLeaderEpoch(e int32) { binary.BigEndian.PutUint32(b[posLeaderEpoch:], uint32(e)) }

// Size is the number of bytes of the whole batch as its length field says; it
// holds for a view over the header alone too.
func (b Batch) Size() int { return int(int32(binary.BigEndian.Uint32(b[posLength:]))) + lengthOverhead }

// Magic is the message format version; 2 for every batch that Next returned.
func (b Batch) Magic() int8 { return int8(b[posMagic]) }

// CRC is the stored CRC-32C.
func (b Batch) CRC() uint32 { return binary.BigEndian.Uint32(b[posCRC:]) }

// ComputeCRC is the CRC-32C of the bytes as they are now.
func (b Batch) ComputeCRC() uint32 { return crc32.Checksum(b[posAttributes:], castagnoli) }

// Attributes are the raw attribute bits.
func (b Batch) Attributes() int16 { return int16(binary.BigEndian.Uint16(b[posAttributes:])) }

// Codec is the compression of the records; values above Zstd are unknown.
func (b Batch) Codec() Codec { return Codec(b[posAttributes+1] & attrCodecMask) }

// LogAppendTime says whether the timestamps are the broker's, not the producer's.
func (b Batch) LogAppendTime() bool { return b.Attributes()&attrLogAppendTime != 0 }

// Transactional says whether the batch is part of a transaction.
func (b Batch) Transactional() bool { return b.Attributes()&attrTransactional != 0 }

// Control says whether the records are control records, such as transaction markers.
func (b Batch) Control() bool { return b.Attributes()&attrControl != 0 }

// DeleteHorizon says whether FirstTimestamp holds the time at which compaction
// may drop the tombstones of this batch.
func (b Batch) DeleteHorizon() bool { return b.Attributes()&attrDeleteHorizon != 0 }

// LastOffsetDelta is the last record's offset less the base offset. Compaction
// keeps it when it drops the last record.
func (b Batch) LastOffsetDelta() int32 { return int32(binary.BigEndian.Uint32(b[posLastDelta:])) }

// LastOffset is the offset of the last record that the batch was built with.
func (b Batch) LastOffset() int64 { return b.BaseOffset() + int64(b.LastOffsetDelta()) }

// NextOffset is the first offset after the batch.
func (b Batch) NextOffset() int64 { return b.LastOffset() + 1 }

// FirstTimestamp is the time in ms that the records' deltas are relative to.
func (b Batch) FirstTimestamp() int64 { return int64(binary.BigEndian.Uint64(b[posFirstTime:])) }

// MaxTimestamp is the greatest timestamp of the records in ms, or the append
// time of all of them when LogAppendTime.
func (b Batch) MaxTimestamp() int64 { return int64(binary.BigEndian.Uint64(b[posMaxTime:])) }

// ProducerID is the idempotent producer's id, or NoProducerID.
func (b Batch) ProducerID() int64 { return int64(binary.BigEndian.Uint64(b[posProducerID:])) }

// ProducerEpoch is the idempotent producer's epoch, or NoProducerEpoch.
func (b Batch) ProducerEpoch() int16 { return int16(binary.BigEndian.Uint16(b[posProducerEpoch:])) }

// BaseSequence is the sequence number of the first record, or NoSequence.
func (b Batch) BaseSequence() int32 { return int32(binary.BigEndian.Uint32(b[posBaseSequence:])) }

// LastSequence is the sequence number of the last record, or NoSequence;
// sequence numbers wrap from 2³¹-1 to 0.
func (b Batch) LastSequence() int32 {
	base := b.BaseSequence()
	if base < 0 {
		return NoSequence
	}
	return AddSequence(base, b.LastOffsetDelta())
}

// AddSequence is the sequence number n steps after seq (n ≥ 0), wrapping from
// 2³¹-1 to 0.
func AddSequence(seq, n int32) int32 {
	return int32((int64(seq) + int64(n)) & math.MaxInt32)
}

// Count is the number of records as the header says.
func (b Batch) Count() int32 { return int32(binary.BigEndian.Uint32(b[posCount:])) }

// SetAppendTime stamps the batch with the broker's time in ms: the LogAppendTime
// attribute, the max timestamp and the CRC change.
func (b Batch) SetAppendTime(ms int64) {
	binary.BigEndian.PutUint16(b[posAttributes:], uint16(b.Attributes()|attrLogAppendTime))
	binary.BigEndian.PutUint64(b[posMaxTime:], uint64(ms))
	b.seal()
}

// SetCreateTime corrects a producer that claimed LogAppendTime or got the max
// timestamp wrong: the records' own times stand, ms is the greatest of them. The
// CRC changes.
func (b Batch) SetCreateTime(ms int64) {
	binary.BigEndian.PutUint16(b[posAttributes:], uint16(b.Attributes()&^attrLogAppendTime))
	binary.BigEndian.PutUint64(b[posMaxTime:], uint64(ms))
	b.seal()
}

// seal stores the CRC of the present bytes.
func (b Batch) seal() { binary.BigEndian.PutUint32(b[posCRC:], b.ComputeCRC()) }
