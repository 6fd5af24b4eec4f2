package dirstore

import (
	"errors"
	"fmt"
	"hash/fnv"
	"os"
	"sync"

	"golang.org/x/sys/unix"
)

// lockStripes is how many locks the keys share. More would only make collisions rarer; each keeps one file open at most.
const lockStripes = 64

// stripe is one lock: the mutex keeps this process to one holder, the flock keeps other processes out. The file is opened
// at the first use and stays open.
type stripe struct {
	mu sync.Mutex
	f  *os.File // guarded by mu
}

// lock takes the lock of a key. It waits without regard to a context, because no holder does more than a stat, a rename and an
// fsync while it has it. Never taken twice by one goroutine.
func (s *Store) lock(key string) (unlock func() error, err error) {
	h := fnv.New32a()
	h.Write([]byte(key))
	i := h.Sum32() % lockStripes
	l := &s.locks[i]
	l.mu.Lock()
	if l.f == nil {
		f, err := s.root.OpenFile(fmt.Sprintf("%s/%02x", lockDir, i), os.O_RDWR|os.O_CREATE, 0o640)
		if err != nil {
			l.mu.Unlock()
			return nil, fail("lock", key, err)
		}
		l.f = f
	}
	if err := flock(l.f); err != nil {
		l.mu.Unlock()
		return nil, fail("lock", key, err)
	}
	return func() error {
		defer l.mu.Unlock()
		if err := unix.Flock(int(l.f.Fd()), unix.LOCK_UN); err != nil {
			// Only closing the file is sure to release it then.
			err = fail("unlock", key, errors.Join(err, l.f.Close()))
			l.f = nil
			return err
		}
		return nil
	}, nil
}

func (l *stripe) close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.f == nil {
		return nil
	}
	err := l.f.Close()
	l.f = nil
	return err
}

// flock waits for the exclusive lock of the open file.
func flock(f *os.File) error {
	for {
		err := unix.Flock(int(f.Fd()), unix.LOCK_EX)
		if !errors.Is(err, unix.EINTR) {
			return err
		}
	}
}

// tryFlock takes the exclusive lock when nobody has it.
func tryFlock(f *os.File) (bool, error) {
	err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	if errors.Is(err, unix.EWOULDBLOCK) {
		return false, nil
	}
	return err == nil, err
}
