package segment

import (
	"fmt"
	"hash/crc32"
	"io"

	"github.com/tidelinehq/tideline/internal/record"
)

// Compression says which blocks a Writer compresses.
type Compression uint8

// The choices. The zero value is CompressWhenItPays.
const (
	CompressWhenItPays Compression = iota // zstd unless the batches are compressed already or less than 8 % is saved
	CompressNever
)

// WriterOptions are the settings of a Writer.
type WriterOptions struct {
	Object      [16]byte // object id: random, new per attempt
	BlockBytes  int      // target size of a block before compression; 0 means DefaultBlockBytes
	Compression Compression
}

// SectionStart opens a section.
type SectionStart struct {
	Topic     [16]byte
	Partition int32
	Epoch     int32    // leader epoch of the writer
	Base      int64    // first offset of the range
	PrevChain [32]byte // Chain of the segment before; zero for the first
	Sparse    bool     // compaction left gaps between the batches
}

// SectionEnd closes a section.
type SectionEnd struct {
	// End is the offset after the range. 0 means the offset after the last batch; only a sparse section may end later.
	End           int64
	Epochs        []EpochStart // leader epochs that apply to the range, oldest first
	Aborted       []AbortedTxn // aborted transactions that overlap the range, as far as they are decided; by LastOffset
	ProducerState []byte       // opaque snapshot of the producer state at End
	ReplacedChain [32]byte     // see Index

	// StableOffset is the partition's last stable offset now; see Index. Where it is not known, 0 is true, and costs readers a look
	// at later sections.
	StableOffset int64
}

// Object is what a finished Writer has written.
type Object struct {
	ID       [16]byte
	Size     int64     // bytes
	Sections []Segment // in the order written
}

// Writer writes one object to an io.Writer, front to back: per section Begin, Append…, End; Finish at last. It holds at
// most one block and its compressed form (a batch that is larger than a block counts as one), the index entries of the
// open section and the directory. Each batch's CRC-32C is verified on the way, so that no object is ever made from
// damaged batches. After an error from dst every method returns that error; after any other error the object is of no use
// either and the Writer stays failed. A Writer belongs to one goroutine.
type Writer struct {
	dst  io.Writer
	opts WriterOptions

	position int64
	err      error
	finished bool

	open   bool
	idx    Index
	start  int64 // position of the section
	block  []byte
	packed []byte // compressed form, reused
	stat   blockStat
	next   int64 // offset that the next batch must have, or exceed when sparse

	sections []Segment
	dir      []DirEntry
}

// blockStat gathers what the index says about the batches that will make up the next block.
type blockStat struct {
	first, end       int64
	batches, records int32
	compressed       int // bytes in batches that the producer compressed
	flags            uint16
	times            times
}

func newBlockStat() blockStat { return blockStat{first: -1, times: noTimes()} }

func (s *blockStat) add(b record.Batch) {
	if s.first < 0 {
		s.first = b.BaseOffset()
	}
	s.end = b.NextOffset()
	s.batches++
	s.records += b.Count()
	if b.Codec() != record.None {
		s.compressed += len(b)
	}
	if b.Transactional() {
		s.flags |= BlockTransactional
	}
	if b.Control() {
		s.flags |= BlockControl
		return
	}
	low := b.FirstTimestamp()
	if b.LogAppendTime() || b.DeleteHorizon() {
		low = b.MaxTimestamp()
	}
	s.times.add(min(low, b.MaxTimestamp()), b.MaxTimestamp(), b.BaseOffset())
}

// NewWriter starts an object. A BlockBytes out of bounds is ErrTooLarge.
func NewWriter(dst io.Writer, opts WriterOptions) (*Writer, error) {
	if opts.BlockBytes == 0 {
		opts.BlockBytes = DefaultBlockBytes
	}
	if opts.BlockBytes < 1<<10 || opts.BlockBytes > MaxBlockBytes {
		return nil, fmt.Errorf("%w: block_bytes=%d min=%d max=%d", ErrTooLarge, opts.BlockBytes, 1<<10, MaxBlockBytes)
	}
	return &Writer{dst: dst, opts: opts}, nil
}

// Size is how many bytes were written so far.
func (w *Writer) Size() int64 { return w.position }

// Begin opens the next section. Sections of an object may come in any order of partitions.
func (w *Writer) Begin(s SectionStart) error {
	switch {
	case w.err != nil:
		return w.err
	case w.open || w.finished:
		return w.fail(fmt.Errorf("%w: begin in an open section or after finish", ErrOrder))
	case len(w.dir) == MaxSections:
		return w.fail(fmt.Errorf("%w: sections=%d max=%d", ErrTooLarge, len(w.dir)+1, MaxSections))
	case s.Base < 0 || s.Partition < 0:
		return w.fail(fmt.Errorf("%w: section partition=%d base=%d", ErrOrder, s.Partition, s.Base))
	}
	w.open, w.start, w.next, w.stat = true, w.position, s.Base, newBlockStat()
	w.idx = Index{Topic: s.Topic, Partition: s.Partition, Epoch: s.Epoch, Base: s.Base, PrevChain: s.PrevChain, Blocks: w.idx.Blocks[:0]}
	if s.Sparse {
		w.idx.Flags |= FlagSparse
	}
	return nil
}

// Append adds complete batches with their final offsets, in order. It keeps no reference to them. Batches which make
// up a whole block by themselves are written from the given memory, so long runs are not copied. The errors of package
// record for a damaged batch, ErrOrder for an offset that does not follow, ErrTooLarge for a batch above MaxBlockBytes.
func (w *Writer) Append(batches []byte) error {
	if w.err != nil {
		return w.err
	}
	if !w.open {
		return w.fail(fmt.Errorf("%w: append outside a section", ErrOrder))
	}
	run := batches // begins with the batches that are in w.stat but not in w.block
	length := 0    // bytes of them
	for rest := batches; len(rest) > 0; {
		b, after, err := record.Next(rest)
		if err == nil {
			err = w.admit(b)
		}
		if err != nil {
			return w.fail(fmt.Errorf("append at offset=%d: %w", w.next, err))
		}
		if held := len(w.block) + length; held > 0 && held+len(b) > w.opts.BlockBytes {
			if err := w.seal(run[:length]); err != nil {
				return err
			}
			run, length = rest, 0
		}
		w.stat.add(b)
		w.next = b.NextOffset()
		length += len(b)
		rest = after
	}
	w.block = append(w.block, run[:length]...)
	return nil
}

// admit checks one batch before it is taken in.
func (w *Writer) admit(b record.Batch) error {
	if len(b) > MaxBlockBytes {
		return fmt.Errorf("%w: batch size=%d max=%d", ErrTooLarge, len(b), MaxBlockBytes)
	}
	if got := b.ComputeCRC(); got != b.CRC() {
		return fmt.Errorf("%w: base_offset=%d got=%08x want=%08x", record.ErrChecksum, b.BaseOffset(), got, b.CRC())
	}
	if b.LastOffsetDelta() < 0 || b.Count() < 0 {
		return fmt.Errorf("%w: batch base_offset=%d last_delta=%d count=%d", ErrOrder, b.BaseOffset(), b.LastOffsetDelta(), b.Count())
	}
	sparse := w.idx.Flags&FlagSparse != 0
	if b.BaseOffset() < w.next || !sparse && b.BaseOffset() != w.next {
		return fmt.Errorf("%w: batch base_offset=%d want=%d", ErrOrder, b.BaseOffset(), w.next)
	}
	return nil
}

// seal writes the block made of w.block and then tail, of which one may be empty.
func (w *Writer) seal(tail []byte) error {
	raw := tail
	if len(w.block) > 0 {
		w.block = append(w.block, tail...)
		raw = w.block
	}
	if len(raw) == 0 {
		return nil
	}
	s := &w.stat
	k := Block{
		First: s.first, End: s.end, Position: w.position - w.start, Raw: int32(len(raw)), Flags: s.flags,
		MinTimestamp: s.times.min, MaxTimestamp: s.times.max, MaxTimestampOffset: s.times.maxOffset,
		Batches: s.batches, Records: s.records,
	}
	stored := raw
	if 2*s.compressed > len(raw) {
		k.Flags |= BlockCompressed
	} else if w.opts.Compression == CompressWhenItPays {
		if packed := compress(w.packed, raw); packed != nil {
			stored, k.Codec = packed, Zstd
			w.packed = packed
		}
	}
	k.Stored = int32(len(stored))
	k.digest(stored)
	if err := w.write(stored); err != nil {
		return err
	}
	w.idx.Blocks = append(w.idx.Blocks, k)
	if w.idx.encodedSize() > MaxIndexBytes {
		return w.fail(fmt.Errorf("%w: section index blocks=%d max_bytes=%d", ErrTooLarge, len(w.idx.Blocks), MaxIndexBytes))
	}
	w.idx.LogBytes += int64(len(raw))
	w.idx.Batches += int64(s.batches)
	w.idx.Records += int64(s.records)
	w.block, w.stat = shrink(w.block, w.opts.BlockBytes), newBlockStat()
	w.packed = shrink(w.packed, w.opts.BlockBytes)
	return nil
}

// shrink keeps a buffer for the next block, unless one outsized batch blew it up.
func shrink(b []byte, block int) []byte {
	if cap(b) > 2*block {
		return nil
	}
	return b[:0]
}

// End closes the section and returns its ledger entry.
func (w *Writer) End(e SectionEnd) (Segment, error) {
	if w.err != nil {
		return Segment{}, w.err
	}
	if !w.open {
		return Segment{}, w.fail(fmt.Errorf("%w: end outside a section", ErrOrder))
	}
	if err := w.seal(nil); err != nil {
		return Segment{}, err
	}
	x := &w.idx
	x.End = w.next
	if e.End != 0 {
		x.End = e.End
	}
	if x.End < w.next || x.End > w.next && x.Flags&FlagSparse == 0 {
		return Segment{}, w.fail(fmt.Errorf("%w: section end=%d batches_end=%d", ErrOrder, x.End, w.next))
	}
	if len(e.ProducerState) > MaxProducerStateBytes {
		return Segment{}, w.fail(fmt.Errorf("%w: producer state size=%d max=%d", ErrTooLarge, len(e.ProducerState), MaxProducerStateBytes))
	}
	x.StableOffset = e.StableOffset
	x.Epochs, x.Aborted, x.ReplacedChain = e.Epochs, e.Aborted, e.ReplacedChain
	if len(x.Aborted) > 0 {
		x.Flags |= FlagAborted
	}
	if size := x.encodedSize(); size > MaxIndexBytes {
		return Segment{}, w.fail(fmt.Errorf("%w: section index size=%d max=%d", ErrTooLarge, size, MaxIndexBytes))
	}
	x.ProducerStateSize, x.ProducerStateCRC = int64(len(e.ProducerState)), crc32.Checksum(e.ProducerState, castagnoli)
	t := noTimes()
	for i := range x.Blocks {
		t.add(x.Blocks[i].MinTimestamp, x.Blocks[i].MaxTimestamp, x.Blocks[i].MaxTimestampOffset)
	}
	x.MinTimestamp, x.MaxTimestamp, x.MaxTimestampOffset = t.min, t.max, t.maxOffset
	x.Chain = x.computeChain()
	x.blockBytes = w.position - w.start
	encoded := appendIndex(w.packed[:0], x)
	if err := x.check(x.blockBytes + x.ProducerStateSize + x.Size); err != nil {
		return Segment{}, w.fail(fmt.Errorf("refusing to write a section that no reader would accept: %w", err))
	}
	if err := w.write(e.ProducerState); err != nil {
		return Segment{}, err
	}
	if err := w.write(encoded); err != nil {
		return Segment{}, err
	}
	seg := x.Segment(w.opts.Object, w.start)
	w.sections = append(w.sections, seg)
	w.dir = append(w.dir, DirEntry{
		Topic: x.Topic, Partition: x.Partition, Epoch: x.Epoch, Base: x.Base, End: x.End,
		Position: seg.Position, Size: seg.Size, CRC: seg.CRC,
	})
	w.packed = shrink(encoded, w.opts.BlockBytes)
	w.open = false
	return seg, nil
}

// Finish writes directory and footer. The object is whole only after it returned nil.
func (w *Writer) Finish() (Object, error) {
	if w.err != nil {
		return Object{}, w.err
	}
	if w.open || w.finished {
		return Object{}, w.fail(fmt.Errorf("%w: finish in an open section or twice", ErrOrder))
	}
	position := w.position
	if err := w.write(appendDirectory(nil, w.dir)); err != nil {
		return Object{}, err
	}
	f := Footer{
		Object: w.opts.Object, DirectoryPosition: position, DirectorySize: w.position - position,
		Sections: len(w.dir), Size: w.position + FooterSize,
	}
	if err := w.write(appendFooter(nil, f)); err != nil {
		return Object{}, err
	}
	w.finished = true
	w.Close()
	return Object{ID: w.opts.Object, Size: w.position, Sections: w.sections}, nil
}

// Close gives the memory back. It is needed only when an object is given up before Finish, and harmless otherwise.
func (w *Writer) Close() {
	w.block, w.packed = nil, nil
	if w.err == nil && !w.finished {
		w.err = fmt.Errorf("%w: writer is closed", ErrOrder)
	}
}

func (w *Writer) write(b []byte) error {
	if len(b) == 0 {
		return nil
	}
	n, err := w.dst.Write(b)
	if err == nil && n != len(b) {
		err = io.ErrShortWrite
	}
	if err != nil {
		return w.fail(fmt.Errorf("write segment object position=%d: %w", w.position, err))
	}
	w.position += int64(n)
	return nil
}

// fail makes err final.
func (w *Writer) fail(err error) error {
	w.err = err
	return err
}
