package main

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"sync"
)

// maxLine bounds what is kept of a line that does not end; the rest is a line of its own.
const maxLine = 64 << 10

// lines puts what several programs write onto one output, line by line.
type lines struct {
	colour bool

	mu sync.Mutex
	to io.Writer // guarded by mu
	n  int       // guarded by mu: writers so far, for their colours
}

// palette are colours that can be read on light and on dark.
var palette = []string{"35", "36", "32", "33"}

// of returns the writer of one program.
func (l *lines) of(name string) *writer {
	l.mu.Lock()
	defer l.mu.Unlock()
	w := &writer{lines: l, name: name, colour: palette[l.n%len(palette)], ready: make(chan string, 1)}
	l.n++
	return w
}

// say prints a line of the command itself.
func (l *lines) say(text string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.colour {
		text = "\x1b[1m" + text + "\x1b[0m"
	}
	fmt.Fprintln(l.to, text)
}

// writer is the output of one program. It is used by one goroutine at a time.
type writer struct {
	*lines
	name, colour string
	ready        chan string // of one element: the first line that says that it serves
	rest         []byte      // of a line that has not ended
}

func (w *writer) Write(b []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.rest = append(w.rest, b...)
	for {
		line, rest, whole := bytes.Cut(w.rest, []byte("\n"))
		if !whole && len(w.rest) < maxLine {
			return len(b), nil
		}
		w.print(line)
		w.rest = append(w.rest[:0], rest...)
	}
}

// end prints what was not ended by a line feed.
func (w *writer) end() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.rest) > 0 {
		w.print(w.rest)
		w.rest = nil
	}
}

// print is called with mu held.
func (w *writer) print(line []byte) {
	if strings.HasPrefix(string(line), "ready ") {
		select {
		case w.ready <- string(line):
		default:
		}
	}
	prefix := fmt.Sprintf("%-8s │ ", w.name)
	if w.colour != "" && w.lines.colour {
		prefix = "\x1b[" + w.colour + "m" + prefix + "\x1b[0m"
	}
	fmt.Fprintf(w.to, "%s%s\n", prefix, line)
}
