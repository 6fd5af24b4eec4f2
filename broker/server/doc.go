// Package server is the broker's connections: it accepts them, splits their
// bytes into requests, hands these to a Handler, and writes the replies in the
// order of the requests. It knows the request header and nothing of any body.
//
//	socket ──► reader goroutine ──► Handler.Handle ··· any goroutine ──► Request.Respond
//	  ▲          │  admission by bytes, in-flight limit                       │
//	  └──────────┴──── writer: replies at the head of the line ◄──────────────┘
//
// # Who writes
//
// A connection has one goroutine, its reader. Replies given while the reader
// handles what one read brought are written by the reader when that is done,
// together, before it reads again. Replies given later, by any goroutine, are
// written by a goroutine that is started when the head of the line is ready
// and that ends with the line: whoever calls Respond never waits for a socket.
//
// # Memory
//
//   - An idle connection holds no buffer: a read takes one from a pool when the
//     socket is readable, and gives it back before it waits.
//   - A frame of up to 64 KiB gets its buffer when its first bytes are there. A
//     greater one grows as its bytes come, sixteen-fold a step, so that what a
//     peer only announced costs nothing.
//   - All frames together are admitted by bytes (Options.QueuedBytes), in two
//     lanes, so that small requests do not queue behind great ones. Who waits for
//     admission does not read: TCP carries the pressure to the client.
//   - Frames that do not arrive give way: where they hold more than half of a lane
//     while others wait, the connections whose frames take longest are closed.
//   - A connection has at most Options.MaxInFlight requests without a written
//     reply, and goes on only while its peer has taken all but
//     Options.MaxUnsentBytes of the replies: what nobody reads is not made.
//
// # What it refuses
//
// Frames shorter than a header or longer than Options.MaxRequestBytes, API keys
// outside the protocol, versions that Options.Supports denies, headers that do
// not parse: the connection closes with one (rate-limited) log line. ApiVersions
// of any version passes, since its handler has to answer that. Connections above
// the limits are closed on arrival.
//
// # Strangers
//
// On a listener where clients have to prove who they are, a connection is a
// stranger's until Conn.SetAuthenticated: its frames are bounded by
// Options.MaxUnauthenticatedBytes, the whole of its proof by
// Options.AuthenticationTimeout, and the number of strangers by
// Limits.Unauthenticated. The stranger that takes longest makes room for one more:
// whoever fills the broker with connections that say nothing keeps nobody out.
//
// A listener that takes as many connections per second as it may accepts the next
// one later, which its clients do not notice but by the time. An address that makes
// too many has its connections held for a while, and closed.
//
// # Time
//
// No socket has a timer. A janitor looks at all connections about once a second
// and closes those that were idle for too long, those that dawdle within a frame
// (a grace period, then a least rate), and those whose peer takes no replies.
//
// # Concurrency
//
// Handle is called on the connection's reader goroutine, in request order, and
// must not block. All methods of Request and Conn are safe for concurrent use
// unless they say otherwise. Lock order: Server.mu before nothing, Conn.mu
// before nothing; no lock is held over I/O or a callback.
package server
