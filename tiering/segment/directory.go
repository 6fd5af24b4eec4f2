package segment

import (
	"fmt"
	"hash/crc32"
)

// DirEntry names one section of an object.
type DirEntry struct {
	Topic     [16]byte
	Partition int32
	Epoch     int32 // leader epoch of the writer
	Base, End int64 // offsets [Base, End)
	Position  int64 // byte position in the object
	Size      int64 // bytes: blocks, producer state and section index
	CRC       uint32
}

// The directory lists the sections in the order of their positions, which follow each other without a gap from 0 to
// the directory itself.
//
//	 0  magic      "TLSD"
//	 4  version    u16     = 1
//	 6  reserved   u16     zero
//	 8  sections   u32
//	12  sections × 64 bytes
//	      0  topic id     [16]
//	     16  partition    i32
//	     20  epoch        i32
//	     24  base         i64
//	     32  end          i64
//	     40  position     u64
//	     48  size         u64
//	     56  index crc    u32
//	     60  reserved     u32   zero
//	 …  crc32c     u32     of all before
const (
	dirHeaderSize = 12
	dirEntrySize  = 64
)

func directorySize(sections int) int64 { return dirHeaderSize + int64(sections)*dirEntrySize + 4 }

func appendDirectory(b []byte, entries []DirEntry) []byte {
	start := len(b)
	b = le.AppendUint32(b, magicDirectory)
	b = le.AppendUint16(b, formatVersion)
	b = le.AppendUint16(b, 0)
	b = le.AppendUint32(b, uint32(len(entries)))
	for i := range entries {
		e := &entries[i]
		b = append(b, e.Topic[:]...)
		b = le.AppendUint32(b, uint32(e.Partition))
		b = le.AppendUint32(b, uint32(e.Epoch))
		b = le.AppendUint64(b, uint64(e.Base))
		b = le.AppendUint64(b, uint64(e.End))
		b = le.AppendUint64(b, uint64(e.Position))
		b = le.AppendUint64(b, uint64(e.Size))
		b = le.AppendUint32(b, e.CRC)
		b = le.AppendUint32(b, 0)
	}
	return le.AppendUint32(b, crc32.Checksum(b[start:], castagnoli))
}

// ParseDirectory decodes the directory that the footer names; b is exactly its bytes.
func ParseDirectory(b []byte, f Footer) ([]DirEntry, error) {
	if int64(len(b)) < f.DirectorySize || len(b) < int(directorySize(0)) {
		return nil, fmt.Errorf("%w: directory got=%d want=%d", ErrTorn, len(b), f.DirectorySize)
	}
	b = b[:f.DirectorySize]
	body := len(b) - 4
	if got, want := crc32.Checksum(b[:body], castagnoli), le.Uint32(b[body:]); got != want {
		return nil, fmt.Errorf("%w: directory checksum got=%08x want=%08x", ErrCorrupt, got, want)
	}
	if m := le.Uint32(b); m != magicDirectory {
		return nil, fmt.Errorf("%w: directory magic=%08x", ErrCorrupt, m)
	}
	if v := le.Uint16(b[4:]); v != formatVersion {
		return nil, fmt.Errorf("%w: directory version=%d", ErrVersion, v)
	}
	n := le.Uint32(b[8:])
	if n > MaxSections || int64(len(b)) != directorySize(int(n)) || int(n) != f.Sections {
		return nil, fmt.Errorf("%w: directory sections=%d footer_sections=%d size=%d", ErrCorrupt, n, f.Sections, len(b))
	}
	entries := make([]DirEntry, n)
	next := int64(0)
	for i := range entries {
		p := b[dirHeaderSize+i*dirEntrySize:]
		e := DirEntry{
			Partition: int32(le.Uint32(p[16:])),
			Epoch:     int32(le.Uint32(p[20:])),
			Base:      int64(le.Uint64(p[24:])),
			End:       int64(le.Uint64(p[32:])),
			Position:  int64(le.Uint64(p[40:])),
			Size:      int64(le.Uint64(p[48:])),
			CRC:       le.Uint32(p[56:]),
		}
		copy(e.Topic[:], p)
		if e.Position != next || e.Size < minIndexSize || e.Size > f.DirectoryPosition-next || e.Base < 0 || e.End < e.Base {
			return nil, fmt.Errorf("%w: directory entry=%d position=%d size=%d base=%d end=%d", ErrCorrupt, i, e.Position, e.Size, e.Base, e.End)
		}
		next += e.Size
		entries[i] = e
	}
	if next != f.DirectoryPosition {
		return nil, fmt.Errorf("%w: sections end at position=%d directory=%d", ErrCorrupt, next, f.DirectoryPosition)
	}
	return entries, nil
}
