package freeport

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"strconv"
	"sync"
)

// Ports from low up to high: above those of well-known servers, below where Linux (32768) and others (49152) begin with clients.
const low, high = 10000, 32768

// claims are what this process has been given. They are kept, so that the sockets stay open.
var claims struct {
	mu   sync.Mutex
	held []net.PacketConn
}

// Take returns n different addresses of a host, such as 127.0.0.1, on which nobody listens and which nobody else is given as
// long as this process runs. It fails where there are no more, or where the host is not this machine.
func Take(host string, n int) ([]string, error) {
	claims.mu.Lock()
	defer claims.mu.Unlock()
	addrs := make([]string, 0, max(n, 0))
	var last error
	for at, tries := low+rand.IntN(high-low), 0; len(addrs) < n; at, tries = at+1, tries+1 {
		if tries == high-low {
			return nil, fmt.Errorf("freeport: no free port host=%s found=%d of=%d: %w", host, len(addrs), n, last)
		}
		if at == high {
			at = low
		}
		addr := net.JoinHostPort(host, strconv.Itoa(at))
		claim, err := net.ListenPacket("udp", addr)
		if err != nil {
			last = err // claimed by somebody else
			continue
		}
		if err := probe(addr); err != nil {
			last = errors.Join(err, claim.Close())
			continue
		}
		claims.held = append(claims.held, claim)
		addrs = append(addrs, addr)
	}
	return addrs, nil
}

// TB is the part of testing.TB that is needed here.
type TB interface {
	Helper()
	Fatal(args ...any)
}

// ForTest is Take on 127.0.0.1 for a test, which ends where there are none.
func ForTest(t TB, n int) []string {
	t.Helper()
	addrs, err := Take("127.0.0.1", n)
	if err != nil {
		t.Fatal(err)
	}
	return addrs
}

// probe returns an error if somebody listens on an address.
func probe(addr string) error {
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return err
	}
	return l.Close()
}
