//go:build !unix

package server

import "net"

// source reads chunks into a small buffer of its own.
type source struct {
	conn net.Conn
	own  []byte
}

const ownBytes = 4 << 10

func (s *source) init(conn net.Conn) { s.conn, s.own = conn, make([]byte, ownBytes) }

// read waits for bytes and returns some; release is due before the next read.
func (s *source) read() ([]byte, error) {
	n, err := s.conn.Read(s.own)
	if n > 0 {
		return s.own[:n], nil
	}
	return nil, err
}

func (s *source) release() {}

// canTryWrite reports that writing without waiting is not known here.
func (s *source) canTryWrite() bool { return false }

func (s *source) tryWrite([]byte) (int, error) { return 0, nil }
