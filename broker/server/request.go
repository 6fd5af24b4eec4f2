package server

import (
	"net"
	"sync"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel/trace"
)

// Request is one request. It is pooled: after Respond only a holder of a Retain
// may touch it, until its Release.
type Request struct {
	Key           int16
	Version       int16
	CorrelationID int32
	ClientID      *string // nil: null
	Body          []byte  // after the header; valid until Respond, or the last Release
	Size          int     // bytes of header and body
	Conn          *Conn
	Bare          bool      // the frame has no header, nor will the reply: Key, Version and CorrelationID say nothing; see Conn.SetBare
	Received      time.Time // when the read that completed the frame returned

	frame *frame
	uses  atomic.Int32 // the line, the frame, the reader during Handle; at 0 the request is pooled
	state atomic.Int32

	// Owned by Conn.mu until popped, then by the writer.
	next  *Request
	resp  Response
	ready bool
	gone  func() // of WhenGone; guarded by Conn.mu
}

// Moves of Request.state: pending → responded; pending → abandoned, when the
// handler panicked.
const (
	statePending int32 = iota
	stateResponded
	stateAbandoned
)

// Response is the reply to a Request.
type Response struct {
	Buffers net.Buffers // the body after the response header; must not change until Done
	Done    func()      // called once, from any goroutine, after the bytes were written or the connection died; must not block
	Close   bool        // close the connection after this reply
	None    bool        // no reply at all (acks=0); Close and Done still hold
	// Span is that of the request, if it is traced: it becomes the exemplar of the request's time.
	Span *trace.SpanContext
}

// size is the length of the body.
func (r *Response) size() (n int) {
	for _, b := range r.Buffers {
		n += len(b)
	}
	return n
}

var requestPool = sync.Pool{New: func() any { return new(Request) }}

func newRequest(c *Conn, f *frame) *Request {
	r := requestPool.Get().(*Request)
	r.Conn, r.frame = c, f
	f.refs.Store(1)
	r.uses.Store(3)
	r.state.Store(statePending)
	return r
}

// Respond gives the reply. It must be called exactly once, from any goroutine;
// it never waits for the socket. Replies leave in request order. Unless the
// request was retained, Body is gone when Respond returns.
func (r *Request) Respond(resp Response) {
	if !r.state.CompareAndSwap(statePending, stateResponded) {
		if r.state.Load() == stateAbandoned {
			if resp.Done != nil {
				resp.Done()
			}
			return // the handler panicked after it had passed the request on
		}
		panic("server: second reply to a request")
	}
	c := r.Conn
	c.server.metrics.responded(r.Key, c.server.options.Now().Sub(r.Received), resp.Span)
	r.releaseFrame()
	c.respond(r, resp)
}

// WhenGone has f called when the connection closes before the request is answered, at
// once when it has. It replaces the f before. Whoever has the request waiting for
// something learns so that there is nobody to answer; it must be answered all the same.
// It must not be called after Respond. f must not block, and may be called after the
// request was answered.
func (r *Request) WhenGone(f func()) {
	c := r.Conn
	c.mu.Lock()
	closed := c.closed
	if !closed {
		r.gone = f
	}
	c.mu.Unlock()
	if closed {
		f()
	}
}

// Retain keeps Body valid beyond Respond, until the matching Release. The bytes
// stay counted against Options.QueuedBytes meanwhile.
func (r *Request) Retain() {
	if r.frame.refs.Add(1) <= 1 {
		panic("server: retain of a request whose memory is gone")
	}
}

// Release undoes one Retain.
func (r *Request) Release() { r.releaseFrame() }

func (r *Request) releaseFrame() {
	f := r.frame
	switch n := f.refs.Add(-1); {
	case n > 0:
		return
	case n < 0:
		panic("server: release of a request that was not retained")
	}
	r.Body, r.frame = nil, nil
	f.lane.release(f.size)
	f.recycle()
	r.unuse()
}

// unuse drops one hold of the request; the last one pools it.
func (r *Request) unuse() {
	if r.uses.Add(-1) > 0 {
		return
	}
	r.ClientID, r.Conn, r.resp, r.ready, r.Bare, r.gone = nil, nil, Response{}, false, false, nil
	requestPool.Put(r)
}

// abandon closes the books on a request whose handler panicked. Others may
// still hold it, so its memory is left to the collector.
func (r *Request) abandon() {
	if !r.state.CompareAndSwap(statePending, stateAbandoned) {
		return // it was answered before
	}
	r.frame.lane.release(r.frame.size)
	r.Conn.server.inFlight.Add(-1)
}
