package memnet_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"os"
	"slices"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tidelinehq/tideline/internal/memnet"
)

// door is a network as those have it who use one.
type door struct {
	listen func(ctx context.Context, address string) (net.Listener, error)
	dial   func(ctx context.Context, address string) (net.Conn, error)
	host   string
}

// TestSuite is what every form of the network must do, the real one included.
func TestSuite(t *testing.T) {
	t.Run("tcp", func(t *testing.T) {
		suite(t, func(*testing.T) door {
			return door{
				listen: func(ctx context.Context, a string) (net.Listener, error) {
					return new(net.ListenConfig).Listen(ctx, "tcp", a)
				},
				dial: func(ctx context.Context, a string) (net.Conn, error) {
					return new(net.Dialer).DialContext(ctx, "tcp", a)
				},
				host: "127.0.0.1",
			}
		}, func(t *testing.T, f func(t *testing.T)) { f(t) })
	})
	t.Run("memory", func(t *testing.T) {
		suite(t, func(t *testing.T) door {
			n := memnet.New(1, memnet.Link{Latency: time.Millisecond, Jitter: time.Millisecond})
			return door{listen: attach(t, n, "10.0.0.1").Listen, dial: attach(t, n, "10.0.0.2").Dial, host: "10.0.0.1"}
		}, synctest.Test)
	})
}

func attach(t *testing.T, n *memnet.Network, ip string) *memnet.Host {
	t.Helper()
	h, err := n.Attach(ip)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func suite(t *testing.T, open func(*testing.T) door, in func(*testing.T, func(*testing.T))) {
	for name, test := range map[string]func(*testing.T, door){
		"bytes in order": testBytes, "end": testEnd, "deadlines": testDeadlines, "refused": testRefused,
		"listener closes": testListenerCloses, "gone reader": testGoneReader, "closed": testClosed, "port in use": testPortInUse,
	} {
		t.Run(name, func(t *testing.T) { in(t, func(t *testing.T) { test(t, open(t)) }) })
	}
}

// pair opens one connection.
func pair(t *testing.T, d door) (client, server net.Conn) {
	t.Helper()
	l, err := d.listen(t.Context(), d.host+":0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	accepted := make(chan net.Conn, 1)
	go func() {
		c, err := l.Accept()
		if err != nil {
			t.Error(err)
		}
		accepted <- c
	}()
	client, err = d.dial(t.Context(), l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	server = <-accepted
	if client.LocalAddr().String() != server.RemoteAddr().String() || client.RemoteAddr().String() != server.LocalAddr().String() {
		t.Errorf("addresses: %v %v, %v %v", client.LocalAddr(), client.RemoteAddr(), server.LocalAddr(), server.RemoteAddr())
	}
	t.Cleanup(func() { _, _ = client.Close(), server.Close() })
	return client, server
}

func testBytes(t *testing.T, d door) {
	a, b := pair(t, d)
	sent := make([]byte, 10<<20) // more than is held on the way
	for i := range sent {
		sent[i] = byte(i * 7 >> 3)
	}
	var work sync.WaitGroup
	for _, c := range [][2]net.Conn{{a, b}, {b, a}} {
		work.Go(func() {
			for part := range slices.Chunk(sent, 70_000) {
				if n, err := c[0].Write(part); err != nil || n != len(part) {
					t.Error(n, err)
					return
				}
			}
		})
		work.Go(func() {
			got := make([]byte, len(sent))
			if _, err := io.ReadFull(c[1], got); err != nil || !bytes.Equal(got, sent) {
				t.Error("other bytes", err)
			}
		})
	}
	work.Wait()
}

func testEnd(t *testing.T, d door) {
	a, b := pair(t, d)
	if _, err := a.Write([]byte("last words")); err != nil {
		t.Fatal(err)
	}
	if err := a.Close(); err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(b); err != nil || string(got) != "last words" {
		t.Fatalf("%q %v", got, err)
	}
}

func testDeadlines(t *testing.T, d door) {
	a, b := pair(t, d)
	timeout := func(err error) bool {
		var n net.Error
		return errors.As(err, &n) && n.Timeout() && errors.Is(err, os.ErrDeadlineExceeded)
	}
	if err := a.SetReadDeadline(time.Now().Add(20 * time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	one := make([]byte, 1)
	if _, err := a.Read(one); !timeout(err) {
		t.Fatal(err)
	}
	if err := a.SetReadDeadline(time.Time{}); err != nil {
		t.Fatal(err)
	}
	if _, err := b.Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	if n, err := a.Read(one); n != 1 || err != nil {
		t.Fatal(n, err)
	}
	// A deadline that is set while somebody waits counts.
	waited := make(chan error)
	go func() {
		_, err := a.Read(one)
		waited <- err
	}()
	if err := a.SetReadDeadline(time.Unix(1, 0)); err != nil {
		t.Fatal(err)
	}
	if err := <-waited; !timeout(err) {
		t.Fatal(err)
	}
	// Nobody reads: the writer ends, too.
	if err := a.SetWriteDeadline(time.Now().Add(50 * time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	if _, err := a.Write(make([]byte, 64<<20)); !timeout(err) {
		t.Fatal(err)
	}
}

func testRefused(t *testing.T, d door) {
	l, err := d.listen(t.Context(), d.host+":0")
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := d.dial(t.Context(), l.Addr().String()); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Fatal(err)
	}
}

func testListenerCloses(t *testing.T, d door) {
	l, err := d.listen(t.Context(), d.host+":0")
	if err != nil {
		t.Fatal(err)
	}
	waited := make(chan error)
	go func() {
		_, err := l.Accept()
		waited <- err
	}()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-waited; !errors.Is(err, net.ErrClosed) {
		t.Fatal(err)
	}
	if err := l.Close(); !errors.Is(err, net.ErrClosed) {
		t.Fatal(err)
	}
}

func testGoneReader(t *testing.T, d door) {
	a, b := pair(t, d)
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	for {
		if _, err := a.Write(make([]byte, 1<<10)); err != nil {
			if !errors.Is(err, syscall.EPIPE) && !errors.Is(err, syscall.ECONNRESET) {
				t.Fatal(err)
			}
			return
		}
	}
}

func testClosed(t *testing.T, d door) {
	a, _ := pair(t, d)
	waited := make(chan error)
	go func() {
		_, err := a.Read(make([]byte, 1))
		waited <- err
	}()
	if err := a.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-waited; !errors.Is(err, net.ErrClosed) {
		t.Fatal(err)
	}
	if _, err := a.Write([]byte("x")); !errors.Is(err, net.ErrClosed) {
		t.Fatal(err)
	}
	if err := a.SetDeadline(time.Now()); !errors.Is(err, net.ErrClosed) {
		t.Fatal(err)
	}
}

func testPortInUse(t *testing.T, d door) {
	l, err := d.listen(t.Context(), d.host+":0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	if _, err := d.listen(t.Context(), l.Addr().String()); !errors.Is(err, syscall.EADDRINUSE) {
		t.Fatal(err)
	}
}
