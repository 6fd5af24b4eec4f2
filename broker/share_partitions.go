package broker

import (
	"context"

	"github.com/tidelinehq/tideline/broker/partition"
	"github.com/tidelinehq/tideline/broker/share"
)

// assembleSharePartitions makes the leader's side of share groups.
func (b *Broker) assembleSharePartitions() {
	b.sharePartitions = share.New(share.Options{
		Persister: sharePersister{b.shareClient}, Settings: b.shareSettings,
		FindTime: func(ctx context.Context, log share.Log, timestamp int64) (int64, bool, error) {
			return b.api.FirstSince(ctx, log.(*partition.Partition), timestamp)
		},
		Now: b.now, Logger: b.logger.With("part", "share_partitions"), Registerer: b.registry,
	})
	b.replicas.shares = b.sharePartitions
}

// shareSettings are those of a group that has decided nothing.
func (b *Broker) shareSettings(string) share.Settings {
	c, s := b.replicas.config(), share.DefaultSettings()
	s.Deliveries, s.RecordLocks = int16(c.GroupShareDeliveryCountLimit), int(c.GroupShareMaxRecordLocks)
	s.LockDuration = c.GroupShareRecordLockDuration
	return s
}
