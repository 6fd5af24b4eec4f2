package cache

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"path"

	"github.com/tidelinehq/tideline/internal/vfs"
)

// The table of a disk cache that was closed cleanly, little endian. It is removed as soon as it was read, so that it never
// outlives a write to the file that it describes.
//
//	 0  magic       "TLDC"
//	 4  version     u16     = 1
//	 6  reserved    u16     zero
//	 8  slot bytes  u32
//	12  slots       u32
//	16  hand        u32     slot
//	20  entries     u32
//	24  entries × 36 bytes, by slot
//	      0  object     [16]
//	     16  position   i64
//	     24  slot       u32
//	     28  size       u32   bytes
//	     32  crc32c     u32   of the block
//	 …  crc32c      u32     of all before
const (
	tableMagic      = 0x43444c54 // "TLDC"
	tableVersion    = 1
	tableHeaderSize = 24
	tableEntrySize  = 36
)

// Errors of a table that cannot be used; the cache then starts empty.
var (
	errTableTorn    = errors.New("disk cache table is cut short")
	errTableCorrupt = errors.New("disk cache table is corrupt")
	errTableVersion = errors.New("unknown disk cache table version")
	errTableOther   = errors.New("disk cache table is of a cache of another size")
)

func appendTable(b []byte, r *ring, slotBytes int) []byte {
	start := len(b)
	le := binary.LittleEndian
	b = le.AppendUint32(b, tableMagic)
	b = le.AppendUint16(b, tableVersion)
	b = le.AppendUint16(b, 0)
	b = le.AppendUint32(b, uint32(slotBytes))
	b = le.AppendUint32(b, r.slots)
	b = le.AppendUint32(b, r.hand)
	count := len(b)
	b = le.AppendUint32(b, 0)
	n := uint32(0)
	for e := r.head; e != nil; e = e.list {
		if !e.ready {
			continue
		}
		b = append(b, e.key.Object[:]...)
		b = le.AppendUint64(b, uint64(e.key.Position))
		b = le.AppendUint32(b, e.start)
		b = le.AppendUint32(b, e.size)
		b = le.AppendUint32(b, e.crc)
		n++
	}
	le.PutUint32(b[count:], n)
	return le.AppendUint32(b, crc32.Checksum(b[start:], castagnoli))
}

// parseTable rebuilds the ring of a cache with this geometry.
func parseTable(b []byte, slots uint32, slotBytes int) (ring, error) {
	le := binary.LittleEndian
	if len(b) < tableHeaderSize+4 {
		return ring{}, fmt.Errorf("%w: size=%d", errTableTorn, len(b))
	}
	if m := le.Uint32(b); m != tableMagic {
		return ring{}, fmt.Errorf("%w: magic=%08x", errTableCorrupt, m)
	}
	if v := le.Uint16(b[4:]); v != tableVersion {
		return ring{}, fmt.Errorf("%w: version=%d", errTableVersion, v)
	}
	n := int64(le.Uint32(b[20:]))
	want := tableHeaderSize + n*tableEntrySize + 4
	if int64(len(b)) < want {
		return ring{}, fmt.Errorf("%w: size=%d want=%d", errTableTorn, len(b), want)
	}
	if int64(len(b)) > want {
		return ring{}, fmt.Errorf("%w: size=%d want=%d", errTableCorrupt, len(b), want)
	}
	if got, want := crc32.Checksum(b[:want-4], castagnoli), le.Uint32(b[want-4:]); got != want {
		return ring{}, fmt.Errorf("%w: checksum got=%08x want=%08x", errTableCorrupt, got, want)
	}
	if le.Uint32(b[8:]) != uint32(slotBytes) || le.Uint32(b[12:]) != slots {
		return ring{}, fmt.Errorf("%w: slot_bytes=%d slots=%d", errTableOther, le.Uint32(b[8:]), le.Uint32(b[12:]))
	}
	r := newRing(slots)
	r.hand = le.Uint32(b[16:])
	if r.hand > slots {
		return ring{}, fmt.Errorf("%w: hand=%d slots=%d", errTableCorrupt, r.hand, slots)
	}
	free := uint32(0) // first slot behind the last entry
	for p := b[tableHeaderSize:]; len(p) > 4; p = p[tableEntrySize:] {
		e := &ringEntry{start: le.Uint32(p[24:]), size: le.Uint32(p[28:]), crc: le.Uint32(p[32:]), ready: true}
		copy(e.key.Object[:], p)
		e.key.Position = int64(le.Uint64(p[16:]))
		count := (int64(e.size) + int64(slotBytes) - 1) / int64(slotBytes)
		if e.size == 0 || e.start < free || int64(e.start)+count > int64(slots) || r.entries[e.key] != nil {
			return ring{}, fmt.Errorf("%w: entry slot=%d size=%d", errTableCorrupt, e.start, e.size)
		}
		if e.start < r.hand && int64(e.start)+count > int64(r.hand) {
			return ring{}, fmt.Errorf("%w: hand=%d inside entry slot=%d", errTableCorrupt, r.hand, e.start)
		}
		e.count = uint32(count)
		free = e.start + e.count
		r.insertBefore(e, nil)
		if r.next == nil && e.start >= r.hand {
			r.next = e
		}
	}
	return r, nil
}

// recover loads the table of a clean close and removes it. Only the removal may fail.
func (d *Disk) recover() error {
	name := path.Join(d.opts.Dir, tableName)
	b, err := d.readTable(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err == nil {
		var r ring
		if r, err = parseTable(b, d.ring.slots, d.opts.SlotBytes); err == nil {
			d.ring = r
		}
	}
	if err != nil {
		d.opts.Logger.Warn("disk cache starts empty", "error", err)
	}
	if err := errors.Join(d.opts.FS.Remove(name), d.opts.FS.SyncDir(d.opts.Dir)); err != nil {
		return fmt.Errorf("disk cache: remove table: %w", err)
	}
	return nil
}

func (d *Disk) readTable(name string) (b []byte, err error) {
	f, err := d.opts.FS.Open(name, vfs.ReadOnly)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	size, err := f.Size()
	if err != nil {
		return nil, err
	}
	if most := tableHeaderSize + int64(d.ring.slots)*tableEntrySize + 4; size > most {
		return nil, fmt.Errorf("%w: size=%d max=%d", errTableCorrupt, size, most)
	}
	b = make([]byte, size)
	if n, err := f.ReadAt(b, 0); n < len(b) {
		return nil, errors.Join(err, io.ErrUnexpectedEOF)
	}
	return b, nil
}

// save writes the table, so that a name always stands for a whole one.
func (d *Disk) save() (err error) {
	temporary := path.Join(d.opts.Dir, tableName+".tmp")
	f, err := d.opts.FS.Create(temporary, 0)
	if err != nil {
		return fmt.Errorf("disk cache: save table: %w", err)
	}
	_, err = f.WriteAt(appendTable(nil, &d.ring, d.opts.SlotBytes), 0)
	if err == nil {
		// The blocks first: a table must not name blocks which a power loss would take back.
		err = errors.Join(d.file.Sync(), f.Sync())
	}
	if err = errors.Join(err, f.Close()); err == nil {
		err = errors.Join(d.opts.FS.Rename(temporary, path.Join(d.opts.Dir, tableName)), d.opts.FS.SyncDir(d.opts.Dir))
	}
	if err != nil {
		return fmt.Errorf("disk cache: save table: %w", err)
	}
	return nil
}
