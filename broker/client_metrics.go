package broker

import (
	"context"
	"os"
	"time"

	"github.com/tidelinehq/tideline/broker/telemetry/clientmetrics"
)

// exporterTimeout bounds how long a broker that stops waits for a collector to take what clients have pushed.
const exporterTimeout = 5 * time.Second

// assembleClientMetrics makes what takes the metrics of clients, and hands them on if the environment asks for it.
func (b *Broker) assembleClientMetrics() (*clientmetrics.Manager, error) {
	var err error
	if b.exporter, err = clientmetrics.NewExporter(clientmetrics.ExporterOptions{
		Getenv: os.Getenv, Logger: b.logger.With("part", "client_metrics"), Registerer: b.registry,
	}); err != nil {
		return nil, err
	}
	o := clientmetrics.Options{
		MaxBytes: int(b.cfg.TelemetryMaxBytes), NodeID: b.cfg.NodeID, Registerer: b.registry,
		ClusterID: func() string { return b.meta.Image().ClusterID() },
	}
	if b.exporter != nil {
		o.Sink = b.exporter
	}
	return clientmetrics.NewManager(o), nil
}

// stopExporter sends what clients have pushed, and stops.
func (b *Broker) stopExporter(ctx context.Context) {
	if b.exporter == nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, exporterTimeout)
	defer cancel()
	if err := b.exporter.Close(ctx); err != nil {
		b.logger.WarnContext(ctx, "the last metrics of clients were not exported", "error", err)
	}
}
