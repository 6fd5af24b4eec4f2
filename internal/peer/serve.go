package peer

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
)

// Handler carries a request out. from is who asks; ctx ends with the connection. An error reaches the caller as its text, in an
// *AnswerError.
type Handler func(ctx context.Context, from Identity, payload []byte) ([]byte, error)

// Register names the handler of a type of request.
func (h *Host) Register(typ uint16, handler Handler) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.requests[typ] = handler
}

// serveControl answers the requests of one connection.
func (h *Host) serveControl(c *Conn) {
	ctx, cancel := context.WithCancelCause(h.ctx)
	s := &session{host: h, conn: c, slots: make(chan struct{}, h.opts.MaxRequests)}
	err := s.read(ctx)
	cancel(err)
	_ = c.Close() // so that answers under way end too
	s.work.Wait()
	if !errors.Is(err, io.EOF) && !errors.Is(err, net.ErrClosed) && h.ctx.Err() == nil {
		h.opts.Logger.Info("control connection ended", "node", c.Peer.Node, "error", err)
	}
}

// session is one accepted control connection.
type session struct {
	host  *Host
	conn  *Conn
	slots chan struct{} // requests under way
	work  sync.WaitGroup

	writing sync.Mutex
}

func (s *session) read(ctx context.Context) error {
	in := bufio.NewReaderSize(s.conn, 64<<10)
	for {
		m, err := readMessage(in, s.host.opts.MaxMessageBytes)
		if err != nil {
			return err
		}
		select {
		case s.slots <- struct{}{}:
		default:
			if err := s.answer(&message{id: m.id, typ: m.typ, status: busy, payload: fmt.Appendf(nil, "requests=%d", cap(s.slots))}); err != nil {
				return err
			}
			continue
		}
		s.work.Go(func() {
			defer func() { <-s.slots }()
			a := s.handle(ctx, &m)
			if err := s.answer(a); err != nil {
				_ = s.conn.Close() // the reader ends, and says why
			}
		})
	}
}

func (s *session) handle(ctx context.Context, m *message) *message {
	a := &message{id: m.id, typ: m.typ}
	s.host.mu.Lock()
	handler := s.host.requests[m.typ]
	s.host.mu.Unlock()
	if handler == nil {
		a.status = unknownType
		return a
	}
	payload, err := handler(ctx, s.conn.Peer, m.payload)
	if err == nil && len(payload) > s.host.opts.MaxMessageBytes {
		err = fmt.Errorf("answer is too large: bytes=%d max=%d", len(payload), s.host.opts.MaxMessageBytes)
	}
	if err != nil {
		a.status, a.payload = failed, []byte(err.Error())
		return a
	}
	a.payload = payload
	return a
}

func (s *session) answer(a *message) error {
	s.writing.Lock()
	defer s.writing.Unlock()
	return a.writeTo(s.conn)
}
