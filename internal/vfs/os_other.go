//go:build !linux

package vfs

import (
	"errors"
	"fmt"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// Elsewhere than on Linux the broker is a development tool: buffered I/O and a full fsync.
// DirectFlag is the flag with which the system opens a file for direct I/O; 0 where it has none.
const DirectFlag = 0

func datasync(f *os.File, _ int) error { return f.Sync() }

func preallocate(int, int64, int64) error { return errors.ErrUnsupported }

func lockFile(f *os.File) error {
	err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if err == syscall.EWOULDBLOCK {
		return fmt.Errorf("%w: file=%s", ErrLocked, f.Name())
	}
	return err
}

func diskUsage(dir string) (Usage, error) {
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		return Usage{}, &os.PathError{Op: "statfs", Path: dir, Err: err}
	}
	return Usage{Total: int64(st.Blocks) * int64(st.Bsize), Free: int64(st.Bavail) * int64(st.Bsize)}, nil
}
