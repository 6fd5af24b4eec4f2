package main

import (
	"io"
	"os"
	"sync/atomic"
	"time"

	"github.com/schollz/progressbar/v3"
)

// progress shows on a terminal how far a long run is. The zero value shows
// nothing.
type progress struct {
	bar     *progressbar.ProgressBar
	pending atomic.Int64
}

// progressPatience is how long a run may take before it shows anything.
const progressPatience = time.Second

// progress returns a bar for so many bytes (-1: not known) when standard error
// is a terminal.
func (p *program) progress(bytes int64) *progress {
	if !terminal(p.stderr) {
		return &progress{}
	}
	return &progress{bar: progressbar.NewOptions64(bytes,
		progressbar.OptionSetWriter(p.stderr),
		progressbar.OptionShowBytes(true),
		progressbar.OptionThrottle(progressPatience/4),
		progressbar.OptionSetWidth(30),
		progressbar.OptionClearOnFinish(),
		progressbar.OptionSetRenderBlankState(false),
	)}
}

// progressStep is how many bytes are gathered before the bar, which has a lock,
// is told.
const progressStep = 256 << 10

func (g *progress) add(bytes int64) {
	if g.bar == nil {
		return
	}
	if n := g.pending.Add(bytes); n >= progressStep {
		g.pending.Add(-n)
		_ = g.bar.Add64(n) // it is only for looking at
	}
}

func (g *progress) end() {
	if g.bar != nil {
		_ = g.bar.Finish()
	}
}

// terminal reports whether a stream is one that somebody looks at.
func terminal(w io.Writer) bool {
	file, ok := w.(*os.File)
	if !ok {
		return false
	}
	info, err := file.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}
