package memnet_test

import (
	"context"
	"errors"
	"io"
	"net"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tidelinehq/tideline/internal/memnet"
)

// two is a connection from 10.0.0.2 to 10.0.0.1.
type two struct {
	n              *memnet.Network
	client, server net.Conn
	there, here    *memnet.Host
}

const there, here = "10.0.0.1", "10.0.0.2"

func connect(t *testing.T, usual memnet.Link) two {
	t.Helper()
	n := memnet.New(1, usual)
	w := two{n: n, there: attach(t, n, there), here: attach(t, n, here)}
	w.client, w.server = pair(t, door{listen: w.there.Listen, dial: w.here.Dial, host: there})
	return w
}

// arrives sends from a to b and returns how long it took.
func arrives(t *testing.T, a, b net.Conn, size int) time.Duration {
	t.Helper()
	began := time.Now()
	if _, err := a.Write(make([]byte, size)); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(b, make([]byte, size)); err != nil {
		t.Fatal(err)
	}
	return time.Since(began)
}

func TestLatencyAndRate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := connect(t, memnet.Link{Latency: 3 * time.Millisecond})
		if d := arrives(t, w.client, w.server, 10); d != 3*time.Millisecond {
			t.Error(d)
		}
		w.n.SetLink(here, there, memnet.Link{Latency: time.Second, Rate: 1000})
		if d := arrives(t, w.client, w.server, 500); d != 1500*time.Millisecond {
			t.Error(d)
		}
		if d := arrives(t, w.server, w.client, 500); d != 3*time.Millisecond {
			t.Error("the other direction has changed", d)
		}
		w.n.HealAll()
		if d := arrives(t, w.client, w.server, 500); d != 3*time.Millisecond {
			t.Error(d)
		}
	})
}

func TestCutOfOneDirection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := connect(t, memnet.Link{Latency: time.Millisecond})
		w.n.Cut(here, there)
		if w.n.Connected(here, there) || len(w.n.Cuts()) != 1 {
			t.Error("connected")
		}
		time.AfterFunc(5*time.Second, func() { w.n.Heal(here, there) })
		if d := arrives(t, w.server, w.client, 1); d != time.Millisecond {
			t.Error("the other direction is cut", d)
		}
		if d := arrives(t, w.client, w.server, 1); d != 5*time.Second-time.Millisecond {
			t.Error("after the cut", d)
		}
		w.n.Cut(there, here)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := w.here.Dial(ctx, there+":1"); !errors.Is(err, context.DeadlineExceeded) {
			t.Error("dialed through a cut", err)
		}
	})
}

func TestReset(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := connect(t, memnet.Link{})
		w.n.Reset(there, here)
		for _, c := range []net.Conn{w.client, w.server} {
			if _, err := c.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
				t.Error(err)
			}
			if _, err := c.Write(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
				t.Error(err)
			}
		}
		if w.n.Connections(here)+w.n.Connections(there) != 0 {
			t.Error("connections are left")
		}
	})
}

func TestKilledProcess(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := connect(t, memnet.Link{Latency: time.Millisecond})
		w.there.Kill()
		if _, err := w.client.Read(make([]byte, 1)); err != io.EOF && !errors.Is(err, syscall.ECONNRESET) {
			t.Error(err)
		}
		if _, err := w.here.Dial(t.Context(), there+":1"); !errors.Is(err, syscall.ECONNREFUSED) {
			t.Error(err)
		}
		// What it does still is not seen by anybody.
		if _, err := w.server.Write([]byte("x")); !errors.Is(err, net.ErrClosed) {
			t.Error(err)
		}
		if _, err := w.there.Listen(t.Context(), there+":0"); err == nil {
			t.Error("a process that has ended listens")
		}
		if _, err := w.there.Dial(t.Context(), here+":1"); err == nil {
			t.Error("a process that has ended dials")
		}
		attach(t, w.n, there)
		if _, err := w.there.Dial(t.Context(), here+":1"); err == nil {
			t.Error("a process that has ended dials in the name of the next")
		}
	})
}

func TestVanishedMachine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := connect(t, memnet.Link{Latency: time.Millisecond})
		if _, err := w.server.Write([]byte("on its way")); err != nil {
			t.Fatal(err)
		}
		w.there.Vanish()
		if err := w.client.SetReadDeadline(time.Now().Add(time.Hour)); err != nil {
			t.Fatal(err)
		}
		var timeout net.Error
		if n, err := w.client.Read(make([]byte, 100)); !errors.As(err, &timeout) || !timeout.Timeout() {
			t.Error("a machine that vanished spoke", n, err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := w.here.Dial(ctx, there+":1"); !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
		attach(t, w.n, there)
		if _, err := w.client.Write([]byte("x")); !errors.Is(err, syscall.ECONNRESET) {
			t.Error(err)
		}
		if _, err := w.here.Dial(t.Context(), there+":1"); !errors.Is(err, syscall.ECONNREFUSED) {
			t.Error(err)
		}
	})
}

func TestSilentPeerIsNoticed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := connect(t, memnet.Link{})
		w.there.Vanish()
		attach(t, w.n, there)
		began := time.Now()
		if _, err := w.client.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) || time.Since(began) > 15*time.Second {
			t.Error(err, time.Since(began))
		}
	})
}
