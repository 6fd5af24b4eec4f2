package server

import (
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tidelinehq/tideline/broker/security"
)

// Conn is one client connection.
type Conn struct {
	// State is the handler's own; only Handle may touch it, or whoever Handle
	// lets do so.
	State any
	// Memo is the handler's own, too; any goroutine may use it.
	Memo atomic.Value

	id        uint64
	server    *Server
	listener  string
	raw       net.Conn // as accepted; closing it ends everything
	conn      net.Conn // raw, or what ListenerOptions.Upgrade made of it
	ip        netip.Addr
	principal atomic.Pointer[security.Principal]
	software  atomic.Pointer[Software]
	done      chan struct{} // closed by close
	writer    func()        // writes as a goroutine; made once, so that starting it allocates nothing

	// Looked at by the janitor; nanoseconds of Server.clock, 0: no deadline.
	readDeadline  atomic.Int64
	writeDeadline atomic.Int64
	lastWrite     atomic.Int64 // when a reply was written last
	inFrame       atomic.Bool  // readDeadline is that of a frame, not of an idle connection
	authenticated atomic.Bool
	arriving      arrival

	muteUntil      atomic.Int64 // ns of Options.Now
	authenticateBy atomic.Int64 // likewise, while not authenticated

	older, younger *Conn // among those that are not authenticated; guarded by Server.mu
	unproven       bool  // likewise: it is among them

	// Owned by the reader goroutine.
	source   source
	bare     bool
	clientID *string

	mu         sync.Mutex
	head, tail *Request // the line: requests without a written reply, in order
	inFlight   int      // length of the line, and what the writer popped but has not written
	unsent     int      // bytes of the replies that are ready among them
	handling   bool     // the reader will write when it is done handling
	writing    bool     // someone is writing; only one at a time
	drained    bool     // the reader has left because of a shutdown
	closed     bool
	room       chan struct{} // cap 1; the writer fills it when inFlight sinks below the limit
	onClose    []func()
}

// ID is unique within the server's life.
func (c *Conn) ID() uint64 { return c.id }

// Listener is the name of the listener that accepted the connection.
func (c *Conn) Listener() string { return c.listener }

// RemoteAddr is the peer's address.
func (c *Conn) RemoteAddr() net.Addr { return c.raw.RemoteAddr() }

// LocalAddr is our address.
func (c *Conn) LocalAddr() net.Addr { return c.raw.LocalAddr() }

// NetConn is the connection itself, after Upgrade, for its TLS state. It must
// not be read, written or closed.
func (c *Conn) NetConn() net.Conn { return c.conn }

// Principal is what SetPrincipal stored last; nil before.
func (c *Conn) Principal() *security.Principal { return c.principal.Load() }

// SetPrincipal stores who the peer proved to be.
func (c *Conn) SetPrincipal(p *security.Principal) { c.principal.Store(p) }

// SetBare has the frames that come next be what they carry, without a header, or no longer
// so. It is for Handle alone, and for requests that are not pipelined: the next frame must
// not have been read.
func (c *Conn) SetBare(bare bool) { c.bare = bare }

// Done is closed when the connection is.
func (c *Conn) Done() <-chan struct{} { return c.done }

// OnClose has f called once after the connection closed, at once when it
// already is. f must not block.
func (c *Conn) OnClose(f func()) {
	c.mu.Lock()
	closed := c.closed
	if !closed {
		c.onClose = append(c.onClose, f)
	}
	c.mu.Unlock()
	if closed {
		f()
	}
}

// Mute has the server read no further requests from the connection for d, as a
// quota demands. Requests already read are not affected.
func (c *Conn) Mute(d time.Duration) {
	until := c.server.options.Now().UnixNano() + int64(d)
	for {
		old := c.muteUntil.Load()
		if old >= until || c.muteUntil.CompareAndSwap(old, until) {
			return
		}
	}
}

// Close ends the connection; replies not yet written are lost.
func (c *Conn) Close() { c.close(closedByHandler) }

// Why a connection ended, as the label of a metric.
const (
	closedByPeer     = "peer"
	closedByHandler  = "handler"
	closedByShutdown = "shutdown"
	closedIdle       = "idle"
	closedSlowFrame  = "slow_frame"
	closedInTheWay   = "slow_frame_in_the_way"
	closedSlowPeer   = "slow_peer"
	closedProtocol   = "protocol"
	closedHandshake  = "handshake"
	closedUnproven   = "authentication_timeout"
	closedCrowded    = "unauthenticated_connections"
	closedPanic      = "panic"
	closedIO         = "io"
)

// close ends the connection, once. Replies in the line are dropped.
func (c *Conn) close(reason string) {
	c.mu.Lock()
	if c.closed {
		c.mu.Unlock()
		return
	}
	c.closed = true
	head := c.head
	c.head, c.tail = nil, nil
	onClose := c.onClose
	c.onClose = nil
	// Requests without a reply leave the line now and end in respond.
	var ready *Request
	for r := head; r != nil; {
		next := r.next
		r.next = nil
		if r.ready {
			r.next, ready = ready, r
		} else if r.gone != nil {
			onClose = append(onClose, r.gone)
		}
		r = next
	}
	c.mu.Unlock()

	close(c.done)
	c.readDeadline.Store(0)
	c.writeDeadline.Store(0)
	// The peer's reset after an error is not ours to report.
	_ = c.raw.Close()
	c.server.forget(c, reason)
	for ready != nil {
		next := ready.next
		ready.next = nil
		c.finish(ready)
		ready = next
	}
	for _, f := range onClose {
		f()
	}
}

// enqueue puts a request at the end of the line, before it is handled.
func (c *Conn) enqueue(r *Request) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return false
	}
	if c.tail == nil {
		c.head = r
	} else {
		c.tail.next = r
	}
	c.tail = r
	c.inFlight++
	c.handling = true
	return true
}

// respond makes the request ready, and has the head of the line written unless
// someone is at it.
func (c *Conn) respond(r *Request, resp Response) {
	c.mu.Lock()
	r.resp, r.ready = resp, true
	if c.closed {
		c.mu.Unlock()
		c.finish(r)
		return
	}
	c.unsent += resp.size()
	start := c.head == r && !c.writing && !c.handling
	if start {
		c.writing = true
		c.server.goroutines.Add(1) // the connection is open, so Shutdown does not wait yet
	}
	c.mu.Unlock()
	switch {
	case !start:
	case c.source.canTryWrite():
		c.writeNow()
	default:
		go c.writer()
	}
}

// flush writes, on the reader goroutine, what is ready at the head of the line;
// the reader calls it before it waits for anything.
func (c *Conn) flush() {
	c.mu.Lock()
	c.handling = false
	start := c.head != nil && c.head.ready && !c.writing && !c.closed
	if start {
		c.writing = true
	}
	c.mu.Unlock()
	if start {
		c.write()
	}
}

// finish ends a reply that was written or lost. The caller popped it.
func (c *Conn) finish(r *Request) {
	done := r.resp.Done
	r.unuse()
	if done != nil {
		done()
	}
	c.server.inFlight.Add(-1)
}
