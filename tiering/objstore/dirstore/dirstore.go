package dirstore

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"sync"
	"time"

	"github.com/tidelinehq/tideline/tiering/objstore"
)

const (
	stateDir = ".tideline"
	tmpDir   = stateDir + "/tmp"
	lockDir  = stateDir + "/lock"

	// syncedMax bounds the set of directories that are known to be durable. 256 fans of three kinds fit well.
	syncedMax = 4096
)

// Options of a store. The zero value is right for everything but tests.
type Options struct {
	Now  func() time.Time  // clock of modification times; nil: time.Now
	Step func(step string) // called before each step of a put with its name, see the package page; for crash tests
}

// Store is an objstore.Store in a directory.
type Store struct {
	dir   string
	root  *os.Root
	now   func() time.Time
	step  func(string)
	locks [lockStripes]stripe

	mu     sync.Mutex
	synced map[string]struct{} // directories whose entry in their parent, and so on up to the root, was fsynced by us
}

// Open makes the directory when it is not there and removes what crashed puts have left.
func Open(dir string, opts Options) (*Store, error) {
	if opts.Now == nil {
		opts.Now = time.Now
	}
	if opts.Step == nil {
		opts.Step = func(string) {}
	}
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return nil, fail("open", "", err)
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, fail("open", "", err)
	}
	s := &Store{dir: dir, root: root, now: opts.Now, step: opts.Step, synced: make(map[string]struct{})}
	for _, d := range []string{tmpDir, lockDir} {
		if err := root.MkdirAll(d, 0o750); err != nil {
			return nil, errors.Join(fail("open", "", err), root.Close())
		}
	}
	if err := s.sweep(); err != nil {
		return nil, errors.Join(err, root.Close())
	}
	return s, nil
}

// Get implements objstore.Store.
func (s *Store) Get(ctx context.Context, key string, off, n int64) (io.ReadCloser, objstore.Info, error) {
	if err := objstore.CheckGet(key, off, n); err != nil {
		return nil, objstore.Info{}, err
	}
	if err := ctx.Err(); err != nil {
		return nil, objstore.Info{}, err
	}
	f, err := s.root.Open(key)
	if err != nil {
		return nil, objstore.Info{}, fail("get", key, err)
	}
	info, length, err := span(f, key, off, n)
	if err != nil {
		return nil, objstore.Info{}, errors.Join(err, f.Close())
	}
	body := &fileRange{ctx: ctx, f: f, r: io.NewSectionReader(f, off, length)}
	return objstore.Exact(body, key, length, func(err error) error {
		if objstore.Canceled(err) {
			return err
		}
		return fail("get", key, err)
	}), info, nil
}

func span(f *os.File, key string, off, n int64) (objstore.Info, int64, error) {
	fi, err := f.Stat()
	if err != nil {
		return objstore.Info{}, 0, fail("get", key, err)
	}
	if !fi.Mode().IsRegular() {
		return objstore.Info{}, 0, &objstore.Error{Class: objstore.ErrNotFound, Op: "get", Key: key, Detail: "not a file"}
	}
	length, err := objstore.Span(key, off, n, fi.Size())
	return infoOf(key, fi), length, err
}

// fileRange reads a part of an open file until the context ends.
type fileRange struct {
	ctx context.Context
	f   *os.File
	r   *io.SectionReader
}

func (r *fileRange) Read(p []byte) (int, error) {
	if err := r.ctx.Err(); err != nil {
		return 0, err
	}
	return r.r.Read(p)
}

func (r *fileRange) Close() error { return r.f.Close() }

// Head implements objstore.Store.
func (s *Store) Head(ctx context.Context, key string) (objstore.Info, error) {
	if err := objstore.CheckKey(key); err != nil {
		return objstore.Info{}, err
	}
	if err := ctx.Err(); err != nil {
		return objstore.Info{}, err
	}
	return s.stat("head", key)
}

func (s *Store) stat(op, key string) (objstore.Info, error) {
	fi, err := s.root.Lstat(key)
	if err != nil {
		return objstore.Info{}, fail(op, key, err)
	}
	if !fi.Mode().IsRegular() {
		return objstore.Info{}, &objstore.Error{Class: objstore.ErrNotFound, Op: op, Key: key, Detail: "not a file"}
	}
	return infoOf(key, fi), nil
}

// Delete implements objstore.Store. Each key fails or not by itself.
func (s *Store) Delete(ctx context.Context, keys []string) (map[string]error, error) {
	if err := objstore.CheckDelete(keys); err != nil {
		return nil, err
	}
	failed := make(map[string]error)
	inDir := make(map[string][]string) // directories to fsync, with the keys that vanished from them
	for _, key := range keys {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		gone, err := s.remove(key)
		if err != nil {
			failed[key] = err
		} else if gone {
			inDir[path.Dir(key)] = append(inDir[path.Dir(key)], key)
		}
	}
	for dir, gone := range inDir {
		if err := s.syncDir(dir); err != nil {
			for _, key := range gone {
				failed[key] = fail("delete", key, err)
			}
		}
	}
	if len(failed) == 0 {
		return nil, nil
	}
	return failed, nil
}

// remove unlinks under the key's lock, so that no conditional put compares with an object that is going.
func (s *Store) remove(key string) (gone bool, err error) {
	unlock, err := s.lock(key)
	if err != nil {
		return false, err
	}
	defer func() { err = errors.Join(err, unlock()) }()
	if _, err := s.stat("delete", key); err != nil {
		if errors.Is(err, objstore.ErrNotFound) {
			return false, nil
		}
		return false, err
	}
	if err := s.root.Remove(key); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return false, fail("delete", key, err)
	}
	return true, nil
}

// Close implements objstore.Store.
func (s *Store) Close() error {
	var errs []error
	for i := range s.locks {
		errs = append(errs, s.locks[i].close())
	}
	return errors.Join(append(errs, s.root.Close())...)
}

// syncDir makes the entries of a directory durable. A directory that is gone has none.
func (s *Store) syncDir(dir string) error {
	d, err := s.root.Open(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// ensureDir makes a key's directory and fsyncs the entries on the way to it, once per directory and process: another
// process may have made them and crashed before it fsynced.
func (s *Store) ensureDir(dir string) error {
	s.mu.Lock()
	_, ok := s.synced[dir]
	s.mu.Unlock()
	if ok {
		return nil
	}
	if err := s.root.MkdirAll(dir, 0o750); err != nil {
		return err
	}
	for d := dir; d != "."; {
		d = path.Dir(d)
		if err := s.syncDir(d); err != nil {
			return err
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.synced) >= syncedMax {
		clear(s.synced)
	}
	s.synced[dir] = struct{}{}
	return nil
}

// forgetDir makes ensureDir look again.
func (s *Store) forgetDir(dir string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.synced, dir)
}

func infoOf(key string, fi fs.FileInfo) objstore.Info {
	return objstore.Info{
		Key:      key,
		Size:     fi.Size(),
		ETag:     fmt.Sprintf("%x-%x", fi.ModTime().UnixNano(), fi.Size()),
		Modified: fi.ModTime(),
	}
}
