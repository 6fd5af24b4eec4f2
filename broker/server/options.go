package server

import (
	"errors"
	"log/slog"
	"math"
	"net/netip"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Handler serves requests. Handle is called on the connection's reader
// goroutine, in request order; it must not block on I/O. The reply may come
// later, from any goroutine, by exactly one Respond per request.
type Handler interface {
	Handle(r *Request)
}

// Options configure a Server. Zero fields take the default in parentheses.
type Options struct {
	Handler  Handler
	Supports func(key, version int16) bool // nil: every version of a known key

	MaxConnections      int   // (10,000) of all listeners together
	MaxConnectionsPerIP int   // (no limit)
	MaxRequestBytes     int32 // (100 MiB) socket.request.max.bytes
	QueuedBytes         int64 // (256 MiB) of request frames in memory, all connections together
	MaxInFlight         int   // (64) requests of one connection without a written reply
	MaxUnsentBytes      int   // (1 MiB) of replies that a connection's peer has not taken; beyond it is not read

	// Limits replace MaxConnections and MaxConnectionsPerIP, where given; see SetLimits.
	Limits *Limits

	// Connect, when set, counts a connection that arrived on a listener. wait is how long the listener takes no other, and this one waits; refuse is how
	// long the connection is held before it is closed without a word.
	Connect func(listener string, ip netip.Addr, now time.Time) (wait, refuse time.Duration)

	AuthenticationTimeout   time.Duration // (30 s) for a client to prove who it is, see ListenerOptions.NeedsAuthentication
	MaxUnauthenticatedBytes int32         // (512 KiB) of a request before that

	IdleTimeout  time.Duration // (10 min) connections.max.idle.ms
	FrameTimeout time.Duration // (30 s) grace for a frame to arrive, on top of MinFrameRate
	MinFrameRate int           // (16 KiB) bytes per second that a frame must make beyond the grace
	WriteTimeout time.Duration // (30 s) for the peer to take each MiB of replies

	SendBufferBytes    int // (the system's) socket.send.buffer.bytes
	ReceiveBufferBytes int // (the system's) socket.receive.buffer.bytes

	Now        func() time.Time // (time.Now)
	Logger     *slog.Logger     // (none)
	Registerer prometheus.Registerer
}

func (o *Options) setDefaults() error {
	if o.Handler == nil {
		return errors.New("server without a handler")
	}
	if o.Supports == nil {
		o.Supports = func(int16, int16) bool { return true }
	}
	setDefault(&o.MaxConnections, 10_000)
	setDefault(&o.MaxConnectionsPerIP, math.MaxInt)
	setDefault(&o.MaxRequestBytes, 100<<20)
	setDefault(&o.QueuedBytes, 256<<20)
	setDefault(&o.MaxInFlight, 64)
	setDefault(&o.MaxUnsentBytes, 1<<20)
	if o.Limits == nil {
		o.Limits = &Limits{Connections: o.MaxConnections, PerIP: o.MaxConnectionsPerIP, Unauthenticated: defaultUnauthenticated}
	}
	setDefault(&o.AuthenticationTimeout, 30*time.Second)
	setDefault(&o.MaxUnauthenticatedBytes, 512<<10)
	setDefault(&o.IdleTimeout, 10*time.Minute)
	setDefault(&o.FrameTimeout, 30*time.Second)
	setDefault(&o.MinFrameRate, 16<<10)
	setDefault(&o.WriteTimeout, 30*time.Second)
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return nil
}

func setDefault[T int | int32 | int64 | time.Duration](field *T, value T) {
	if *field <= 0 {
		*field = value
	}
}
