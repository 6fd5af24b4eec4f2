package lifeline

import (
	"errors"
	"io"
	"net"
	"testing"
)

func TestCut(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	l := New()
	c, err := l.Dial(t.Context(), "tcp", listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	other, err := listener.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	said := false
	l.Cut(func() { said = true })
	if _, err := other.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
		t.Errorf("the broker's end: %v", err)
	}
	if _, err := l.Dial(t.Context(), "tcp", listener.Addr().String()); !errors.Is(err, ErrCut) || !said || !l.IsCut() {
		t.Errorf("dialed again: %v said=%v cut=%v", err, said, l.IsCut())
	}
	if err := c.Close(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("closed again: %v", err)
	}
}
