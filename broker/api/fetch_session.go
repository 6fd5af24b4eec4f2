package api

import (
	"container/list"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/tidelinehq/tideline/wal"
)

// Incremental fetch sessions (KIP-227): the broker remembers which partitions a
// consumer fetches and what it last told about them, so that a request names only
// changes and a response carries only news.

// Epochs of a session with a meaning of their own.
const (
	sessionEpochInitial = 0  // start a session with a full fetch
	sessionEpochFinal   = -1 // end the session, or fetch without one
)

// sessionPartition is one partition of a session: what the client asks for, and
// what it was last told.
type sessionPartition struct {
	id           wal.ID
	topic        string
	offset       int64
	logStart     int64 // the follower's log start; -1 from consumers
	maxBytes     int32
	epoch        int32 // current leader epoch as the client knows it, or -1
	lastFetched  int32 // last fetched epoch, or -1
	sentHW       int64
	sentLogStart int64
	element      *list.Element
}

// fetchSession is guarded by its mutex: a client has one request of a session
// under way, but nothing forces it to.
type fetchSession struct {
	mu       sync.Mutex
	id       int32
	epoch    int32 // the epoch that the next request must carry
	usesIDs  bool  // its requests name topics by id: version 13 on
	byID     map[sessionKey]*sessionPartition
	order    *list.List // *sessionPartition; those that got data move to the back
	lastUsed time.Time
	created  time.Time
	counted  int // partitions that fetchSessions counts for it; guarded by fetchSessions.mu
}

// sessionKey tells partitions of a session apart; requests before version 13 know
// topics by name only.
type sessionKey struct {
	id    wal.ID
	topic string
}

func (s *fetchSession) put(key sessionKey, p sessionPartition) {
	if old := s.byID[key]; old != nil {
		old.offset, old.logStart, old.maxBytes, old.epoch, old.lastFetched = p.offset, p.logStart, p.maxBytes, p.epoch, p.lastFetched
		return
	}
	p.sentHW, p.sentLogStart = -1, -1
	kept := &p
	kept.element = s.order.PushBack(kept)
	s.byID[key] = kept
}

func (s *fetchSession) forget(key sessionKey) {
	if old := s.byID[key]; old != nil {
		s.order.Remove(old.element)
		delete(s.byID, key)
	}
}

// nextEpoch returns the epoch after e: it wraps to 1, because 0 starts a session.
func nextEpoch(e int32) int32 {
	if e == 1<<31-1 {
		return 1
	}
	return e + 1
}

// sessionEvictionAge is how long a session must have been unused before a new
// one may take its place (min.incremental.fetch.session.eviction.ms).
const sessionEvictionAge = 2 * time.Minute

// maxSessionPartitions bounds the partitions of all sessions together. Each takes
// some 300 bytes, whether or not there is such a partition.
const maxSessionPartitions = 500_000

// fetchSessions is the bounded set of sessions of a broker. Its mutex comes after
// that of a session.
type fetchSessions struct {
	mu         sync.Mutex
	max        int
	byID       map[int32]*fetchSession
	partitions int // of all sessions
	now        func() time.Time
}

func newFetchSessions(max int, now func() time.Time) *fetchSessions {
	return &fetchSessions{max: max, byID: make(map[int32]*fetchSession), now: now}
}

// open makes a new session for so many partitions, or returns nil when there is no
// room: the client then goes on with full fetches, as the protocol allows.
func (c *fetchSessions) open(partitions int) *fetchSession {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := c.now()
	for len(c.byID) >= c.max || c.partitions+partitions > maxSessionPartitions {
		if !c.evict(now) {
			return nil
		}
	}
	id := rand.Int32N(1<<31-2) + 1
	for c.byID[id] != nil {
		id = rand.Int32N(1<<31-2) + 1
	}
	s := &fetchSession{id: id, epoch: 1, byID: make(map[sessionKey]*sessionPartition), order: list.New(), lastUsed: now, created: now, counted: partitions}
	c.byID[id] = s
	c.partitions += partitions
	return s
}

// evict drops the session that was unused for longest, if long enough.
func (c *fetchSessions) evict(now time.Time) bool {
	var oldest *fetchSession
	for _, s := range c.byID {
		if oldest == nil || s.lastUsed.Before(oldest.lastUsed) {
			oldest = s
		}
	}
	if oldest == nil || now.Sub(oldest.lastUsed) < sessionEvictionAge {
		return false
	}
	c.remove(oldest)
	return true
}

// resize counts the partitions that a session has now. It reports false, and the
// session is gone, when there is no room for them.
func (c *fetchSessions) resize(s *fetchSession, partitions int) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.byID[s.id] != s {
		return false // closed or evicted a moment ago
	}
	c.partitions += partitions - s.counted
	s.counted = partitions
	if c.partitions > maxSessionPartitions {
		c.remove(s)
		return false
	}
	return true
}

// remove forgets a session. The caller holds the mutex.
func (c *fetchSessions) remove(s *fetchSession) {
	delete(c.byID, s.id)
	c.partitions -= s.counted
}

func (c *fetchSessions) get(id int32) *fetchSession {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.byID[id]
	if s != nil {
		s.lastUsed = c.now()
	}
	return s
}

func (c *fetchSessions) close(id int32) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if s := c.byID[id]; s != nil {
		c.remove(s)
	}
}

func (c *fetchSessions) len() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.byID)
}
