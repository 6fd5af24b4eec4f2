//go:build unix

package hostile

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/tidelinehq/tideline/broker/wire"
)

// idlers is the variable that makes the test binary a client with many
// connections: a process of its own, since both ends of ten thousand connections
// are more than one process may have open.
const idlers = "HOSTILE_IDLERS"

const (
	// idleConnections are opened where the limit of open files allows it.
	idleConnections = 10_000
	// idleBytes bounds what one idle connection costs, stacks and all.
	idleBytes = 16 << 10
)

func TestMain(m *testing.M) {
	if spec := os.Getenv(idlers); spec != "" {
		if err := idle(spec); err != nil {
			fmt.Println("failed:", err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// idle opens connections, sends a request on each, reads the reply, and then does
// nothing until its input ends. spec is "number address".
func idle(spec string) error {
	count, addr, _ := strings.Cut(spec, " ")
	n, err := strconv.Atoi(count)
	if err != nil {
		return err
	}
	conns := make([]net.Conn, n)
	errs := make(chan error, 1)
	var wait sync.WaitGroup
	const dialers = 16
	for d := range dialers {
		wait.Add(1)
		go func() {
			defer wait.Done()
			for i := d; i < n; i += dialers {
				c, err := net.Dial("tcp", addr)
				if err == nil {
					conns[i] = c
					err = ask(c)
				}
				if err != nil {
					select {
					case errs <- fmt.Errorf("connection %d: %w", i, err):
					default:
					}
					return
				}
			}
		}()
	}
	wait.Wait()
	select {
	case err := <-errs:
		return err
	default:
	}
	fmt.Println("ready")
	if _, err := io.Copy(io.Discard, os.Stdin); err != nil {
		return err
	}
	alive := 0
	for _, c := range conns {
		if ask(c) == nil {
			alive++
		}
	}
	fmt.Println("alive", alive)
	return nil
}

// ask sends ApiVersions and reads the reply.
func ask(c net.Conn) error {
	if _, err := c.Write(frame(wire.KeyApiVersions, 0, 1, nil)); err != nil {
		return err
	}
	var size [4]byte
	if _, err := io.ReadFull(c, size[:]); err != nil {
		return err
	}
	_, err := io.CopyN(io.Discard, c, int64(size[2])<<8|int64(size[3]))
	return err
}

// TestIdleConnections: ten thousand connections on which nothing happens cost
// little, keep nobody from working, and work when they are used again.
func TestIdleConnections(t *testing.T) {
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	// The runtime raised the soft limit to the hard one; the child has its own.
	connections := min(idleConnections, int(min(limit.Max, 1<<20))-1000)
	n := start(t)
	before := heapInUse()

	ctx, cancel := context.WithTimeout(context.Background(), 4*patience)
	defer cancel()
	child := exec.CommandContext(ctx, os.Args[0])
	child.Env = append(os.Environ(), fmt.Sprintf("%s=%d %s", idlers, connections, n.addr))
	child.Stderr = os.Stderr
	stdin, err := child.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(stdout)
	if !lines.Scan() || lines.Text() != "ready" {
		t.Fatalf("the connections do not come up: %q %v", lines.Text(), lines.Err())
	}
	if open := n.metric(t, "tideline_server_connections"); int(open) < connections {
		t.Errorf("open connections=%v, want %d", open, connections)
	}
	cost := (int64(heapInUse()) - int64(before)) / int64(connections)
	t.Logf("connections=%d, each costs %d bytes of heap and stack", connections, cost)
	if cost > idleBytes {
		t.Errorf("an idle connection costs %d bytes", cost)
	}
	n.heap += uint64(connections) * idleBytes
	n.wellAfter(t, "idle connections")

	if err := stdin.Close(); err != nil {
		t.Fatal(err)
	}
	if want := fmt.Sprint("alive ", connections); !lines.Scan() || lines.Text() != want {
		t.Errorf("%q, want %q", lines.Text(), want)
	}
	if err := child.Wait(); err != nil {
		t.Error(err)
	}
}
