package quorum

import (
	"context"
	"io"
	"log"
	"log/slog"

	"github.com/hashicorp/go-hclog"
)

// bridge lets raft log through slog. Raft's Info is about every step of an
// election; it becomes Debug, what an operator must see is Warn and above.
type bridge struct {
	log  *slog.Logger
	name string
	args []any
}

func newBridge(l *slog.Logger) hclog.Logger { return &bridge{log: l, name: "raft"} }

func slogLevel(l hclog.Level) slog.Level {
	switch l {
	case hclog.Warn:
		return slog.LevelWarn
	case hclog.Error:
		return slog.LevelError
	}
	return slog.LevelDebug
}

// Log implements hclog.Logger, as the methods below.
func (b *bridge) Log(level hclog.Level, msg string, args ...any) {
	b.log.Log(context.Background(), slogLevel(level), "raft: "+msg, args...)
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
	return &bridge{log: b.log.With(args...), name: b.name, args: append(b.args[:len(b.args):len(b.args)], args...)}
}

func (b *bridge) Named(name string) hclog.Logger {
	return &bridge{log: b.log, name: b.name + "." + name, args: b.args}
}

func (b *bridge) ResetNamed(name string) hclog.Logger {
	return &bridge{log: b.log, name: name, args: b.args}
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
