package memfs

import (
	"errors"
	"io"
	"io/fs"
	"path"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/tidelinehq/tideline/internal/vfs"
)

const pageSize = vfs.BlockSize

// page is immutable: a write replaces it, so that clones share pages.
type page *[pageSize]byte

// maxVersions bounds what is remembered of a page between two syncs.
const maxVersions = 4

// node is a file's content.
type node struct {
	size  int64
	pages map[int64]page // absent: zeros

	syncedSize int64
	synced     map[int64]page
	sizes      []int64          // sizes since the last sync, oldest first, at most maxVersions
	versions   map[int64][]page // pages written since the last sync, oldest first, at most maxVersions
	modified   time.Time
}

// nameOp is a change of names that SyncDir has not made durable yet.
type nameOp struct {
	dir string
	set map[string]*node // nil node: removed
}

// FS is the file system. Its zero value is not ready; use New.
type FS struct {
	mu      sync.Mutex
	names   map[string]*node
	dirs    map[string]bool
	durable map[string]*node
	durDirs map[string]bool
	ops     []nameOp
	locks   map[string]bool
	total   int64
	now     func() time.Time
	hook    func(Op)
}

// Op is something that changed the disk.
type Op struct {
	Kind     string // write, truncate, preallocate, sync, create, remove, rename, mkdir, syncdir
	Name     string
	Position int64
	Size     int64
}

// New returns an empty file system that claims to have the given size in bytes and refuses to grow beyond it with
// ENOSPC; 0 means 1 TiB.
func New(total int64) *FS {
	if total == 0 {
		total = 1 << 40
	}
	return &FS{
		names: map[string]*node{}, dirs: map[string]bool{"/": true, ".": true},
		durable: map[string]*node{}, durDirs: map[string]bool{"/": true, ".": true},
		locks: map[string]bool{}, total: total, now: time.Now,
	}
}

// OnOp calls hook after each change of the disk, without any lock held. The hook may Clone or Crash.
func (m *FS) OnOp(hook func(Op)) {
	m.mu.Lock()
	m.hook = hook
	m.mu.Unlock()
}

// SetClock replaces the clock of modification times.
func (m *FS) SetClock(now func() time.Time) {
	m.mu.Lock()
	m.now = now
	m.mu.Unlock()
}

// did runs the hook; m.mu is not held.
func (m *FS) did(kind, name string, position, size int64) {
	m.mu.Lock()
	hook := m.hook
	m.mu.Unlock()
	if hook != nil {
		hook(Op{kind, name, position, size})
	}
}

func clean(name string) string { return path.Clean(name) }

func pathError(op, name string, err error) error {
	return &fs.PathError{Op: op, Path: name, Err: err}
}

func newNode(now time.Time) *node {
	return &node{pages: map[int64]page{}, synced: map[int64]page{}, versions: map[int64][]page{}, modified: now}
}

// Open implements vfs.FS.
func (m *FS) Open(name string, flags vfs.Flag) (vfs.File, error) {
	name = clean(name)
	m.mu.Lock()
	defer m.mu.Unlock()
	n := m.names[name]
	if n == nil {
		if m.dirs[name] {
			return nil, pathError("open", name, syscall.EISDIR)
		}
		return nil, pathError("open", name, fs.ErrNotExist)
	}
	return &file{fs: m, name: name, n: n, flags: flags}, nil
}

// Create implements vfs.FS.
func (m *FS) Create(name string, flags vfs.Flag) (vfs.File, error) {
	return m.create(clean(name), flags, true)
}

// OpenOrCreate implements vfs.FS.
func (m *FS) OpenOrCreate(name string, flags vfs.Flag) (vfs.File, error) {
	return m.create(clean(name), flags, false)
}

func (m *FS) create(name string, flags vfs.Flag, empty bool) (vfs.File, error) {
	m.mu.Lock()
	n := m.names[name]
	switch {
	case m.dirs[name]:
		m.mu.Unlock()
		return nil, pathError("create", name, syscall.EISDIR)
	case !m.dirs[path.Dir(name)]:
		m.mu.Unlock()
		return nil, pathError("create", name, fs.ErrNotExist)
	case n != nil && empty && flags&vfs.Exclusive != 0:
		m.mu.Unlock()
		return nil, pathError("create", name, fs.ErrExist)
	case n == nil:
		n = newNode(m.now())
		m.names[name] = n
		m.ops = append(m.ops, nameOp{dir: path.Dir(name), set: map[string]*node{name: n}})
	case empty:
		n.resize(0)
	}
	m.mu.Unlock()
	m.did("create", name, 0, 0)
	return &file{fs: m, name: name, n: n, flags: flags &^ vfs.ReadOnly}, nil
}

// Remove implements vfs.FS.
func (m *FS) Remove(name string) error {
	name = clean(name)
	m.mu.Lock()
	switch {
	case m.names[name] != nil:
		delete(m.names, name)
		m.ops = append(m.ops, nameOp{dir: path.Dir(name), set: map[string]*node{name: nil}})
	case m.dirs[name]:
		for other := range m.names {
			if path.Dir(other) == name {
				m.mu.Unlock()
				return pathError("remove", name, syscall.ENOTEMPTY)
			}
		}
		delete(m.dirs, name)
		delete(m.durDirs, name)
	default:
		m.mu.Unlock()
		return pathError("remove", name, fs.ErrNotExist)
	}
	m.mu.Unlock()
	m.did("remove", name, 0, 0)
	return nil
}

// Rename implements vfs.FS.
func (m *FS) Rename(from, to string) error {
	from, to = clean(from), clean(to)
	m.mu.Lock()
	n := m.names[from]
	if n == nil {
		m.mu.Unlock()
		return pathError("rename", from, fs.ErrNotExist)
	}
	if !m.dirs[path.Dir(to)] {
		m.mu.Unlock()
		return pathError("rename", to, fs.ErrNotExist)
	}
	if from != to {
		delete(m.names, from)
		m.names[to] = n
		m.ops = append(m.ops, nameOp{dir: path.Dir(to), set: map[string]*node{from: nil, to: n}})
	}
	m.mu.Unlock()
	m.did("rename", to, 0, 0)
	return nil
}

// ReadDir implements vfs.FS.
func (m *FS) ReadDir(dir string) ([]vfs.Info, error) {
	dir = clean(dir)
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.dirs[dir] {
		return nil, pathError("readdir", dir, fs.ErrNotExist)
	}
	var infos []vfs.Info
	for name, n := range m.names {
		if path.Dir(name) == dir {
			infos = append(infos, vfs.Info{Name: path.Base(name), Size: n.size, Modified: n.modified})
		}
	}
	for name := range m.dirs {
		if name != dir && path.Dir(name) == dir {
			infos = append(infos, vfs.Info{Name: path.Base(name), IsDir: true})
		}
	}
	slices.SortFunc(infos, func(a, b vfs.Info) int { return strings.Compare(a.Name, b.Name) })
	return infos, nil
}

// MkdirAll implements vfs.FS. Directories are durable at once: nothing in the product makes them while it runs.
func (m *FS) MkdirAll(dir string) error {
	dir = clean(dir)
	m.mu.Lock()
	for d := dir; ; d = path.Dir(d) {
		if m.names[d] != nil {
			m.mu.Unlock()
			return pathError("mkdir", d, syscall.ENOTDIR)
		}
		if m.dirs[d] {
			break
		}
		m.dirs[d], m.durDirs[d] = true, true
	}
	m.mu.Unlock()
	m.did("mkdir", dir, 0, 0)
	return nil
}

// Stat implements vfs.FS.
func (m *FS) Stat(name string) (vfs.Info, error) {
	name = clean(name)
	m.mu.Lock()
	defer m.mu.Unlock()
	if n := m.names[name]; n != nil {
		return vfs.Info{Name: path.Base(name), Size: n.size, Modified: n.modified}, nil
	}
	if m.dirs[name] {
		return vfs.Info{Name: path.Base(name), IsDir: true}, nil
	}
	return vfs.Info{}, pathError("stat", name, fs.ErrNotExist)
}

// SyncDir implements vfs.FS. As with a journal, what happened before in other directories becomes durable as well.
func (m *FS) SyncDir(dir string) error {
	dir = clean(dir)
	m.mu.Lock()
	if !m.dirs[dir] {
		m.mu.Unlock()
		return pathError("syncdir", dir, fs.ErrNotExist)
	}
	for _, op := range m.ops {
		op.apply(m.durable)
	}
	m.ops = nil
	m.mu.Unlock()
	m.did("syncdir", dir, 0, 0)
	return nil
}

func (op nameOp) apply(names map[string]*node) {
	for name, n := range op.set {
		if n == nil {
			delete(names, name)
		} else {
			names[name] = n
		}
	}
}

// Lock implements vfs.FS. A crash or a clone releases all locks.
func (m *FS) Lock(name string) (io.Closer, error) {
	f, err := m.OpenOrCreate(name, 0)
	if err != nil {
		return nil, err
	}
	if err := f.Close(); err != nil {
		return nil, err
	}
	name = clean(name)
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.locks[name] {
		return nil, pathError("lock", name, vfs.ErrLocked)
	}
	m.locks[name] = true
	return &lock{m, name}, nil
}

type lock struct {
	fs   *FS
	name string
}

func (l *lock) Close() error {
	l.fs.mu.Lock()
	defer l.fs.mu.Unlock()
	delete(l.fs.locks, l.name)
	return nil
}

// DiskUsage implements vfs.FS.
func (m *FS) DiskUsage(string) (vfs.Usage, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return vfs.Usage{Total: m.total, Free: m.total - m.usedLocked()}, nil
}

func (m *FS) usedLocked() int64 {
	var used int64
	for _, n := range m.names {
		used += n.size
	}
	return used
}

// SetTotal changes the size of the disk, to fill it or to make room.
func (m *FS) SetTotal(total int64) {
	m.mu.Lock()
	m.total = total
	m.mu.Unlock()
}

// Corrupt flips the bits of mask in one byte of a file, in what is seen and in what is durable.
func (m *FS) Corrupt(name string, position int64, mask byte) error {
	name = clean(name)
	m.mu.Lock()
	defer m.mu.Unlock()
	n := m.names[name]
	if n == nil || position < 0 || position >= n.size {
		return pathError("corrupt", name, fs.ErrInvalid)
	}
	i := position / pageSize
	flip := func(pages map[int64]page) {
		var p [pageSize]byte
		if old := pages[i]; old != nil {
			p = *old
		}
		p[position%pageSize] ^= mask
		pages[i] = &p
	}
	flip(n.pages)
	if position < n.syncedSize {
		flip(n.synced)
	}
	delete(n.versions, i)
	return nil
}

var errClosed = errors.New("memfs: file is closed")
