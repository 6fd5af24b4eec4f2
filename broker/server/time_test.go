package server

import (
	"context"
	"errors"
	"net"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// bubble runs f with a server on pipes in virtual time.
func bubble(t *testing.T, o Options, f func(t *testing.T, s *Server, l *pipeListener)) {
	synctest.Test(t, func(t *testing.T) {
		s, err := New(o)
		if err != nil {
			t.Fatal(err)
		}
		l := newPipeListener()
		served := make(chan error, 1)
		go func() { served <- s.Serve(l, ListenerOptions{Name: "pipe"}) }()
		f(t, s, l)
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if err := s.Shutdown(ctx); err != nil && !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
		if err := <-served; !errors.Is(err, ErrClosed) {
			t.Error(err)
		}
		if n, m := s.admission.used(), s.inFlight.Load(); n != 0 || m != 0 {
			t.Errorf("left behind: %d bytes, %d requests", n, m)
		}
	})
}

// closesAfter waits for the server to end the connection and says when it did.
func closesAfter(t *testing.T, c *client) time.Duration {
	t.Helper()
	begin := time.Now()
	if n, err := c.Read(make([]byte, 1)); n != 0 || err == nil {
		t.Fatal(n, err)
	}
	return time.Since(begin)
}

func within(t *testing.T, what string, got, low, high time.Duration) {
	t.Helper()
	if got < low || got > high {
		t.Errorf("%s: closed after %v, want %v to %v", what, got, low, high)
	}
}

func TestIdle(t *testing.T) {
	h := newHeld()
	o := Options{Handler: h, IdleTimeout: time.Minute}
	bubble(t, o, func(t *testing.T, _ *Server, l *pipeListener) {
		c := l.dial(t)
		within(t, "silent", closesAfter(t, c), time.Minute, time.Minute+4*time.Second)

		// A request that waits for its reply is not idle; the time counts from the reply.
		c = l.dial(t)
		c.send(request(1, 4, 1, nil))
		r := h.take(1)[0]
		pass(5 * time.Minute)
		r.Respond(Response{})
		c.expect(1, nil)
		within(t, "after a reply", closesAfter(t, c), time.Minute-2*time.Second, time.Minute+4*time.Second)
	})
}

func TestSlowFrame(t *testing.T) {
	o := Options{Handler: echo, FrameTimeout: 10 * time.Second, MinFrameRate: 1000}
	bubble(t, o, func(t *testing.T, _ *Server, l *pipeListener) {
		for name, in := range map[string][]byte{
			"size":   {0, 0},
			"header": request(0, 8, 1, nil)[:9],
			"body":   request(0, 8, 1, make([]byte, 900))[:500],
			"great":  request(0, 8, 1, make([]byte, 10<<20))[:500],
		} {
			c := l.dial(t)
			c.send(in)
			within(t, name, closesAfter(t, c), 10*time.Second, 14*time.Second)
		}
		// 2,000 bytes per second are enough, for as long as it takes.
		c := l.dial(t)
		frame := request(0, 8, 1, make([]byte, 100_000))
		for len(frame) > 0 {
			n := min(len(frame), 2000)
			c.send(frame[:n])
			frame = frame[n:]
			pass(time.Second)
		}
		c.expect(1, make([]byte, 100_000))
		// 200 bytes per second are not.
		c = l.dial(t)
		frame = request(0, 8, 1, make([]byte, 100_000))
		begin := time.Now()
		for {
			if _, err := c.Write(frame[:200]); err != nil {
				break
			}
			pass(time.Second)
		}
		within(t, "dribble", time.Since(begin), 10*time.Second, 20*time.Second)
	})
}

// TestSlowReader has a peer that takes no replies: Respond never waits, the
// connection stops being read, and is closed in time.
func TestSlowReader(t *testing.T) {
	h := newHeld()
	o := Options{Handler: h, MaxInFlight: 4, WriteTimeout: 20 * time.Second}
	bubble(t, o, func(t *testing.T, s *Server, l *pipeListener) {
		c := l.dial(t)
		sent := make(chan int, 1)
		go func() {
			for i := 0; ; i++ {
				if _, err := c.Write(request(0, 8, int32(i), nil)); err != nil {
					sent <- i
					return
				}
			}
		}()
		synctest.Wait()
		if n := len(h.requests); n != 4 {
			t.Errorf("%d requests read beyond the limit of 4", n)
		}
		begin := time.Now()
		var dones atomic.Int32
		for _, r := range h.take(4) {
			r.Respond(Response{Buffers: net.Buffers{make([]byte, 100_000)}, Done: func() { dones.Add(1) }})
		}
		if time.Since(begin) != 0 {
			t.Error("a reply waited for the socket")
		}
		n := <-sent
		within(t, "stuck", time.Since(begin), 20*time.Second, 28*time.Second)
		if n > 5 {
			t.Errorf("%d requests taken", n)
		}
		synctest.Wait()
		if n := dones.Load(); n != 4 {
			t.Errorf("%d replies done", n)
		}
	})
}

// TestUnread has a peer that asks again and again, and takes nothing: what would
// only wait for it is not made. When it reads, it gets all that it asked for.
func TestUnread(t *testing.T) {
	const replies, bytes = 40, 100_000
	var handled atomic.Int32
	h := handlerFunc(func(r *Request) {
		handled.Add(1)
		r.Respond(Response{Buffers: net.Buffers{make([]byte, bytes)}})
	})
	bubble(t, Options{Handler: h, MaxUnsentBytes: 5 * bytes}, func(t *testing.T, _ *Server, l *pipeListener) {
		c := l.dial(t)
		var all []byte
		for i := range int32(replies) {
			all = append(all, request(0, 8, i, nil)...)
		}
		c.send(all)
		synctest.Wait()
		if n := handled.Load(); n > 5 {
			t.Errorf("%d requests handled, whose replies of %d bytes nobody takes", n, bytes)
		}
		for i := range int32(replies) {
			c.expect(i, make([]byte, bytes))
		}
	})
}

func TestMute(t *testing.T) {
	bubble(t, Options{Handler: handlerFunc(func(r *Request) {
		r.Conn.Mute(3 * time.Second)
		r.Respond(Response{})
	})}, func(t *testing.T, _ *Server, l *pipeListener) {
		c := l.dial(t)
		begin := time.Now()
		for i := range int32(3) {
			c.send(request(0, 8, i, nil))
			c.expect(i, nil)
		}
		if d := time.Since(begin); d != 6*time.Second {
			t.Errorf("three requests took %v", d)
		}
	})
}

// TestShutdown answers what was read, and nothing else.
func TestShutdown(t *testing.T) {
	h := newHeld()
	o := Options{Handler: h}
	bubble(t, o, func(t *testing.T, s *Server, l *pipeListener) {
		idle, busy, partial := l.dial(t), l.dial(t), l.dial(t)
		busy.send(request(0, 8, 1, nil))
		busy.send(request(0, 8, 2, nil))
		partial.send(request(0, 8, 1, make([]byte, 100))[:50])
		requests := h.take(2)
		ended := make(chan error, 1)
		go func() { ended <- s.Shutdown(context.Background()) }()
		within(t, "idle", closesAfter(t, idle), 0, 0)
		within(t, "partial", closesAfter(t, partial), 0, 0)
		synctest.Wait()
		select {
		case err := <-ended:
			t.Fatalf("shut down with requests in flight: %v", err)
		default:
		}
		requests[1].Respond(Response{Buffers: body("two")})
		requests[0].Respond(Response{Buffers: body("one")})
		busy.expect(1, []byte("one"))
		busy.expect(2, []byte("two"))
		within(t, "busy", closesAfter(t, busy), 0, 0)
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	// A request that is never answered ends with the context.
	bubble(t, o, func(t *testing.T, s *Server, l *pipeListener) {
		c := l.dial(t)
		c.send(request(0, 8, 1, nil))
		r := h.take(1)[0]
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		if err := s.Shutdown(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
		done := false
		r.Respond(Response{Done: func() { done = true }})
		if !done {
			t.Error("a reply to a closed connection is not done")
		}
	})
}

// pass lets virtual time pass.
func pass(d time.Duration) { <-time.After(d) }
