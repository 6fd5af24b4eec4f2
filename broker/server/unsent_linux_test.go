package server

import (
	"net"
	"testing"

	"golang.org/x/sys/unix"
)

// tellingListener hands on what it accepts.
type tellingListener struct {
	net.Listener
	accepted chan *net.TCPConn
}

func (l tellingListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if tcp, ok := c.(*net.TCPConn); ok {
		l.accepted <- tcp
	}
	return c, err
}

func TestTheKernelKeepsLittle(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	telling := tellingListener{listener, make(chan *net.TCPConn, 1)}
	startOn(t, telling, Options{Handler: echo}, ListenerOptions{Name: "test"})
	c := dial(t, listener.Addr().String())
	c.send(request(0, 8, 1, []byte("b")))
	c.expect(1, []byte("b")) // the options are set by now
	raw, err := (<-telling.accepted).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	got := 0
	if cerr := raw.Control(func(fd uintptr) { got, err = unix.GetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_NOTSENT_LOWAT) }); cerr != nil || err != nil {
		t.Fatal(cerr, err)
	}
	if got != unsentBytes {
		t.Errorf("the kernel keeps %d unsent bytes, want %d", got, unsentBytes)
	}
}
