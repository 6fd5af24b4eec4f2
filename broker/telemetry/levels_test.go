package telemetry

import (
	"bytes"
	"errors"
	"log/slog"
	"strings"
	"testing"
)

func TestLevelsOfParts(t *testing.T) {
	var out bytes.Buffer
	root, err := NewLogger(&out, "info", "text")
	if err != nil {
		t.Fatal(err)
	}
	logger, levels := WithLevels(root)
	if logger != root {
		t.Error("a logger that has levels is wrapped once more")
	}
	wal, groups := logger.With("part", "wal", "x", 1), logger.With("part", "groups")
	inGroup := logger.WithGroup("g").With("part", "nobody")
	wrote := func(what string, l *slog.Logger, level slog.Level, want bool) {
		t.Helper()
		out.Reset()
		l.Log(t.Context(), level, "line")
		if got := strings.Contains(out.String(), "line"); got != want {
			t.Errorf("%s at %v: written=%v", what, level, got)
		}
	}
	wrote("root", logger, slog.LevelDebug, false)
	wrote("root", logger, slog.LevelInfo, true)
	if err := levels.SetLevel("wal", "DEBUG"); err != nil {
		t.Fatal(err)
	}
	wrote("a part with a level", wal, slog.LevelDebug, true)
	wrote("made before", wal.With("y", 2), slog.LevelDebug, true)
	wrote("another part", groups, slog.LevelDebug, false)
	if err := levels.SetLevel(RootLogger, "error"); err != nil {
		t.Fatal(err)
	}
	wrote("follows the root", groups, slog.LevelWarn, false)
	wrote("does not follow the root", wal, slog.LevelDebug, true)
	wrote("in a group", inGroup, slog.LevelError, true)
	if err := levels.ResetLevel("wal"); err != nil {
		t.Fatal(err)
	}
	wrote("reset", wal, slog.LevelWarn, false)

	want := []LoggerLevel{{"groups", "ERROR"}, {"root", "ERROR"}, {"wal", "ERROR"}}
	if got := levels.All(); len(got) != len(want) || got[0] != want[0] || got[1] != want[1] || got[2] != want[2] {
		t.Errorf("%v", got)
	}
	for _, bad := range []struct {
		err  error
		want error
	}{
		{levels.SetLevel("wal", "LOUD"), ErrUnknownLevel},
		{levels.SetLevel("nobody", "INFO"), ErrUnknownLogger},
		{levels.ResetLevel("nobody"), ErrUnknownLogger},
		{levels.ResetLevel(RootLogger), ErrUnknownLogger},
	} {
		if !errors.Is(bad.err, bad.want) {
			t.Errorf("%v, want %v", bad.err, bad.want)
		}
	}
}

// TestLevelsOfAnotherLogger: a logger from elsewhere writes what it wrote before, and its parts can be
// silenced.
func TestLevelsOfAnotherLogger(t *testing.T) {
	var out bytes.Buffer
	logger, levels := WithLevels(slog.New(slog.NewTextHandler(&out, &slog.HandlerOptions{Level: slog.LevelWarn})))
	if got := levels.All()[0]; got != (LoggerLevel{"root", "WARN"}) {
		t.Errorf("%v", got)
	}
	logger.Info("quiet")
	part := logger.With("part", "wal")
	part.Warn("loud")
	if err := levels.SetLevel("wal", "FATAL"); err != nil {
		t.Fatal(err)
	}
	part.Error("silenced")
	if got := out.String(); strings.Contains(got, "quiet") || !strings.Contains(got, "loud") || strings.Contains(got, "silenced") {
		t.Error(got)
	}
}

func TestPartsAreBounded(t *testing.T) {
	logger, levels := WithLevels(slog.New(slog.DiscardHandler))
	for i := range 3 * maxParts {
		logger.With("part", i)
	}
	if n := len(levels.All()); n != maxParts+1 {
		t.Errorf("%d loggers", n)
	}
}
