package peer

import (
	"context"
	"net"
	"sync"
	"time"
)

// Stream is one kind of connections as a net.Listener with a dialer, for parts that bring a protocol of their own.
type Stream struct {
	host   *Host
	kind   Kind
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

// Stream hands the accepted connections of a kind to whoever calls Accept.
func (h *Host) Stream(k Kind) *Stream {
	s := &Stream{host: h, kind: k, conns: make(chan net.Conn), closed: make(chan struct{})}
	h.Handle(k, s.give)
	return s
}

// give waits until somebody takes the connection, and then until it ends: the host counts it that long.
func (s *Stream) give(c *Conn) {
	ended := make(chan struct{})
	var once sync.Once
	held := &heldConn{Conn: c, end: func() { once.Do(func() { close(ended) }) }}
	select {
	case s.conns <- held:
	case <-s.closed:
		return
	case <-s.host.ctx.Done():
		return
	}
	select {
	case <-ended:
	case <-s.host.ctx.Done():
	}
}

// heldConn tells when it is closed.
type heldConn struct {
	net.Conn
	end func()
}

// Close implements net.Conn.
func (c *heldConn) Close() error {
	defer c.end()
	return c.Conn.Close()
}

// Accept implements net.Listener.
func (s *Stream) Accept() (net.Conn, error) {
	select {
	case c := <-s.conns:
		return c, nil
	case <-s.closed:
	case <-s.host.ctx.Done():
	}
	return nil, net.ErrClosed
}

// Close implements net.Listener. The host goes on.
func (s *Stream) Close() error {
	s.once.Do(func() { close(s.closed) })
	return nil
}

// Addr implements net.Listener.
func (s *Stream) Addr() net.Addr { return s.host.Addr() }

// Dial opens a connection of the stream's kind to the broker to, or to AnyNode, at an address.
func (s *Stream) Dial(address string, to int32, timeout time.Duration) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(s.host.ctx, timeout)
	defer cancel()
	c, err := s.host.Dial(ctx, address, to, s.kind)
	if err != nil {
		return nil, err
	}
	return c, nil
}
