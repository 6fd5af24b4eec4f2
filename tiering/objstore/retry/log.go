package retry

import (
	"context"
	"log/slog"
	"sync"
	"time"
)

// maxLogKeys bounds the table of the limiter. Operations times statuses are far fewer; beyond it the table starts anew.
const maxLogKeys = 256

// logLimiter lets one message of a kind through in each window.
type logLimiter struct {
	logger *slog.Logger
	window time.Duration
	now    func() time.Time

	mu   sync.Mutex
	seen map[logKey]*logState
}

type logKey struct{ op, status string }

type logState struct {
	since      time.Time // beginning of the window
	suppressed int       // since then
}

func newLogLimiter(logger *slog.Logger, window time.Duration, now func() time.Time) *logLimiter {
	return &logLimiter{logger: logger, window: window, now: now, seen: make(map[logKey]*logState)}
}

// retriable logs the error of an attempt, unless one with the same operation and status was logged in this window.
func (l *logLimiter) retriable(ctx context.Context, op, status string, attempt int, err error) {
	suppressed, ok := l.admit(logKey{op, status})
	if !ok {
		return
	}
	l.logger.LogAttrs(ctx, slog.LevelWarn, "object store call failed, may be repeated",
		slog.String("operation", op), slog.String("status", status), slog.Int("attempt", attempt),
		slog.Int("suppressed", suppressed), slog.Any("error", err))
}

func (l *logLimiter) admit(key logKey) (suppressed int, ok bool) {
	now := l.now()
	l.mu.Lock()
	defer l.mu.Unlock()
	st := l.seen[key]
	if st != nil && now.Sub(st.since) < l.window {
		st.suppressed++
		return 0, false
	}
	if st == nil {
		if len(l.seen) >= maxLogKeys {
			clear(l.seen)
		}
		st = &logState{}
		l.seen[key] = st
	}
	suppressed = st.suppressed
	st.since, st.suppressed = now, 0
	return suppressed, true
}
