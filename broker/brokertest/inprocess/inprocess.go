package inprocess

import (
	"bytes"
	"context"
	"log/slog"
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
	set := []string{"listeners=PLAINTEXT://127.0.0.1:0", "http.listener=127.0.0.1:0"}
	if settings["data.dir"] == "" {
		set = append(set, "data.dir="+tb.TempDir())
	}
	for key, value := range settings {
		set = append(set, key+"="+value)
	}
	cfg, err := config.Load(config.Sources{Set: set, Machine: config.ThisMachine()})
	if err != nil {
		tb.Fatal(err)
	}
	log := &tail{}
	b, err := broker.New(cfg, slog.New(slog.NewTextHandler(log, nil)), nil)
	if err != nil {
		tb.Fatal(err)
	}
	if err := b.Start(context.Background()); err != nil {
		tb.Fatalf("start broker: %v", err)
	}
	tb.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), stopTimeout)
		defer cancel()
		if err := b.Stop(ctx); err != nil {
			tb.Errorf("stop broker: %v", err)
		}
		if tb.Failed() {
			tb.Logf("log of the broker kafka=%s:\n%s", kafka, log)
		}
	})
	return b.Addresses()
}
