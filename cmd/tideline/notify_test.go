package main

import (
	"bytes"
	"context"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tidelinehq/tideline/broker/config"
)

// managed runs a broker that is stopped when it is ready, under a service manager that listens on socket.
func managed(t *testing.T, socket string) (stderr string) {
	t.Helper()
	ctx, signal := context.WithCancel(context.Background())
	defer signal()
	var out bytes.Buffer
	p := &program{
		stdout: &whenReady{then: signal}, stderr: &out,
		environ: []string{"TIDELINE_LISTENERS=PLAINTEXT://127.0.0.1:0", "NOTIFY_SOCKET=" + socket},
		newNode: func(*config.Config, *slog.Logger) (node, error) {
			return &fakeNode{stopped: make(chan struct{})}, nil
		},
	}
	if status := p.run(ctx, []string{"dev"}); status != 0 {
		t.Errorf("status %d: %s", status, out.String())
	}
	return out.String()
}

// The service manager hears when the broker serves, and when it begins to stop.
func TestNotify(t *testing.T) {
	dir, err := os.MkdirTemp("", "notify") // the path of a socket is short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	for _, socket := range []string{filepath.Join(dir, "s"), "@" + filepath.Join(dir, "abstract")} {
		manager, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: socket, Net: "unixgram"})
		if err != nil {
			t.Fatal(err)
		}
		managed(t, socket)
		for _, want := range []string{"READY=1\nSTATUS=serving kafka=127.0.0.1:1 http=127.0.0.1:2", "STOPPING=1\nSTATUS=stopping"} {
			b := make([]byte, 1024)
			n, err := manager.Read(b)
			if err != nil {
				t.Fatal(err)
			}
			if string(b[:n]) != want {
				t.Errorf("%s: told %q, want %q", socket, b[:n], want)
			}
		}
		if err := manager.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// A service manager that is not there keeps no broker from serving.
func TestNotifyNobody(t *testing.T) {
	if out := managed(t, filepath.Join(t.TempDir(), "none")); !strings.Contains(out, "nobody learns that it serves") {
		t.Errorf("no warning: %s", out)
	}
	if out := managed(t, "vsock:2:1"); strings.Contains(out, "nobody learns") {
		t.Errorf("a machine's socket was taken for a process's: %s", out)
	}
}
