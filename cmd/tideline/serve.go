package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/tidelinehq/tideline/broker/config"
	"github.com/tidelinehq/tideline/broker/telemetry"
)

// node is what this command needs of a broker.
type node interface {
	Start(ctx context.Context) error // returns when it serves
	Addresses() (kafka, http string) // HOST:PORT
	Wait() error                     // returns when it stopped; an error is fatal
	Stop(ctx context.Context) error  // hands over, syncs and closes
}

// stopTimeout bounds a graceful stop: handing over leadership and the last sync
// take seconds; what is not done then is done by recovery.
const stopTimeout = 60 * time.Second

// serve runs one broker until a signal asks it to stop or it fails.
func (p *program) serve(ctx context.Context, cfg *config.Config) error {
	logger, err := telemetry.NewLogger(p.stderr, cfg.LoggingLevel, cfg.LoggingFormat)
	if err != nil {
		return err
	}
	logSettings(ctx, logger, cfg)
	n, err := p.newNode(cfg, logger)
	if err != nil {
		return err
	}
	if err := n.Start(ctx); err != nil {
		if ctx.Err() != nil && errors.Is(err, context.Canceled) {
			return nil // asked to stop before it served
		}
		return err
	}
	kafka, http := n.Addresses()
	fmt.Fprintf(p.stdout, "ready kafka=%s http=%s\n", kafka, http)
	if err := p.notify("READY=1", fmt.Sprintf("STATUS=serving kafka=%s http=%s", kafka, http)); err != nil {
		logger.WarnContext(ctx, "nobody learns that it serves", "error", err)
	}

	failed := make(chan error, 1)
	go func() { failed <- n.Wait() }()
	select {
	case err := <-failed:
		if err == nil {
			err = errors.New("the broker stopped by itself")
		}
		return err
	case <-ctx.Done():
	}
	logger.InfoContext(ctx, "stopping")
	if err := p.notify("STOPPING=1", "STATUS=stopping"); err != nil {
		logger.WarnContext(ctx, "nobody learns that it stops", "error", err)
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopTimeout)
	defer cancel()
	if err := n.Stop(ctx); err != nil {
		return fmt.Errorf("stop: %w", err)
	}
	return nil
}

// logSettings writes every setting that is not the table's default.
func logSettings(ctx context.Context, logger *slog.Logger, cfg *config.Config) {
	var attrs []slog.Attr
	for _, e := range cfg.Entries() {
		if e.Source != config.SourceDefault && !e.Setting.Sensitive {
			attrs = append(attrs, slog.String(e.Name, e.Value))
		}
	}
	logger.LogAttrs(ctx, slog.LevelInfo, "settings that differ from their defaults", attrs...)
}
