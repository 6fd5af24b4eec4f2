package segment

import "hash/crc32"

// Limits of the format. A decoder checks a length against them before it allocates.
const (
	// DefaultBlockBytes is the target size of a block in bytes before compression: large enough that a GET is worth its
	// latency, small enough that a reader of one record does not pay for much else.
	DefaultBlockBytes = 1 << 20
	// MaxBlockBytes bounds one block before compression. Only a single batch may reach it: it is above socket.request.max.bytes.
	MaxBlockBytes = 128 << 20
	// MaxIndexBytes bounds one section index: about 160,000 blocks.
	MaxIndexBytes = 16 << 20
	// MaxProducerStateBytes bounds the producer-state snapshot of a section.
	MaxProducerStateBytes = 64 << 20
	// MaxSections bounds the partitions that share one object.
	MaxSections = 1 << 17
)

// Flags of a Segment and of its section index.
const (
	// FlagAborted: the section index lists aborted transactions.
	FlagAborted uint32 = 1 << 0
	// FlagSparse: compaction removed records, so batches need not follow each other without gaps.
	FlagSparse uint32 = 1 << 1

	knownFlags = FlagAborted | FlagSparse
)

// NoTimestamp stands for the timestamps of a range without data batches.
const NoTimestamp int64 = -1

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Segment is one range of one partition in one object: what the ledger keeps about it. The structs of the same name
// in tiering/manifest and metadata have the same fields in the same order and convert to it.
type Segment struct {
	Object   [16]byte // object id (random, new per attempt)
	Position int64    // byte position of the section in the object
	Size     int64    // bytes of the section: blocks, producer state and section index

	Base, End int64 // offsets [Base, End)
	LogBytes  int64 // bytes of record batches as Kafka counts them

	// Of data batches only, in ms; -1 when there are none. MinTimestamp is the least first timestamp of a batch,
	// MaxTimestampOffset the base offset of the first batch that has MaxTimestamp.
	MinTimestamp, MaxTimestamp, MaxTimestampOffset int64

	Epoch int32    // leader epoch of the writer
	Flags uint32   // bit 0: has aborted transactions; bit 1: sparse
	CRC   uint32   // crc32c of the section index
	Chain [32]byte // SHA-256 over the previous Chain, this section's range and its blocks' digests; see doc.go
}

// EpochStart says that leader epoch Epoch began at offset Start.
type EpochStart struct {
	Epoch int32
	Start int64
}

// AbortedTxn is one aborted transaction that overlaps the section, as Kafka's transaction index has it.
type AbortedTxn struct {
	ProducerID       int64
	FirstOffset      int64 // of the transaction, maybe below the section
	LastOffset       int64 // of the abort marker, maybe above the section
	LastStableOffset int64 // when the marker was written
}

// Codec is how a block is stored.
type Codec uint8

// The codecs of blocks.
const (
	Raw  Codec = 0 // the batches, verbatim
	Zstd Codec = 1 // one zstd frame of them
)

// String is the name for logs and listings.
func (c Codec) String() string {
	switch c {
	case Raw:
		return "raw"
	case Zstd:
		return "zstd"
	}
	return "unknown"
}

// Flags of a Block.
const (
	BlockControl       uint16 = 1 << 0 // holds control batches
	BlockTransactional uint16 = 1 << 1 // holds transactional batches
	BlockCompressed    uint16 = 1 << 2 // most of its bytes are in batches that the producer compressed

	knownBlockFlags = BlockControl | BlockTransactional | BlockCompressed
)

// Block is the index entry of one block.
type Block struct {
	First, End int64 // offsets [First, End): base of the first batch, next after the last
	Position   int64 // byte position in the section
	Stored     int32 // bytes in the object
	Raw        int32 // bytes of record batches
	CRC        uint32
	Codec      Codec
	Flags      uint16

	// As in Segment.
	MinTimestamp, MaxTimestamp, MaxTimestampOffset int64

	Batches, Records int32
	Digest           [32]byte // SHA-256 of the stored bytes
}

// times gathers the timestamps of data batches.
type times struct{ min, max, maxOffset int64 }

func noTimes() times { return times{NoTimestamp, NoTimestamp, NoTimestamp} }

// add takes in a batch, or the summary of a block that comes later.
func (t *times) add(low, high, offset int64) {
	if high == NoTimestamp {
		return
	}
	if t.max == NoTimestamp {
		*t = times{low, high, offset}
		return
	}
	t.min = min(t.min, low)
	if high > t.max {
		t.max, t.maxOffset = high, offset
	}
}
