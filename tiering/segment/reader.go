package segment

import (
	"context"
	"fmt"
	"hash/crc32"
	"iter"

	"github.com/tidelinehq/tideline/internal/record"
)

// tailGuess is how many bytes of the end of an object or section are fetched before their real size is known: the index
// of a 600-block section, so that one read is nearly always enough.
const tailGuess = 64 << 10

// Reader opens an object by its footer and directory, with no ledger at hand. It is safe for concurrent use when its
// Source is.
type Reader struct {
	src      Source
	footer   Footer
	sections []DirEntry
}

// Open reads footer and directory: one read, two when the directory is large.
func Open(ctx context.Context, src Source) (*Reader, error) {
	size, err := src.Size(ctx)
	if err != nil {
		return nil, err
	}
	tail := make([]byte, min(size, tailGuess))
	if err := src.ReadRange(ctx, tail, size-int64(len(tail))); err != nil {
		return nil, err
	}
	f, err := ParseFooter(tail, size)
	if err != nil {
		return nil, err
	}
	dir := tail[:len(tail)-FooterSize]
	if int64(len(dir)) >= f.DirectorySize {
		dir = dir[int64(len(dir))-f.DirectorySize:]
	} else {
		dir = make([]byte, f.DirectorySize)
		if err := src.ReadRange(ctx, dir, f.DirectoryPosition); err != nil {
			return nil, err
		}
	}
	sections, err := ParseDirectory(dir, f)
	if err != nil {
		return nil, err
	}
	return &Reader{src, f, sections}, nil
}

// ID is the object's id, as its footer has it.
func (r *Reader) ID() [16]byte { return r.footer.Object }

// Size is the size of the object in bytes.
func (r *Reader) Size() int64 { return r.footer.Size }

// Sections are the entries of the directory, in the order of position. The slice must not be changed.
func (r *Reader) Sections() []DirEntry { return r.sections }

// Section opens one of Sections and checks that index and directory agree.
func (r *Reader) Section(ctx context.Context, e DirEntry) (*Section, error) {
	s, err := OpenSection(ctx, r.src, e.Position, e.Size)
	if err != nil {
		return nil, err
	}
	x := s.Index
	if x.Topic != e.Topic || x.Partition != e.Partition || x.Epoch != e.Epoch || x.Base != e.Base || x.End != e.End || x.CRC != e.CRC {
		return nil, fmt.Errorf("%w: section index and directory differ position=%d partition=%d base=%d", ErrCorrupt, e.Position, e.Partition, e.Base)
	}
	return s, nil
}

// Section is one opened section. It is safe for concurrent use when its Source is.
type Section struct {
	Index    *Index
	Position int64 // in the object
	Size     int64
	src      Source
}

// OpenSection reads the index of the section at position, of size bytes, as a Segment or the directory names them. One
// read of the section's last 64 KiB, another one when the index is larger.
func OpenSection(ctx context.Context, src Source, position, size int64) (*Section, error) {
	if position < 0 || size < minIndexSize {
		return nil, fmt.Errorf("%w: section position=%d size=%d", ErrCorrupt, position, size)
	}
	tail := make([]byte, min(size, tailGuess))
	end := position + size
	if err := src.ReadRange(ctx, tail, end-int64(len(tail))); err != nil {
		return nil, err
	}
	n, err := IndexSize(tail)
	if err != nil {
		return nil, err
	}
	if n > int64(len(tail)) && n <= size {
		tail = make([]byte, n)
		if err := src.ReadRange(ctx, tail, end-n); err != nil {
			return nil, err
		}
	}
	x, err := ParseIndex(tail, size)
	if err != nil {
		return nil, err
	}
	return &Section{Index: x, Position: position, Size: size, src: src}, nil
}

// Block reads, checks and decodes block i; dst is used as by Block.Decode. The memory that is returned is the caller's.
func (s *Section) Block(ctx context.Context, i int, dst []byte) ([]byte, error) {
	k := &s.Index.Blocks[i]
	stored := dst
	if k.Codec != Raw || cap(dst) < int(k.Stored) {
		stored = make([]byte, k.Stored)
	}
	stored = stored[:k.Stored]
	if err := s.src.ReadRange(ctx, stored, s.Position+k.Position); err != nil {
		return nil, err
	}
	return k.Decode(dst, stored, 0)
}

// ProducerState reads and checks the producer-state snapshot; nil when there is none.
func (s *Section) ProducerState(ctx context.Context) ([]byte, error) {
	x := s.Index
	if x.ProducerStateSize == 0 {
		return nil, nil
	}
	b := make([]byte, x.ProducerStateSize)
	if err := s.src.ReadRange(ctx, b, s.Position+x.ProducerStatePosition()); err != nil {
		return nil, err
	}
	if got := crc32.Checksum(b, castagnoli); got != x.ProducerStateCRC {
		return nil, fmt.Errorf("%w: producer state checksum got=%08x want=%08x", ErrCorrupt, got, x.ProducerStateCRC)
	}
	return b, nil
}

// Batches yields the batches of the section from the one that holds offset on (or the next one that exists). A batch is
// valid until the next step. An error ends the iteration.
func (s *Section) Batches(ctx context.Context, offset int64) iter.Seq2[record.Batch, error] {
	return func(yield func(record.Batch, error) bool) {
		var buf []byte
		for i := s.Index.FindOffset(offset); i < len(s.Index.Blocks); i++ {
			raw, err := s.Block(ctx, i, buf)
			if err != nil {
				yield(nil, err)
				return
			}
			buf = raw
			for b, err := range Batches(raw) {
				if err == nil && b.NextOffset() <= offset {
					continue
				}
				if !yield(b, err) || err != nil {
					return
				}
			}
		}
	}
}
