package main

import (
	"log/slog"

	"github.com/tidelinehq/tideline/broker"
	"github.com/tidelinehq/tideline/broker/config"
	"github.com/tidelinehq/tideline/broker/telemetry"
)

// newBroker makes the broker that dev and server run.
func newBroker(cfg *config.Config, logger *slog.Logger) (node, error) {
	b, err := broker.New(cfg, logger, telemetry.NewRegistry(version, revision()))
	if err != nil {
		return nil, err
	}
	b.Version = version
	return b, nil
}
