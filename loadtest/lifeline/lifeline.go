package lifeline

import (
	"context"
	"errors"
	"net"
	"sync"
	"time"
)

// ErrCut is what a client gets whose line was cut.
var ErrCut = errors.New("the client's way to the brokers was cut")

// dialTimeout bounds the wait for a broker that is gone.
const dialTimeout = time.Second

// Line is one client's way to the brokers. Its Dial goes into kgo.Dialer.
type Line struct {
	mu    sync.Mutex
	isCut bool
	conns map[net.Conn]struct{}
}

// New returns a line that holds.
func New() *Line { return &Line{conns: make(map[net.Conn]struct{})} }

// IsCut reports whether Cut was called.
func (l *Line) IsCut() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.isCut
}

// Cut closes all connections and refuses others. say is called first, while nothing can be sent or dialed anew; nil: nothing to say.
func (l *Line) Cut(say func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.isCut = true
	if say != nil {
		say()
	}
	for c := range l.conns {
		_ = c.Close() // what was on its way is lost, as it would be
	}
}

// Dial connects to a broker.
func (l *Line) Dial(ctx context.Context, network, address string) (net.Conn, error) {
	if l.IsCut() {
		return nil, ErrCut
	}
	dialer := net.Dialer{Timeout: dialTimeout}
	c, err := dialer.DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.isCut {
		return nil, errors.Join(ErrCut, c.Close())
	}
	l.conns[c] = struct{}{}
	return &conn{Conn: c, line: l}, nil
}

type conn struct {
	net.Conn
	line *Line
}

// Close implements net.Conn.
func (c *conn) Close() error {
	c.line.mu.Lock()
	delete(c.line.conns, c.Conn)
	c.line.mu.Unlock()
	return c.Conn.Close()
}
