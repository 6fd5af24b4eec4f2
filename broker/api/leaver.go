package api

import (
	"sync"

	"github.com/tidelinehq/tideline/broker/purgatory"
	"github.com/tidelinehq/tideline/broker/server"
)

// leaver ends the wait of a parked request whose client has left. Else it would hold its
// memory and its place among the parked until its time is up, and clients that come, ask
// to wait, and go could fill both.
type leaver struct {
	mu   sync.Mutex // guards what follows
	w    *purgatory.Parked
	left bool
}

// leaverOf waits for the client of a request to leave. It comes before the request is
// parked: afterwards others may have answered it.
func leaverOf(r *server.Request) *leaver {
	l := &leaver{}
	r.WhenGone(l.gone)
	return l
}

func (l *leaver) gone() {
	l.mu.Lock()
	w := l.w
	l.left, l.w = true, nil
	l.mu.Unlock()
	if w != nil {
		w.End()
	}
}

// parked says what is to be ended.
func (l *leaver) parked(w *purgatory.Parked) {
	l.mu.Lock()
	left := l.left
	if !left {
		l.w = w
	}
	l.mu.Unlock()
	if left {
		w.End()
	}
}
