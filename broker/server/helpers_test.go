package server

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/tidelinehq/tideline/broker/wire"
)

// handlerFunc is a Handler.
type handlerFunc func(*Request)

func (f handlerFunc) Handle(r *Request) { f(r) }

// echo answers with the body, at once.
var echo = handlerFunc(func(r *Request) {
	r.Retain()
	r.Respond(Response{Buffers: net.Buffers{r.Body}, Done: r.Release})
})

// pipeListener accepts net.Pipe connections.
type pipeListener struct {
	conns chan net.Conn
	once  sync.Once
	done  chan struct{}
}

func newPipeListener() *pipeListener {
	return &pipeListener{conns: make(chan net.Conn), done: make(chan struct{})}
}

func (l *pipeListener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.done:
		return nil, net.ErrClosed
	}
}

func (l *pipeListener) Close() error   { l.once.Do(func() { close(l.done) }); return nil }
func (l *pipeListener) Addr() net.Addr { return &net.UnixAddr{Name: "pipe", Net: "pipe"} }

func (l *pipeListener) dial(t testing.TB) *client {
	t.Helper()
	theirs, ours := net.Pipe()
	select {
	case l.conns <- theirs:
	case <-l.done:
		t.Fatal("dial of a closed listener")
	}
	t.Cleanup(func() { ours.Close() })
	return &client{t: t, Conn: ours}
}

// start makes a server that ends with the test.
func start(t testing.TB, o Options) *Server {
	t.Helper()
	s, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		if err := s.Shutdown(ctx); err != nil && !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
		if n := s.admission.used(); n != 0 {
			t.Errorf("%d request bytes still admitted after the shutdown", n)
		}
		if n := s.inFlight.Load(); n != 0 {
			t.Errorf("%d requests still in flight after the shutdown", n)
		}
	})
	return s
}

// startOn is start with a listener. Cleanups run last in, first out, so Serve is
// waited for after the Shutdown.
func startOn(t testing.TB, l net.Listener, o Options, lo ListenerOptions) *Server {
	t.Helper()
	ready := make(chan *Server, 1)
	done := make(chan struct{})
	t.Cleanup(func() { <-done })
	go func() {
		defer close(done)
		if s := <-ready; s != nil {
			if err := s.Serve(l, lo); !errors.Is(err, ErrClosed) {
				t.Errorf("serve: %v", err)
			}
		}
	}()
	s := start(t, o)
	ready <- s
	return s
}

// startTCP is start with a loopback listener.
func startTCP(t testing.TB, o Options) (*Server, string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return startOn(t, l, o, ListenerOptions{Name: "test"}), l.Addr().String()
}

func startPipe(t testing.TB, o Options) (*Server, *pipeListener) {
	t.Helper()
	l := newPipeListener()
	return startOn(t, l, o, ListenerOptions{Name: "pipe"}), l
}

// client speaks frames.
type client struct {
	t testing.TB
	net.Conn
}

func dial(t testing.TB, addr string) *client {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return &client{t: t, Conn: c}
}

func request(key, version int16, correlation int32, body []byte) []byte {
	b := wire.AppendRequestHeader(make([]byte, wire.SizePrefix), wire.RequestHeader{Key: key, Version: version, CorrelationID: correlation, ClientID: []byte("client")})
	b = append(b, body...)
	binary.BigEndian.PutUint32(b, uint32(len(b)-wire.SizePrefix))
	return b
}

func (c *client) send(b []byte) {
	c.t.Helper()
	if _, err := c.Write(b); err != nil {
		c.t.Fatal(err)
	}
}

// receive reads one reply of a version without a flexible header.
func (c *client) receive() (correlation int32, body []byte) {
	c.t.Helper()
	var head [8]byte
	if _, err := io.ReadFull(c, head[:]); err != nil {
		c.t.Fatal(err)
	}
	body = make([]byte, binary.BigEndian.Uint32(head[:])-4)
	if _, err := io.ReadFull(c, body); err != nil {
		c.t.Fatal(err)
	}
	return int32(binary.BigEndian.Uint32(head[4:])), body
}

func (c *client) expect(correlation int32, body []byte) {
	c.t.Helper()
	got, b := c.receive()
	if got != correlation || !bytes.Equal(b, body) {
		c.t.Fatalf("reply %d of %d bytes, want %d of %d bytes", got, len(b), correlation, len(body))
	}
}

// expectEnd wants the server to have closed the connection.
func (c *client) expectEnd() {
	c.t.Helper()
	if err := c.SetReadDeadline(time.Now().Add(10 * time.Second)); errors.Is(err, io.ErrClosedPipe) {
		return // a pipe whose other end is closed takes no deadline
	} else if err != nil {
		c.t.Fatal(err)
	}
	n, err := c.Read(make([]byte, 1))
	var timeout net.Error
	if n != 0 || err == nil || errors.As(err, &timeout) && timeout.Timeout() {
		c.t.Fatalf("connection is open: n=%d err=%v", n, err)
	}
}
