// Package vfs is Tideline's door to the disk. Every byte that a broker keeps locally goes through an FS, so
// that tests and simulations can replace the disk by one that forgets unsynced bytes (vfs/memfs) or fails on
// command (vfs/errfs). OS returns the real one.
//
// What the interface promises, and what callers must not assume:
//
//   - File.Sync makes the file's bytes, and a size needed to read them, durable (fdatasync). It does not make
//     the file's *name* durable: that takes FS.SyncDir on the directory, as does a rename or a removal.
//   - Bytes written and not synced may be lost, kept, or kept in part (per 512-byte sector), in any order.
//   - A failed Sync is final: the kernel may have dropped the dirty pages, so a later Sync that succeeds proves
//     nothing. Callers must not retry it.
//   - A file opened with Direct may bypass the page cache (File.Direct tells). Then the memory, position and
//     length of each access must be multiples of BlockSize; AlignedBuffer gives such memory. Where the file
//     system has no direct I/O the file is opened buffered, and the same calls work.
//
// An FS and a File may be used by many goroutines at once; only Close must not overlap other calls on the File.
//
// Errors are those of package os and syscall: errors.Is(err, fs.ErrNotExist), syscall.ENOSPC and syscall.EIO work
// on all three implementations.
package vfs
