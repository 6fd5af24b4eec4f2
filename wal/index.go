package wal

import (
	"encoding/binary"
	"hash/crc32"

	"github.com/tidelinehq/tideline/internal/record"
)

// Sizes of the index of a sealed file, drawn in doc.go.
const (
	pageHeaderSize = 16
	entrySize      = 32
	dirSize        = 64
	metaSize       = 64

	entriesPerPage = (blockSize - pageHeaderSize) / entrySize
	dirsPerPage    = (blockSize - pageHeaderSize) / dirSize
	metasPerPage   = (blockSize - pageHeaderSize) / metaSize
)

type pageKind uint8

const (
	pageMetas   pageKind = 1
	pageDirs    pageKind = 2
	pageEntries pageKind = 3
)

// Flags of an entry.
const (
	entryMulti   = 1 // the frame holds more than one batch
	entryPartial = 2 // a truncation fell into the frame: its batches at and above end are dead
	entryLost    = 4 // damage: the offsets were here and are gone; length is 0
)

// entry locates one batch frame.
type entry struct {
	base     int64
	maxTime  int64
	position uint32 // of the frame header
	length   uint32 // payload bytes
	span     uint32 // offsets from base
	flags    uint32
}

// timeOf is the timestamp by which a batch is found. Control batches are not looked for: what they
// say is not a consumer's, and the object store does not find them either.
func timeOf(b record.Batch) int64 {
	if b.Control() {
		return record.NoTimestamp
	}
	return b.MaxTimestamp()
}

func (e *entry) end() int64 { return e.base + int64(e.span) }

func (e *entry) put(b []byte) {
	le := binary.LittleEndian
	le.PutUint64(b[0:], uint64(e.base))
	le.PutUint64(b[8:], uint64(e.maxTime))
	le.PutUint32(b[16:], e.position)
	le.PutUint32(b[20:], e.length)
	le.PutUint32(b[24:], e.span)
	le.PutUint32(b[28:], e.flags)
}

func getEntry(b []byte) entry {
	le := binary.LittleEndian
	return entry{
		base:     int64(le.Uint64(b[0:])),
		maxTime:  int64(le.Uint64(b[8:])),
		position: le.Uint32(b[16:]),
		length:   le.Uint32(b[20:]),
		span:     le.Uint32(b[24:]),
		flags:    le.Uint32(b[28:]),
	}
}

// dir describes all entries of one partition in one file.
type dir struct {
	ordinal     uint32
	count       uint32
	firstEntry  uint32
	flags       uint32 // union of the entries' flags
	first, end  int64
	bytes       int64
	maxTime     int64
	maxTimeBase int64 // base of the first entry that has maxTime
}

func (d *dir) put(b []byte) {
	le := binary.LittleEndian
	le.PutUint32(b[0:], d.ordinal)
	le.PutUint32(b[4:], d.count)
	le.PutUint32(b[8:], d.firstEntry)
	le.PutUint32(b[12:], d.flags)
	le.PutUint64(b[16:], uint64(d.first))
	le.PutUint64(b[24:], uint64(d.end))
	le.PutUint64(b[32:], uint64(d.bytes))
	le.PutUint64(b[40:], uint64(d.maxTime))
	le.PutUint64(b[48:], uint64(d.maxTimeBase))
	le.PutUint64(b[56:], 0)
}

func getDir(b []byte) dir {
	le := binary.LittleEndian
	return dir{
		ordinal:     le.Uint32(b[0:]),
		count:       le.Uint32(b[4:]),
		firstEntry:  le.Uint32(b[8:]),
		flags:       le.Uint32(b[12:]),
		first:       int64(le.Uint64(b[16:])),
		end:         int64(le.Uint64(b[24:])),
		bytes:       int64(le.Uint64(b[32:])),
		maxTime:     int64(le.Uint64(b[40:])),
		maxTimeBase: int64(le.Uint64(b[48:])),
	}
}

// summarize builds the directory record of a run of entries, which is not empty.
func summarize(ordinal uint32, entries []entry) dir {
	d := dir{ordinal: ordinal, count: uint32(len(entries)), first: entries[0].base, end: entries[len(entries)-1].end()}
	d.maxTime, d.maxTimeBase = entries[0].maxTime, entries[0].base
	for i := range entries {
		e := &entries[i]
		d.flags |= e.flags
		d.bytes += int64(e.length)
		if e.maxTime > d.maxTime {
			d.maxTime, d.maxTimeBase = e.maxTime, e.base
		}
	}
	return d
}

// meta is a frame other than batches that recovery needs: the newest anchor of a partition in the file, each
// truncation, each drop.
type meta struct {
	ordinal  uint32
	position uint32
	length   uint32 // payload bytes
	typ      frameType
	body     anchorBody
}

func (m *meta) put(b []byte) {
	le := binary.LittleEndian
	le.PutUint32(b[0:], m.ordinal)
	le.PutUint32(b[4:], m.position)
	le.PutUint32(b[8:], m.length)
	le.PutUint32(b[12:], uint32(m.typ))
	copy(b[16:], m.body.id.Topic[:])
	le.PutUint32(b[32:], uint32(m.body.id.Partition))
	le.PutUint32(b[36:], 0)
	le.PutUint64(b[40:], uint64(m.body.start))
	le.PutUint64(b[48:], uint64(m.body.end))
	le.PutUint64(b[56:], uint64(m.body.keep))
}

func getMeta(b []byte) meta {
	le := binary.LittleEndian
	m := meta{
		ordinal:  le.Uint32(b[0:]),
		position: le.Uint32(b[4:]),
		length:   le.Uint32(b[8:]),
		typ:      frameType(b[12]),
	}
	copy(m.body.id.Topic[:], b[16:32])
	m.body.id.Partition = int32(le.Uint32(b[32:]))
	m.body.start = int64(le.Uint64(b[40:]))
	m.body.end = int64(le.Uint64(b[48:]))
	m.body.keep = int64(le.Uint64(b[56:]))
	return m
}

// sealPage finishes a page: its records lie from pageHeaderSize on.
func sealPage(b []byte, seed uint32, kind pageKind, number uint32, count int) {
	le := binary.LittleEndian
	le.PutUint32(b[0:], 0)
	b[4], b[5] = byte(kind), 0
	le.PutUint16(b[6:], uint16(count))
	le.PutUint32(b[8:], number)
	le.PutUint32(b[12:], 0)
	le.PutUint32(b[0:], crc32.Update(seed, castagnoli, b[4:blockSize]))
}

// openPage checks a page and returns its records.
func openPage(b []byte, seed uint32, kind pageKind, number uint32, size int) (records []byte, count int, ok bool) {
	if len(b) < blockSize {
		return nil, 0, false
	}
	le := binary.LittleEndian
	count = int(le.Uint16(b[6:]))
	if pageKind(b[4]) != kind || le.Uint32(b[8:]) != number || count*size > blockSize-pageHeaderSize ||
		crc32.Update(seed, castagnoli, b[4:blockSize]) != le.Uint32(b[0:]) {
		return nil, 0, false
	}
	return b[pageHeaderSize : pageHeaderSize+count*size], count, true
}

// indexBytes is what the index of a file takes in it, footer included.
func indexBytes(metas, dirs, entries int) int64 {
	pages := (metas+metasPerPage-1)/metasPerPage + (dirs+dirsPerPage-1)/dirsPerPage + (entries+entriesPerPage-1)/entriesPerPage
	return int64(pages+1) * blockSize
}
