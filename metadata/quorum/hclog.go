package quorum

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/raft"
)

// bridge lets raft log through slog. Raft's Info is about every step of an
// election; it becomes Debug, as do warnings of what is no fault. What an
// operator must see is Warn and above, and is said once a minute: raft repeats
// itself several times a second while a member is away.
type bridge struct {
	log   *slog.Logger
	name  string
	args  []any
	limit *repeats
}

func newBridge(l *slog.Logger) hclog.Logger {
	return &bridge{log: l, name: "raft", limit: &repeats{now: time.Now, said: make(map[string]*repeated)}}
}

// usual are warnings and errors of raft that come with what members do every
// day: to join, to follow without a vote, to catch up after a restart.
var usual = map[string]bool{
	"no known peers, aborting election":                   true,
	"not part of stable configuration, aborting election": true,
	"heartbeat timeout reached, not part of a stable configuration or a non-voter, not triggering a leader election": true,
	"appendEntries rejected, sending older logs": true,
	"failed to get previous log":                 true,
	"previous log term mis-match":                true,
	"clearing log suffix":                        true,
	"skipping application of old log":            true,
}

// away are errors of raft that say no more than that another member can not be
// reached.
var away = map[string]bool{
	"failed to appendEntries to":              true,
	"failed to heartbeat to":                  true,
	"failed to pipeline appendEntries":        true,
	"failed to start pipeline replication to": true,
	"failed to send snapshot to":              true,
	"failed to install snapshot":              true,
	"failed to make requestVote RPC":          true,
	"failed to decode incoming command":       true,
	"failed to flush response":                true,
}

func slogLevel(l hclog.Level) slog.Level {
	switch l {
	case hclog.Warn:
		return slog.LevelWarn
	case hclog.Error:
		return slog.LevelError
	}
	return slog.LevelDebug
}

// levelOf is the level of a message.
func levelOf(l hclog.Level, msg string, args []any) slog.Level {
	switch level := slogLevel(l); {
	case usual[msg], slices.ContainsFunc(args, isNotFound): // who lacks a log that was cut gets a snapshot
		return slog.LevelDebug
	case away[msg]:
		return min(level, slog.LevelWarn)
	default:
		return level
	}
}

func isNotFound(arg any) bool {
	err, ok := arg.(error)
	return ok && errors.Is(err, raft.ErrLogNotFound)
}

// Log implements hclog.Logger, as the methods below.
func (b *bridge) Log(l hclog.Level, msg string, args ...any) {
	level := levelOf(l, msg, args)
	if !b.log.Enabled(context.Background(), level) {
		return
	}
	if level >= slog.LevelWarn {
		suppressed, ok := b.limit.admit(msg, args)
		if !ok {
			return
		}
		if suppressed > 0 {
			args = append(args[:len(args):len(args)], "repeated", suppressed)
		}
	}
	b.log.Log(context.Background(), level, "raft: "+msg, args...)
}

const (
	// repeatAfter is when a message that comes all the time is said again.
	repeatAfter = time.Minute
	// maxRepeated bounds what is remembered: the messages of raft, some of
	// them for each voter. Beyond it messages wait for their turn together.
	maxRepeated = 256
)

// repeats remembers what was said lately.
type repeats struct {
	now  func() time.Time
	mu   sync.Mutex // guards what follows
	said map[string]*repeated
}

type repeated struct {
	at         time.Time
	suppressed int
}

// admit decides whether a message is said, and tells how many times it was not
// since the last time.
func (r *repeats) admit(msg string, args []any) (suppressed int, ok bool) {
	key := msg
	if len(args) >= 2 && (args[0] == "peer" || args[0] == "server-id") {
		key = fmt.Sprint(msg, args[1])
	}
	now := r.now()
	r.mu.Lock()
	defer r.mu.Unlock()
	x := r.said[key]
	if x == nil && len(r.said) >= maxRepeated {
		maps.DeleteFunc(r.said, func(_ string, x *repeated) bool { return now.Sub(x.at) >= repeatAfter })
		if len(r.said) >= maxRepeated {
			return 0, false
		}
	}
	switch {
	case x == nil:
		r.said[key] = &repeated{at: now}
		return 0, true
	case now.Sub(x.at) < repeatAfter:
		x.suppressed++
		return 0, false
	}
	suppressed = x.suppressed
	*x = repeated{at: now}
	return suppressed, true
}

func (b *bridge) Trace(msg string, args ...any) { b.Log(hclog.Trace, msg, args...) }
func (b *bridge) Debug(msg string, args ...any) { b.Log(hclog.Debug, msg, args...) }
func (b *bridge) Info(msg string, args ...any)  { b.Log(hclog.Info, msg, args...) }
func (b *bridge) Warn(msg string, args ...any)  { b.Log(hclog.Warn, msg, args...) }
func (b *bridge) Error(msg string, args ...any) { b.Log(hclog.Error, msg, args...) }

func (b *bridge) enabled(l hclog.Level) bool {
	return b.log.Enabled(context.Background(), slogLevel(l))
}
func (b *bridge) IsTrace() bool { return b.enabled(hclog.Trace) }
func (b *bridge) IsDebug() bool { return b.enabled(hclog.Debug) }
func (b *bridge) IsInfo() bool  { return b.enabled(hclog.Info) }
func (b *bridge) IsWarn() bool  { return b.enabled(hclog.Warn) }
func (b *bridge) IsError() bool { return b.enabled(hclog.Error) }

func (b *bridge) ImpliedArgs() []any { return b.args }
func (b *bridge) Name() string       { return b.name }

func (b *bridge) With(args ...any) hclog.Logger {
	return &bridge{limit: b.limit, log: b.log.With(args...), name: b.name, args: append(b.args[:len(b.args):len(b.args)], args...)}
}

func (b *bridge) Named(name string) hclog.Logger {
	return &bridge{limit: b.limit, log: b.log, name: b.name + "." + name, args: b.args}
}

func (b *bridge) ResetNamed(name string) hclog.Logger {
	return &bridge{limit: b.limit, log: b.log, name: name, args: b.args}
}

// SetLevel does nothing: the level is that of the slog handler.
func (b *bridge) SetLevel(hclog.Level) {}

func (b *bridge) GetLevel() hclog.Level {
	for _, l := range []hclog.Level{hclog.Debug, hclog.Warn} {
		if b.enabled(l) {
			return l
		}
	}
	return hclog.Error
}

func (b *bridge) StandardLogger(o *hclog.StandardLoggerOptions) *log.Logger {
	return slog.NewLogLogger(b.log.Handler(), slog.LevelWarn)
}

func (b *bridge) StandardWriter(o *hclog.StandardLoggerOptions) io.Writer {
	return b.StandardLogger(o).Writer()
}
