package verify

import (
	"container/list"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"path/filepath"
	"slices"
)

// A table says which record lies at each offset of a partition, and who was the first to say so. It is a scratch file of one
// check: entries of 16 bytes by offset, zero where nobody said anything.
//
//	0 record u64: producer (16 bits), sequence (46)
//	8 witness u16: its number in the check     10 kind + 1 u8     11 zero u8     12 seconds u32: when, since the run began
//
// Pages are cached by all tables of a check together, so memory does not grow with the history.
const (
	tableEntry  = 16
	pageEntries = 4096
	pageBytes   = pageEntries * tableEntry
	cachedPages = 512     // 32 MiB
	maxOffset   = 1 << 36 // a file of a terabyte, most of it holes; no run of ours gets there
)

// claim is what somebody says of an offset.
type claim struct {
	kind    runKind
	id      identity
	witness uint16
	at      int64 // seconds since the run began
}

func (c claim) sameRecord(o claim) bool { return c.kind == o.kind && c.id == o.id }

func (c claim) put(dst []byte) {
	binary.LittleEndian.PutUint64(dst, uint64(c.id.producer)<<46|uint64(c.id.sequence))
	binary.LittleEndian.PutUint16(dst[8:], c.witness)
	dst[10] = byte(c.kind) + 1
	binary.LittleEndian.PutUint32(dst[12:], uint32(min(max(c.at, 0), 1<<32-1)))
}

func readClaim(src []byte) (c claim, ok bool) {
	if src[10] == 0 {
		return claim{}, false
	}
	record := binary.LittleEndian.Uint64(src)
	return claim{runKind(src[10] - 1), identity{uint16(record >> 46), int64(record & maxSequence)},
		binary.LittleEndian.Uint16(src[8:]), int64(binary.LittleEndian.Uint32(src[12:]))}, true
}

// tables are those of all partitions, with their cache.
type tables struct {
	dir   string
	parts map[int32]*table
	order list.List // of *page, most recently used first
}

type table struct {
	file    *os.File
	pages   map[int64]*list.Element // those cached
	written map[int64]struct{}      // all that were ever touched
}

type page struct {
	of    *table
	index int64
	dirty bool
	bytes [pageBytes]byte
}

// newTables makes a directory for the tables within dir. It is removed by close.
func newTables(dir string) (*tables, error) {
	scratch, err := os.MkdirTemp(dir, ".check-")
	if err != nil {
		return nil, err
	}
	return &tables{dir: scratch, parts: map[int32]*table{}}, nil
}

func (t *tables) close() error {
	var errs []error
	for _, p := range t.parts {
		errs = append(errs, p.file.Close())
	}
	return errors.Join(append(errs, os.RemoveAll(t.dir))...)
}

func (t *tables) partition(n int32) (*table, error) {
	if p := t.parts[n]; p != nil {
		return p, nil
	}
	file, err := os.Create(filepath.Join(t.dir, fmt.Sprintf("%d.table", n)))
	if err != nil {
		return nil, err
	}
	p := &table{file: file, pages: map[int64]*list.Element{}, written: map[int64]struct{}{}}
	t.parts[n] = p
	return p, nil
}

// meet enters a claim unless there is one for the offset already, which it returns.
func (t *tables) meet(partition int32, offset int64, c claim) (was claim, known bool, err error) {
	if offset < 0 || offset >= maxOffset {
		return claim{}, false, fmt.Errorf("offset is out of bounds: partition=%d offset=%d max=%d", partition, offset, int64(maxOffset))
	}
	of, err := t.partition(partition)
	if err != nil {
		return claim{}, false, err
	}
	p, err := t.page(of, offset/pageEntries)
	if err != nil {
		return claim{}, false, err
	}
	at := p.bytes[offset%pageEntries*tableEntry:]
	if was, known = readClaim(at); !known {
		c.put(at)
		p.dirty = true
	}
	return was, known, nil
}

func (t *tables) page(of *table, index int64) (*page, error) {
	if e := of.pages[index]; e != nil {
		t.order.MoveToFront(e)
		return e.Value.(*page), nil
	}
	var p *page
	if t.order.Len() < cachedPages {
		p = &page{}
	} else {
		oldest := t.order.Back()
		p = t.order.Remove(oldest).(*page)
		delete(p.of.pages, p.index)
		if p.dirty {
			if _, err := p.of.file.WriteAt(p.bytes[:], p.index*pageBytes); err != nil {
				return nil, err
			}
		}
	}
	p.of, p.index, p.dirty = of, index, false
	clear(p.bytes[:])
	if _, ok := of.written[index]; ok {
		if _, err := of.file.ReadAt(p.bytes[:], index*pageBytes); err != nil && !errors.Is(err, io.EOF) {
			return nil, err
		}
	}
	of.written[index] = struct{}{}
	of.pages[index] = t.order.PushFront(p)
	return p, nil
}

// all is every claim about a partition, by offset. A failure ends it; it is in err.
func (t *tables) all(partition int32, err *error) iter.Seq2[int64, claim] {
	return func(yield func(int64, claim) bool) {
		of := t.parts[partition]
		if of == nil {
			return
		}
		indexes := make([]int64, 0, len(of.written))
		for i := range of.written {
			indexes = append(indexes, i)
		}
		slices.Sort(indexes)
		for _, index := range indexes {
			p, failure := t.page(of, index)
			if failure != nil {
				*err = failure
				return
			}
			for i := range int64(pageEntries) {
				if p.of != of || p.index != index { // the consumer looked elsewhere for long
					if p, failure = t.page(of, index); failure != nil {
						*err = failure
						return
					}
				}
				if c, ok := readClaim(p.bytes[i*tableEntry:]); ok && !yield(index*pageEntries+i, c) {
					return
				}
			}
		}
	}
}
