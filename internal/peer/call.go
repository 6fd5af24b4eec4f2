package peer

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"sync"
)

// Errors of Call. An *AnswerError is the handler's own.
var (
	ErrUnknownRequest = errors.New("the other broker does not know this request")
	ErrBusy           = errors.New("the other broker has too many requests of this one")
	ErrTooLarge       = errors.New("request is too large")
	// ErrNotSent says that the other broker can not have seen the request.
	ErrNotSent = errors.New("request was not sent")
)

// AnswerError is the error with which a handler answered.
type AnswerError struct {
	Node int32
	Text string
}

// Error implements error.
func (e *AnswerError) Error() string { return fmt.Sprintf("broker=%d: %s", e.Node, e.Text) }

// Call sends a request to the broker at an address and returns its answer. All calls to one address share a connection, which is
// dialed when it is needed. After an error other than *AnswerError and those above the request may or may not have been carried out;
// Gone tells whether the broker's process is.
func (h *Host) Call(ctx context.Context, address string, to int32, typ uint16, payload []byte) ([]byte, error) {
	if len(payload) > h.opts.MaxMessageBytes {
		return nil, fmt.Errorf("%w: bytes=%d max=%d", ErrTooLarge, len(payload), h.opts.MaxMessageBytes)
	}
	c, err := h.caller(ctx, address, to)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNotSent, err)
	}
	return c.call(ctx, typ, payload)
}

// caller returns the control connection to an address, dialing it when there is none.
func (h *Host) caller(ctx context.Context, address string, to int32) (*caller, error) {
	h.mu.Lock()
	if h.closed {
		h.mu.Unlock()
		return nil, ErrClosed
	}
	c := h.callers[address]
	if c == nil || to != AnyNode && c.to != AnyNode && c.to != to {
		c = &caller{host: h, address: address, to: to, ready: make(chan struct{}), pending: make(map[uint64]chan message)}
		h.callers[address] = c
		h.work.Go(c.run)
	}
	h.mu.Unlock()
	select {
	case <-c.ready:
		return c, c.dialErr
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// caller is one dialed control connection. When it breaks, all calls on it fail and the next Call dials anew.
type caller struct {
	host    *Host
	address string
	to      int32
	ready   chan struct{} // closed after dialing
	conn    *Conn         // set before ready is closed
	dialErr error         // likewise

	writing sync.Mutex

	mu      sync.Mutex // guards what follows
	pending map[uint64]chan message
	last    uint64
	broken  error
}

// run dials, and reads answers until the connection ends.
func (c *caller) run() {
	conn, err := c.host.Dial(c.host.ctx, c.address, c.to, Control)
	c.mu.Lock()
	if err == nil && c.broken != nil { // closed meanwhile
		err = errors.Join(c.broken, conn.Close())
	}
	c.conn, c.dialErr = conn, err
	c.mu.Unlock()
	if err != nil {
		c.forget()
		close(c.ready)
		return
	}
	close(c.ready)
	in := bufio.NewReaderSize(conn, 64<<10)
	for {
		m, err := readMessage(in, c.host.opts.MaxMessageBytes)
		if err != nil {
			c.close(fmt.Errorf("control connection to broker=%d address=%s: %w", conn.Peer.Node, c.address, err))
			return
		}
		c.mu.Lock()
		waiting := c.pending[m.id]
		delete(c.pending, m.id)
		c.mu.Unlock()
		if waiting != nil {
			waiting <- m // has room for one
		}
	}
}

// forget makes the next Call dial anew.
func (c *caller) forget() {
	c.host.mu.Lock()
	defer c.host.mu.Unlock()
	if c.host.callers[c.address] == c {
		delete(c.host.callers, c.address)
	}
}

// close ends the connection; the first reason counts.
func (c *caller) close(why error) {
	c.forget()
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.broken != nil {
		return
	}
	c.broken = why
	for id, waiting := range c.pending {
		delete(c.pending, id)
		close(waiting)
	}
	if c.conn != nil {
		_ = c.conn.Close() // nothing is lost: its calls have failed
	}
}

func (c *caller) call(ctx context.Context, typ uint16, payload []byte) ([]byte, error) {
	c.mu.Lock()
	if c.broken != nil {
		defer c.mu.Unlock()
		return nil, c.broken
	}
	if len(c.pending) >= c.host.opts.MaxRequests {
		defer c.mu.Unlock()
		return nil, fmt.Errorf("%w: requests=%d", ErrBusy, len(c.pending))
	}
	c.last++
	id, waiting := c.last, make(chan message, 1)
	c.pending[id] = waiting
	c.mu.Unlock()

	c.writing.Lock()
	m := message{id: id, typ: typ, payload: payload}
	err := m.writeTo(c.conn)
	c.writing.Unlock()
	if err != nil {
		c.close(fmt.Errorf("control connection to broker=%d address=%s: %w", c.conn.Peer.Node, c.address, err))
	}
	select {
	case m, ok := <-waiting:
		if !ok {
			c.mu.Lock()
			defer c.mu.Unlock()
			return nil, c.broken
		}
		return m.result(c.conn.Peer.Node)
	case <-ctx.Done():
		c.mu.Lock()
		delete(c.pending, id)
		c.mu.Unlock()
		return nil, context.Cause(ctx)
	}
}

// result is what an answer says.
func (m *message) result(node int32) ([]byte, error) {
	switch m.status {
	case done:
		return m.payload, nil
	case unknownType:
		return nil, fmt.Errorf("%w: broker=%d type=%d", ErrUnknownRequest, node, m.typ)
	case busy:
		return nil, fmt.Errorf("%w: broker=%d %s", ErrBusy, node, m.payload)
	}
	return nil, &AnswerError{Node: node, Text: string(m.payload)}
}
