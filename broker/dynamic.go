package broker

import (
	"math"

	"github.com/tidelinehq/tideline/broker/config"
	"github.com/tidelinehq/tideline/broker/telemetry"
	"github.com/tidelinehq/tideline/metadata"
	command "github.com/tidelinehq/tideline/metadata/record"
	"github.com/tidelinehq/tideline/tiering"
)

// reconfigure takes over the dynamic settings of an image. Whoever needs one asks replicas.config for
// it each time; what follows is told to the parts that keep a copy.
func (b *Broker) reconfigure(image *metadata.Image) error {
	effective, err := b.cfg.WithDynamic(image.BrokerConfigs(command.DefaultBroker).Map(), image.BrokerConfigs(b.cfg.NodeID).Map())
	if err != nil {
		b.logger.Error("dynamic settings do not go together; the ones before stay", "error", err)
		return nil
	}
	before := b.replicas.config()
	if err := b.replicas.reconfigure(image, effective); err != nil {
		return err
	}
	if effective.LoggingLevel != before.LoggingLevel {
		if err := b.levels.SetLevel(telemetry.RootLogger, effective.LoggingLevel); err != nil {
			b.logger.Error("the level of the log stays as it is", "error", err)
		}
	}
	if err := b.engine.Tune(tuningOf(effective)); err != nil {
		b.logger.Error("settings of tiering do not go together; the ones before stay", "error", err)
	}
	b.limit(effective)
	b.changeDoors(effective)
	return nil
}

// tuningOf is what the tiering engine takes of the settings while it runs.
func tuningOf(c *config.Config) tiering.Tuning {
	return tiering.Tuning{
		UploadBytesPerSecond: noLimit(c.RemoteCopyBytesPerSecond),
		CompactKeyBytes:      c.CleanerBufferBytes, CompactKeyLoad: c.CleanerLoadFactor,
		CompactBytesPerSecond: cleanerRate(c.CleanerBytesPerSecond), CompactInterval: c.CleanerBackoff,
	}
}

// noLimit turns the greatest number, which in Kafka's settings stands for no limit, into 0.
func noLimit(rate int64) int64 {
	if rate == math.MaxInt64 {
		return 0
	}
	return rate
}

// groupSetting returns what a group has set, else what brokers have set for all groups while they run.
func (b *Broker) groupSetting(group, key string) (string, bool) {
	image := b.meta.Image()
	if value, ok := image.GroupConfigs(group).Get(key); ok {
		return value, true
	}
	s, ok := config.LookupGroup(key)
	if !ok || s.Key == "" || s.Update == config.ReadOnly {
		return "", false
	}
	if value, ok := image.BrokerConfigs(b.cfg.NodeID).Get(s.Key); ok {
		return value, true
	}
	return image.BrokerConfigs(command.DefaultBroker).Get(s.Key)
}
