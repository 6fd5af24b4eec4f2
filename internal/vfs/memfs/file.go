package memfs

import (
	"io"
	"maps"
	"syscall"

	"github.com/tidelinehq/tideline/internal/vfs"
)

// file is an open file; it keeps its node when the name goes.
type file struct {
	fs     *FS
	name   string
	n      *node
	flags  vfs.Flag
	closed bool // guarded by fs.mu
}

// Direct implements vfs.File.
func (f *file) Direct() bool { return f.flags&vfs.Direct != 0 }

// check refuses what the kernel would refuse. fs.mu is held.
func (f *file) check(op string, write bool, b []byte, position int64) error {
	switch {
	case f.closed:
		return pathError(op, f.name, errClosed)
	case write && f.flags&vfs.ReadOnly != 0:
		return pathError(op, f.name, syscall.EBADF)
	case position < 0, f.Direct() && !vfs.Aligned(b, position):
		return pathError(op, f.name, syscall.EINVAL)
	}
	return nil
}

// ReadAt implements io.ReaderAt.
func (f *file) ReadAt(b []byte, position int64) (int, error) {
	f.fs.mu.Lock()
	defer f.fs.mu.Unlock()
	if err := f.check("read", false, b, position); err != nil {
		return 0, err
	}
	total := 0
	for total < len(b) && position < f.n.size {
		at := position % pageSize
		n := min(pageSize-at, int64(len(b)-total), f.n.size-position)
		into := b[total : total+int(n)]
		if p := f.n.pages[position/pageSize]; p != nil {
			copy(into, p[at:])
		} else {
			clear(into)
		}
		total += int(n)
		position += n
	}
	if total < len(b) {
		return total, io.EOF
	}
	return total, nil
}

// WriteAt implements io.WriterAt.
func (f *file) WriteAt(b []byte, position int64) (int, error) {
	f.fs.mu.Lock()
	if err := f.check("write", true, b, position); err != nil {
		f.fs.mu.Unlock()
		return 0, err
	}
	end := position + int64(len(b))
	if err := f.grow("write", end); err != nil {
		f.fs.mu.Unlock()
		return 0, err
	}
	n := f.n
	for rest, at := b, position; len(rest) > 0; {
		i, from := at/pageSize, at%pageSize
		p := new([pageSize]byte)
		if old := n.pages[i]; old != nil && (from != 0 || len(rest) < pageSize) {
			*p = *old
		}
		k := copy(p[from:], rest)
		n.pages[i] = p
		n.versions[i] = appendVersion(n.versions[i], p)
		rest, at = rest[k:], at+int64(k)
	}
	if end > n.size {
		n.resize(end)
	}
	n.modified = f.fs.now()
	f.fs.mu.Unlock()
	f.fs.did("write", f.name, position, int64(len(b)))
	return len(b), nil
}

// grow refuses a size that the disk does not have. fs.mu is held.
func (f *file) grow(op string, end int64) error {
	if end > f.n.size && f.fs.usedLocked()+end-f.n.size > f.fs.total {
		return pathError(op, f.name, syscall.ENOSPC)
	}
	return nil
}

// Sync implements vfs.File.
func (f *file) Sync() error {
	f.fs.mu.Lock()
	if err := f.check("sync", false, nil, 0); err != nil {
		f.fs.mu.Unlock()
		return err
	}
	n := f.n
	if len(n.sizes) > 0 {
		// Pages may have gone with a cut.
		n.synced = maps.Clone(n.pages)
	} else {
		for i := range n.versions {
			if p := n.pages[i]; p != nil {
				n.synced[i] = p
			} else {
				delete(n.synced, i)
			}
		}
	}
	n.syncedSize, n.sizes = n.size, nil
	clear(n.versions)
	f.fs.mu.Unlock()
	f.fs.did("sync", f.name, 0, 0)
	return nil
}

// Truncate implements vfs.File.
func (f *file) Truncate(size int64) error {
	f.fs.mu.Lock()
	err := f.check("truncate", true, nil, 0)
	if err == nil && size < 0 {
		err = pathError("truncate", f.name, syscall.EINVAL)
	}
	if err == nil {
		err = f.grow("truncate", size)
	}
	if err != nil {
		f.fs.mu.Unlock()
		return err
	}
	f.n.resize(size)
	f.fs.mu.Unlock()
	f.fs.did("truncate", f.name, 0, size)
	return nil
}

// Preallocate implements vfs.File.
func (f *file) Preallocate(position, size int64) error {
	f.fs.mu.Lock()
	err := f.check("preallocate", true, nil, 0)
	if err == nil && (position < 0 || size <= 0) {
		err = pathError("preallocate", f.name, syscall.EINVAL)
	}
	if err == nil {
		err = f.grow("preallocate", position+size)
	}
	if err != nil {
		f.fs.mu.Unlock()
		return err
	}
	if position+size > f.n.size {
		f.n.resize(position + size)
	}
	f.fs.mu.Unlock()
	f.fs.did("preallocate", f.name, position, size)
	return nil
}

// Size implements vfs.File.
func (f *file) Size() (int64, error) {
	f.fs.mu.Lock()
	defer f.fs.mu.Unlock()
	if err := f.check("stat", false, nil, 0); err != nil {
		return 0, err
	}
	return f.n.size, nil
}

// Close implements io.Closer.
func (f *file) Close() error {
	f.fs.mu.Lock()
	defer f.fs.mu.Unlock()
	if f.closed {
		return pathError("close", f.name, errClosed)
	}
	f.closed = true
	return nil
}
