package server

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"runtime/debug"
	"time"

	"github.com/tidelinehq/tideline/broker/wire"
)

// Why a reader stops, besides errors of the socket.
var (
	errStopped  = errors.New("connection closed or draining")
	errProtocol = errors.New("protocol violation")
)

// serve is the reader goroutine.
func (c *Conn) serve(o *ListenerOptions) {
	defer c.server.goroutines.Done()
	if o.Upgrade != nil {
		c.awaitFrame(true)
		conn, err := o.Upgrade(c.conn)
		if err != nil {
			c.server.connError(c, "handshake failed", err)
			c.close(closedHandshake)
			return
		}
		c.conn = conn
		if !o.NeedsAuthentication {
			c.SetAuthenticated()
		}
	}
	if o.Open != nil {
		if err := o.Open(c); err != nil {
			c.server.connError(c, "client not accepted", err)
			c.close(closedHandshake)
			return
		}
	}
	c.source.init(c.conn)
	c.leave(c.read())
}

// leave ends the reader, and the connection with it unless replies have yet to
// be written in a shutdown.
func (c *Conn) leave(err error) {
	c.source.release()
	c.flush()
	s := c.server
	switch {
	case s.isDraining() && (errors.Is(err, os.ErrDeadlineExceeded) || err == errStopped):
		c.mu.Lock()
		c.drained = true
		empty := c.head == nil && !c.writing
		c.mu.Unlock()
		if empty {
			c.close(closedByShutdown)
		}
	case err == errStopped || errors.Is(err, net.ErrClosed):
		c.close(closedByHandler) // closed already, with the true reason
	case errors.Is(err, errProtocol):
		s.protocolError(c, err)
		c.close(closedProtocol)
	case errors.Is(err, errPanicked):
		c.close(closedPanic)
	case errors.Is(err, io.EOF):
		c.close(closedByPeer)
	default:
		s.connError(c, "read failed", err)
		c.close(closedIO)
	}
}

// read reads and handles requests until an error.
func (c *Conn) read() error {
	var prefix [wire.SizePrefix]byte // of a size that a read cut in two
	have := 0
	for {
		if err := c.pause(); err != nil {
			return err
		}
		c.awaitFrame(have > 0)
		data, err := c.source.read()
		if err != nil {
			return err
		}
		c.server.metrics.receivedBytes.Add(float64(len(data)))
		now := c.server.options.Now()
		for len(data) > 0 {
			n := copy(prefix[have:], data)
			have, data = have+n, data[n:]
			if have < len(prefix) {
				break
			}
			have = 0
			size := int32(binary.BigEndian.Uint32(prefix[:]))
			if limit := c.maxRequestBytes(); size < c.minRequestBytes() || size > limit {
				return fmt.Errorf("%w: frame size=%d limit=%d authenticated=%t", errProtocol, size, limit, c.Authenticated())
			}
			n = min(int(size), len(data))
			if err := c.frame(int(size), data[:n], now); err != nil {
				return err
			}
			data = data[n:]
		}
		c.source.release()
		c.flush()
	}
}

// awaitFrame sets the janitor's deadline for the first bytes of a frame.
func (c *Conn) awaitFrame(begun bool) {
	timeout := c.server.options.IdleTimeout
	if begun {
		timeout = c.server.options.FrameTimeout
	}
	c.inFrame.Store(begun)
	c.readDeadline.Store(c.server.clock.Load() + int64(timeout))
}

// frame handles one frame of size bytes, of which begun were read; the rest is
// read here.
func (c *Conn) frame(size int, begun []byte, now time.Time) error {
	lane := c.server.admission.lane(size, !c.authenticated.Load())
	if err := c.admit(lane, size); err != nil {
		return err
	}
	f := newFrame(stage(size, len(begun)))
	f.lane, f.size = lane, cost(size)
	f.buf = append(f.buf, begun...)
	if len(begun) < size {
		var err error
		if f, err = c.readRest(f, size); err != nil {
			f.lane.release(f.size)
			f.recycle()
			return err
		}
		now = c.server.options.Now()
	}
	return c.handle(f, now)
}

// admit waits until the frame's bytes and one more request are within bounds, and the
// peer has taken most of what it asked for before.
func (c *Conn) admit(lane *lane, size int) error {
	bytes := cost(size)
	if !lane.try(bytes) {
		c.waits()
		c.server.metrics.admissionWaits.Inc()
		if !lane.wait(bytes, c.done, c.server.draining) {
			return errStopped
		}
	}
	for c.full() {
		c.waits()
		select {
		case <-c.room:
		case <-c.done:
			lane.release(bytes)
			return errStopped
		case <-c.server.draining:
			lane.release(bytes)
			return errStopped
		}
	}
	return nil
}

// waits prepares for a wait that is not the peer's fault: replies at hand are
// written, and no deadline runs.
func (c *Conn) waits() {
	c.readDeadline.Store(0)
	c.flush()
}

func (c *Conn) full() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return (c.inFlight >= c.server.options.MaxInFlight || c.unsent >= c.server.options.MaxUnsentBytes) && !c.closed
}

// readRest reads into f until it has size bytes. Each byte extends the deadline
// by what MinFrameRate allows for it.
func (c *Conn) readRest(f *frame, size int) (*frame, error) {
	lane := f.lane
	c.arriving.begin(lane, cost(size), c.server.clock.Load())
	defer c.arriving.end(lane, cost(size))
	c.source.release() // all of it is in f
	c.flush()
	o := &c.server.options
	perByte := int64(time.Second) / int64(o.MinFrameRate)
	begin := c.server.clock.Load() + int64(o.FrameTimeout)
	c.inFrame.Store(true)
	for len(f.buf) < size {
		if room := stage(size, len(f.buf)); len(f.buf) == cap(f.buf) && room > cap(f.buf) {
			f = f.grow(room)
		}
		c.readDeadline.Store(begin + int64(len(f.buf))*perByte)
		n, err := c.conn.Read(f.buf[len(f.buf):min(cap(f.buf), size)])
		f.buf = f.buf[:len(f.buf)+n]
		c.server.metrics.receivedBytes.Add(float64(n))
		if err != nil && len(f.buf) < size {
			if err == io.EOF {
				err = io.ErrUnexpectedEOF
			}
			return f, err
		}
	}
	return f, nil
}

// handle parses the header and hands the request to the handler.
func (c *Conn) handle(f *frame, now time.Time) error {
	h, body, err := wire.RequestHeader{Key: bareKey}, f.buf, error(nil)
	if !c.bare {
		h, body, err = wire.ParseRequestHeader(f.buf)
	}
	if err == nil && h.Key != wire.KeyApiVersions && !c.server.options.Supports(h.Key, h.Version) {
		err = fmt.Errorf("unsupported version: api=%s version=%d", wire.KeyName(h.Key), h.Version)
	}
	if err != nil {
		f.lane.release(f.size)
		f.recycle()
		return fmt.Errorf("%w: %w", errProtocol, err)
	}
	r := newRequest(c, f)
	r.Key, r.Version, r.CorrelationID, r.Body, r.Received = h.Key, h.Version, h.CorrelationID, body, now
	r.Size, r.Bare = len(f.buf), c.bare
	r.ClientID = c.client(h.ClientID)
	c.readDeadline.Store(0)
	c.server.metrics.received(h.Key, h.Version, len(f.buf))
	if !c.enqueue(r) {
		r.releaseFrame()
		r.unuse()
		r.unuse()
		return errStopped
	}
	c.server.inFlight.Add(1)
	return c.call(r)
}

// bareKey is the key by which metrics count frames without a header: those of clients that
// prove who they are in the oldest way.
const bareKey = 36

// minRequestBytes is the least that a frame has.
func (c *Conn) minRequestBytes() int32 {
	if c.bare {
		return 0
	}
	return wire.MinRequestSize
}

// client is the client id as a string, made once for as long as it stays the same.
func (c *Conn) client(id []byte) *string {
	if id == nil {
		return nil
	}
	if c.clientID == nil || *c.clientID != string(id) {
		s := string(id)
		c.clientID = &s
	}
	return c.clientID
}

var errPanicked = errors.New("handler panicked")

// call runs the handler; a panic ends the connection, not the broker.
func (c *Conn) call(r *Request) (err error) {
	key, version := r.Key, r.Version
	defer func() {
		if p := recover(); p != nil {
			c.server.metrics.panics.Inc()
			c.server.options.Logger.Error("handler panicked", "api", wire.KeyName(key), "version", version,
				"conn", c.id, "client", c.RemoteAddr().String(), "panic", fmt.Sprint(p), "stack", string(debug.Stack()))
			r.abandon()
			err = errPanicked
		}
		r.unuse()
	}()
	c.server.options.Handler.Handle(r)
	return nil
}

// pause waits out a Mute. A connection that has to wait for longer than it may be idle is closed, as in Kafka: nobody would notice that its peer has
// gone.
func (c *Conn) pause() error {
	until := c.muteUntil.Load()
	if until == 0 {
		return nil
	}
	c.awaitFrame(false)
	for {
		left := until - c.server.options.Now().UnixNano()
		if left <= 0 {
			break
		}
		t := time.NewTimer(time.Duration(left))
		select {
		case <-t.C:
		case <-c.done:
			t.Stop()
			return errStopped
		case <-c.server.draining:
			t.Stop()
			return errStopped
		}
		until = c.muteUntil.Load()
	}
	c.muteUntil.CompareAndSwap(until, 0)
	return nil
}
