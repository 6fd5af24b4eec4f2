//go:build !race

package server

import (
	"net"
	"testing"
)

// The race detector makes pools forget at random, hence the build constraint.

// TestAllocations holds the path of a request to what it promises.
func TestAllocations(t *testing.T) {
	s := start(t, Options{Handler: &reply{buffers: net.Buffers{make([]byte, 52)}}})
	c := &Conn{server: s, raw: discard{}, conn: discard{}, done: make(chan struct{}), room: make(chan struct{}, 1)}
	frame := request(0, 8, 1, make([]byte, 1024))[4:]
	now := s.options.Now()
	if n := testing.AllocsPerRun(1000, func() {
		if err := c.frame(len(frame), frame, now); err != nil {
			t.Fatal(err)
		}
		c.flush()
	}); n > 0.2 {
		t.Errorf("%v allocations for each request", n)
	}
}
