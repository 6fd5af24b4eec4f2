//go:build linux

package main

import (
	"fmt"
	"io"
	"time"
)

// teller says what is done, with the time since it began.
type teller struct {
	to    io.Writer
	began time.Time
}

func (t *teller) say(format string, args ...any) {
	since := time.Since(t.began).Round(100 * time.Millisecond)
	fmt.Fprintf(t.to, "%6.1fs  %s\n", since.Seconds(), fmt.Sprintf(format, args...))
}
