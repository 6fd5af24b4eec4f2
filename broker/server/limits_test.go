package server

import (
	"encoding/binary"
	"net"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// knock is a handler that takes a request of key 17 for a proof.
var knock = handlerFunc(func(r *Request) {
	if r.Key == 17 {
		r.Conn.SetAuthenticated()
	}
	echo(r)
})

// strangers runs f with a server on pipes, whose clients have to prove who they are, in virtual time.
func strangers(t *testing.T, o Options, lo ListenerOptions, f func(t *testing.T, s *Server, l *pipeListener)) {
	synctest.Test(t, func(t *testing.T) {
		s, err := New(o)
		if err != nil {
			t.Fatal(err)
		}
		l := newPipeListener()
		served := make(chan error, 1)
		go func() { served <- s.Serve(l, lo) }()
		f(t, s, l)
		if err := s.Shutdown(t.Context()); err != nil {
			t.Error(err)
		}
		<-served
		if n := s.Unauthenticated(); n != 0 {
			t.Errorf("%d strangers left", n)
		}
	})
}

// TestAuthenticationTimeout: whatever a stranger says, its time is over at once for all; a client that has proved who it is has no such time.
func TestAuthenticationTimeout(t *testing.T) {
	o := Options{Handler: knock, AuthenticationTimeout: 20 * time.Second}
	strangers(t, o, ListenerOptions{Name: "pipe", NeedsAuthentication: true}, func(t *testing.T, s *Server, l *pipeListener) {
		known := l.dial(t)
		known.send(request(17, 1, 1, nil))
		known.expect(1, nil)
		begin := time.Now()
		c := l.dial(t)
		for i := range int32(18) {
			c.send(request(18, 0, i, nil))
			c.expect(i, nil)
			pass(time.Second)
		}
		closesAfter(t, c)
		within(t, "stranger", time.Since(begin), 20*time.Second, 26*time.Second)
		synctest.Wait() // the end is seen before it is counted
		if n := s.Unauthenticated(); n != 0 {
			t.Errorf("%d strangers", n)
		}
		known.send(request(18, 0, 2, nil))
		known.expect(2, nil)
	})
}

// TestUnauthenticatedFrame bounds what a stranger may send, and no more than that.
func TestUnauthenticatedFrame(t *testing.T) {
	o := Options{Handler: knock, MaxUnauthenticatedBytes: 1000}
	strangers(t, o, ListenerOptions{Name: "pipe", NeedsAuthentication: true}, func(t *testing.T, _ *Server, l *pipeListener) {
		c := l.dial(t)
		c.send(binary.BigEndian.AppendUint32(nil, 1001))
		within(t, "great frame", closesAfter(t, c), 0, 0)

		c = l.dial(t)
		c.send(request(17, 1, 1, nil))
		c.expect(1, nil)
		c.send(request(18, 0, 2, make([]byte, 5000)))
		c.expect(2, make([]byte, 5000))
	})
}

// TestStrangersMakeRoom: the one that takes longest goes, and no client that has proved who it is.
func TestStrangersMakeRoom(t *testing.T) {
	reg := prometheus.NewRegistry()
	o := Options{Handler: knock, Registerer: reg, Limits: &Limits{Connections: 100, PerIP: 100, Unauthenticated: 3}}
	strangers(t, o, ListenerOptions{Name: "pipe", NeedsAuthentication: true}, func(t *testing.T, s *Server, l *pipeListener) {
		known := l.dial(t)
		known.send(request(17, 1, 1, nil))
		known.expect(1, nil)
		var waiting []*client
		for range 5 {
			waiting = append(waiting, l.dial(t))
			synctest.Wait()
		}
		for _, c := range waiting[:2] {
			within(t, "crowded out", closesAfter(t, c), 0, 0)
		}
		waiting[2].send(request(17, 1, 7, nil))
		waiting[2].expect(7, nil)
		known.send(request(18, 0, 2, nil))
		known.expect(2, nil)
		if n := s.Unauthenticated(); n != 2 {
			t.Errorf("%d strangers", n)
		}
	})
}

// TestUpgradeIsAProof: where nothing else is asked for, whoever has shaken hands is no stranger.
func TestUpgradeIsAProof(t *testing.T) {
	o := Options{Handler: echo, AuthenticationTimeout: 10 * time.Second, FrameTimeout: 100 * time.Second}
	up := func(conn net.Conn) (net.Conn, error) {
		_, err := conn.Read(make([]byte, 1))
		return conn, err
	}
	strangers(t, o, ListenerOptions{Name: "pipe", Upgrade: up}, func(t *testing.T, _ *Server, l *pipeListener) {
		silent := l.dial(t)
		within(t, "silent", closesAfter(t, silent), 10*time.Second, 14*time.Second)
		c := l.dial(t)
		c.send([]byte{1})
		pass(time.Minute)
		c.send(request(18, 0, 2, nil))
		c.expect(2, nil)
	})
}

// TestLimitsByListenerAndAddress: each has its own, and they change while the server runs.
func TestLimitsByListenerAndAddress(t *testing.T) {
	home := netip.MustParseAddr("127.0.0.1")
	s, addr := startTCP(t, Options{Handler: echo, Limits: &Limits{Connections: 100, PerIP: 0, PerIPOf: map[netip.Addr]int{home: 2}}})
	var open []*client
	meet := func(want bool) {
		t.Helper()
		c := dial(t, addr)
		if !want {
			c.expectEnd()
			return
		}
		c.send(request(0, 8, 1, nil))
		c.expect(1, nil)
		open = append(open, c)
	}
	meet(true)
	meet(true)
	meet(false)
	s.SetLimits(Limits{Connections: 100, PerIP: 100, PerListener: map[string]int{"test": 3}})
	meet(true)
	meet(false)
	s.SetLimits(Limits{Connections: 100, PerIP: 100, PerListener: map[string]int{"other": 0}})
	meet(true)
	for i, c := range open {
		c.send(request(0, 8, int32(i), nil))
		c.expect(int32(i), nil)
	}
}

// TestConnectionRate: a listener that takes too many takes the next one later; an address that makes too many is held and closed.
func TestConnectionRate(t *testing.T) {
	var waits, refuses time.Duration
	reg := prometheus.NewRegistry()
	o := Options{Handler: echo, Registerer: reg, Connect: func(listener string, _ netip.Addr, _ time.Time) (wait, refuse time.Duration) {
		if listener != "pipe" {
			t.Errorf("listener %q", listener)
		}
		return waits, refuses
	}}
	strangers(t, o, ListenerOptions{Name: "pipe"}, func(t *testing.T, _ *Server, l *pipeListener) {
		waits = 3 * time.Second
		begin := time.Now()
		for i := range int32(3) {
			c := l.dial(t)
			c.send(request(0, 8, i, nil))
			c.expect(i, nil)
		}
		if d := time.Since(begin); d != 9*time.Second {
			t.Errorf("three connections took %v", d)
		}
		waits, refuses = 0, 5*time.Second
		c := l.dial(t)
		within(t, "held", closesAfter(t, c), 4*time.Second, 7*time.Second)
		for range maxHeld + 1 {
			c = l.dial(t)
		}
		within(t, "one too many to hold", closesAfter(t, c), 0, 0)
		l.dial(t) // is closed by the end
	})
	if n := counted(t, reg, "tideline_server_connections_paced_total"); n != 3 {
		t.Errorf("%v paced", n)
	}
}

// TestMutedIsNotRead: what a muted client sends stays where it is, and the connection does not count as idle for a mute that is shorter than that.
func TestMutedIsNotRead(t *testing.T) {
	var handled atomic.Int32
	h := handlerFunc(func(r *Request) {
		handled.Add(1)
		r.Conn.Mute(30 * time.Second)
		r.Respond(Response{})
	})
	bubble(t, Options{Handler: h, IdleTimeout: time.Minute}, func(t *testing.T, _ *Server, l *pipeListener) {
		c := l.dial(t)
		c.send(request(0, 8, 1, nil))
		c.expect(1, nil)
		sent := make(chan struct{})
		go func() { c.send(request(0, 8, 2, nil)); close(sent) }()
		pass(29 * time.Second)
		select {
		case <-sent:
			t.Error("a muted connection was read")
		default:
		}
		if n := handled.Load(); n != 1 {
			t.Errorf("%d requests handled", n)
		}
		<-sent
		c.expect(2, nil)
	})
	h = handlerFunc(func(r *Request) {
		r.Conn.Mute(time.Hour)
		r.Respond(Response{})
	})
	bubble(t, Options{Handler: h, IdleTimeout: time.Minute}, func(t *testing.T, _ *Server, l *pipeListener) {
		c := l.dial(t)
		c.send(request(0, 8, 1, nil))
		c.expect(1, nil)
		within(t, "muted for longer than it may be idle", closesAfter(t, c), time.Minute, time.Minute+4*time.Second)
	})
}

func TestUnauthenticatedIsLogged(t *testing.T) {
	var log lines
	l := newPipeListener()
	startOn(t, l, Options{Handler: echo, Logger: log.logger(), MaxUnauthenticatedBytes: 100}, ListenerOptions{Name: "pipe", NeedsAuthentication: true})
	c := l.dial(t)
	c.send(binary.BigEndian.AppendUint32(nil, 101))
	closesAfter(t, c)
	if !strings.Contains(log.String(), "authenticated=false") {
		t.Errorf("log %q", log.String())
	}
}

// TestStrangersHaveALane: what strangers announce and do not send holds up nobody who has proved who he is.
func TestStrangersHaveALane(t *testing.T) {
	o := Options{Handler: knock, QueuedBytes: 4 << 20, MaxUnauthenticatedBytes: 512 << 10}
	strangers(t, o, ListenerOptions{Name: "pipe", NeedsAuthentication: true}, func(t *testing.T, _ *Server, l *pipeListener) {
		known := l.dial(t)
		known.send(request(17, 1, 1, nil))
		known.expect(1, nil)
		for range 20 {
			l.dial(t).send(append(binary.BigEndian.AppendUint32(nil, 500<<10), request(17, 1, 1, nil)[4:]...))
		}
		begin := time.Now()
		known.send(request(18, 0, 2, make([]byte, 200_000)))
		known.expect(2, make([]byte, 200_000))
		if d := time.Since(begin); d != 0 {
			t.Errorf("a known client waited for %v", d)
		}
	})
}

// TestSlowFramesMakeWay: clients that announce great frames and send them as slowly as they may go once others wait, and not before.
func TestSlowFramesMakeWay(t *testing.T) {
	o := Options{Handler: echo, QueuedBytes: 4 << 20, MinFrameRate: 1000, FrameTimeout: 30 * time.Second}
	bubble(t, o, func(t *testing.T, _ *Server, l *pipeListener) {
		var slow []*client
		for range 3 {
			c := l.dial(t)
			c.send(append(binary.BigEndian.AppendUint32(nil, 900_000), request(0, 8, 1, nil)[4:]...))
			slow = append(slow, c)
			pass(time.Second)
		}
		trickle := func(d time.Duration) {
			for range d / time.Second {
				for _, c := range slow {
					_, _ = c.Write(make([]byte, 2000)) // those that were closed take nothing
				}
				pass(time.Second)
			}
		}
		trickle(time.Minute)
		begin := time.Now()
		answered := make(chan time.Duration, 1)
		go func() {
			c := l.dial(t)
			c.send(request(0, 8, 7, make([]byte, 600_000)))
			c.expect(7, make([]byte, 600_000))
			answered <- time.Since(begin)
		}()
		trickle(10 * time.Second)
		select {
		case d := <-answered:
			if d > 5*time.Second {
				t.Errorf("answered after %v", d)
			}
		default:
			t.Error("slow clients keep others out")
		}
		if _, err := slow[2].Write([]byte{0}); err != nil {
			t.Errorf("one that was not in the way is gone: %v", err)
		}
		for _, c := range slow {
			c.Close()
		}
	})
}
