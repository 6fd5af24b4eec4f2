package server

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"math/big"
	"net"
	"runtime"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/tidelinehq/tideline/broker/security"
)

// TestCloseInFlight has the peer leave with requests unanswered: their replies
// are done all the same, and nothing is left behind.
func TestCloseInFlight(t *testing.T) {
	h := newHeld()
	s, addr := startTCP(t, Options{Handler: h})
	c := dial(t, addr)
	for i := range int32(3) {
		c.send(request(0, 8, i, []byte("body")))
	}
	requests := h.take(3)
	conn := requests[0].Conn
	closed := make(chan struct{})
	conn.OnClose(func() { close(closed) })
	alice := &security.Principal{Type: security.UserType, Name: "alice"}
	conn.SetPrincipal(alice)
	if conn.Principal() != alice || conn.Listener() != "test" || conn.RemoteAddr().String() != c.LocalAddr().String() || conn.LocalAddr().String() != addr {
		t.Error("attributes of the connection")
	}
	gone := make(chan int, 4)
	for i, r := range requests {
		r.WhenGone(func() { gone <- -1 })
		r.WhenGone(func() { gone <- i }) // in place of the one before
	}
	var wg sync.WaitGroup
	wg.Add(3)
	requests[2].Respond(Response{Buffers: body("waits"), Done: wg.Done}) // in the line when the peer leaves
	c.Close()
	<-closed
	<-conn.Done()
	if a, b := <-gone, <-gone; a+b != 1 || a*b != 0 { // not of the one that was answered
		t.Errorf("gone: %d and %d", a, b)
	}
	requests[0].WhenGone(func() { gone <- 7 })
	if late := <-gone; late != 7 {
		t.Errorf("gone: %d", late)
	}
	requests[0].Retain()
	kept := requests[0].Body
	requests[0].Respond(Response{Buffers: body("late"), Done: wg.Done})
	requests[1].Respond(Response{None: true, Done: wg.Done})
	wg.Wait()
	if string(kept) != "body" || s.admission.used() == 0 {
		t.Error("a retained body is gone")
	}
	requests[0].Release()
	again := make(chan struct{})
	conn.OnClose(func() { close(again) })
	<-again
	if n := s.Connections(); n != 0 {
		t.Errorf("%d connections", n)
	}
}

func TestSecondReplyPanics(t *testing.T) {
	h := newHeld()
	_, addr := startTCP(t, Options{Handler: h})
	c := dial(t, addr)
	c.send(request(0, 8, 1, nil))
	c.send(request(0, 8, 2, nil))
	r := h.take(2)
	defer func() {
		if recover() == nil {
			t.Error("no panic")
		}
		r[0].Respond(Response{})
		c.expect(1, nil)
		c.expect(2, nil)
	}()
	r[1].Respond(Response{})
	r[1].Respond(Response{})
}

// TestLateAfterPanic answers a request whose handler passed it on and panicked.
func TestLateAfterPanic(t *testing.T) {
	passed := make(chan *Request, 1)
	h := handlerFunc(func(r *Request) {
		r.Retain()
		passed <- r
		panic("passed on")
	})
	_, addr := startTCP(t, Options{Handler: h})
	c := dial(t, addr)
	c.send(request(0, 8, 1, []byte("body")))
	c.expectEnd()
	r := <-passed
	done := false
	r.Respond(Response{Done: func() { done = true }})
	if string(r.Body) != "body" || !done {
		t.Error("the late reply")
	}
	r.Release()
}

// TestShutdownTCP wakes readers that wait in the poller.
func TestShutdownTCP(t *testing.T) {
	h := newHeld()
	s, addr := startTCP(t, Options{Handler: h})
	idle, busy := dial(t, addr), dial(t, addr)
	for _, c := range []*client{idle, busy} {
		c.send(request(0, 8, 1, nil))
		h.take(1)[0].Respond(Response{})
		c.expect(1, nil)
	}
	busy.send(request(0, 8, 2, nil))
	r := h.take(1)[0]
	ended := make(chan error, 1)
	go func() { ended <- s.Shutdown(context.Background()) }()
	idle.expectEnd()
	r.Respond(Response{Buffers: body("answered")})
	busy.expect(2, []byte("answered"))
	busy.expectEnd()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if c, err := net.Dial("tcp", addr); err == nil {
		c.Close()
		t.Error("accepts after the shutdown")
	}
}

// descriptors is how many connections of both ends a test may open.
func descriptors(t *testing.T, want int) int {
	t.Helper()
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	limit.Cur = limit.Max
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	return min(want, int(limit.Max-100)/2)
}

// TestIdleConnections measures what 10,000 idle connections hold (fewer where
// the system allows fewer descriptors), each after one request.
func TestIdleConnections(t *testing.T) {
	n := descriptors(t, 10_000)
	s, addr := startTCP(t, Options{Handler: echo, MaxConnections: n})
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	clients := make([]*client, n)
	frame := request(0, 8, 1, make([]byte, 1000))
	for i := range clients {
		clients[i] = dial(t, addr)
		clients[i].send(frame)
		clients[i].receive()
	}
	runtime.GC()
	runtime.GC() // the second empties the pools and shrinks stacks
	runtime.ReadMemStats(&after)
	if s.Connections() != n {
		t.Fatalf("%d connections of %d", s.Connections(), n)
	}
	used := int64(after.HeapInuse+after.StackInuse) - int64(before.HeapInuse+before.StackInuse)
	t.Logf("connections=%d bytes=%d bytes_per_connection=%d goroutines=%d (both ends of the sockets)", n, used, used/int64(n), runtime.NumGoroutine())
	// 7 KiB; the race detector has greater stacks.
	if per := used / int64(n); per > 12<<10 {
		t.Errorf("%d bytes for each idle connection", per)
	}
}

// tlsPair is what a server shows, and what a client of it is to trust.
func tlsPair(t *testing.T) (server, client *tls.Config) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), DNSNames: []string{"broker"}}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(cert)
	return &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}, &tls.Config{RootCAs: roots, ServerName: "broker"}
}

// overTLS are the options of a listener with TLS.
func overTLS(config *tls.Config) ListenerOptions {
	return ListenerOptions{Name: "tls", Upgrade: func(c net.Conn) (net.Conn, error) {
		s := tls.Server(c, config)
		return s, s.Handshake()
	}}
}

// TestShutdownTLS wakes readers that wait within TLS, and has what is under way answered, large
// replies of many buffers included.
func TestShutdownTLS(t *testing.T) {
	server, trust := tlsPair(t)
	h := newHeld()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := startOn(t, l, Options{Handler: h}, overTLS(server))
	var clients []*client
	for range 2 {
		conn, err := tls.Dial("tcp", l.Addr().String(), trust)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		c := &client{t: t, Conn: conn}
		c.send(request(0, 8, 1, nil))
		h.take(1)[0].Respond(Response{})
		c.expect(1, nil)
		clients = append(clients, c)
	}
	idle, busy := clients[0], clients[1]
	busy.send(request(0, 8, 2, nil))
	r := h.take(1)[0]
	ended := make(chan error, 1)
	go func() { ended <- s.Shutdown(context.Background()) }()
	idle.expectEnd()
	var buffers net.Buffers
	var all []byte
	for i := range 40 { // 10 MiB and some, more than a socket takes at once
		b := bytes.Repeat([]byte{byte(i)}, 1+i%3*400_000)
		buffers, all = append(buffers, b), append(all, b...)
	}
	r.Respond(Response{Buffers: buffers})
	busy.expect(2, all)
	busy.expectEnd()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

// TestTLS speaks over a connection that cannot be polled.
func TestTLS(t *testing.T) {
	server, trust := tlsPair(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	startOn(t, l, Options{Handler: echo}, overTLS(server))
	conn, err := tls.Dial("tcp", l.Addr().String(), trust)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	c := &client{t: t, Conn: conn}
	for i, n := range []int{0, 1, 1000, 5000, 300_000} {
		b := bytes.Repeat([]byte("x"), n)
		go func() {
			if _, err := c.Write(request(0, 8, int32(i), b)); err != nil {
				t.Error(err)
			}
		}()
		c.expect(int32(i), b)
	}
	plain := dial(t, l.Addr().String())
	plain.send(request(0, 8, 1, nil))
	if _, err := plain.Read(make([]byte, 100)); err == nil {
		plain.expectEnd()
	}
}
