package wal

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
)

// lossName is a file without content. It is there from the moment at which Open finds that something may be missing until the
// owner has told those who count on this disk: a process that ends before it could tell them leaves it to the next, to which the
// log looks whole.
const lossName = "lost"

// Lost reports whether what an earlier process appended may be missing, and nobody was told yet, as far as this Open and those
// before it saw: the directory had no log, or some of it was damaged. It is false from LossTold on.
func (l *Log) Lost() bool { return l.lost.Load() }

// LossTold says that whoever counts on what this disk had knows that it may be missing. It returns when that is durable.
func (l *Log) LossTold() error {
	if !l.lost.Load() {
		return nil
	}
	if err := l.fs.Remove(path.Join(l.dir, lossName)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("wal: forget a loss: %w", err)
	}
	if err := l.fs.SyncDir(l.dir); err != nil {
		return fmt.Errorf("wal: forget a loss: %w", err)
	}
	l.lost.Store(false)
	return nil
}

// noteLoss makes the file when found says that this Open misses something, and sees whether an earlier one made it. The
// file is durable before the log is whole to the eye: before a new log has a file, and before a damaged one has an index.
func (l *Log) noteLoss(found bool) error {
	name := path.Join(l.dir, lossName)
	switch _, err := l.fs.Stat(name); {
	case err == nil:
		l.lost.Store(true)
		return nil
	case !errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("wal: note a loss: %w", err)
	case !found:
		return nil
	}
	f, err := l.fs.Create(name, 0)
	if err == nil {
		err = errors.Join(f.Sync(), f.Close(), l.fs.SyncDir(l.dir))
	}
	if err != nil {
		return fmt.Errorf("wal: note a loss: %w", err)
	}
	l.lost.Store(true)
	return nil
}
