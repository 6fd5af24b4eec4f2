package dirstore

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"io"
	"io/fs"
	"os"
	"path"
	"sync"
	"syscall"
	"time"

	"github.com/tidelinehq/tideline/internal/vfs"
	"github.com/tidelinehq/tideline/tiering/objstore"
)

// copyBufferSize is what is read from a body at once, bytes. One buffer is in use for each put under way.
const copyBufferSize = 256 << 10

var copyBuffers = sync.Pool{New: func() any { return new([copyBufferSize]byte) }}

// directBytes is the size from which on a body goes past the page cache: measured on ext4, a buffered write costs 2.0 s of
// processor time per GiB and 170 MB/s, a direct one 0.14 s and 1 GB/s.
const directBytes = 1 << 20

// Put implements objstore.Store.
func (s *Store) Put(ctx context.Context, key string, body objstore.Body, cond objstore.Condition) (etag string, err error) {
	if err := objstore.CheckPut(key, body, cond); err != nil {
		return "", err
	}
	// A put that must fail should not cost the writing of its body. What counts is decided under the lock.
	if info, err := s.stat("head", key); (err == nil || errors.Is(err, objstore.ErrNotFound)) && !holds(cond, info, err == nil) {
		return "", refused(key)
	}
	if err := s.ensureDir(path.Dir(key)); err != nil {
		return "", fail("put", key, err)
	}
	s.step("create")
	tmp, err := s.createTmp(body.Size >= directBytes)
	if err != nil {
		return "", fail("put", key, err)
	}
	placed := false
	defer func() {
		// Closing releases the lock on the temporary file; the error of a file that was fsynced says nothing about the object.
		_ = tmp.f.Close()
		if !placed {
			err = errors.Join(err, s.removeTmp(tmp.name))
		}
	}()
	s.step("write")
	if err := writeBody(ctx, tmp.f, key, body); err != nil {
		return "", err
	}
	info, placed, err := s.place(ctx, tmp, key, cond)
	if err != nil {
		return "", err
	}
	return info.ETag, nil
}

// place makes the finished temporary file durable and gives it the key as its name.
func (s *Store) place(ctx context.Context, tmp tmpFile, key string, cond objstore.Condition) (info objstore.Info, placed bool, err error) {
	// Bytes and time are made durable before the lock is taken. Only when the object that is there turns out to have a later time,
	// by a clock that went back or two puts in one tick, is the time set again and synced while others wait.
	s.step("sync")
	now := s.now()
	if err := errors.Join(s.root.Chtimes(tmp.name, now, now), tmp.f.Sync()); err != nil {
		return info, false, fail("put", key, err)
	}
	s.step("lock")
	unlock, err := s.lock(key)
	if err != nil {
		return info, false, err
	}
	defer func() {
		s.step("unlock")
		err = errors.Join(err, unlock())
	}()
	if err := ctx.Err(); err != nil {
		return info, false, err
	}
	old, err := s.stat("head", key)
	exists := err == nil
	if err != nil && !errors.Is(err, objstore.ErrNotFound) {
		return info, false, err
	}
	if !holds(cond, old, exists) {
		return info, false, refused(key)
	}
	fi, err := tmp.f.Stat()
	if err == nil && exists && !fi.ModTime().After(old.Modified) {
		fi, err = s.stamp(tmp, old.Modified)
	}
	if err != nil {
		return info, false, fail("put", key, err)
	}
	s.step("place")
	move := s.root.Rename
	if cond.IfNoneMatch {
		move = s.root.Link
	}
	err = move(tmp.name, key)
	if errors.Is(err, fs.ErrNotExist) {
		// Somebody has removed the directory since ensureDir was sure of it.
		s.forgetDir(path.Dir(key))
		if err = s.ensureDir(path.Dir(key)); err == nil {
			err = move(tmp.name, key)
		}
	}
	if cond.IfNoneMatch && errors.Is(err, fs.ErrExist) {
		return info, false, refused(key)
	}
	if err != nil {
		return info, false, fail("put", key, err)
	}
	if cond.IfNoneMatch {
		if err := s.removeTmp(tmp.name); err != nil {
			return info, true, fail("put", key, err)
		}
	}
	s.step("syncdir")
	if err := s.syncDir(path.Dir(key)); err != nil {
		return info, true, fail("put", key, err)
	}
	return infoOf(key, fi), true, nil
}

// stampSteps are tried in turn until the file system keeps a time that is later than the old one: nanoseconds where it has them,
// microseconds and milliseconds, whole seconds, the two seconds of FAT.
var stampSteps = []time.Duration{1, time.Microsecond, time.Millisecond, time.Second, 2 * time.Second}

// stamp sets a modification time later than old and makes it durable.
func (s *Store) stamp(tmp tmpFile, old time.Time) (fs.FileInfo, error) {
	for _, step := range stampSteps {
		mtime := old.Add(step)
		if err := s.root.Chtimes(tmp.name, mtime, mtime); err != nil {
			return nil, err
		}
		fi, err := tmp.f.Stat()
		if err != nil {
			return nil, err
		}
		if fi.ModTime().After(old) {
			return fi, tmp.f.Sync()
		}
	}
	return nil, errors.New("the file system does not keep modification times")
}

func holds(cond objstore.Condition, old objstore.Info, exists bool) bool {
	switch {
	case cond.IfNoneMatch:
		return !exists
	case cond.IfMatch != "":
		return exists && old.ETag == cond.IfMatch
	}
	return true
}

func refused(key string) error {
	return &objstore.Error{Class: objstore.ErrPrecondition, Op: "put", Key: key}
}

func writeBody(ctx context.Context, f *os.File, key string, body objstore.Body) error {
	buf := copyBuffers.Get().(*[copyBufferSize]byte)
	defer copyBuffers.Put(buf)
	w := vfs.NewWriter(f)
	if err := copyBody(ctx, w, objstore.NewSumReader(key, body), key, buf[:]); err != nil {
		return errors.Join(err, w.Finish())
	}
	if err := w.Finish(); err != nil {
		return fail("put", key, err)
	}
	return nil
}

func copyBody(ctx context.Context, w io.Writer, r io.Reader, key string, buf []byte) error {
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		n, rerr := r.Read(buf)
		if _, err := w.Write(buf[:n]); err != nil {
			return fail("put", key, err)
		}
		if errors.Is(rerr, io.EOF) {
			return nil
		}
		if rerr != nil {
			return rerr
		}
	}
}

// tmpFile is a put under way. Its file is locked as long as its writer lives.
type tmpFile struct {
	f    *os.File
	name string
}

// createTmp makes the file of a put, for direct I/O when asked and where the file system has it.
func (s *Store) createTmp(direct bool) (tmpFile, error) {
	var id [16]byte
	rand.Read(id[:]) // never fails
	name := tmpDir + "/" + hex.EncodeToString(id[:])
	flags := os.O_RDWR | os.O_CREATE | os.O_EXCL
	var f *os.File
	err := error(syscall.EINVAL)
	if direct {
		f, err = s.root.OpenFile(name, flags|vfs.DirectFlag, 0o640)
	}
	if errors.Is(err, syscall.EINVAL) {
		// Where direct I/O is refused the open may have made the file all the same; its name is ours alone.
		f, err = s.root.OpenFile(name, flags&^os.O_EXCL, 0o640)
	}
	if err != nil {
		return tmpFile{}, err
	}
	if err := flock(f); err != nil {
		return tmpFile{}, errors.Join(err, f.Close(), s.removeTmp(name))
	}
	return tmpFile{f: f, name: name}, nil
}

func (s *Store) removeTmp(name string) error {
	if err := s.root.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// sweepAge is how old a temporary file must be before Open takes it for left over: longer than the moment between its creation and lock.
const sweepAge = time.Minute

// sweep removes the temporary files of writers that are gone: old ones that nobody has locked.
func (s *Store) sweep() error {
	entries, err := fs.ReadDir(s.root.FS(), tmpDir)
	if err != nil {
		return fail("open", "", err)
	}
	for _, e := range entries {
		fi, err := e.Info()
		if err != nil || s.now().Sub(fi.ModTime()) < sweepAge {
			continue // gone already, or too young to tell
		}
		name := tmpDir + "/" + e.Name()
		f, err := s.root.Open(name)
		if err != nil {
			continue // its writer was faster
		}
		if free, err := tryFlock(f); err == nil && free {
			err = s.removeTmp(name)
			if err != nil {
				return errors.Join(fail("open", "", err), f.Close())
			}
		}
		if err := f.Close(); err != nil {
			return fail("open", "", err)
		}
	}
	return nil
}
