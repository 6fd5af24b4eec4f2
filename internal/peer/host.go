package peer

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"sync"
	"syscall"
	"time"
)

// ErrClosed is returned by a Host after Close.
var ErrClosed = errors.New("internal port is closed")

// Options are the parts and settings of a Host. Zero values mean the defaults in the comments.
type Options struct {
	Node        int32
	Incarnation [16]byte
	Cluster     func() string // "" while unknown; nil: always unknown
	Listener    net.Listener  // nil: nobody can reach this host, as in a cluster of one
	// Dialer opens a connection to HOST:PORT; nil: TCP.
	Dialer func(ctx context.Context, address string) (net.Conn, error)
	// TLS makes the TLS of each connection, for either end: Certificates for this broker, RootCAs and ClientCAs for the other one, and
	// ClientAuth as it wishes. nil: plain.
	TLS func() (*tls.Config, error)

	HandshakeTimeout time.Duration // 5 s
	MaxConnections   int           // accepted at once, over all kinds: 1024
	MaxMessageBytes  int           // payload of one request or answer: 8 MiB
	MaxRequests      int           // of one control connection at once: 256
	Logger           *slog.Logger  // nil discards
}

func (o *Options) setDefaults() {
	def := func(v *int, to int) {
		if *v == 0 {
			*v = to
		}
	}
	def(&o.MaxConnections, 1024)
	def(&o.MaxMessageBytes, 8<<20)
	def(&o.MaxRequests, 256)
	if o.HandshakeTimeout == 0 {
		o.HandshakeTimeout = 5 * time.Second
	}
	if o.Cluster == nil {
		o.Cluster = func() string { return "" }
	}
	if o.Dialer == nil {
		o.Dialer = func(ctx context.Context, address string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "tcp", address)
		}
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
}

// errNotYet says that nobody here serves connections of a kind so far.
var errNotYet = errors.New("connections of this kind are not served here yet")

// Conn is a connection whose both ends know each other.
type Conn struct {
	net.Conn
	Peer Identity
}

// Host is one broker's internal port.
type Host struct {
	opts   Options
	ctx    context.Context // ends with Close
	cancel context.CancelCauseFunc
	work   sync.WaitGroup

	mu       sync.Mutex // guards what follows
	handlers map[Kind]func(*Conn)
	requests map[uint16]Handler
	conns    map[net.Conn]struct{} // accepted
	callers  map[string]*caller    // control connections that were dialed, by address
	closed   bool
}

// New makes a Host. Register what it serves, then Start it.
func New(o Options) *Host {
	o.setDefaults()
	h := &Host{
		opts: o, handlers: make(map[Kind]func(*Conn)), requests: make(map[uint16]Handler),
		conns: make(map[net.Conn]struct{}), callers: make(map[string]*caller),
	}
	h.ctx, h.cancel = context.WithCancelCause(context.Background())
	h.handlers[Control] = h.serveControl
	h.requests[WatchRequest] = serveWatch
	return h
}

// Handle names who gets the accepted connections of a kind. The handler runs on a goroutine of its own, owns the connection and
// closes it; Close of the Host closes it under it.
func (h *Host) Handle(k Kind, handler func(*Conn)) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.handlers[k] = handler
}

// Start accepts connections until Close. Without a Listener it does nothing.
func (h *Host) Start() {
	if h.opts.Listener == nil {
		return
	}
	h.work.Go(h.accept)
}

// Addr is where the host listens, nil when it does not.
func (h *Host) Addr() net.Addr {
	if h.opts.Listener == nil {
		return nil
	}
	return h.opts.Listener.Addr()
}

// acceptPause keeps a listener that fails, for example for want of descriptors, from spinning.
const acceptPause = 50 * time.Millisecond

func (h *Host) accept() {
	for {
		conn, err := h.opts.Listener.Accept()
		if err == nil {
			h.take(conn)
			continue
		}
		if errors.Is(err, net.ErrClosed) || h.ctx.Err() != nil {
			return
		}
		h.opts.Logger.Warn("internal port cannot accept", "error", err)
		select {
		case <-time.After(acceptPause):
		case <-h.ctx.Done():
			return
		}
	}
}

// take begins to serve an accepted connection.
func (h *Host) take(conn net.Conn) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		_ = conn.Close()
		return
	}
	crowded := len(h.conns) >= h.opts.MaxConnections
	h.conns[conn] = struct{}{}
	h.work.Go(func() {
		defer h.leave(conn)
		if err := h.welcome(conn, crowded); err != nil && h.ctx.Err() == nil {
			level := slog.LevelWarn
			if errors.Is(err, errNotYet) {
				level = slog.LevelInfo // it is the start of this broker, and they come again
			}
			h.opts.Logger.Log(h.ctx, level, "internal port refused a connection", "remote", conn.RemoteAddr(), "error", err)
		}
	})
}

func (h *Host) leave(conn net.Conn) {
	_ = conn.Close() // the handler may have closed it
	h.mu.Lock()
	delete(h.conns, conn)
	h.mu.Unlock()
}

// welcome shakes hands with who dialed, and hands the connection on.
func (h *Host) welcome(raw net.Conn, crowded bool) error {
	if err := raw.SetDeadline(time.Now().Add(h.opts.HandshakeTimeout)); err != nil {
		return err
	}
	conn, err := h.secure(h.ctx, raw, "")
	if err != nil {
		return err
	}
	b, err := readFrame(conn)
	if err != nil {
		return fmt.Errorf("read hello: %w", err)
	}
	hi, err := parseHello(b)
	if err != nil {
		return err
	}
	h.mu.Lock()
	handler := h.handlers[hi.kind]
	h.mu.Unlock()
	a := h.judge(&hi, handler != nil, crowded)
	if err := writeFrame(conn, a.append(nil)); err != nil {
		return fmt.Errorf("answer hello: %w", err)
	}
	if a.verdict == noHandler {
		return fmt.Errorf("%w: node=%d kind=%s", errNotYet, hi.from.Node, hi.kind)
	}
	if a.verdict != welcome {
		return fmt.Errorf("node=%d kind=%s: %s", hi.from.Node, hi.kind, a.reason)
	}
	if err := conn.SetDeadline(time.Time{}); err != nil {
		return err
	}
	handler(&Conn{Conn: conn, Peer: hi.from})
	return nil
}

// judge decides about a hello.
func (h *Host) judge(hi *hello, known, crowded bool) answer {
	a := answer{version: version, from: h.identity()}
	refuse := func(v verdict, format string, args ...any) answer {
		a.verdict, a.reason = v, fmt.Sprintf(format, args...)
		return a
	}
	mine := a.from
	switch {
	case hi.version != version:
		return refuse(otherVersion, "internal protocol version %d is not spoken here (this broker speaks %d): upgrade one release at a time", hi.version, version)
	case hi.from.Cluster != "" && mine.Cluster != "" && hi.from.Cluster != mine.Cluster:
		return refuse(otherCluster, "broker %d belongs to cluster %s, this one to %s: check cluster.seeds and data.dir", hi.from.Node, hi.from.Cluster, mine.Cluster)
	case hi.to != AnyNode && hi.to != mine.Node:
		return refuse(otherNode, "this is broker %d, not %d: check rpc.advertised of both", mine.Node, hi.to)
	case hi.from.Node == mine.Node && hi.from.Incarnation != mine.Incarnation:
		return refuse(otherNode, "broker %d is here already: give each broker a node.id of its own", mine.Node)
	case !known:
		return refuse(noHandler, "connections for %s are not served here yet", hi.kind)
	case crowded:
		return refuse(full, "too many connections (max %d)", h.opts.MaxConnections)
	}
	return a
}

func (h *Host) identity() Identity {
	return Identity{Node: h.opts.Node, Incarnation: h.opts.Incarnation, Cluster: h.opts.Cluster()}
}

// Dial opens a connection of a kind to the broker to, or to AnyNode, at an address. A refusal by the other broker is a *RefusedError
// with its reason.
func (h *Host) Dial(ctx context.Context, address string, to int32, k Kind) (*Conn, error) {
	if h.ctx.Err() != nil {
		return nil, ErrClosed
	}
	ctx, cancel := context.WithTimeout(ctx, h.opts.HandshakeTimeout)
	defer cancel()
	raw, err := h.opts.Dialer(ctx, address)
	if err != nil {
		return nil, fmt.Errorf("dial broker=%d address=%s: %w", to, address, err)
	}
	c, err := h.greet(ctx, raw, address, to, k)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("greet broker=%d address=%s: %w", to, address, err), raw.Close())
	}
	return c, nil
}

func (h *Host) greet(ctx context.Context, raw net.Conn, address string, to int32, k Kind) (*Conn, error) {
	// Whatever ends first, the deadline or the caller's patience, ends the handshake.
	stop := context.AfterFunc(ctx, func() { _ = raw.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	conn, err := h.secure(ctx, raw, address)
	if err != nil {
		return nil, err
	}
	hi := hello{version: version, kind: k, from: h.identity(), to: to}
	if err := writeFrame(conn, hi.append(nil)); err != nil {
		return nil, err
	}
	b, err := readFrame(conn)
	if err != nil {
		return nil, refusedCertificate(err)
	}
	a, err := parseAnswer(b)
	switch {
	case err != nil:
		return nil, err
	case a.verdict != welcome:
		return nil, &RefusedError{Reason: a.reason, Final: a.verdict == otherCluster || a.verdict == otherNode, Unserved: a.verdict == noHandler}
	case to != AnyNode && a.from.Node != to:
		return nil, fmt.Errorf("%w: it is broker=%d", ErrProtocol, a.from.Node)
	}
	if !stop() {
		return nil, context.Cause(ctx)
	}
	return &Conn{Conn: conn, Peer: a.from}, nil
}

// Gone tells whether an error of Dial, Call or Watch proves that the process at the other end is not there: it refused a connection or
// its end was reset or closed. A timeout proves nothing.
func Gone(err error) bool {
	return errors.Is(err, ErrGone) || errors.Is(err, syscall.ECONNREFUSED) || errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE) ||
		errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF)
}

// Close ends all connections and waits for their handlers.
func (h *Host) Close() error {
	h.mu.Lock()
	if h.closed {
		h.mu.Unlock()
		return nil
	}
	h.closed = true
	// Connections first: who waits for an answer should see that this broker is gone, not an answer that says so.
	for conn := range h.conns {
		_ = conn.Close() // each handler sees it, and closes again
	}
	h.cancel(ErrClosed)
	callers := make([]*caller, 0, len(h.callers))
	for _, c := range h.callers {
		callers = append(callers, c)
	}
	h.mu.Unlock()
	for _, c := range callers {
		c.close(ErrClosed)
	}
	var err error
	if h.opts.Listener != nil {
		err = h.opts.Listener.Close()
	}
	h.work.Wait()
	return err
}
