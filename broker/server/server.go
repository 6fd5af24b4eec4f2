package server

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"
)

// Server owns connections. Make it by New, feed it by Serve, end it by Shutdown.
type Server struct {
	options    Options
	metrics    *metrics
	admission  *admission
	limiter    logLimiter
	clock      atomic.Int64 // nanoseconds, set by the janitor
	tick       time.Duration
	inFlight   atomic.Int64
	goroutines sync.WaitGroup // readers and writers
	limits     atomic.Pointer[Limits]
	held       heldConns

	draining    chan struct{} // closed by Shutdown
	empty       chan struct{} // closed when draining and without connections
	janitorStop chan struct{}
	janitorDone chan struct{}

	mu        sync.Mutex
	conns     map[*Conn]struct{}
	perIP     map[netip.Addr]int
	perName   map[string]int // connections by listener
	unproven  unproven
	listeners map[net.Listener]struct{}
	nextID    uint64
	stopping  bool
}

// ListenerOptions belong to one Serve.
type ListenerOptions struct {
	Name string // label of metrics, and Conn.Listener

	// NeedsAuthentication says that clients must prove who they are before they may do anything else: until Conn.SetAuthenticated a
	// connection has little time, small requests, and company that is counted. Where there is an Upgrade, that much holds until it is done.
	NeedsAuthentication bool

	// Upgrade, when set, turns an accepted connection into the one to speak on,
	// such as a TLS server's after its handshake. It runs on the connection's
	// reader goroutine, within Options.FrameTimeout.
	Upgrade func(net.Conn) (net.Conn, error)

	// Open, when set, is called once for each connection on its reader goroutine, behind
	// Upgrade and before the first request: the place to set State and the principal. An
	// error closes the connection.
	Open func(*Conn) error
}

// New makes a server and starts its janitor; Shutdown ends it. The error says
// what is wrong with the options.
func New(o Options) (*Server, error) {
	if err := o.setDefaults(); err != nil {
		return nil, err
	}
	s := &Server{
		options:     o,
		admission:   newAdmission(o.QueuedBytes),
		draining:    make(chan struct{}),
		empty:       make(chan struct{}),
		janitorStop: make(chan struct{}),
		janitorDone: make(chan struct{}),
		conns:       make(map[*Conn]struct{}),
		perIP:       make(map[netip.Addr]int),
		perName:     make(map[string]int),
		listeners:   make(map[net.Listener]struct{}),
	}
	s.limits.Store(o.Limits)
	s.metrics = newMetrics(o.Registerer, s)
	s.clock.Store(o.Now().UnixNano())
	s.tick = janitorTick(o)
	go s.janitor()
	return s, nil
}

// ErrClosed is what Serve returns after a Shutdown began.
var ErrClosed = errors.New("server is shut down")

const (
	acceptBackoffMin = 5 * time.Millisecond
	acceptBackoffMax = time.Second
)

// Serve accepts connections from l, which it closes in the end, until Shutdown
// (ErrClosed) or a failure of the listener. Errors that pass, such as a lack of
// file descriptors, are logged and waited out.
func (s *Server) Serve(l net.Listener, o ListenerOptions) error {
	s.mu.Lock()
	if s.stopping {
		s.mu.Unlock()
		return errors.Join(ErrClosed, l.Close())
	}
	s.listeners[l] = struct{}{}
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		delete(s.listeners, l)
		s.mu.Unlock()
	}()
	backoff := acceptBackoffMin
	for {
		conn, err := l.Accept()
		if err == nil {
			backoff = acceptBackoffMin
			if !s.paced(conn, o.Name) {
				continue
			}
			s.accept(conn, o)
			continue
		}
		if s.isDraining() {
			return ErrClosed
		}
		if errors.Is(err, net.ErrClosed) {
			return fmt.Errorf("accept: listener=%s: %w", o.Name, err)
		}
		s.options.Logger.Warn("accept failed", "listener", o.Name, "error", err, "retry_in", backoff)
		t := time.NewTimer(backoff)
		select {
		case <-t.C:
		case <-s.draining:
			t.Stop()
			return ErrClosed
		}
		backoff = min(2*backoff, acceptBackoffMax)
	}
}

// accept starts a connection, or closes it when it is one too many.
func (s *Server) accept(conn net.Conn, o ListenerOptions) {
	c := &Conn{
		server: s, listener: o.Name, raw: conn, conn: conn, ip: remoteIP(conn),
		done: make(chan struct{}), room: make(chan struct{}, 1),
	}
	c.writer = func() {
		defer s.goroutines.Done()
		c.write()
	}
	if !o.NeedsAuthentication && o.Upgrade == nil {
		c.authenticated.Store(true)
	}
	reason, crowded := s.admit(c)
	if crowded != nil {
		s.limiter.log(s, "connection closed", "reason", closedCrowded, "conn", crowded.id, "client", crowded.RemoteAddr().String())
		crowded.close(closedCrowded)
	}
	if reason != "" {
		s.metrics.rejected.WithLabelValues(o.Name, reason).Inc()
		s.limiter.log(s, "connection refused", "reason", reason, "listener", o.Name, "client", conn.RemoteAddr().String())
		_ = conn.Close() // nothing was said on it yet
		return
	}
	s.metrics.accepted.WithLabelValues(o.Name).Inc()
	s.setSocketOptions(conn)
	go c.serve(&o)
}

// admit registers a connection; the reason says why not. crowded is another one that has to go for it.
func (s *Server) admit(c *Conn) (reason string, crowded *Conn) {
	limits := s.limits.Load()
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.stopping:
		return "shutdown", nil
	case len(s.conns) >= limits.Connections:
		return "max_connections", nil
	case s.perName[c.listener] >= limits.ofListener(c.listener):
		return "max_connections_of_listener", nil
	case s.perIP[c.ip] >= limits.ofIP(c.ip):
		return "max_connections_per_ip", nil
	}
	if !c.authenticated.Load() {
		c.authenticateBy.Store(s.options.Now().UnixNano() + int64(s.options.AuthenticationTimeout))
		if s.unproven.count >= max(limits.Unauthenticated, 1) {
			crowded = s.unproven.first
			s.unproven.remove(crowded)
		}
		s.unproven.add(c)
	}
	s.nextID++
	c.id = s.nextID
	s.conns[c] = struct{}{}
	s.perIP[c.ip]++
	s.perName[c.listener]++
	s.goroutines.Add(1)
	return "", crowded
}

// forget is the end of a connection.
func (s *Server) forget(c *Conn, reason string) {
	s.metrics.closed.WithLabelValues(reason).Inc()
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.conns, c)
	s.unproven.remove(c)
	s.perName[c.listener]--
	if s.perIP[c.ip]--; s.perIP[c.ip] == 0 {
		delete(s.perIP, c.ip)
	}
	if s.stopping && len(s.conns) == 0 {
		close(s.empty)
	}
}

const keepAlive = 60 * time.Second

// setSocketOptions does what it can: a connection that died meanwhile is the
// reader's to report.
func (s *Server) setSocketOptions(conn net.Conn) {
	tcp, ok := conn.(*net.TCPConn)
	if !ok {
		return
	}
	err := errors.Join(tcp.SetNoDelay(true), tcp.SetKeepAliveConfig(net.KeepAliveConfig{Enable: true, Idle: keepAlive, Interval: keepAlive / 4, Count: 4}), boundUnsent(tcp))
	if n := s.options.SendBufferBytes; n > 0 {
		err = errors.Join(err, tcp.SetWriteBuffer(n))
	}
	if n := s.options.ReceiveBufferBytes; n > 0 {
		err = errors.Join(err, tcp.SetReadBuffer(n))
	}
	if err != nil {
		s.options.Logger.Debug("socket options", "client", conn.RemoteAddr().String(), "error", err)
	}
}

// remoteIP is the peer's address for counting; connections without one count together.
func remoteIP(conn net.Conn) netip.Addr {
	if a, ok := conn.RemoteAddr().(*net.TCPAddr); ok {
		return a.AddrPort().Addr().Unmap()
	}
	return netip.Addr{}
}

func (s *Server) isDraining() bool {
	select {
	case <-s.draining:
		return true
	default:
		return false
	}
}

// Connections is the number of open connections.
func (s *Server) Connections() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.conns)
}

// Shutdown stops accepting and reading, waits until all requests that were read
// are answered, and closes the connections. When ctx ends first the rest is cut
// off, and the error is that of ctx. It returns when all goroutines of the
// server have ended, and may be called more than once.
func (s *Server) Shutdown(ctx context.Context) error {
	s.mu.Lock()
	first := !s.stopping
	s.stopping = true
	var open []*Conn
	var err error
	if first {
		close(s.draining)
		for l := range s.listeners {
			if e := l.Close(); e != nil && !errors.Is(e, net.ErrClosed) {
				err = errors.Join(err, fmt.Errorf("close listener: %w", e))
			}
		}
		if len(s.conns) == 0 {
			close(s.empty)
		}
		open = s.list()
	}
	s.mu.Unlock()
	for _, c := range open {
		// Wakes the reader; one that closed meanwhile has nothing to wake.
		_ = c.raw.SetReadDeadline(time.Unix(1, 0))
	}
	select {
	case <-s.empty:
	case <-ctx.Done():
		s.mu.Lock()
		open = s.list()
		s.mu.Unlock()
		for _, c := range open {
			c.close(closedByShutdown)
		}
		err = errors.Join(err, ctx.Err())
	}
	s.goroutines.Wait()
	s.held.close()
	if first {
		close(s.janitorStop)
	}
	<-s.janitorDone
	return err
}

// list is the connections at the moment; s.mu is held.
func (s *Server) list() []*Conn {
	conns := make([]*Conn, 0, len(s.conns))
	for c := range s.conns {
		conns = append(conns, c)
	}
	return conns
}
