package vfs

import (
	"io"
	"time"
	"unsafe"
)

// BlockSize is the unit of direct I/O: memory, position and length of an access to a Direct file are multiples
// of it. 4 KiB covers every logical block size in use.
const BlockSize = 4096

// SectorSize is what a disk writes atomically; a torn write may keep any subset of its sectors.
const SectorSize = 512

// Flag changes how a file is opened. The zero value opens for reading and writing through the page cache.
type Flag uint8

const (
	// ReadOnly opens for reading; writes fail.
	ReadOnly Flag = 1 << iota
	// Direct bypasses the page cache where the file system can; elsewhere it is ignored.
	Direct
	// Exclusive makes Create fail with fs.ErrExist where the name is taken, instead of emptying the file.
	Exclusive
)

// FS is a file system. Names are slash-separated paths; relative ones are resolved by the implementation.
type FS interface {
	// Open opens an existing file.
	Open(name string, flags Flag) (File, error)
	// Create makes an empty file, or empties an existing one.
	Create(name string, flags Flag) (File, error)
	// OpenOrCreate opens a file, and makes it first where it does not exist.
	OpenOrCreate(name string, flags Flag) (File, error)
	// Remove deletes a file or an empty directory. Open files stay readable until closed.
	Remove(name string) error
	// Rename moves a file, replacing what is at the new name, atomically.
	Rename(from, to string) error
	// ReadDir returns the entries of a directory, sorted by name.
	ReadDir(dir string) ([]Info, error)
	// MkdirAll makes a directory and its parents.
	MkdirAll(dir string) error
	// Stat describes the file of that name.
	Stat(name string) (Info, error)
	// SyncDir makes creations, renames and removals within dir durable.
	SyncDir(dir string) error
	// Lock takes an exclusive lock on the named file, which it creates; ErrLocked when another holder lives.
	// The lock goes when the Closer is closed or the process dies.
	Lock(name string) (io.Closer, error)
	// DiskUsage tells the size of the file system that holds dir.
	DiskUsage(dir string) (Usage, error)
}

// File is an open file.
type File interface {
	io.ReaderAt
	io.WriterAt
	io.Closer
	// Sync makes what was written durable. A failure is final; see the package comment.
	Sync() error
	// Truncate cuts or extends (with zeros) to size bytes.
	Truncate(size int64) error
	// Preallocate reserves space for size bytes from position and extends the file to hold them; they read as
	// zeros. It may do no more than extend where the file system cannot reserve. After a failure the file has the size
	// that it had and takes no more space than it did.
	Preallocate(position, size int64) error
	// Size is the file's length in bytes.
	Size() (int64, error)
	// Direct tells whether accesses must be aligned to BlockSize.
	Direct() bool
}

// SyncWriter is a File that can write and make durable what it wrote in one system call. What was written before is not
// made durable with it. A failure is as final as that of Sync.
type SyncWriter interface {
	WriteAtSync(b []byte, position int64) (int, error)
}

// Info describes a file or directory.
type Info struct {
	Name     string // last element of the path
	Size     int64  // bytes
	IsDir    bool
	Modified time.Time
}

// Usage is the space of a file system, in bytes.
type Usage struct {
	Total int64
	Free  int64 // available to this process
}

// AlignedBuffer returns size bytes of zeroed memory that start at a multiple of BlockSize.
func AlignedBuffer(size int) []byte {
	b := make([]byte, size+BlockSize)
	skip := 0
	if r := int(uintptr(unsafe.Pointer(&b[0])) % BlockSize); r != 0 {
		skip = BlockSize - r
	}
	return b[skip : skip+size : skip+size]
}

// Aligned tells whether a buffer and a position fit direct I/O.
func Aligned(b []byte, position int64) bool {
	if position%BlockSize != 0 || len(b)%BlockSize != 0 {
		return false
	}
	return len(b) == 0 || uintptr(unsafe.Pointer(&b[0]))%BlockSize == 0
}
