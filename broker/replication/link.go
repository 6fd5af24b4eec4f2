package replication

import (
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/tidelinehq/tideline/internal/peer"
)

// link is the stream to one follower's broker. It dials again for as long as the broker
// follows anything.
type link struct {
	s      *Sender
	broker int32
	wake   chan struct{} // something is queued
	kicked chan struct{} // try now

	mu    sync.Mutex // guards what follows
	dirty []*feed
}

// Pauses between tries to reach a broker. The first is short: a process that starts again is
// there soon.
const (
	firstPause = 50 * time.Millisecond
	maxPause   = 2 * time.Second
)

// queue has a feed looked at. It does not block.
func (l *link) queue(f *feed) {
	l.mu.Lock()
	first := !f.queued
	if first {
		f.queued = true
		l.dirty = append(l.dirty, f)
	}
	l.mu.Unlock()
	if first {
		signal(l.wake)
	}
}

func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

func (l *link) kick() { signal(l.kicked) }

// take returns what is queued.
func (l *link) take(into []*feed) []*feed {
	l.mu.Lock()
	defer l.mu.Unlock()
	into = append(into, l.dirty...)
	for _, f := range l.dirty {
		f.queued = false
	}
	clear(l.dirty)
	l.dirty = l.dirty[:0]
	return into
}

// run keeps the link connected while it has something to feed.
func (l *link) run() {
	pause := firstPause
	var known []*feed // not gone, of the last session
	for l.s.ctx.Err() == nil {
		if len(known) == 0 {
			select {
			case <-l.wake:
				known = l.take(known)
			case <-l.s.ctx.Done():
				return
			}
		}
		conn, traced, err := l.dial()
		if err == nil {
			s := newSession(l, conn)
			s.traced = traced
			known, err = s.run(known)
			l.s.m.links.Dec()
			if s.useful.Load() {
				pause = firstPause
			}
		}
		if l.s.ctx.Err() != nil {
			return
		}
		level := slog.LevelInfo
		if pause > firstPause {
			level = slog.LevelDebug // it was said
		}
		l.s.o.Logger.Log(l.s.ctx, level, "replication to a follower is interrupted", "follower", l.broker, "retry_in", pause, "error", err)
		known = l.rest(pause, known)
		pause = min(2*pause, maxPause)
	}
}

// rest waits before the next try, and forgets what ended meanwhile.
func (l *link) rest(pause time.Duration, known []*feed) []*feed {
	wait := time.NewTimer(pause/2 + rand.N(pause/2+1))
	defer wait.Stop()
	select {
	case <-wait.C:
	case <-l.kicked:
	case <-l.s.ctx.Done():
	}
	seen := make(map[*feed]struct{}, len(known))
	kept := known[:0]
	for _, f := range l.take(known) {
		if _, again := seen[f]; !again && !f.gone.Load() {
			seen[f] = struct{}{}
			kept = append(kept, f)
		}
	}
	return kept
}

var errNoAddress = errors.New("the broker is not registered with an internal address")

// dial opens a connection. traced says whether traces may be told of on it.
func (l *link) dial() (conn *peer.Conn, traced bool, err error) {
	address, ok := l.s.o.Address(l.broker)
	if !ok {
		return nil, false, fmt.Errorf("%w: broker=%d", errNoAddress, l.broker)
	}
	if l.s.o.Tracer != nil {
		conn, traced, err = l.dialTraced(address)
	} else {
		conn, err = l.s.o.Peers.Dial(l.s.ctx, address, l.broker, peer.Replication)
	}
	if err != nil {
		return nil, false, err
	}
	l.s.m.links.Inc()
	return conn, traced, nil
}

// unserved says whether the other broker does not serve, or not yet, what was dialed for.
func unserved(err error) bool {
	refused := (*peer.RefusedError)(nil)
	return errors.As(err, &refused) && refused.Unserved
}
