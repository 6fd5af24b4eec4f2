package server

import (
	"sync"
	"time"
)

// logLimiter lets through one warning of a kind per second, with the number of
// those held back: a peer that misbehaves on ten thousand connections must not
// fill the disk with lines.
type logLimiter struct {
	mu    sync.Mutex
	kinds map[string]*logKind // by message; as many as there are calls in this package
}

type logKind struct {
	last time.Time
	held int
}

const logInterval = time.Second

func (l *logLimiter) log(s *Server, message string, args ...any) {
	now := s.options.Now()
	l.mu.Lock()
	if l.kinds == nil {
		l.kinds = make(map[string]*logKind)
	}
	k := l.kinds[message]
	if k == nil {
		k = new(logKind)
		l.kinds[message] = k
	}
	if now.Sub(k.last) < logInterval {
		k.held++
		l.mu.Unlock()
		return
	}
	held := k.held
	k.last, k.held = now, 0
	l.mu.Unlock()
	if held > 0 {
		args = append(args, "held_back", held)
	}
	s.options.Logger.Warn(message, args...)
}

// protocolError reports a peer that does not speak our protocol.
func (s *Server) protocolError(c *Conn, err error) {
	s.metrics.protocolErrors.Inc()
	s.limiter.log(s, "protocol violation, connection closed", "error", err, "conn", c.id, "listener", c.listener, "client", c.RemoteAddr().String())
}

// connError reports a socket that failed, which peers do every day.
func (s *Server) connError(c *Conn, message string, err error) {
	s.options.Logger.Debug(message, "error", err, "conn", c.id, "listener", c.listener, "client", c.RemoteAddr().String())
}
