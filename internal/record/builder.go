package record

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"slices"
)

// Options describe the batch that a Builder makes. The zero value is an
// uncompressed batch at offset 0 of producer 0; most callers set ProducerID to
// NoProducerID, for which Epoch and Sequence are then ignored.
type Options struct {
	Codec         Codec
	BaseOffset    int64
	LeaderEpoch   int32
	ProducerID    int64
	ProducerEpoch int16
	Sequence      int32 // of the first record; NoSequence in control batches
	Transactional bool
	Control       bool
	LogAppendTime bool  // all records take AppendTime
	AppendTime    int64 // ms, with LogAppendTime
	DeleteHorizon int64 // ms; 0: none. Set by compaction
}

// MaxBatchSize bounds a batch: its length field is an int32.
const MaxBatchSize = math.MaxInt32

// ErrFull means that a Builder cannot take the record: the batch would outgrow
// MaxBatchSize or its count or offset delta 2³¹-1.
var ErrFull = errors.New("record batch is full")

// Builder appends records to one batch. It is reusable by Reset and belongs to
// one goroutine.
type Builder struct {
	opts    Options
	records []byte // encoded, uncompressed
	count   int32
	last    int64 // offset delta of the last record, or what SetLastOffset raised it to; -1: none
	first   int64 // timestamp that deltas are relative to
	max     int64
}

// NewBuilder starts a batch. An unknown codec is a bug of the caller and panics.
func NewBuilder(o Options) *Builder {
	b := new(Builder)
	b.Reset(o)
	return b
}

// Reset starts over with new options and keeps the memory.
func (b *Builder) Reset(o Options) {
	if !o.Codec.valid() {
		panic(fmt.Sprintf("record: unknown codec %d", int8(o.Codec)))
	}
	if o.ProducerID == NoProducerID {
		o.ProducerEpoch, o.Sequence = NoProducerEpoch, NoSequence
	}
	*b = Builder{opts: o, records: b.records[:0], last: -1, max: NoTimestamp}
}

// Count is the number of records added.
func (b *Builder) Count() int { return int(b.count) }

// Size is the size in bytes of the batch so far, before compression.
func (b *Builder) Size() int { return HeaderSize + len(b.records) }

// SizeWith is what Size would be, at most, after adding r.
func (b *Builder) SizeWith(r Record) int {
	n := b.Size() + 5 + 1 + 10 + 5 + 5 + len(r.Key) + 5 + len(r.Value) + 5
	for _, h := range r.Headers {
		n += 10 + len(h.Key) + len(h.Value)
	}
	return n
}

// Add appends r at the next offset; r.Offset is ignored. The error is ErrFull.
func (b *Builder) Add(r Record) error { return b.add(r, b.last+1) }

// AddAt appends r at r.Offset, which must lie above the last one; compaction
// keeps offsets with gaps so. The error is ErrFull, or ErrInvalid for an offset
// out of order.
func (b *Builder) AddAt(r Record) error {
	delta := r.Offset - b.opts.BaseOffset
	if delta <= b.last {
		return fmt.Errorf("%w: offset=%d is not above the last, base=%d last delta=%d", ErrInvalid, r.Offset, b.opts.BaseOffset, b.last)
	}
	return b.add(r, delta)
}

func (b *Builder) add(r Record, delta int64) error {
	if delta > math.MaxInt32 || b.SizeWith(r) > MaxBatchSize {
		return ErrFull
	}
	if b.count == 0 {
		b.first = r.Timestamp
		if b.opts.DeleteHorizon != 0 {
			b.first = b.opts.DeleteHorizon
		}
	}
	size := 1 + varintLen(r.Timestamp-b.first) + varintLen(delta) + bytesLen(r.Key) + bytesLen(r.Value) + varintLen(int64(len(r.Headers)))
	for _, h := range r.Headers {
		size += varintLen(int64(len(h.Key))) + len(h.Key) + bytesLen(h.Value)
	}
	p := slices.Grow(b.records, size+binary.MaxVarintLen32)
	p = binary.AppendVarint(p, int64(size))
	p = append(p, 0)
	p = binary.AppendVarint(p, r.Timestamp-b.first)
	p = binary.AppendVarint(p, delta)
	p = appendBytes(p, r.Key)
	p = appendBytes(p, r.Value)
	p = binary.AppendVarint(p, int64(len(r.Headers)))
	for _, h := range r.Headers {
		p = binary.AppendVarint(p, int64(len(h.Key)))
		p = append(p, h.Key...)
		p = appendBytes(p, h.Value)
	}
	b.records, b.last = p, delta
	b.count++
	b.max = max(b.max, r.Timestamp)
	return nil
}

// SetLastOffset raises the batch's last offset above that of its last record,
// as compaction must when it dropped the last records.
func (b *Builder) SetLastOffset(offset int64) error {
	delta := offset - b.opts.BaseOffset
	if delta < b.last || delta > math.MaxInt32 {
		return fmt.Errorf("%w: last offset=%d, base=%d last delta=%d", ErrInvalid, offset, b.opts.BaseOffset, b.last)
	}
	b.last = delta
	return nil
}

// Build returns the batch in memory of its own; nil when it has neither records
// nor a last offset.
func (b *Builder) Build() Batch {
	if b.last < 0 {
		return nil
	}
	return Batch(b.AppendTo(make([]byte, 0, b.Size())))
}

// AppendTo appends the batch to dst, nothing when Build would return nil.
func (b *Builder) AppendTo(dst []byte) []byte {
	if b.last < 0 {
		return dst
	}
	at := len(dst)
	dst = append(dst, make([]byte, HeaderSize)...)
	codec := b.opts.Codec
	if b.count == 0 {
		codec = None // a batch that compaction emptied has no body at all
	}
	dst, err := codec.Compress(dst, b.records)
	if err != nil {
		panic(err) // the codec was checked, and memory does not fail
	}
	b.putHeader(dst[at:], codec)
	return dst
}

func (b *Builder) putHeader(h []byte, codec Codec) {
	o := &b.opts
	attributes := int16(codec)
	first, maxTime := b.first, b.max
	if o.LogAppendTime {
		attributes |= attrLogAppendTime
		maxTime = o.AppendTime
	}
	if o.Transactional {
		attributes |= attrTransactional
	}
	if o.Control {
		attributes |= attrControl
	}
	if o.DeleteHorizon != 0 {
		attributes |= attrDeleteHorizon
		first = o.DeleteHorizon
	}
	if b.count == 0 && o.DeleteHorizon == 0 {
		first = NoTimestamp
	}
	be := binary.BigEndian
	be.PutUint64(h[posBaseOffset:], uint64(o.BaseOffset))
	be.PutUint32(h[posLength:], uint32(len(h)-lengthOverhead))
	be.PutUint32(h[posLeaderEpoch:], uint32(o.LeaderEpoch))
	h[posMagic] = 2
	be.PutUint16(h[posAttributes:], uint16(attributes))
	be.PutUint32(h[posLastDelta:], uint32(b.last))
	be.PutUint64(h[posFirstTime:], uint64(first))
	be.PutUint64(h[posMaxTime:], uint64(maxTime))
	be.PutUint64(h[posProducerID:], uint64(o.ProducerID))
	be.PutUint16(h[posProducerEpoch:], uint16(o.ProducerEpoch))
	be.PutUint32(h[posBaseSequence:], uint32(o.Sequence))
	be.PutUint32(h[posCount:], uint32(b.count))
	Batch(h).seal()
}

func appendBytes(dst, b []byte) []byte {
	if b == nil {
		return append(dst, 1) // zigzag -1
	}
	dst = binary.AppendVarint(dst, int64(len(b)))
	return append(dst, b...)
}

func bytesLen(b []byte) int {
	if b == nil {
		return 1
	}
	return varintLen(int64(len(b))) + len(b)
}

// varintLen is the encoded size of a zigzag varint.
func varintLen(v int64) int {
	u := uint64(v)<<1 ^ uint64(v>>63)
	n := 1
	for u >= 0x80 {
		u >>= 7
		n++
	}
	return n
}
