package api

import (
	"container/list"
	"sync"
	"sync/atomic"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/tidelinehq/tideline/broker/server"
	"github.com/tidelinehq/tideline/wal"
)

// Share sessions (KIP-932): the broker remembers from which partitions a member of a
// share group fetches. A session belongs to the connection on which it was opened: when
// that closes, the member is gone, and what it has acquired is given back.

// shareMember names a session.
type shareMember struct{ group, member string }

// shareSession is one member's. A member has one request of a session under way, but
// nothing forces it to.
type shareSession struct {
	shareMember
	conn   uint64
	closed atomic.Bool

	mu    sync.Mutex
	epoch int32 // the epoch that the next request must carry
	byID  map[wal.ID]*sharePartition
	order *list.List // *sharePartition; those that got records move to the back

	counted int // partitions that shareSessions counts for it; guarded by shareSessions.mu
}

// sharePartition is a partition of a session.
type sharePartition struct {
	id      wal.ID
	told    bool // the member knows that there is nothing wrong with it
	element *list.Element
}

func (s *shareSession) put(id wal.ID) {
	if s.byID[id] == nil {
		p := &sharePartition{id: id}
		p.element = s.order.PushBack(p)
		s.byID[id] = p
	}
}

func (s *shareSession) forget(id wal.ID) {
	if p := s.byID[id]; p != nil {
		s.order.Remove(p.element)
		delete(s.byID, id)
	}
}

// partitions returns the partitions in the order in which they are to be read.
func (s *shareSession) partitions() []wal.ID {
	out := make([]wal.ID, 0, s.order.Len())
	for e := s.order.Front(); e != nil; e = e.Next() {
		out = append(out, e.Value.(*sharePartition).id)
	}
	return out
}

// news notes what the member is about to learn of a partition, and reports whether it
// is worth telling.
func (s *shareSession) news(id wal.ID, code int16, records bool) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := s.byID[id]
	if p == nil {
		return code != 0 || records
	}
	news := !p.told || code != 0 || records
	p.told = code == 0 // once it is well that is news, too
	if records {
		s.order.MoveToBack(p.element)
	}
	return news
}

// shareSessions is the bounded set of sessions of a broker. Its mutex comes after that
// of a session.
type shareSessions struct {
	mu         sync.Mutex
	max        int
	partitions int // of all sessions
	byMember   map[shareMember]*shareSession
	groups     map[string]int                               // sessions of each group
	conns      map[uint64]map[shareMember]struct{}          // of open connections
	left       func(group, member string, lastOfGroup bool) // without the mutex
	onClose    func(conn *server.Conn, f func())            // conn.OnClose
}

func newShareSessions(max int) *shareSessions {
	return &shareSessions{
		max: max, byMember: make(map[shareMember]*shareSession), groups: make(map[string]int), conns: make(map[uint64]map[shareMember]struct{}),
		onClose: (*server.Conn).OnClose,
	}
}

// open makes a session for so many partitions, in place of the one that the member has.
func (c *shareSessions) open(m shareMember, conn *server.Conn, ids []wal.ID) (*shareSession, int16) {
	c.end(m, nil, true)
	s := &shareSession{shareMember: m, conn: conn.ID(), epoch: 1, byID: make(map[wal.ID]*sharePartition), order: list.New()}
	for _, id := range ids {
		s.put(id)
	}
	c.mu.Lock()
	if len(c.byMember) >= c.max || c.byMember[m] != nil || c.partitions+len(s.byID) > maxSessionPartitions {
		c.mu.Unlock()
		return nil, kerr.ShareSessionLimitReached.Code
	}
	s.counted = len(s.byID)
	c.partitions += s.counted
	c.byMember[m] = s
	c.groups[m.group]++
	members, known := c.conns[s.conn]
	if !known {
		members = make(map[shareMember]struct{})
		c.conns[s.conn] = members
	}
	members[m] = struct{}{}
	c.mu.Unlock()
	if !known {
		c.onClose(conn, func() { c.disconnected(s.conn) })
	}
	return s, 0
}

// next takes a request with an epoch: it returns the session, which expects the one
// after it from then on. change is made to the session under its mutex.
func (c *shareSessions) next(m shareMember, epoch int32, change func(*shareSession)) (*shareSession, int16) {
	s := c.get(m)
	if s == nil {
		return nil, kerr.ShareSessionNotFound.Code
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.epoch != epoch {
		return nil, kerr.InvalidShareSessionEpoch.Code
	}
	if change != nil {
		change(s)
		if !c.resize(s, len(s.byID)) {
			return nil, kerr.ShareSessionNotFound.Code // the member starts over
		}
	}
	s.epoch = nextEpoch(s.epoch)
	return s, 0
}

func (c *shareSessions) get(m shareMember) *shareSession {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.byMember[m]
}

// resize counts the partitions that a session has now. It reports false when there is
// no room for them.
func (c *shareSessions) resize(s *shareSession, partitions int) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.byMember[s.shareMember] != s || c.partitions+partitions-s.counted > maxSessionPartitions {
		return false
	}
	c.partitions += partitions - s.counted
	s.counted = partitions
	return true
}

// close ends a member's session.
func (c *shareSessions) close(m shareMember) { c.end(m, nil, false) }

// end ends a member's session, whichever that is where only is nil; replaced says that
// another follows at once.
func (c *shareSessions) end(m shareMember, only *shareSession, replaced bool) {
	c.mu.Lock()
	s := c.byMember[m]
	if s == nil || only != nil && s != only {
		c.mu.Unlock()
		return
	}
	delete(c.byMember, m)
	delete(c.conns[s.conn], m) // the empty set stays: the connection's end is watched
	c.partitions -= s.counted
	c.groups[m.group]--
	last := c.groups[m.group] == 0
	if last {
		delete(c.groups, m.group)
	}
	c.mu.Unlock()
	s.closed.Store(true) // before its records are given back, so that no fetch acquires more unseen
	if c.left != nil {
		c.left(m.group, m.member, last && !replaced)
	}
}

// late is for a fetch that went on while its session was closed: what it has acquired
// meanwhile is given back once more.
func (c *shareSessions) late(m shareMember) {
	c.mu.Lock()
	last := c.groups[m.group] == 0
	_, again := c.byMember[m]
	c.mu.Unlock()
	if !again && c.left != nil {
		c.left(m.group, m.member, last)
	}
}

// disconnected ends the sessions of a connection.
func (c *shareSessions) disconnected(conn uint64) {
	c.mu.Lock()
	var gone []*shareSession
	for m := range c.conns[conn] {
		gone = append(gone, c.byMember[m])
	}
	delete(c.conns, conn)
	c.mu.Unlock()
	for _, s := range gone {
		if s != nil && s.conn == conn {
			c.end(s.shareMember, s, false)
		}
	}
}

func (c *shareSessions) len() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.byMember)
}
