package quorum

import (
	"fmt"
	"net"
	"time"

	"github.com/hashicorp/raft"
)

// StreamLayer carries the group's connections. The broker passes one when
// replication shares the rpc listener, or when connections are TLS.
type StreamLayer interface {
	net.Listener
	Dial(address string, timeout time.Duration) (net.Conn, error)
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

func (tcpStream) Dial(address string, timeout time.Duration) (net.Conn, error) {
	return net.DialTimeout("tcp", address, timeout)
}

// raftStream is a StreamLayer in the form that raft wants.
type raftStream struct {
	StreamLayer
	advertised net.Addr
}

func (s raftStream) Dial(address raft.ServerAddress, timeout time.Duration) (net.Conn, error) {
	return s.StreamLayer.Dial(string(address), timeout)
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
