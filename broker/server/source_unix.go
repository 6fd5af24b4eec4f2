//go:build unix

package server

import (
	"io"
	"net"
	"os"
	"syscall"
)

// source reads chunks. From a socket it takes its buffer only when there is
// something to read, so that an idle connection holds none; from any other
// connection, such as TLS, it reads into a small buffer of its own.
type source struct {
	conn net.Conn
	raw  syscall.RawConn

	// Of the read at hand.
	attempt func(fd uintptr) bool
	chunk   *chunk
	n       int
	err     error

	own []byte
}

// ownBytes is the buffer of a connection that cannot be polled.
const ownBytes = 4 << 10

func (s *source) init(conn net.Conn) {
	s.conn = conn
	if sc, ok := conn.(syscall.Conn); ok {
		if raw, err := sc.SyscallConn(); err == nil {
			s.raw, s.attempt = raw, s.tryRead
			return
		}
	}
	s.own = make([]byte, ownBytes)
}

// read waits for bytes and returns some; release is due before the next read.
func (s *source) read() ([]byte, error) {
	if s.raw == nil {
		n, err := s.conn.Read(s.own)
		if n > 0 {
			return s.own[:n], nil
		}
		return nil, err
	}
	s.n, s.err = 0, nil
	if err := s.raw.Read(s.attempt); err != nil {
		return nil, err
	}
	if s.err != nil {
		return nil, s.err
	}
	return s.chunk.b[:s.n], nil
}

// tryRead reads if that needs no waiting; false asks to be called again when
// the socket is readable.
func (s *source) tryRead(fd uintptr) bool {
	s.chunk = chunkPool.Get().(*chunk)
	for {
		n, err := syscall.Read(int(fd), s.chunk.b[:])
		switch {
		case err == syscall.EINTR:
			continue
		case n > 0:
			s.n = n
			return true
		}
		s.release()
		switch {
		case err == syscall.EAGAIN:
			return false
		case err != nil:
			s.err = os.NewSyscallError("read", err)
		default:
			s.err = io.EOF
		}
		return true
	}
}

// release gives the chunk back to its pool.
func (s *source) release() {
	if s.chunk != nil {
		chunkPool.Put(s.chunk)
		s.chunk = nil
	}
}

// canTryWrite reports whether tryWrite can do anything: not on connections that
// are no sockets, such as TLS.
func (s *source) canTryWrite() bool { return s.raw != nil }

// tryWrite writes as much as the socket takes without waiting. It may be called
// while another goroutine reads.
func (s *source) tryWrite(b []byte) (n int, err error) {
	werr := s.raw.Write(func(fd uintptr) bool {
		for {
			n, err = syscall.Write(int(fd), b)
			if err != syscall.EINTR {
				return true
			}
		}
	})
	switch {
	case werr != nil:
		return 0, werr
	case err == syscall.EAGAIN:
		return 0, nil
	case err != nil:
		return 0, os.NewSyscallError("write", err)
	}
	return n, nil
}
