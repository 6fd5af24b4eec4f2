package brokertest

import (
	"bytes"
	"io"
	"sync"
)

// logBytes is how much of a broker's log is kept: its newest end, which tells why it failed.
const logBytes = 256 << 10

// tail is a writer that keeps the newest bytes. It may be used from several goroutines.
type tail struct {
	mu      sync.Mutex
	content []byte // guarded by mu; at most 2*logBytes
}

func (t *tail) Write(b []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.content = append(t.content, b...)
	if len(t.content) > 2*logBytes {
		t.content = append(t.content[:0], t.content[len(t.content)-logBytes:]...)
	}
	return len(b), nil
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return string(t.content)
}

// readyLine passes what a broker prints on to the log, and tells its first whole line.
type readyLine struct {
	log   io.Writer
	ready chan string // of one element
	line  []byte
	done  bool
}

func (r *readyLine) Write(b []byte) (int, error) {
	if !r.done {
		r.line = append(r.line, b...)
		if line, _, ok := bytes.Cut(r.line, []byte("\n")); ok {
			r.done = true
			r.ready <- string(line)
		}
	}
	return r.log.Write(b)
}
