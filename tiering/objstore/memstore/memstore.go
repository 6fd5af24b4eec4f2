package memstore

import (
	"bytes"
	"context"
	"fmt"
	"hash/crc32"
	"io"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/tidelinehq/tideline/tiering/objstore"
)

// Store is an objstore.Store in memory. The zero value is not usable: New makes one.
type Store struct {
	now func() time.Time

	mu      sync.Mutex // guards what follows; never held while a body is read
	objects map[string]object
	version uint64 // of the newest object, part of its ETag
	counts  Counts
}

type object struct {
	data     []byte // never changed once it is here
	etag     string
	modified time.Time
}

// Counts tells how many requests of each operation the store got, whatever their outcome.
type Counts struct {
	Put, Get, Head, Delete, List int
}

// Total is the number of requests of all operations.
func (c Counts) Total() int { return c.Put + c.Get + c.Head + c.Delete + c.List }

// New makes an empty store. now is the clock of Info.Modified; nil means time.Now.
func New(now func() time.Time) *Store {
	if now == nil {
		now = time.Now
	}
	return &Store{now: now, objects: make(map[string]object)}
}

// Put implements objstore.Store.
func (s *Store) Put(ctx context.Context, key string, body objstore.Body, cond objstore.Condition) (string, error) {
	s.count(func(c *Counts) { c.Put++ })
	if err := objstore.CheckPut(key, body, cond); err != nil {
		return "", err
	}
	if err := ctx.Err(); err != nil {
		return "", err
	}
	var data bytes.Buffer
	data.Grow(int(body.Size))
	if _, err := data.ReadFrom(objstore.NewSumReader(key, body)); err != nil {
		return "", err
	}

	s.mu.Lock()
	defer s.mu.Unlock()
	old, exists := s.objects[key]
	if cond.IfNoneMatch && exists {
		return "", &objstore.Error{Class: objstore.ErrPrecondition, Op: "put", Key: key, Detail: "object exists"}
	}
	if cond.IfMatch != "" && (!exists || old.etag != cond.IfMatch) {
		return "", &objstore.Error{Class: objstore.ErrPrecondition, Op: "put", Key: key, Detail: "etag differs"}
	}
	s.version++
	etag := fmt.Sprintf("%08x-%x", crc32.Checksum(data.Bytes(), crc32.MakeTable(crc32.Castagnoli)), s.version)
	s.objects[key] = object{data: data.Bytes(), etag: etag, modified: s.now()}
	return etag, nil
}

// Get implements objstore.Store.
func (s *Store) Get(ctx context.Context, key string, off, n int64) (io.ReadCloser, objstore.Info, error) {
	s.count(func(c *Counts) { c.Get++ })
	if err := objstore.CheckGet(key, off, n); err != nil {
		return nil, objstore.Info{}, err
	}
	o, err := s.find(ctx, "get", key)
	if err != nil {
		return nil, objstore.Info{}, err
	}
	length, err := objstore.Span(key, off, n, int64(len(o.data)))
	if err != nil {
		return nil, objstore.Info{}, err
	}
	return io.NopCloser(bytes.NewReader(o.data[off : off+length])), o.info(key), nil
}

// Head implements objstore.Store.
func (s *Store) Head(ctx context.Context, key string) (objstore.Info, error) {
	s.count(func(c *Counts) { c.Head++ })
	if err := objstore.CheckKey(key); err != nil {
		return objstore.Info{}, err
	}
	o, err := s.find(ctx, "head", key)
	if err != nil {
		return objstore.Info{}, err
	}
	return o.info(key), nil
}

// Delete implements objstore.Store.
func (s *Store) Delete(ctx context.Context, keys []string) (map[string]error, error) {
	s.count(func(c *Counts) { c.Delete++ })
	if err := objstore.CheckDelete(keys); err != nil {
		return nil, err
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, key := range keys {
		delete(s.objects, key)
	}
	return nil, nil
}

// List implements objstore.Store.
func (s *Store) List(ctx context.Context, prefix, after string, max int) ([]objstore.Info, bool, error) {
	s.count(func(c *Counts) { c.List++ })
	if err := ctx.Err(); err != nil {
		return nil, false, err
	}
	max = objstore.ListLimit(max)
	s.mu.Lock()
	defer s.mu.Unlock()
	var keys []string
	for key := range s.objects {
		if strings.HasPrefix(key, prefix) && key > after {
			keys = append(keys, key)
		}
	}
	slices.Sort(keys)
	more := len(keys) > max
	if more {
		keys = keys[:max]
	}
	infos := make([]objstore.Info, len(keys))
	for i, key := range keys {
		infos[i] = s.objects[key].info(key)
	}
	return infos, more, nil
}

// Close implements objstore.Store. The objects stay readable: tests look at them afterwards.
func (s *Store) Close() error { return nil }

// Counts returns the requests counted since New or ResetCounts.
func (s *Store) Counts() Counts {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.counts
}

// ResetCounts starts counting anew.
func (s *Store) ResetCounts() { s.count(func(c *Counts) { *c = Counts{} }) }

// Keys returns all keys in order, without counting as a request.
func (s *Store) Keys() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	keys := make([]string, 0, len(s.objects))
	for key := range s.objects {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	return keys
}

// Mutate replaces the bytes of a stored object by what edit returns for a copy of them, keeping the ETag, as a
// decaying disk would. It reports whether there is such an object.
func (s *Store) Mutate(key string, edit func([]byte) []byte) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	o, ok := s.objects[key]
	if ok {
		o.data = edit(bytes.Clone(o.data))
		s.objects[key] = o
	}
	return ok
}

func (s *Store) count(f func(*Counts)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f(&s.counts)
}

func (s *Store) find(ctx context.Context, op, key string) (object, error) {
	if err := ctx.Err(); err != nil {
		return object{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	o, ok := s.objects[key]
	if !ok {
		return object{}, &objstore.Error{Class: objstore.ErrNotFound, Op: op, Key: key}
	}
	return o, nil
}

func (o object) info(key string) objstore.Info {
	return objstore.Info{Key: key, Size: int64(len(o.data)), ETag: o.etag, Modified: o.modified}
}
