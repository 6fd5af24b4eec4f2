package segment

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
)

// FooterSize is the size of the footer in bytes, in every version.
const FooterSize = 64

const (
	formatVersion  = 1
	magicFooter    = 0x46534c54 // "TLSF"
	magicDirectory = 0x44534c54 // "TLSD"
	magicIndex     = 0x49534c54 // "TLSI"
)

// Footer is the end of an object.
//
//	 0  object id            [16]
//	16  directory position   u64
//	24  directory size       u32
//	28  sections             u32
//	32  object size          u64   this footer included
//	40  reserved             [12]  zero
//	52  version              u16   = 1
//	54  reserved             u16   zero
//	56  crc32c               u32   of bytes 0..56
//	60  magic                "TLSF"
//
// Bytes 52..64 keep their place in all versions.
type Footer struct {
	Object            [16]byte
	DirectoryPosition int64
	DirectorySize     int64
	Sections          int
	Size              int64 // of the whole object
}

// appendFooter appends the encoded footer.
func appendFooter(b []byte, f Footer) []byte {
	start := len(b)
	b = append(b, f.Object[:]...)
	b = le.AppendUint64(b, uint64(f.DirectoryPosition))
	b = le.AppendUint32(b, uint32(f.DirectorySize))
	b = le.AppendUint32(b, uint32(f.Sections))
	b = le.AppendUint64(b, uint64(f.Size))
	b = append(b, make([]byte, 12)...)
	b = le.AppendUint16(b, formatVersion)
	b = le.AppendUint16(b, 0)
	b = le.AppendUint32(b, crc32.Checksum(b[start:], castagnoli))
	return le.AppendUint32(b, magicFooter)
}

// ParseFooter decodes the last FooterSize bytes of an object of size bytes; tail may begin earlier. ErrTorn when there is
// no footer at the end, so the object is not whole (or is no segment object).
func ParseFooter(tail []byte, size int64) (Footer, error) {
	if len(tail) < FooterSize || size < FooterSize {
		return Footer{}, fmt.Errorf("%w: no room for a footer size=%d", ErrTorn, size)
	}
	b := tail[len(tail)-FooterSize:]
	if le.Uint32(b[60:]) != magicFooter {
		return Footer{}, fmt.Errorf("%w: no footer at the end size=%d", ErrTorn, size)
	}
	if got, want := crc32.Checksum(b[:56], castagnoli), le.Uint32(b[56:]); got != want {
		return Footer{}, fmt.Errorf("%w: footer checksum got=%08x want=%08x", ErrCorrupt, got, want)
	}
	if v := le.Uint16(b[52:]); v != formatVersion {
		return Footer{}, fmt.Errorf("%w: footer version=%d", ErrVersion, v)
	}
	f := Footer{
		DirectoryPosition: int64(le.Uint64(b[16:])),
		DirectorySize:     int64(le.Uint32(b[24:])),
		Sections:          int(le.Uint32(b[28:])),
		Size:              int64(le.Uint64(b[32:])),
	}
	copy(f.Object[:], b)
	switch {
	case f.Size > size:
		return Footer{}, fmt.Errorf("%w: footer names a larger object size=%d want=%d", ErrTorn, size, f.Size)
	case f.Size != size:
		return Footer{}, fmt.Errorf("%w: footer names another object size=%d want=%d", ErrCorrupt, size, f.Size)
	case f.Sections > MaxSections || f.DirectorySize != directorySize(f.Sections):
		return Footer{}, fmt.Errorf("%w: directory size=%d sections=%d", ErrCorrupt, f.DirectorySize, f.Sections)
	case f.DirectoryPosition != size-FooterSize-f.DirectorySize || f.DirectoryPosition < 0:
		return Footer{}, fmt.Errorf("%w: directory position=%d size=%d object_size=%d", ErrCorrupt, f.DirectoryPosition, f.DirectorySize, size)
	}
	return f, nil
}

var le = binary.LittleEndian
