package api

import (
	"context"
	"log/slog"
	"net"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
	"golang.org/x/sync/semaphore"

	"github.com/tidelinehq/tideline/broker/quota"
	"github.com/tidelinehq/tideline/broker/server"
	"github.com/tidelinehq/tideline/broker/wire"
)

// Call is one request that kmsg decoded, with what its handler may want to know
// of the client.
type Call struct {
	Context context.Context
	API     *API
	Request kmsg.Request
	Version int16
	// ClientID is empty when the client gave none; Host is its address.
	ClientID, Host string
	// Listener is the name of the listener that the client connected to.
	Listener string

	raw      *server.Request
	replied  atomic.Bool
	caughtUp bool // the image was brought up to the leader's; see newerImage

	meter meter
	// share is the quota of partitions that the request creates or deletes; see mutations.
	share *quota.Mutations
	// judged says that mayDo is known; see access. amendments complete the answer, in order.
	judged     bool
	mayDo      *access
	amendments []func(kmsg.Response)

	// handedOn takes the answer to a request that a broker sent; nil: it came from a client.
	handedOn chan kmsg.Response
}

// handler answers a call. It returns nil when it will call Reply itself, exactly
// once.
type handler func(c *Call) kmsg.Response

// decodeBudget bounds the memory of requests that kmsg decodes, from before they
// are decoded until their handlers return. A request weighs what its shape says
// that it takes decoded, times decodeFactor for what its handler makes of it, and
// what its answer takes where that is greater.
const (
	decodeBudget = 512 << 20
	decodeFactor = 4
)

// maxConcurrentCalls bounds the requests that run in goroutines of their own.
const maxConcurrentCalls = 256

// API answers requests. Make it with New.
type API struct {
	Deps
	fetchSessions *fetchSessions
	shareSessions *shareSessions
	decoding      *semaphore.Weighted
	calls         *semaphore.Weighted
	running       sync.WaitGroup
	ctx           context.Context
	cancel        context.CancelFunc
	responseBytes *byteBudget
	producerIDs   producerIDs
	streamsTopics *streamsTopics
	tokenIDs      tokenIDs
	metrics       *metrics
	produceStages produceStages
	fetchStages   fetchStages
	refusals      logLimit
	now           func() time.Time
	logger        *slog.Logger
}

// Handle implements server.Handler.
func (a *API) Handle(r *server.Request) {
	if s, ok := r.Conn.State.(*session); ok && !a.passes(s, r) {
		return
	}
	switch r.Key {
	case keyProduce:
		a.produce(r)
	case keyFetch:
		a.fetch(r)
	default:
		a.dispatch(r)
	}
}

// dispatch decodes a request and runs its handler, in a goroutine of its own when
// the handler may wait. kmsg trusts its input, so it sees a body only once the
// shape of that is known to be good. Bytes behind the body are ignored, as Apache
// Kafka does.
func (a *API) dispatch(r *server.Request) {
	entry := lookup(r.Key)
	if entry == nil {
		a.refuse(r, "unknown api key")
		return
	}
	if r.Version < entry.min || r.Version > entry.max {
		if r.Key == keyApiVersions {
			a.respondUnsupportedApiVersions(r)
			return
		}
		a.refuse(r, "unsupported version")
		return
	}
	meter := a.newMeter()
	shape, err := wire.CheckRequest(r.Key, r.Version, r.Body)
	meter.pause()
	if err != nil {
		a.refuse(r, err.Error())
		return
	}
	weight := a.weightOf(entry, shape)
	if err := a.decoding.Acquire(a.ctx, weight); err != nil {
		r.Respond(server.Response{None: true, Close: true}) // shutting down
		return
	}
	meter.resume()
	body := r.Body[:shape.Size]
	if shape.Tags > 0 {
		body = wire.WithoutTags(r.Key, r.Version, body)
	}
	req := kmsg.RequestForKey(r.Key)
	req.SetVersion(r.Version)
	if err := req.ReadFrom(body); err != nil {
		a.decoding.Release(weight)
		a.refuse(r, "request does not decode: "+err.Error())
		return
	}
	c := &Call{Context: a.ctx, API: a, Request: req, Version: r.Version, Host: hostOf(r.Conn.RemoteAddr()), Listener: r.Conn.Listener(), raw: r}
	meter.pause()
	c.meter = meter
	if r.ClientID != nil {
		c.ClientID = *r.ClientID
	}
	run := func() {
		defer a.decoding.Release(weight)
		if entry.current {
			c.newerImage()
		}
		c.meter.resume()
		if resp := c.guard(); resp != nil {
			c.Reply(resp)
			return
		}
		if resp := entry.handle(c); resp != nil {
			c.Reply(resp)
		} else {
			c.meter.pause()
		}
	}
	if entry.inline {
		run()
		return
	}
	if err := a.calls.Acquire(a.ctx, 1); err != nil {
		a.decoding.Release(weight)
		r.Respond(server.Response{None: true, Close: true})
		return
	}
	a.running.Add(1)
	go func() {
		defer a.running.Done()
		defer a.calls.Release(1)
		defer a.recoveredCall(c, r.Conn)
		run()
	}()
}

// Reply sends the response of a call, once.
func (c *Call) Reply(resp kmsg.Response) {
	resp.SetVersion(c.Version)
	for _, amend := range c.amendments {
		amend(resp)
	}
	c.noteChanges(resp)
	if c.handedOn != nil {
		c.handedOn <- resp
		return
	}
	c.API.metrics.answered(resp)
	c.throttle(resp)
	body := resp.AppendTo(nil)
	c.replied.Store(true)
	c.raw.Respond(server.Response{Buffers: net.Buffers{body}, Span: c.API.traced(c.raw)})
}

// refuse closes a connection whose client sent what cannot be answered, as Kafka
// does.
func (a *API) refuse(r *server.Request, why string) {
	a.metrics.refused.Inc()
	if held, ok := a.refusals.allow(a.now()); ok {
		a.logger.Warn("request refused, closing the connection", "reason", why, "held_back", held,
			"api_key", r.Key, "api", wire.KeyName(r.Key), "version", r.Version, "client", r.Conn.RemoteAddr(), "bytes", len(r.Body))
	}
	r.Respond(server.Response{None: true, Close: true})
}

// logLimit lets through one line per second, so that a client that misbehaves
// cannot fill the disk with the log.
type logLimit struct {
	mu   sync.Mutex
	last time.Time
	held int
}

// allow reports whether a line may be written, and how many before it were not.
func (l *logLimit) allow(now time.Time) (held int, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if now.Sub(l.last) < time.Second {
		l.held++
		return 0, false
	}
	held, l.held, l.last = l.held, 0, now
	return held, true
}

// recoveredCall keeps a bug in one request from ending the broker. A request that
// was not answered is answered by the end of its connection, which also gives back
// what the request holds.
func (a *API) recoveredCall(c *Call, conn *server.Conn) {
	if p := recover(); p != nil {
		a.panicked(conn, p)
		if !c.replied.Load() {
			c.raw.Respond(server.Response{None: true, Close: true})
		}
	}
}

// panicked logs a panic with its stack and closes the connection.
func (a *API) panicked(conn *server.Conn, p any) {
	a.metrics.panics.Inc()
	a.logger.Error("panic in a request handler", "panic", p, "client", conn.RemoteAddr(), "stack", string(debug.Stack()))
	conn.Close()
}

// hostOf returns the address without the port.
func hostOf(addr net.Addr) string {
	host, _, err := net.SplitHostPort(addr.String())
	if err != nil {
		return addr.String()
	}
	return host
}

// Close ends what waits. It is called after the server stopped taking requests.
func (a *API) Close() {
	a.cancel()
	a.streamsTopics.close()
	a.running.Wait()
}
