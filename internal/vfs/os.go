package vfs

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// OS returns the operating system's file system.
func OS() FS { return osFS{} }

type osFS struct{}

func (osFS) Open(name string, flags Flag) (File, error) {
	return openOS(name, 0, flags)
}

func (osFS) Create(name string, flags Flag) (File, error) {
	mode := os.O_CREATE
	if flags&Exclusive != 0 {
		mode |= os.O_EXCL
	} else {
		mode |= os.O_TRUNC
	}
	return openOS(name, mode, flags&^ReadOnly)
}

func (osFS) OpenOrCreate(name string, flags Flag) (File, error) {
	return openOS(name, os.O_CREATE, flags&^ReadOnly)
}

// openOS opens with direct I/O when asked, and without where the file system refuses it (tmpfs and overlays
// answer EINVAL to the open).
func openOS(name string, mode int, flags Flag) (File, error) {
	if flags&ReadOnly != 0 {
		mode |= os.O_RDONLY
	} else {
		mode |= os.O_RDWR
	}
	if flags&Direct != 0 && DirectFlag != 0 {
		f, err := os.OpenFile(name, mode|DirectFlag, 0o640)
		if err == nil {
			return newOSFile(f, true), nil
		}
		if !errors.Is(err, syscall.EINVAL) {
			return nil, err
		}
		// The failed open may have made the file; then it is ours, and O_EXCL would refuse it.
		mode &^= os.O_EXCL
	}
	f, err := os.OpenFile(name, mode, 0o640)
	if err != nil {
		return nil, err
	}
	return newOSFile(f, false), nil
}

func (osFS) Remove(name string) error     { return os.Remove(name) }
func (osFS) Rename(from, to string) error { return os.Rename(from, to) }
func (osFS) MkdirAll(dir string) error    { return os.MkdirAll(dir, 0o750) }

func (osFS) ReadDir(dir string) ([]Info, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	infos := make([]Info, 0, len(entries))
	for _, e := range entries {
		st, err := e.Info()
		if errors.Is(err, fs.ErrNotExist) {
			continue // removed since the listing
		}
		if err != nil {
			return nil, err
		}
		infos = append(infos, infoOf(st))
	}
	return infos, nil
}

func (osFS) Stat(name string) (Info, error) {
	st, err := os.Stat(name)
	if err != nil {
		return Info{}, err
	}
	return infoOf(st), nil
}

func infoOf(st fs.FileInfo) Info {
	return Info{Name: st.Name(), Size: st.Size(), IsDir: st.IsDir(), Modified: st.ModTime()}
}

func (osFS) SyncDir(dir string) (err error) {
	d, err := os.Open(filepath.Clean(dir))
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

func (osFS) Lock(name string) (io.Closer, error) {
	f, err := os.OpenFile(name, os.O_CREATE|os.O_RDWR, 0o640)
	if err != nil {
		return nil, err
	}
	if err := lockFile(f); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

func (osFS) DiskUsage(dir string) (Usage, error) { return diskUsage(dir) }

// osFile keeps the descriptor beside the os.File, so that fdatasync costs no closure.
type osFile struct {
	*os.File
	fd     int
	direct bool
}

func newOSFile(f *os.File, direct bool) *osFile {
	return &osFile{File: f, fd: int(f.Fd()), direct: direct}
}

func (f *osFile) Direct() bool { return f.direct }

func (f *osFile) Size() (int64, error) {
	st, err := f.Stat()
	if err != nil {
		return 0, err
	}
	return st.Size(), nil
}

func (f *osFile) Sync() error {
	if err := datasync(f.File, f.fd); err != nil {
		return &fs.PathError{Op: "fdatasync", Path: f.Name(), Err: err}
	}
	return nil
}

func (f *osFile) Preallocate(position, size int64) error {
	have, err := f.Size()
	if err != nil {
		return err
	}
	err = preallocate(f.fd, position, size)
	if errors.Is(err, errors.ErrUnsupported) {
		if have >= position+size {
			return nil
		}
		return f.Truncate(position + size)
	}
	if err != nil {
		// ext4 keeps what it got until there was no more: all that the disk had.
		return errors.Join(&fs.PathError{Op: "fallocate", Path: f.Name(), Err: err}, f.Truncate(have))
	}
	return nil
}
