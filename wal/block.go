package wal

import (
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"time"
)

const (
	formatVersion = 1

	headerMagic = "TIDEWAL\n"
	footerMagic = "TIDEEND\n"

	// flagSyncedGroups in a header: each group was synced before the next was written, so a valid group behind
	// a damaged one proves that the damaged one had been acknowledged.
	flagSyncedGroups = 1
)

// errNoBlock means that the bytes are not a header or footer at all: empty, torn, or of an earlier life.
var errNoBlock = errors.New("wal: no such block")

// fileHeader is the first block of a file.
type fileHeader struct {
	flags       uint32
	sequence    uint64
	salt        uint64
	size        int64
	created     int64 // Unix milliseconds
	nextOrdinal uint32
}

// seed starts the checksum of everything in this life of the file.
func (h *fileHeader) seed() uint32 {
	var b [16]byte
	binary.LittleEndian.PutUint64(b[:], h.salt)
	binary.LittleEndian.PutUint64(b[8:], h.sequence)
	return crc32.Update(0, castagnoli, b[:])
}

func (h *fileHeader) put(b []byte) {
	clear(b[:blockSize])
	le := binary.LittleEndian
	copy(b, headerMagic)
	le.PutUint32(b[8:], formatVersion)
	le.PutUint32(b[12:], h.flags)
	le.PutUint64(b[16:], h.sequence)
	le.PutUint64(b[24:], h.salt)
	le.PutUint64(b[32:], uint64(h.size))
	le.PutUint64(b[40:], uint64(h.created))
	le.PutUint32(b[48:], h.nextOrdinal)
	le.PutUint32(b[blockSize-4:], crc32.Checksum(b[:blockSize-4], castagnoli))
}

func parseFileHeader(b []byte) (h fileHeader, err error) {
	if err := checkBlock(b, headerMagic); err != nil {
		return h, err
	}
	le := binary.LittleEndian
	h = fileHeader{
		flags:       le.Uint32(b[12:]),
		sequence:    le.Uint64(b[16:]),
		salt:        le.Uint64(b[24:]),
		size:        int64(le.Uint64(b[32:])),
		created:     int64(le.Uint64(b[40:])),
		nextOrdinal: le.Uint32(b[48:]),
	}
	if h.size < 2*blockSize || h.size > maxFileBytes || h.size%blockSize != 0 {
		return h, fmt.Errorf("%w: impossible file size: bytes=%d", errNoBlock, h.size)
	}
	return h, nil
}

// fileFooter is the last block of a sealed file.
//
// It repeats what the header says about the file's identity, so that a sealed file survives the loss of its header.
type fileFooter struct {
	sequence    uint64
	salt        uint64
	flags       uint32 // of the header
	created     int64  // of the header
	dataEnd     int64  // position behind the last frame
	metas       section
	dirs        section
	entries     section
	batchBytes  int64
	nextOrdinal uint32
}

// section is a run of index pages.
type section struct {
	position int64
	count    uint32 // records in it
}

func (f *fileFooter) put(b []byte) {
	clear(b[:blockSize])
	le := binary.LittleEndian
	copy(b, footerMagic)
	le.PutUint32(b[8:], formatVersion)
	le.PutUint32(b[12:], f.nextOrdinal)
	le.PutUint64(b[16:], f.sequence)
	le.PutUint64(b[24:], f.salt)
	le.PutUint64(b[32:], uint64(f.dataEnd))
	le.PutUint64(b[40:], uint64(f.batchBytes))
	le.PutUint64(b[48:], uint64(f.created))
	le.PutUint32(b[56:], f.flags)
	at := footerSections
	for _, s := range []section{f.metas, f.dirs, f.entries} {
		le.PutUint64(b[at:], uint64(s.position))
		le.PutUint32(b[at+8:], s.count)
		at += 16
	}
	le.PutUint32(b[blockSize-4:], crc32.Checksum(b[:blockSize-4], castagnoli))
}

// footerSections is where the footer's sections begin.
const footerSections = 64

// parseFileFooter checks that the sections lie inside [dataEnd, size-blockSize) in their order, so that nobody
// has to check again.
func parseFileFooter(b []byte, size int64) (f fileFooter, err error) {
	if err := checkBlock(b, footerMagic); err != nil {
		return f, err
	}
	le := binary.LittleEndian
	f = fileFooter{
		nextOrdinal: le.Uint32(b[12:]),
		sequence:    le.Uint64(b[16:]),
		salt:        le.Uint64(b[24:]),
		dataEnd:     int64(le.Uint64(b[32:])),
		batchBytes:  int64(le.Uint64(b[40:])),
		created:     int64(le.Uint64(b[48:])),
		flags:       le.Uint32(b[56:]),
	}
	at := footerSections
	from := f.dataEnd
	for _, s := range []struct {
		section *section
		per     int64
	}{{&f.metas, metasPerPage}, {&f.dirs, dirsPerPage}, {&f.entries, entriesPerPage}} {
		s.section.position = int64(le.Uint64(b[at:]))
		s.section.count = le.Uint32(b[at+8:])
		at += 16
		pages := (int64(s.section.count) + s.per - 1) / s.per
		if s.section.position < from || s.section.position%blockSize != 0 || pages > (size-s.section.position)/blockSize {
			return f, fmt.Errorf("%w: index section outside the file: position=%d", errNoBlock, s.section.position)
		}
		from = s.section.position + pages*blockSize
	}
	if f.dataEnd < blockSize || from > size-blockSize {
		return f, fmt.Errorf("%w: index outside the file: end=%d", errNoBlock, from)
	}
	return f, nil
}

// checkBlock verifies magic, checksum and version, in this order: a checksum can only be known for a known
// version, but the place of the checksum is a promise that all versions keep.
func checkBlock(b []byte, magic string) error {
	if len(b) < blockSize || string(b[:len(magic)]) != magic {
		return fmt.Errorf("%w: magic", errNoBlock)
	}
	if crc32.Checksum(b[:blockSize-4], castagnoli) != binary.LittleEndian.Uint32(b[blockSize-4:blockSize]) {
		return fmt.Errorf("%w: checksum", errNoBlock)
	}
	if v := binary.LittleEndian.Uint32(b[8:]); v != formatVersion {
		return fmt.Errorf("%w: version=%d", ErrVersion, v)
	}
	return nil
}

func randomSalt() uint64 {
	var b [8]byte
	if _, err := rand.Read(b[:]); err != nil {
		panic(fmt.Sprintf("wal: no randomness: %v", err)) // crypto/rand never fails
	}
	return binary.LittleEndian.Uint64(b[:])
}

func wallClock() int64 { return time.Now().UnixMilli() }
