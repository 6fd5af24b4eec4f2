package quorum

import (
	"fmt"
	"net"
	"time"
)

// StreamLayer carries the group's connections. The broker passes one when
// replication shares the rpc listener, or when connections are TLS.
type StreamLayer interface {
	net.Listener
	// Dial opens a connection to a member, and to nobody else who may have its
	// address now, as far as it can tell.
	Dial(m Member, timeout time.Duration) (net.Conn, error)
}

// ListenTCP returns a plain StreamLayer on a host:port.
func ListenTCP(address string) (StreamLayer, error) {
	l, err := net.Listen("tcp", address)
	if err != nil {
		return nil, fmt.Errorf("listen for metadata: %w", err)
	}
	return tcpStream{l}, nil
}

type tcpStream struct{ net.Listener }

func (tcpStream) Dial(m Member, timeout time.Duration) (net.Conn, error) {
	return net.DialTimeout("tcp", m.Address, timeout)
}

// raftStream is a StreamLayer in the form that raft wants.
type raftStream struct {
	StreamLayer
	advertised net.Addr
}

// Addr returns the address that other members dial.
func (s raftStream) Addr() net.Addr {
	if s.advertised != nil {
		return s.advertised
	}
	return s.StreamLayer.Addr()
}

// address is a net.Addr that was given as text; names are kept as they are.
type address string

func (a address) Network() string { return "tcp" }
func (a address) String() string  { return string(a) }
