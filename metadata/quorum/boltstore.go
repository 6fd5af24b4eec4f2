package quorum

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"sync"
	"time"

	"github.com/hashicorp/raft"
	"go.etcd.io/bbolt"
)

// Errors of reading the log store.
var (
	errCorrupt        = errors.New("corrupt raft log entry")
	errUnknownVersion = errors.New("unknown version of raft log entry")
)

var (
	bucketLog    = []byte("log")
	bucketStable = []byte("stable")
	castagnoli   = crc32.MakeTable(crc32.Castagnoli)
)

const (
	entryVersion = 1
	entryHeader  = 1 + 1 + 8 + 8 + 4
	// deleteChunk bounds one transaction of DeleteRange, so that a proposal
	// never waits for a long one.
	deleteChunk = 4096
)

// boltStore keeps the raft log and raft's few durable values in one bbolt
// file. A batch of entries is one transaction. It implements raft.LogStore,
// raft.StableStore and raft.MonotonicLogStore.
//
// A failed write is final: after an error of the file every further write is
// refused with it, since what the file holds then is not known.
type boltStore struct {
	db      *bbolt.DB
	onFatal func(error)

	mu          sync.Mutex
	failed      error
	first, last uint64 // 0, 0 when empty
}

func openBolt(path string, onFatal func(error)) (*boltStore, error) {
	db, err := bbolt.Open(path, 0o600, &bbolt.Options{
		Timeout:         2 * time.Second, // for the lock of another process
		NoFreelistSync:  true,            // found again by a scan of a file that snapshots keep small
		FreelistType:    bbolt.FreelistMapType,
		InitialMmapSize: 64 << 20, // address space, not memory: growing later would stall readers
	})
	if err != nil {
		return nil, fmt.Errorf("open raft log: %w: path=%s", err, path)
	}
	s := &boltStore{db: db, onFatal: onFatal}
	err = s.update(func(tx *bbolt.Tx) error {
		for _, name := range [][]byte{bucketLog, bucketStable} {
			if tx.Bucket(name) != nil {
				continue
			}
			if _, err := tx.CreateBucket(name); err != nil {
				return err
			}
		}
		s.bounds(tx)
		return nil
	})
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open raft log: %w: path=%s", err, path), db.Close())
	}
	return s, nil
}

func (s *boltStore) close() error { return s.db.Close() }

// update runs a write transaction.
func (s *boltStore) update(fn func(*bbolt.Tx) error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.failed != nil {
		return s.failed
	}
	tx, err := s.db.Begin(true)
	if err != nil {
		return err
	}
	if err := fn(tx); err != nil {
		return errors.Join(err, tx.Rollback())
	}
	if err := tx.Commit(); err != nil {
		s.failed = fmt.Errorf("write raft log: %w", err)
		s.onFatal(s.failed)
		return s.failed
	}
	return nil
}

// bounds reads first and last from the keys.
func (s *boltStore) bounds(tx *bbolt.Tx) {
	s.first, s.last = 0, 0
	c := tx.Bucket(bucketLog).Cursor()
	if k, _ := c.First(); k != nil {
		s.first = binary.BigEndian.Uint64(k)
		k, _ = c.Last()
		s.last = binary.BigEndian.Uint64(k)
	}
}

// IsMonotonic implements raft.MonotonicLogStore: entries are contiguous.
func (s *boltStore) IsMonotonic() bool { return true }

// FirstIndex implements raft.LogStore.
func (s *boltStore) FirstIndex() (uint64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.first, nil
}

// LastIndex implements raft.LogStore.
func (s *boltStore) LastIndex() (uint64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.last, nil
}

func indexKey(index uint64) []byte { return binary.BigEndian.AppendUint64(nil, index) }

// GetLog implements raft.LogStore.
func (s *boltStore) GetLog(index uint64, log *raft.Log) error {
	return s.db.View(func(tx *bbolt.Tx) error {
		v := tx.Bucket(bucketLog).Get(indexKey(index))
		if v == nil {
			return raft.ErrLogNotFound
		}
		return decodeEntry(v, index, log)
	})
}

// StoreLog implements raft.LogStore.
func (s *boltStore) StoreLog(log *raft.Log) error { return s.StoreLogs([]*raft.Log{log}) }

// StoreLogs implements raft.LogStore. The entries must continue the log.
func (s *boltStore) StoreLogs(logs []*raft.Log) error {
	if len(logs) == 0 {
		return nil
	}
	size := 0
	for _, l := range logs {
		size += entryHeader + len(l.Extensions) + len(l.Data) + 4
	}
	buf := make([]byte, 0, size) // bbolt refers to the values until the commit
	return s.update(func(tx *bbolt.Tx) error {
		first, last := s.first, s.last
		b := tx.Bucket(bucketLog)
		b.FillPercent = 1 // keys only grow
		for _, l := range logs {
			if last != 0 && l.Index != last+1 {
				return fmt.Errorf("store raft log: gap: last=%d next=%d", last, l.Index)
			}
			if last == 0 {
				first = l.Index
			}
			last = l.Index
			start := len(buf)
			buf = appendEntry(buf, l)
			if err := b.Put(indexKey(l.Index), buf[start:len(buf):len(buf)]); err != nil {
				return err
			}
		}
		tx.OnCommit(func() { s.first, s.last = first, last })
		return nil
	})
}

// DeleteRange implements raft.LogStore; the range is inclusive and at one end
// of the log.
func (s *boltStore) DeleteRange(low, high uint64) error {
	for more := true; more; {
		err := s.update(func(tx *bbolt.Tx) error {
			b := tx.Bucket(bucketLog)
			c := b.Cursor()
			n := 0
			more = false
			// From the top when the tail goes, so that the log stays contiguous
			// should the process die between two transactions.
			if high >= s.last {
				for k, _ := c.Last(); k != nil && binary.BigEndian.Uint64(k) >= low; k, _ = c.Last() {
					if n++; n > deleteChunk {
						more = true
						break
					}
					if err := c.Delete(); err != nil {
						return err
					}
				}
			} else {
				for k, _ := c.Seek(indexKey(low)); k != nil && binary.BigEndian.Uint64(k) <= high; k, _ = c.Seek(indexKey(low)) {
					if n++; n > deleteChunk {
						more = true
						break
					}
					if err := c.Delete(); err != nil {
						return err
					}
				}
			}
			first, last := s.first, s.last
			s.bounds(tx)
			after, end := s.first, s.last
			s.first, s.last = first, last
			tx.OnCommit(func() { s.first, s.last = after, end })
			return nil
		})
		if err != nil {
			return fmt.Errorf("truncate raft log: %w: from=%d to=%d", err, low, high)
		}
	}
	return nil
}

// Set implements raft.StableStore. Writing the value that stands costs nothing.
func (s *boltStore) Set(key, value []byte) error {
	if old, err := s.Get(key); err == nil && old != nil && bytes.Equal(old, value) {
		return nil
	}
	return s.update(func(tx *bbolt.Tx) error { return tx.Bucket(bucketStable).Put(key, value) })
}

// Get implements raft.StableStore.
func (s *boltStore) Get(key []byte) ([]byte, error) {
	var out []byte
	err := s.db.View(func(tx *bbolt.Tx) error {
		if v := tx.Bucket(bucketStable).Get(key); v != nil {
			out = append([]byte{}, v...)
		}
		return nil
	})
	return out, err
}

// SetUint64 implements raft.StableStore.
func (s *boltStore) SetUint64(key []byte, value uint64) error {
	return s.Set(key, binary.LittleEndian.AppendUint64(nil, value))
}

// GetUint64 implements raft.StableStore; an absent value is 0.
func (s *boltStore) GetUint64(key []byte) (uint64, error) {
	v, err := s.Get(key)
	if err != nil || v == nil {
		return 0, err
	}
	if len(v) != 8 {
		return 0, fmt.Errorf("read raft value: %w: key=%s bytes=%d", errCorrupt, key, len(v))
	}
	return binary.LittleEndian.Uint64(v), nil
}

func appendEntry(dst []byte, l *raft.Log) []byte {
	start := len(dst)
	var at int64
	if !l.AppendedAt.IsZero() {
		at = l.AppendedAt.UnixNano()
	}
	dst = append(dst, entryVersion, byte(l.Type))
	dst = binary.LittleEndian.AppendUint64(dst, l.Term)
	dst = binary.LittleEndian.AppendUint64(dst, uint64(at))
	dst = binary.LittleEndian.AppendUint32(dst, uint32(len(l.Extensions)))
	dst = append(dst, l.Extensions...)
	dst = append(dst, l.Data...)
	return binary.LittleEndian.AppendUint32(dst, entryCRC(dst[start:], l.Index))
}

// entryCRC covers the index too, so that an entry under a wrong key is noticed.
func entryCRC(b []byte, index uint64) uint32 {
	return crc32.Update(crc32.Checksum(b, castagnoli), castagnoli, indexKey(index))
}

// decodeEntry fills log with a copy of the entry in v.
func decodeEntry(v []byte, index uint64, log *raft.Log) error {
	if len(v) < entryHeader+4 {
		return fmt.Errorf("%w: index=%d bytes=%d", errCorrupt, index, len(v))
	}
	body, sum := v[:len(v)-4], binary.LittleEndian.Uint32(v[len(v)-4:])
	if entryCRC(body, index) != sum {
		return fmt.Errorf("%w: index=%d crc=%08x", errCorrupt, index, sum)
	}
	if body[0] != entryVersion {
		return fmt.Errorf("%w: index=%d version=%d", errUnknownVersion, index, body[0])
	}
	ext := binary.LittleEndian.Uint32(body[18:])
	if uint64(ext) > uint64(len(body)-entryHeader) {
		return fmt.Errorf("%w: index=%d extensions=%d", errCorrupt, index, ext)
	}
	*log = raft.Log{Index: index, Type: raft.LogType(body[1]), Term: binary.LittleEndian.Uint64(body[2:])}
	if at := int64(binary.LittleEndian.Uint64(body[10:])); at != 0 {
		log.AppendedAt = time.Unix(0, at)
	}
	rest := append([]byte(nil), body[entryHeader:]...)
	if ext > 0 {
		log.Extensions = rest[:ext:ext]
	}
	if len(rest) > int(ext) {
		log.Data = rest[ext:]
	}
	return nil
}
