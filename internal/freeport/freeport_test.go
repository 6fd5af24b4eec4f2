package freeport

import (
	"net"
	"os"
	"os/exec"
	"strings"
	"testing"
)

func TestTake(t *testing.T) {
	const n = 50
	addrs, err := Take("127.0.0.1", n)
	if err != nil {
		t.Fatal(err)
	}
	more, err := Take("127.0.0.1", n)
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for _, addr := range append(addrs, more...) {
		if seen[addr] {
			t.Errorf("%s was given twice", addr)
		}
		seen[addr] = true
		for range 2 { // a server may be started again
			l, err := net.Listen("tcp", addr)
			if err != nil {
				t.Fatal(err)
			}
			if err := l.Close(); err != nil {
				t.Error(err)
			}
		}
	}
	if len(seen) != 2*n {
		t.Errorf("got %d addresses, want %d", len(seen), 2*n)
	}
}

// Where somebody listens, or another process was given the address, it is passed over.
func TestTaken(t *testing.T) {
	if addr := os.Getenv("FREEPORT_TAKEN"); addr != "" { // the other process
		if _, err := net.ListenPacket("udp", addr); err == nil {
			t.Error("claimed twice")
		}
		return
	}
	addrs, err := Take("127.0.0.1", 1)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(os.Args[0], "-test.run=^TestTaken$")
	cmd.Env = append(os.Environ(), "FREEPORT_TAKEN="+addrs[0])
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("another process: %v\n%s", err, out)
	}
	l, err := net.Listen("tcp", addrs[0])
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	}()
	if probe(addrs[0]) == nil {
		t.Error("an address on which somebody listens passes for free")
	}
}

func TestNoSuchHost(t *testing.T) {
	if addrs, err := Take("192.0.2.1", 1); err == nil || !strings.Contains(err.Error(), "host=192.0.2.1") {
		t.Errorf("got %v, %v", addrs, err)
	}
}
