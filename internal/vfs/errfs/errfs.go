package errfs

import (
	"io"
	"path"
	"sync"

	"github.com/tidelinehq/tideline/internal/vfs"
)

// Op is a kind of operation.
type Op string

// The operations that can fail.
const (
	Open        Op = "open" // Open, Create and OpenOrCreate
	Remove      Op = "remove"
	Rename      Op = "rename"
	ReadDir     Op = "readdir"
	MkdirAll    Op = "mkdir"
	Stat        Op = "stat"
	SyncDir     Op = "syncdir"
	Lock        Op = "lock"
	DiskUsage   Op = "usage"
	Read        Op = "read"
	Write       Op = "write"
	Sync        Op = "sync"
	Truncate    Op = "truncate"
	Preallocate Op = "preallocate"
	Close       Op = "close"
)

// Fault makes some calls of one operation fail.
type Fault struct {
	Op    Op
	Match string // path.Match pattern for the last element of the name; empty: all
	Skip  int    // so many matching calls still succeed
	Count int    // so many fail after that; 0: all
	Err   error  // what they return
	// Short is how many bytes a failing Write still writes, and a failing Read still reads.
	Short int
	// Then is called when the fault fires, before the error is returned; may be nil.
	Then func()
}

// FS is the wrapper.
type FS struct {
	inner  vfs.FS
	mu     sync.Mutex
	faults []*Fault
	fired  map[Op]int
}

// New wraps a file system; without faults it behaves like it.
func New(inner vfs.FS) *FS { return &FS{inner: inner, fired: map[Op]int{}} }

// Inject adds a fault.
func (e *FS) Inject(f Fault) {
	e.mu.Lock()
	e.faults = append(e.faults, &f)
	e.mu.Unlock()
}

// Clear removes all faults.
func (e *FS) Clear() {
	e.mu.Lock()
	e.faults = nil
	e.mu.Unlock()
}

// Fired tells how many calls of an operation have failed.
func (e *FS) Fired(op Op) int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.fired[op]
}

// check returns the fault that this call meets, or nil.
func (e *FS) check(op Op, name string) *Fault {
	e.mu.Lock()
	f := e.match(op, name)
	e.mu.Unlock()
	if f != nil && f.Then != nil {
		f.Then()
	}
	return f
}

func (e *FS) match(op Op, name string) *Fault {
	for i, f := range e.faults {
		if f.Op != op {
			continue
		}
		if f.Match != "" {
			if ok, err := path.Match(f.Match, path.Base(name)); err != nil || !ok {
				continue
			}
		}
		if f.Skip > 0 {
			f.Skip--
			continue
		}
		if f.Count > 0 {
			if f.Count--; f.Count == 0 {
				e.faults = append(e.faults[:i:i], e.faults[i+1:]...)
			}
		}
		e.fired[op]++
		return f
	}
	return nil
}

func (e *FS) fail(op Op, name string) error {
	if f := e.check(op, name); f != nil {
		return f.Err
	}
	return nil
}

func (e *FS) wrap(name string, f vfs.File, err error) (vfs.File, error) {
	if err != nil {
		return nil, err
	}
	return &file{File: f, fs: e, name: name}, nil
}

// Open implements vfs.FS.
func (e *FS) Open(name string, flags vfs.Flag) (vfs.File, error) {
	if err := e.fail(Open, name); err != nil {
		return nil, err
	}
	f, err := e.inner.Open(name, flags)
	return e.wrap(name, f, err)
}

// Create implements vfs.FS.
func (e *FS) Create(name string, flags vfs.Flag) (vfs.File, error) {
	if err := e.fail(Open, name); err != nil {
		return nil, err
	}
	f, err := e.inner.Create(name, flags)
	return e.wrap(name, f, err)
}

// OpenOrCreate implements vfs.FS.
func (e *FS) OpenOrCreate(name string, flags vfs.Flag) (vfs.File, error) {
	if err := e.fail(Open, name); err != nil {
		return nil, err
	}
	f, err := e.inner.OpenOrCreate(name, flags)
	return e.wrap(name, f, err)
}

// Remove implements vfs.FS.
func (e *FS) Remove(name string) error {
	if err := e.fail(Remove, name); err != nil {
		return err
	}
	return e.inner.Remove(name)
}

// Rename implements vfs.FS; faults match the old name.
func (e *FS) Rename(from, to string) error {
	if err := e.fail(Rename, from); err != nil {
		return err
	}
	return e.inner.Rename(from, to)
}

// ReadDir implements vfs.FS.
func (e *FS) ReadDir(dir string) ([]vfs.Info, error) {
	if err := e.fail(ReadDir, dir); err != nil {
		return nil, err
	}
	return e.inner.ReadDir(dir)
}

// MkdirAll implements vfs.FS.
func (e *FS) MkdirAll(dir string) error {
	if err := e.fail(MkdirAll, dir); err != nil {
		return err
	}
	return e.inner.MkdirAll(dir)
}

// Stat implements vfs.FS.
func (e *FS) Stat(name string) (vfs.Info, error) {
	if err := e.fail(Stat, name); err != nil {
		return vfs.Info{}, err
	}
	return e.inner.Stat(name)
}

// SyncDir implements vfs.FS.
func (e *FS) SyncDir(dir string) error {
	if err := e.fail(SyncDir, dir); err != nil {
		return err
	}
	return e.inner.SyncDir(dir)
}

// Lock implements vfs.FS.
func (e *FS) Lock(name string) (io.Closer, error) {
	if err := e.fail(Lock, name); err != nil {
		return nil, err
	}
	return e.inner.Lock(name)
}

// DiskUsage implements vfs.FS.
func (e *FS) DiskUsage(dir string) (vfs.Usage, error) {
	if err := e.fail(DiskUsage, dir); err != nil {
		return vfs.Usage{}, err
	}
	return e.inner.DiskUsage(dir)
}

type file struct {
	vfs.File
	fs   *FS
	name string
}

func (f *file) ReadAt(b []byte, position int64) (int, error) {
	if ft := f.fs.check(Read, f.name); ft != nil {
		n, err := f.File.ReadAt(b[:min(ft.Short, len(b))], position)
		if err != nil {
			return n, err
		}
		return n, ft.Err
	}
	return f.File.ReadAt(b, position)
}

func (f *file) WriteAt(b []byte, position int64) (int, error) {
	if ft := f.fs.check(Write, f.name); ft != nil {
		short := min(ft.Short, len(b))
		if f.Direct() {
			short -= short % vfs.BlockSize
		}
		n, err := f.File.WriteAt(b[:short], position)
		if err != nil {
			return n, err
		}
		return n, ft.Err
	}
	return f.File.WriteAt(b, position)
}

func (f *file) Sync() error {
	if err := f.fs.fail(Sync, f.name); err != nil {
		return err
	}
	return f.File.Sync()
}

func (f *file) Truncate(size int64) error {
	if err := f.fs.fail(Truncate, f.name); err != nil {
		return err
	}
	return f.File.Truncate(size)
}

func (f *file) Preallocate(position, size int64) error {
	if err := f.fs.fail(Preallocate, f.name); err != nil {
		return err
	}
	return f.File.Preallocate(position, size)
}

func (f *file) Close() error {
	err := f.fs.fail(Close, f.name)
	if cerr := f.File.Close(); err == nil {
		err = cerr
	}
	return err
}
