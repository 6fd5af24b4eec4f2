package server

import (
	"math"
	"net"
	"net/netip"
	"sync"
	"time"
)

// Limits bound the connections that are open at once. They are exact: 0 means none at all.
type Limits struct {
	Connections int // of all listeners together
	PerIP       int
	// PerIPOf and PerListener have limits of their own for some addresses and listeners.
	PerIPOf     map[netip.Addr]int
	PerListener map[string]int
	// Unauthenticated bounds those whose client has yet to prove who it is. When there is one more, the one that takes longest goes: a flood of connections
	// that say nothing must not keep others out.
	Unauthenticated int
}

const defaultUnauthenticated = 1000

func (l *Limits) ofIP(ip netip.Addr) int {
	if n, ok := l.PerIPOf[ip]; ok {
		return n
	}
	return l.PerIP
}

func (l *Limits) ofListener(name string) int {
	if n, ok := l.PerListener[name]; ok {
		return n
	}
	return math.MaxInt
}

// SetLimits replaces the limits. Connections that are open stay so.
func (s *Server) SetLimits(l Limits) { s.limits.Store(&l) }

// unproven is a line of the connections that are not authenticated, the oldest first. Guarded by Server.mu.
type unproven struct {
	first, last *Conn
	count       int
}

func (u *unproven) add(c *Conn) {
	c.unproven = true
	c.older = u.last
	if u.last == nil {
		u.first = c
	} else {
		u.last.younger = c
	}
	u.last = c
	u.count++
}

// remove takes a connection out; one that is not in the line stays out.
func (u *unproven) remove(c *Conn) {
	if !c.unproven {
		return
	}
	if c.older == nil {
		u.first = c.younger
	} else {
		c.older.younger = c.younger
	}
	if c.younger == nil {
		u.last = c.older
	} else {
		c.younger.older = c.older
	}
	c.unproven, c.older, c.younger = false, nil, nil
	u.count--
}

// Authenticated reports whether the client has proved who it is, or need not.
func (c *Conn) Authenticated() bool { return c.authenticated.Load() }

// SetAuthenticated says that the client has proved who it is: the bounds for strangers do not hold any more.
func (c *Conn) SetAuthenticated() {
	if c.authenticated.Swap(true) {
		return
	}
	c.server.mu.Lock()
	defer c.server.mu.Unlock()
	c.server.unproven.remove(c)
}

// Unauthenticated is the number of open connections whose client has yet to prove who it is.
func (s *Server) Unauthenticated() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.unproven.count
}

// maxRequestBytes is the longest frame that the connection may send now.
func (c *Conn) maxRequestBytes() int32 {
	if c.authenticated.Load() {
		return c.server.options.MaxRequestBytes
	}
	return min(c.server.options.MaxUnauthenticatedBytes, c.server.options.MaxRequestBytes)
}

// paced counts a connection that arrived, and waits for as long as its listener has to. It reports false when the connection is not to be served.
func (s *Server) paced(conn net.Conn, listener string) bool {
	if s.options.Connect == nil {
		return true
	}
	now := s.options.Now()
	wait, refuse := s.options.Connect(listener, remoteIP(conn), now)
	switch {
	case refuse > 0:
		s.metrics.rejected.WithLabelValues(listener, "connection_rate_per_ip").Inc()
		s.limiter.log(s, "connection refused", "reason", "connection_rate_per_ip", "listener", listener, "client", conn.RemoteAddr().String())
		s.held.add(conn, now.Add(refuse).UnixNano())
		return false
	case wait <= 0:
		return true
	}
	s.metrics.paced.WithLabelValues(listener).Inc()
	t := time.NewTimer(wait)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-s.draining:
		_ = conn.Close() // nothing was said on it yet
		return false
	}
}

// maxHeld bounds the connections that are refused and not closed yet.
const maxHeld = 1024

// heldConns are connections that are refused: closed at once, their clients would come again at once.
type heldConns struct {
	mu    sync.Mutex
	conns []heldConn
	ended bool
}

type heldConn struct {
	conn  net.Conn
	until int64 // ns of Options.Now
}

func (h *heldConns) add(conn net.Conn, until int64) {
	h.mu.Lock()
	full := h.ended || len(h.conns) >= maxHeld
	if !full {
		h.conns = append(h.conns, heldConn{conn, until})
	}
	h.mu.Unlock()
	if full {
		_ = conn.Close() // nothing was said on it
	}
}

// sweep closes those whose time has come.
func (h *heldConns) sweep(now int64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	kept := h.conns[:0]
	for _, c := range h.conns {
		if c.until > now {
			kept = append(kept, c)
			continue
		}
		_ = c.conn.Close()
	}
	clear(h.conns[len(kept):])
	h.conns = kept
}

// close closes all of them, and those that come later at once.
func (h *heldConns) close() {
	h.mu.Lock()
	h.ended = true
	h.mu.Unlock()
	h.sweep(math.MaxInt64)
}
