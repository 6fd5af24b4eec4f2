package segment

import (
	"fmt"
	"hash/crc32"
	"unsafe"
)

// Index is a section index: everything about one partition's range but the batches themselves. It is immutable once
// parsed and may be shared by any number of goroutines; slices must not be changed.
type Index struct {
	Topic     [16]byte
	Partition int32
	Epoch     int32 // leader epoch of the writer
	Base, End int64 // offsets [Base, End)
	Flags     uint32

	LogBytes         int64 // bytes of record batches
	Batches, Records int64

	MinTimestamp, MaxTimestamp, MaxTimestampOffset int64 // as in Segment

	// StableOffset is the last stable offset when the section was written: transactions that began below it were decided, and
	// Aborted has all of them that were aborted and overlap the range. Those of the range that began at or above it are in the
	// lists of later sections.
	StableOffset int64

	PrevChain [32]byte // Chain of the section before this one; zero for a partition's first
	Chain     [32]byte
	// ReplacedChain is zero, or, in a section that merge or compaction wrote, the Chain of the last section that it
	// replaced: the section that follows was written after that one and continues from it.
	ReplacedChain [32]byte

	Blocks  []Block
	Epochs  []EpochStart
	Aborted []AbortedTxn

	ProducerStateSize int64
	ProducerStateCRC  uint32

	CRC  uint32 // as stored in the trailer; equals Segment.CRC
	Size int64  // encoded bytes

	blockBytes int64   // stored bytes of all blocks
	runningMax []int64 // greatest MaxTimestamp of blocks 0..i
}

// A section index:
//
//	  0  magic               "TLSI"
//	  4  version             u16    = 1
//	  6  reserved            u16    zero
//	  8  topic id            [16]
//	 24  partition           i32
//	 28  leader epoch        i32
//	 32  base                i64
//	 40  end                 i64
//	 48  log bytes           u64
//	 56  records             u64
//	 64  batches             u64
//	 72  min timestamp       i64
//	 80  max timestamp       i64
//	 88  max timestamp offset i64
//	 96  flags               u32    bit 0 aborted transactions, bit 1 sparse
//	100  blocks              u32
//	104  epochs              u32
//	108  aborted             u32
//	112  producer state size u32
//	116  producer state crc  u32    crc32c of the snapshot, which lies between the blocks and this index
//	120  stable offset       i64
//	128  previous chain      [32]
//	160  chain               [32]
//	192  replaced chain      [32]
//	224  blocks × 104 bytes
//	       0  first offset   i64
//	       8  end offset     i64
//	      16  position       u64    in the section
//	      24  stored size    u32
//	      28  raw size       u32
//	      32  crc32c         u32    of the stored bytes
//	      36  codec          u8     0 raw, 1 zstd
//	      37  reserved       u8     zero
//	      38  flags          u16    bit 0 control, bit 1 transactional, bit 2 compressed by the producer
//	      40  min timestamp  i64
//	      48  max timestamp  i64
//	      56  max timestamp offset i64
//	      64  batches        u32
//	      68  records        u32
//	      72  sha-256        [32]   of the stored bytes
//	  …  epochs × 12:   epoch i32, start offset i64
//	  …  aborted × 32:  producer id i64, first offset i64, last offset i64, last stable offset i64
//	  …  trailer
//	       0  index size     u32    from the magic to the end of this trailer
//	       4  version        u16    = 1
//	       6  reserved       u16    zero
//	       8  crc32c         u32    of all before this field
//	      12  magic          "TLSI"
//
// The trailer keeps its place and meaning in all versions.
const (
	indexHeaderSize  = 224
	indexBlockSize   = 104
	indexEpochSize   = 12
	indexAbortedSize = 32
	indexTrailerSize = 16
	minIndexSize     = indexHeaderSize + indexTrailerSize
)

func (x *Index) encodedSize() int64 {
	return minIndexSize + int64(len(x.Blocks))*indexBlockSize + int64(len(x.Epochs))*indexEpochSize + int64(len(x.Aborted))*indexAbortedSize
}

// appendIndex appends the encoded index and sets x.CRC and x.Size.
func appendIndex(b []byte, x *Index) []byte {
	start := len(b)
	b = le.AppendUint32(b, magicIndex)
	b = le.AppendUint16(b, formatVersion)
	b = le.AppendUint16(b, 0)
	b = append(b, x.Topic[:]...)
	b = le.AppendUint32(b, uint32(x.Partition))
	b = le.AppendUint32(b, uint32(x.Epoch))
	for _, v := range [...]int64{x.Base, x.End, x.LogBytes, x.Records, x.Batches, x.MinTimestamp, x.MaxTimestamp, x.MaxTimestampOffset} {
		b = le.AppendUint64(b, uint64(v))
	}
	for _, v := range [...]uint32{x.Flags, uint32(len(x.Blocks)), uint32(len(x.Epochs)), uint32(len(x.Aborted)), uint32(x.ProducerStateSize), x.ProducerStateCRC} {
		b = le.AppendUint32(b, v)
	}
	b = le.AppendUint64(b, uint64(x.StableOffset))
	b = append(b, x.PrevChain[:]...)
	b = append(b, x.Chain[:]...)
	b = append(b, x.ReplacedChain[:]...)
	for i := range x.Blocks {
		b = appendBlock(b, &x.Blocks[i])
	}
	for _, e := range x.Epochs {
		b = le.AppendUint32(b, uint32(e.Epoch))
		b = le.AppendUint64(b, uint64(e.Start))
	}
	for _, a := range x.Aborted {
		for _, v := range [...]int64{a.ProducerID, a.FirstOffset, a.LastOffset, a.LastStableOffset} {
			b = le.AppendUint64(b, uint64(v))
		}
	}
	x.Size = int64(len(b)-start) + indexTrailerSize
	b = le.AppendUint32(b, uint32(x.Size))
	b = le.AppendUint16(b, formatVersion)
	b = le.AppendUint16(b, 0)
	x.CRC = crc32.Checksum(b[start:], castagnoli)
	b = le.AppendUint32(b, x.CRC)
	return le.AppendUint32(b, magicIndex)
}

func appendBlock(b []byte, k *Block) []byte {
	for _, v := range [...]int64{k.First, k.End, k.Position} {
		b = le.AppendUint64(b, uint64(v))
	}
	b = le.AppendUint32(b, uint32(k.Stored))
	b = le.AppendUint32(b, uint32(k.Raw))
	b = le.AppendUint32(b, k.CRC)
	b = append(b, byte(k.Codec), 0)
	b = le.AppendUint16(b, k.Flags)
	for _, v := range [...]int64{k.MinTimestamp, k.MaxTimestamp, k.MaxTimestampOffset} {
		b = le.AppendUint64(b, uint64(v))
	}
	b = le.AppendUint32(b, uint32(k.Batches))
	b = le.AppendUint32(b, uint32(k.Records))
	return append(b, k.Digest[:]...)
}

func parseBlock(b []byte) Block {
	k := Block{
		First: int64(le.Uint64(b)), End: int64(le.Uint64(b[8:])), Position: int64(le.Uint64(b[16:])),
		Stored: int32(le.Uint32(b[24:])), Raw: int32(le.Uint32(b[28:])), CRC: le.Uint32(b[32:]),
		Codec: Codec(b[36]), Flags: le.Uint16(b[38:]),
		MinTimestamp: int64(le.Uint64(b[40:])), MaxTimestamp: int64(le.Uint64(b[48:])), MaxTimestampOffset: int64(le.Uint64(b[56:])),
		Batches: int32(le.Uint32(b[64:])), Records: int32(le.Uint32(b[68:])),
	}
	copy(k.Digest[:], b[72:])
	return k
}

// IndexSize tells from the end of a section how many bytes its index has, so that a reader which fetched a guess knows
// whether to fetch more. tail must have at least 16 bytes, else ErrTorn.
func IndexSize(tail []byte) (int64, error) {
	if len(tail) < indexTrailerSize {
		return 0, fmt.Errorf("%w: no room for an index trailer got=%d", ErrTorn, len(tail))
	}
	t := tail[len(tail)-indexTrailerSize:]
	if m := le.Uint32(t[12:]); m != magicIndex {
		return 0, fmt.Errorf("%w: index trailer magic=%08x", ErrCorrupt, m)
	}
	n := int64(le.Uint32(t))
	if n < minIndexSize || n > MaxIndexBytes {
		return 0, fmt.Errorf("%w: index size=%d max=%d", ErrCorrupt, n, MaxIndexBytes)
	}
	return n, nil
}

// ParseIndex decodes the section index at the end of tail, which is the whole of the section of sectionSize bytes or its
// last part. ErrTorn when tail begins after the index does. Everything that a reader relies on is checked: the
// checksum, that blocks follow each other in position and offset inside the section, every size against its bound, and the
// hash chain.
func ParseIndex(tail []byte, sectionSize int64) (*Index, error) {
	n, err := IndexSize(tail)
	if err != nil {
		return nil, err
	}
	if n > sectionSize {
		return nil, fmt.Errorf("%w: index larger than its section index_size=%d section_size=%d", ErrCorrupt, n, sectionSize)
	}
	if int64(len(tail)) < n {
		return nil, fmt.Errorf("%w: section index got=%d want=%d", ErrTorn, len(tail), n)
	}
	b := tail[int64(len(tail))-n:]
	body := len(b) - 8
	want := le.Uint32(b[body:])
	if got := crc32.Checksum(b[:body], castagnoli); got != want {
		return nil, fmt.Errorf("%w: section index checksum got=%08x want=%08x", ErrCorrupt, got, want)
	}
	if m := le.Uint32(b); m != magicIndex {
		return nil, fmt.Errorf("%w: section index magic=%08x", ErrCorrupt, m)
	}
	if head, tail := le.Uint16(b[4:]), le.Uint16(b[body-4:]); head != formatVersion || tail != formatVersion {
		return nil, fmt.Errorf("%w: section index version=%d trailer_version=%d", ErrVersion, head, tail)
	}
	x := &Index{
		Partition: int32(le.Uint32(b[24:])), Epoch: int32(le.Uint32(b[28:])),
		Base: int64(le.Uint64(b[32:])), End: int64(le.Uint64(b[40:])),
		LogBytes: int64(le.Uint64(b[48:])), Records: int64(le.Uint64(b[56:])), Batches: int64(le.Uint64(b[64:])),
		MinTimestamp: int64(le.Uint64(b[72:])), MaxTimestamp: int64(le.Uint64(b[80:])), MaxTimestampOffset: int64(le.Uint64(b[88:])),
		Flags:             le.Uint32(b[96:]),
		ProducerStateSize: int64(le.Uint32(b[112:])), ProducerStateCRC: le.Uint32(b[116:]),
		StableOffset: int64(le.Uint64(b[120:])),
		CRC:          want, Size: n,
	}
	copy(x.Topic[:], b[8:])
	copy(x.PrevChain[:], b[128:])
	copy(x.Chain[:], b[160:])
	copy(x.ReplacedChain[:], b[192:])
	blocks, epochs, aborted := int64(le.Uint32(b[100:])), int64(le.Uint32(b[104:])), int64(le.Uint32(b[108:]))
	if need := minIndexSize + blocks*indexBlockSize + epochs*indexEpochSize + aborted*indexAbortedSize; need != n {
		return nil, fmt.Errorf("%w: section index size=%d want=%d blocks=%d epochs=%d aborted=%d", ErrCorrupt, n, need, blocks, epochs, aborted)
	}
	p := b[indexHeaderSize:]
	x.Blocks = make([]Block, blocks)
	for i := range x.Blocks {
		x.Blocks[i] = parseBlock(p)
		p = p[indexBlockSize:]
	}
	x.Epochs = make([]EpochStart, epochs)
	for i := range x.Epochs {
		x.Epochs[i] = EpochStart{int32(le.Uint32(p)), int64(le.Uint64(p[4:]))}
		p = p[indexEpochSize:]
	}
	x.Aborted = make([]AbortedTxn, aborted)
	for i := range x.Aborted {
		x.Aborted[i] = AbortedTxn{int64(le.Uint64(p)), int64(le.Uint64(p[8:])), int64(le.Uint64(p[16:])), int64(le.Uint64(p[24:]))}
		p = p[indexAbortedSize:]
	}
	if err := x.check(sectionSize); err != nil {
		return nil, err
	}
	x.prepare()
	return x, nil
}

// prepare computes what is not stored.
func (x *Index) prepare() {
	x.runningMax = make([]int64, len(x.Blocks))
	high := NoTimestamp
	for i := range x.Blocks {
		high = max(high, x.Blocks[i].MaxTimestamp)
		x.runningMax[i] = high
		x.blockBytes += int64(x.Blocks[i].Stored)
	}
}

// MemoryBytes is about what the index takes in memory, for the budget of a cache.
func (x *Index) MemoryBytes() int64 {
	return int64(unsafe.Sizeof(*x)) + int64(cap(x.Blocks))*int64(unsafe.Sizeof(Block{})+8) +
		int64(cap(x.Epochs))*int64(unsafe.Sizeof(EpochStart{})) + int64(cap(x.Aborted))*int64(unsafe.Sizeof(AbortedTxn{}))
}

// ProducerStatePosition is the byte position of the producer-state snapshot in the section.
func (x *Index) ProducerStatePosition() int64 { return x.blockBytes }

// Segment is the ledger entry of the section at a position of an object.
func (x *Index) Segment(object [16]byte, position int64) Segment {
	return Segment{
		Object: object, Position: position, Size: x.blockBytes + x.ProducerStateSize + x.Size,
		Base: x.Base, End: x.End, LogBytes: x.LogBytes,
		MinTimestamp: x.MinTimestamp, MaxTimestamp: x.MaxTimestamp, MaxTimestampOffset: x.MaxTimestampOffset,
		Epoch: x.Epoch, Flags: x.Flags, CRC: x.CRC, Chain: x.Chain,
	}
}
