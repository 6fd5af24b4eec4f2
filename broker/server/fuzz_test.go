package server

import (
	"context"
	"io"
	"net"
	"testing"

	"github.com/tidelinehq/tideline/broker/wire"
)

// scripted is a connection that yields bytes in pieces and takes all writes.
type scripted struct {
	net.Conn
	in    []byte
	piece int
}

func (s *scripted) Read(p []byte) (int, error) {
	if len(s.in) == 0 {
		return 0, io.EOF
	}
	n := copy(p[:min(len(p), s.piece)], s.in)
	s.in = s.in[n:]
	return n, nil
}

func (s *scripted) Write(p []byte) (int, error) { return len(p), nil }
func (s *scripted) Close() error                { return nil }
func (s *scripted) RemoteAddr() net.Addr        { return &net.UnixAddr{Name: "fuzz", Net: "unix"} }

// FuzzConn feeds arbitrary bytes, cut into reads anyhow, to a connection: no
// panic, no request that the protocol does not have, all memory given back.
func FuzzConn(f *testing.F) {
	two := append(request(0, 8, 1, []byte("body")), request(18, 3, 2, nil)...)
	f.Add(two, uint8(1))
	f.Add(two, uint8(200))
	f.Add(two[:len(two)-3], uint8(50))
	f.Add([]byte("GET / HTTP/1.1\r\n"), uint8(9))
	f.Fuzz(func(t *testing.T, in []byte, piece uint8) {
		h := handlerFunc(func(r *Request) {
			if !wire.KnownKey(r.Key) {
				t.Errorf("key %d", r.Key)
			}
			echo(r)
		})
		s, err := New(Options{Handler: h, MaxRequestBytes: 1 << 20, QueuedBytes: 1 << 16})
		if err != nil {
			t.Fatal(err)
		}
		s.accept(&scripted{in: in, piece: int(piece) + 1}, ListenerOptions{Name: "fuzz"})
		s.goroutines.Wait()
		if err := s.Shutdown(context.Background()); err != nil {
			t.Fatal(err)
		}
		if n, m := s.admission.used(), s.inFlight.Load(); n != 0 || m != 0 {
			t.Fatalf("left behind: %d bytes, %d requests", n, m)
		}
	})
}
