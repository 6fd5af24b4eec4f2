package manifest

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
)

const (
	objectVersion    = 1
	objectHeaderSize = 24
	objectFooterSize = 32
	directoryEntry   = 40

	// MaxObjectPages bounds the directory of one page object to 2.5 MB.
	MaxObjectPages = 1 << 16
)

var (
	objectMagic = [4]byte{'T', 'L', 'P', 'O'}
	footerMagic = [4]byte{'T', 'L', 'P', 'F'}
)

// PageEntry is what the directory of a page object says of one page.
type PageEntry struct {
	ID   ID
	Kind Kind
	Ref  PageRef
}

// ObjectWriter writes one page object front to back. Memory: the directory, 40 bytes a page.
type ObjectWriter struct {
	w         io.Writer
	object    [16]byte
	position  int64
	directory []byte
	count     int
	err       error
}

// NewObjectWriter starts a page object with the given id on w.
func NewObjectWriter(w io.Writer, object [16]byte) *ObjectWriter {
	o := &ObjectWriter{w: w, object: object}
	header := append(objectMagic[:len(objectMagic):len(objectMagic)], objectVersion, 0, 0, 0)
	o.write(append(header, object[:]...))
	return o
}

func (o *ObjectWriter) write(b []byte) {
	if o.err != nil {
		return
	}
	n, err := o.w.Write(b)
	o.position += int64(n)
	if err == nil && n < len(b) {
		err = io.ErrShortWrite
	}
	o.err = err
}

// Add writes one page as AppendLeaf or AppendInner made it, and returns the reference to it.
func (o *ObjectWriter) Add(id ID, kind Kind, page []byte) (PageRef, error) {
	if o.count == MaxObjectPages {
		return PageRef{}, fmt.Errorf("%w: pages=%d", ErrFull, o.count)
	}
	if len(page) < pageMinSize || len(page) > MaxPageBytes {
		return PageRef{}, fmt.Errorf("%w: page size=%d", ErrCorrupt, len(page))
	}
	ref := PageRef{Object: o.object, Position: o.position, Size: int32(len(page)), CRC: pageCRC(page)}
	o.write(page)
	if o.err != nil {
		return PageRef{}, o.err
	}
	d := append(o.directory, id.Topic[:]...)
	d = binary.LittleEndian.AppendUint32(d, uint32(id.Partition))
	d = append(d, byte(kind), 0, 0, 0)
	d = binary.LittleEndian.AppendUint64(d, uint64(ref.Position))
	d = binary.LittleEndian.AppendUint32(d, uint32(ref.Size))
	o.directory = binary.LittleEndian.AppendUint32(d, ref.CRC)
	o.count++
	return ref, nil
}

// Count is the number of pages added.
func (o *ObjectWriter) Count() int { return o.count }

// Close writes the directory and the footer, and returns the size of the object. It does not close the writer below.
func (o *ObjectWriter) Close() (int64, error) {
	at := o.position
	o.write(o.directory)
	f := binary.LittleEndian.AppendUint32(nil, uint32(o.count))
	f = binary.LittleEndian.AppendUint64(f, uint64(at))
	f = binary.LittleEndian.AppendUint32(f, uint32(len(o.directory)))
	f = binary.LittleEndian.AppendUint32(f, crc32.Checksum(o.directory, castagnoli))
	f = append(f, 0, 0, 0, objectVersion)
	f = binary.LittleEndian.AppendUint32(f, crc32.Checksum(f, castagnoli))
	o.write(append(f, footerMagic[:]...))
	if o.err != nil {
		return 0, o.err
	}
	o.err = errors.New("manifest: object is closed")
	return o.position, nil
}

// ReadDirectory reads the footer and the directory of a page object of the given size, and checks that every page lies
// inside it. It does not read the pages.
func ReadDirectory(r io.ReaderAt, size int64, object [16]byte) ([]PageEntry, error) {
	if size < objectHeaderSize+objectFooterSize {
		return nil, fmt.Errorf("%w: page object: size=%d", ErrTorn, size)
	}
	var header [objectHeaderSize]byte
	if err := readFull(r, header[:], 0); err != nil {
		return nil, err
	}
	if [4]byte(header[:4]) != objectMagic {
		return nil, fmt.Errorf("%w: page object: magic=%x", ErrCorrupt, header[:4])
	}
	if header[4] != objectVersion {
		return nil, fmt.Errorf("%w: page object: version=%d", ErrVersion, header[4])
	}
	if [16]byte(header[8:]) != object || header[5]|header[6]|header[7] != 0 {
		return nil, fmt.Errorf("%w: page object: another object id=%x want=%x", ErrCorrupt, header[8:], object)
	}
	var f [objectFooterSize]byte
	if err := readFull(r, f[:], size-objectFooterSize); err != nil {
		return nil, err
	}
	if [4]byte(f[28:]) != footerMagic {
		return nil, fmt.Errorf("%w: page object: no footer magic=%x", ErrTorn, f[28:])
	}
	if got, want := crc32.Checksum(f[:24], castagnoli), binary.LittleEndian.Uint32(f[24:]); got != want {
		return nil, fmt.Errorf("%w: page object: footer checksum got=%08x want=%08x", ErrCorrupt, got, want)
	}
	if f[23] != objectVersion {
		return nil, fmt.Errorf("%w: page object: footer version=%d", ErrVersion, f[23])
	}
	count := int64(binary.LittleEndian.Uint32(f[:]))
	at := int64(binary.LittleEndian.Uint64(f[4:]))
	bytes := int64(binary.LittleEndian.Uint32(f[12:]))
	if count > MaxObjectPages || bytes != count*directoryEntry || at != size-objectFooterSize-bytes || at < objectHeaderSize {
		return nil, fmt.Errorf("%w: page object: impossible directory count=%d position=%d size=%d", ErrCorrupt, count, at, bytes)
	}
	d := make([]byte, bytes)
	if err := readFull(r, d, at); err != nil {
		return nil, err
	}
	if got, want := crc32.Checksum(d, castagnoli), binary.LittleEndian.Uint32(f[16:]); got != want {
		return nil, fmt.Errorf("%w: page object: directory checksum got=%08x want=%08x", ErrCorrupt, got, want)
	}
	entries := make([]PageEntry, 0, count)
	next := int64(objectHeaderSize)
	for ; len(d) > 0; d = d[directoryEntry:] {
		e := PageEntry{
			ID:   ID{Topic: [16]byte(d[:16]), Partition: int32(binary.LittleEndian.Uint32(d[16:]))},
			Kind: Kind(d[20]),
			Ref: PageRef{
				Object:   object,
				Position: int64(binary.LittleEndian.Uint64(d[24:])),
				Size:     int32(binary.LittleEndian.Uint32(d[32:])),
				CRC:      binary.LittleEndian.Uint32(d[36:]),
			},
		}
		if e.Ref.Position != next || e.Ref.Size < pageMinSize || e.Ref.Size > MaxPageBytes || (e.Kind != KindLeaf && e.Kind != KindInner) {
			return nil, fmt.Errorf("%w: page object: impossible page kind=%d position=%d size=%d", ErrCorrupt, e.Kind, e.Ref.Position, e.Ref.Size)
		}
		next += int64(e.Ref.Size)
		entries = append(entries, e)
	}
	if next != at {
		return nil, fmt.Errorf("%w: page object: pages do not fill the object end=%d directory=%d", ErrCorrupt, next, at)
	}
	return entries, nil
}

func readFull(r io.ReaderAt, b []byte, at int64) error {
	n, err := r.ReadAt(b, at)
	switch {
	case n == len(b):
		return nil
	case err == nil, errors.Is(err, io.EOF):
		return fmt.Errorf("%w: page object: short read position=%d size=%d", ErrTorn, at, len(b))
	default:
		return fmt.Errorf("manifest: page object: read position=%d: %w", at, err)
	}
}
