package main

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"

	"github.com/tidelinehq/tideline/broker/config"
)

// fakeNode stands in for a broker.
type fakeNode struct {
	startErr, waitErr, stopErr error
	started                    func()
	stopped                    chan struct{}
}

func (n *fakeNode) Start(ctx context.Context) error {
	if n.started != nil {
		n.started()
	}
	if n.startErr != nil {
		return n.startErr
	}
	return ctx.Err()
}
func (n *fakeNode) Addresses() (kafka, http string) { return "127.0.0.1:1", "127.0.0.1:2" }
func (n *fakeNode) Wait() error {
	if n.waitErr == nil {
		<-n.stopped
	}
	return n.waitErr
}

func (n *fakeNode) Stop(context.Context) error {
	close(n.stopped)
	return n.stopErr
}

// whenReady calls a function when the ready line was written.
type whenReady struct {
	bytes.Buffer
	then func()
}

func (w *whenReady) Write(b []byte) (int, error) {
	defer w.then()
	return w.Buffer.Write(b)
}

func TestServe(t *testing.T) {
	for name, test := range map[string]struct {
		args   []string
		node   *fakeNode
		signal string // when the signal comes: ready or starting
		status int
		stdout string
		stderr string
	}{
		"stops in order":      {[]string{"dev"}, &fakeNode{}, "ready", 0, "ready kafka=127.0.0.1:1 http=127.0.0.1:2\n", "stopping"},
		"stop fails":          {[]string{"dev"}, &fakeNode{stopErr: errors.New("disk gone")}, "ready", 1, "ready kafka=127.0.0.1:1 http=127.0.0.1:2\n", "tideline: stop: disk gone\n"},
		"start fails":         {[]string{"dev"}, &fakeNode{startErr: errors.New("port taken")}, "", 1, "", "tideline: port taken\n"},
		"stopped at start":    {[]string{"dev"}, &fakeNode{}, "starting", 0, "", ""},
		"fails while serving": {[]string{"dev"}, &fakeNode{waitErr: errors.New("fsync failed")}, "", 1, "ready kafka=127.0.0.1:1 http=127.0.0.1:2\n", "tideline: fsync failed\n"},
		"server":              {[]string{"server", "--set", "data.dir=d"}, &fakeNode{}, "ready", 0, "ready kafka=127.0.0.1:1 http=127.0.0.1:2\n", ""},
		"no data.dir":         {[]string{"server"}, &fakeNode{}, "", 1, "", "data.dir"},
		"no such file":        {[]string{"server", "--config", "/none.yaml"}, &fakeNode{}, "", 1, "", "/none.yaml"},
		"bad setting":         {[]string{"dev", "--set", "wal.sink=always"}, &fakeNode{}, "", 1, "", "did you mean wal.sync?"},
		"extra argument":      {[]string{"server", "tideline.yaml"}, &fakeNode{}, "", 2, "", "--help"},
	} {
		t.Run(name, func(t *testing.T) {
			ctx, signal := context.WithCancel(context.Background())
			defer signal()
			test.node.stopped = make(chan struct{})
			stdout := &whenReady{then: func() {}}
			switch test.signal {
			case "ready":
				stdout.then = signal
			case "starting":
				test.node.started = signal
			}
			var stderr bytes.Buffer
			p := &program{
				stdout: stdout, stderr: &stderr,
				environ: []string{"TIDELINE_LISTENERS=PLAINTEXT://127.0.0.1:0"},
				newNode: func(*config.Config, *slog.Logger) (node, error) { return test.node, nil },
			}
			if status := p.run(ctx, test.args); status != test.status {
				t.Errorf("status %d: %s", status, stderr.String())
			}
			if stdout.String() != test.stdout || !strings.Contains(stderr.String(), test.stderr) {
				t.Errorf("stdout %q, stderr %q", stdout.String(), stderr.String())
			}
		})
	}
}

// A flag of dev that was given stands above the environment, its default below.
func TestDevLayers(t *testing.T) {
	var got *config.Config
	run := func(args ...string) *config.Config {
		t.Helper()
		p := &program{
			stdout: &bytes.Buffer{}, stderr: &bytes.Buffer{},
			environ: []string{"TIDELINE_HTTP_LISTENER=127.0.0.1:7", "TIDELINE_DATA_DIR=/from/environment"},
			newNode: func(cfg *config.Config, _ *slog.Logger) (node, error) {
				got = cfg
				return nil, errors.New("enough")
			},
		}
		if status := p.run(context.Background(), args); status != 1 {
			t.Fatalf("status %d", status)
		}
		return got
	}
	c := run("dev", "--listen", "127.0.0.1:5", "--data-dir", "/from/flag")
	if c.DataDir != "/from/flag" || c.Listeners[0].Address() != "127.0.0.1:5" || c.HTTPListener != "127.0.0.1:7" || c.ObjectStore != "file:///from/flag/objects" {
		t.Errorf("dir %s, listeners %v, http %s, object store %s", c.DataDir, c.Listeners, c.HTTPListener, c.ObjectStore)
	}
	if c = run("dev"); c.DataDir != "/from/environment" || c.Listeners[0].Address() != "127.0.0.1:9092" {
		t.Errorf("dir %s, listeners %v", c.DataDir, c.Listeners)
	}
}
