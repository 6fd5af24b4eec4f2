package telemetry

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sort"
	"strings"
	"sync"
	"sync/atomic"
)

// RootLogger is the name of what counts for parts without a level of their own.
const RootLogger = "root"

// partKey is the attribute by which a part of the broker names itself in its lines.
const partKey = "part"

// maxParts bounds the parts that can have a level of their own. The broker has some twenty; what
// comes after so many is ruled by the root.
const maxParts = 256

// Errors of SetLevel and ResetLevel.
var (
	ErrUnknownLogger = errors.New("there is no such logger")
	ErrUnknownLevel  = errors.New("no level: allowed are TRACE, DEBUG, INFO, WARN, ERROR and FATAL")
)

// Levels are the levels of a broker's parts, which can be changed while it runs. A part is whoever
// logs with an attribute part, and it is known from its first logger on.
type Levels struct {
	root  atomic.Int64 // a slog.Level
	mu    sync.Mutex   // guards parts
	parts map[string]*partLevel
}

// partLevel is the level of one part.
type partLevel struct {
	own atomic.Pointer[slog.Level] // nil: the root's
}

// levelNames are Kafka's names; slog has none for the first and the last.
var levelNames = []struct {
	name  string
	level slog.Level
}{
	{"TRACE", slog.LevelDebug - 4}, {"DEBUG", slog.LevelDebug}, {"INFO", slog.LevelInfo},
	{"WARN", slog.LevelWarn}, {"ERROR", slog.LevelError}, {"FATAL", slog.LevelError + 4},
}

// ParseLevel reads the name of a level in upper or lower case.
func ParseLevel(name string) (slog.Level, error) {
	for _, l := range levelNames {
		if strings.EqualFold(l.name, name) {
			return l.level, nil
		}
	}
	return 0, fmt.Errorf("%w: level=%q", ErrUnknownLevel, name)
}

// LevelName returns the name of the level, or of the next one below it.
func LevelName(level slog.Level) string {
	name := levelNames[0].name
	for _, l := range levelNames {
		if level >= l.level {
			name = l.name
		}
	}
	return name
}

// WithLevels returns a logger whose parts have levels, and these levels. A logger that has them
// already is returned as it is; of another one the root's level is the least that it writes.
func WithLevels(logger *slog.Logger) (*slog.Logger, *Levels) {
	if l, ok := logger.Handler().(*leveled); ok {
		return logger, l.levels
	}
	level := slog.LevelError + 4
	for _, l := range levelNames {
		if logger.Enabled(context.Background(), l.level) {
			level = l.level
			break
		}
	}
	levels := newLevels(level)
	return slog.New(&leveled{inner: logger.Handler(), levels: levels}), levels
}

func newLevels(root slog.Level) *Levels {
	l := &Levels{parts: make(map[string]*partLevel)}
	l.root.Store(int64(root))
	return l
}

// part returns the level of a part; nil: the root's.
func (l *Levels) part(name string) *partLevel {
	l.mu.Lock()
	defer l.mu.Unlock()
	p := l.parts[name]
	if p == nil && name != RootLogger && len(l.parts) < maxParts {
		p = new(partLevel)
		l.parts[name] = p
	}
	return p
}

// LoggerLevel is a logger and the level that counts for it.
type LoggerLevel struct {
	Name, Level string
}

// All returns the loggers in order of their names, the root among them.
func (l *Levels) All() []LoggerLevel {
	root := slog.Level(l.root.Load())
	all := []LoggerLevel{{RootLogger, LevelName(root)}}
	l.mu.Lock()
	for name, p := range l.parts {
		level := root
		if own := p.own.Load(); own != nil {
			level = *own
		}
		all = append(all, LoggerLevel{name, LevelName(level)})
	}
	l.mu.Unlock()
	sort.Slice(all, func(i, j int) bool { return all[i].Name < all[j].Name })
	return all
}

// Known reports whether there is such a logger.
func (l *Levels) Known(name string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return name == RootLogger || l.parts[name] != nil
}

// SetLevel gives a logger a level.
func (l *Levels) SetLevel(name, level string) error {
	parsed, err := ParseLevel(level)
	if err != nil {
		return err
	}
	if name == RootLogger {
		l.root.Store(int64(parsed))
		return nil
	}
	if !l.Known(name) {
		return fmt.Errorf("%w: logger=%q", ErrUnknownLogger, name)
	}
	l.part(name).own.Store(&parsed)
	return nil
}

// ResetLevel has the root's level count for a logger again.
func (l *Levels) ResetLevel(name string) error {
	if name == RootLogger || !l.Known(name) {
		return fmt.Errorf("%w: logger=%q", ErrUnknownLogger, name)
	}
	l.part(name).own.Store(nil)
	return nil
}

// leveled is a handler that asks Levels which lines are written, and not the one behind it.
type leveled struct {
	inner  slog.Handler
	levels *Levels
	part   *partLevel // nil: the root's
	nested bool       // in a group: an attribute part is none of ours
}

// Enabled implements slog.Handler.
func (h *leveled) Enabled(_ context.Context, level slog.Level) bool {
	if h.part != nil {
		if own := h.part.own.Load(); own != nil {
			return level >= *own
		}
	}
	return level >= slog.Level(h.levels.root.Load())
}

// Handle implements slog.Handler.
func (h *leveled) Handle(ctx context.Context, r slog.Record) error {
	return h.inner.Handle(ctx, withSpan(ctx, r))
}

// WithAttrs implements slog.Handler.
func (h *leveled) WithAttrs(attrs []slog.Attr) slog.Handler {
	next := *h
	next.inner = h.inner.WithAttrs(attrs)
	for _, a := range attrs {
		if a.Key == partKey && !h.nested {
			next.part = h.levels.part(a.Value.String())
		}
	}
	return &next
}

// WithGroup implements slog.Handler.
func (h *leveled) WithGroup(name string) slog.Handler {
	next := *h
	next.inner, next.nested = h.inner.WithGroup(name), h.nested || name != ""
	return &next
}
