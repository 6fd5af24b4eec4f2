package telemetry

import (
	"fmt"
	"io"
	"log/slog"
	"math"
)

// NewLogger returns a logger that writes lines to w. Level is debug, info, warn
// or error, and can be changed later, see WithLevels; format is text or json.
func NewLogger(w io.Writer, level, format string) (*slog.Logger, error) {
	l, err := ParseLevel(level)
	if err != nil {
		return nil, fmt.Errorf("telemetry: log level: %w", err)
	}
	options := &slog.HandlerOptions{Level: slog.Level(math.MinInt)} // what is written decides leveled
	var inner slog.Handler
	switch format {
	case "text":
		inner = slog.NewTextHandler(w, options)
	case "json":
		inner = slog.NewJSONHandler(w, options)
	default:
		return nil, fmt.Errorf("telemetry: unknown log format: format=%q", format)
	}
	return slog.New(&leveled{inner: inner, levels: newLevels(l)}), nil
}
