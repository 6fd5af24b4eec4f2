package manifest

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
)

// Kind is the kind of a page.
type Kind uint8

const (
	// KindLeaf pages hold segments.
	KindLeaf Kind = 1
	// KindInner pages hold references to leaves.
	KindInner Kind = 2
)

const (
	// MaxLeafSegments is the number of entries in a full leaf: about 80 KB.
	MaxLeafSegments = 1024
	// MaxInnerLeaves bounds an inner page: 16 million segments, at most 1.6 MB.
	MaxInnerLeaves = 16384
	// MaxPageBytes bounds what is read for one page; the largest possible inner page fits.
	MaxPageBytes = 4 << 20

	pageVersion    = 1
	pageHeaderSize = 36
	pageMinSize    = pageHeaderSize + 4
)

var (
	pageMagic  = [4]byte{'T', 'L', 'P', 'G'}
	castagnoli = crc32.MakeTable(crc32.Castagnoli)
)

// appendPage frames a payload, which the caller appends in fill, as one page.
func appendPage(dst []byte, id ID, kind Kind, count int, fill func([]byte) []byte) []byte {
	start := len(dst)
	dst = append(dst, pageMagic[:]...)
	dst = append(dst, pageVersion, byte(kind), 0, 0)
	dst = append(dst, id.Topic[:]...)
	dst = binary.LittleEndian.AppendUint32(dst, uint32(id.Partition))
	dst = binary.LittleEndian.AppendUint32(dst, uint32(count))
	dst = binary.LittleEndian.AppendUint32(dst, 0)
	dst = fill(dst)
	binary.LittleEndian.PutUint32(dst[start+32:], uint32(len(dst)-start-pageHeaderSize))
	return binary.LittleEndian.AppendUint32(dst, crc32.Checksum(dst[start:], castagnoli))
}

// pageCRC is the checksum that a page ends in, and that a reference to it holds.
func pageCRC(page []byte) uint32 { return binary.LittleEndian.Uint32(page[len(page)-4:]) }

// openPage checks the frame of a page and returns who it belongs to and its payload. The slice has to be exactly one page.
func openPage(b []byte) (id ID, kind Kind, count int, payload []byte, err error) {
	fail := func(mark error, format string, args ...any) (ID, Kind, int, []byte, error) {
		return ID{}, 0, 0, nil, fmt.Errorf("%w: page: "+format, append([]any{mark}, args...)...)
	}
	if len(b) > MaxPageBytes {
		return fail(ErrCorrupt, "too large size=%d", len(b))
	}
	if len(b) < pageMinSize {
		return fail(ErrTorn, "size=%d", len(b))
	}
	if [4]byte(b[:4]) != pageMagic {
		return fail(ErrCorrupt, "magic=%x", b[:4])
	}
	if b[4] != pageVersion {
		return fail(ErrVersion, "version=%d", b[4])
	}
	n := int64(binary.LittleEndian.Uint32(b[32:]))
	switch have := int64(len(b) - pageMinSize); {
	case n > have:
		return fail(ErrTorn, "payload=%d have=%d", n, have)
	case n < have:
		return fail(ErrCorrupt, "bytes after the end payload=%d have=%d", n, have)
	}
	if got, want := crc32.Checksum(b[:len(b)-4], castagnoli), pageCRC(b); got != want {
		return fail(ErrCorrupt, "checksum got=%08x want=%08x", got, want)
	}
	kind = Kind(b[5])
	limit := uint32(MaxLeafSegments)
	switch kind {
	case KindLeaf:
	case KindInner:
		limit = MaxInnerLeaves
	default:
		return fail(ErrCorrupt, "kind=%d", b[5])
	}
	if b[6] != 0 || b[7] != 0 {
		return fail(ErrCorrupt, "reserved bytes=%x", b[6:8])
	}
	c := binary.LittleEndian.Uint32(b[28:])
	if c == 0 || c > limit {
		return fail(ErrCorrupt, "count=%d limit=%d", c, limit)
	}
	id = ID{Topic: [16]byte(b[8:24]), Partition: int32(binary.LittleEndian.Uint32(b[24:]))}
	return id, kind, int(c), b[pageHeaderSize : len(b)-4], nil
}

// openAs opens a page that has to be of the given kind and partition, and, unless ref is zero, the page that ref names.
func openAs(b []byte, ref PageRef, id ID, want Kind) (count int, payload []byte, err error) {
	got, kind, count, payload, err := openPage(b)
	if err != nil {
		return 0, nil, err
	}
	if kind != want || got != id {
		return 0, nil, fmt.Errorf("%w: another page kind=%d wantKind=%d partition=%v wantPartition=%v", ErrCorrupt, kind, want, got, id)
	}
	if !ref.IsZero() && (pageCRC(b) != ref.CRC || int(ref.Size) != len(b)) {
		return 0, nil, fmt.Errorf("%w: another page than the reference names crc=%08x wantCRC=%08x size=%d wantSize=%d",
			ErrCorrupt, pageCRC(b), ref.CRC, len(b), ref.Size)
	}
	return count, payload, nil
}

// cursor reads fields from a payload; after the first failure it returns zeros and keeps the failure.
type cursor struct {
	b   []byte
	err error
}

func (c *cursor) fail() {
	if c.err == nil {
		c.err = fmt.Errorf("%w: page: malformed entry", ErrCorrupt)
	}
	c.b = nil
}

// uvarint reads a length, offset or count: a value that has to fit an int64.
func (c *cursor) uvarint() int64 {
	v, n := binary.Uvarint(c.b)
	if n <= 0 || v > 1<<63-1 {
		c.fail()
		return 0
	}
	c.b = c.b[n:]
	return int64(v)
}

func (c *cursor) varint() int64 {
	v, n := binary.Varint(c.b)
	if n <= 0 {
		c.fail()
		return 0
	}
	c.b = c.b[n:]
	return v
}

func (c *cursor) uint32() uint32 {
	if len(c.b) < 4 {
		c.fail()
		return 0
	}
	v := binary.LittleEndian.Uint32(c.b)
	c.b = c.b[4:]
	return v
}

func (c *cursor) bytes(dst []byte) {
	if len(c.b) < len(dst) {
		c.fail()
		return
	}
	copy(dst, c.b)
	c.b = c.b[len(dst):]
}

// end reports the first failure, or bytes left over.
func (c *cursor) end() error {
	if c.err == nil && len(c.b) != 0 {
		c.err = fmt.Errorf("%w: page: bytes after the last entry n=%d", ErrCorrupt, len(c.b))
	}
	return c.err
}
