package wal

import (
	"sort"
	"sync"
)

// index is what stays in memory of a sealed file's index: where its sections are, and the first ordinal of each
// directory page, about one byte for ten directory records. Pages are read when they are needed, through the
// buffered handle, so that the kernel's page cache keeps the hot ones and our memory does not grow with the log.
// Mapping them instead would save a copy of 4 KiB, and turn a disk error into a SIGBUS.
type index struct {
	foot   fileFooter
	fences []uint32
}

func newIndex(foot fileFooter, dirs []dir) *index {
	x := &index{foot: foot, fences: make([]uint32, 0, (len(dirs)+dirsPerPage-1)/dirsPerPage)}
	for i := 0; i < len(dirs); i += dirsPerPage {
		x.fences = append(x.fences, dirs[i].ordinal)
	}
	return x
}

var pageBuffers = sync.Pool{New: func() any { return new([blockSize]byte) }}

// readPage calls use with the records of one index page, which are valid during the call.
func (f *file) readPage(s section, kind pageKind, number uint32, size int, use func(records []byte, count int)) error {
	b := pageBuffers.Get().(*[blockSize]byte)
	defer pageBuffers.Put(b)
	position := s.position + int64(number)*blockSize
	if _, err := f.reader.ReadAt(b[:], position); err != nil {
		return f.damaged(position, ID{}, -1, -1, "index page cannot be read", err)
	}
	records, count, ok := openPage(b[:], f.seed, kind, number, size)
	if !ok {
		return f.damaged(position, ID{}, -1, -1, "index page checksum", nil)
	}
	use(records, count)
	return nil
}

// dirOf finds a partition's directory record.
func (f *file) dirOf(x *index, ordinal uint32) (d dir, ok bool, err error) {
	page := sort.Search(len(x.fences), func(i int) bool { return x.fences[i] > ordinal }) - 1
	if page < 0 {
		return d, false, nil
	}
	err = f.readPage(x.foot.dirs, pageDirs, uint32(page), dirSize, func(records []byte, count int) {
		i := sort.Search(count, func(i int) bool { return getDir(records[i*dirSize:]).ordinal >= ordinal })
		if i < count {
			if c := getDir(records[i*dirSize:]); c.ordinal == ordinal {
				d, ok = c, true
			}
		}
	})
	return d, ok, err
}

// eachDir calls fn with the directory records from number from on, until it returns false; next is the number of
// the record that it refused, or of the one behind the last.
func (f *file) eachDir(x *index, from uint32, fn func(dir) bool) (next uint32, err error) {
	next = from
	for more := true; more && next < x.foot.dirs.count; {
		err := f.readPage(x.foot.dirs, pageDirs, next/dirsPerPage, dirSize, func(records []byte, count int) {
			i := int(next % dirsPerPage)
			if i >= count {
				more = false // the footer and the page disagree; cannot be with both checksums right
			}
			for ; more && i < count; i++ {
				if more = fn(getDir(records[i*dirSize:])); more {
					next++
				}
			}
		})
		if err != nil {
			return next, err
		}
	}
	return next, nil
}

// eachMeta calls fn with every meta record.
func (f *file) eachMeta(x *index, fn func(meta)) error {
	for page := uint32(0); page*metasPerPage < x.foot.metas.count; page++ {
		err := f.readPage(x.foot.metas, pageMetas, page, metaSize, func(records []byte, count int) {
			for i := range count {
				fn(getMeta(records[i*metaSize:]))
			}
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// entries copies entries from number at on into into, at most what one page and into hold, and returns how many.
func (f *file) entries(x *index, at uint32, into []entry) (n int, err error) {
	err = f.readPage(x.foot.entries, pageEntries, at/entriesPerPage, entrySize, func(records []byte, count int) {
		for i := int(at % entriesPerPage); i < count && n < len(into); i++ {
			into[n] = getEntry(records[i*entrySize:])
			n++
		}
	})
	return n, err
}

// seek finds the number of the entry of d that holds offset, or of the first behind it, by halving over pages.
func (f *file) seek(x *index, d dir, offset int64) (at uint32, err error) {
	lo, hi := d.firstEntry, d.firstEntry+d.count // the answer is in [lo, hi]
	for lo < hi && err == nil {
		mid := lo + (hi-lo)/2
		page := mid / entriesPerPage
		err = f.readPage(x.foot.entries, pageEntries, page, entrySize, func(records []byte, count int) {
			start := page * entriesPerPage
			first, last := max(lo, start), min(hi, start+uint32(count))
			if last <= first {
				hi = lo // footer and page disagree, which both checksums rule out
				return
			}
			i := first + uint32(sort.Search(int(last-first), func(i int) bool {
				e := getEntry(records[(int(first-start)+i)*entrySize:])
				return e.end() > offset
			}))
			switch {
			case i == last:
				lo = last
			case i == first:
				hi = first
			default:
				lo, hi = i, i
			}
		})
	}
	return lo, err
}
