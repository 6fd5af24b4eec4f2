package inprocess

import (
	"bytes"
	"context"
	"log/slog"
	"maps"
	"sync"
	"testing"
	"time"

	"github.com/tidelinehq/tideline/broker"
	"github.com/tidelinehq/tideline/broker/config"
)

// stopTimeout bounds a graceful stop.
const stopTimeout = 60 * time.Second

// logBytes is how much of the log's newest end is shown when the test fails, at the least.
const logBytes = 256 << 10

// tail keeps the newest bytes. The node's goroutines write to it side by side.
type tail struct {
	mu      sync.Mutex
	content bytes.Buffer // guarded by mu
}

func (t *tail) Write(b []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.content.Len() > 2*logBytes {
		t.content.Next(t.content.Len() - logBytes)
	}
	return t.content.Write(b)
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.content.String()
}

// Start runs a broker inside the test process on ports that the system chooses, and stops it with the test. settings are those of
// a configuration file; data.dir is a temporary one unless it is given. It returns the addresses of Kafka and of the admin API.
func Start(tb testing.TB, settings map[string]string) (kafka, http string) {
	tb.Helper()
	n := newNode(tb, settings)
	if err := n.start(); err != nil {
		tb.Fatalf("start broker: %v", err)
	}
	return n.b.Addresses()
}

// node is a broker that can be stopped and started again. Its methods must not be called at the same time.
type node struct {
	settings map[string]string
	log      tail
	b        *broker.Broker // nil: stopped
}

// newNode is one that does not run yet, and is stopped with the test.
func newNode(tb testing.TB, settings map[string]string) *node {
	tb.Helper()
	n := &node{settings: map[string]string{"listeners": "PLAINTEXT://127.0.0.1:0", "http.listener": "127.0.0.1:0"}}
	maps.Copy(n.settings, settings)
	if n.settings["data.dir"] == "" {
		n.settings["data.dir"] = tb.TempDir()
	}
	tb.Cleanup(func() {
		if err := n.stop(); err != nil {
			tb.Errorf("stop broker: %v", err)
		}
		if tb.Failed() {
			tb.Logf("log of the broker listeners=%s:\n%s", n.settings["listeners"], &n.log)
		}
	})
	return n
}

func (n *node) start() error {
	var set []string
	for key, value := range n.settings {
		set = append(set, key+"="+value)
	}
	cfg, err := config.Load(config.Sources{Set: set, Machine: config.ThisMachine()})
	if err != nil {
		return err
	}
	b, err := broker.New(cfg, slog.New(slog.NewTextHandler(&n.log, nil)), nil)
	if err != nil {
		return err
	}
	if err := b.Start(context.Background()); err != nil {
		return err
	}
	n.b = b
	return nil
}

// stop ends a broker in order. One that does not run stays so.
func (n *node) stop() error {
	b := n.b
	if b == nil {
		return nil
	}
	n.b = nil
	ctx, cancel := context.WithTimeout(context.Background(), stopTimeout)
	defer cancel()
	return b.Stop(ctx)
}
