package vfs

import (
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"

	"golang.org/x/sys/unix"
)

// DirectFlag is the flag with which the system opens a file for direct I/O; 0 where it has none.
const DirectFlag = unix.O_DIRECT

func datasync(f *os.File, fd int) error {
	for {
		err := unix.Fdatasync(fd)
		if err != unix.EINTR {
			runtime.KeepAlive(f)
			return err
		}
	}
}

// WriteAtSync implements SyncWriter.
func (f *osFile) WriteAtSync(b []byte, position int64) (int, error) {
	written := 0
	for written < len(b) {
		n, err := unix.Pwritev2(f.fd, [][]byte{b[written:]}, position+int64(written), unix.RWF_DSYNC)
		switch err {
		case unix.EINTR:
			continue
		case unix.EOPNOTSUPP, unix.ENOSYS: // an old kernel: nothing was written
			n, err := f.WriteAt(b[written:], position+int64(written))
			if err == nil {
				err = f.Sync()
			}
			return written + n, err
		}
		if err == nil && n == 0 {
			err = io.ErrShortWrite
		}
		if err != nil {
			runtime.KeepAlive(f.File)
			return written, &os.PathError{Op: "pwritev2", Path: f.Name(), Err: err}
		}
		written += n
	}
	runtime.KeepAlive(f.File)
	return written, nil
}

func preallocate(fd int, position, size int64) error {
	for {
		err := unix.Fallocate(fd, 0, position, size)
		switch {
		case err == unix.EINTR:
		case err == unix.EOPNOTSUPP || err == unix.ENOSYS:
			return errors.ErrUnsupported
		default:
			return err
		}
	}
}

func lockFile(f *os.File) error {
	err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	if err == unix.EWOULDBLOCK {
		return fmt.Errorf("%w: file=%s", ErrLocked, f.Name())
	}
	return err
}

func diskUsage(dir string) (Usage, error) {
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		return Usage{}, &os.PathError{Op: "statfs", Path: dir, Err: err}
	}
	return Usage{Total: int64(st.Blocks) * st.Bsize, Free: int64(st.Bavail) * st.Bsize}, nil
}
