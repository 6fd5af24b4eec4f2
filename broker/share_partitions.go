package broker

import (
	"context"
	"strconv"
	"time"

	"github.com/tidelinehq/tideline/broker/config"
	"github.com/tidelinehq/tideline/broker/partition"
	"github.com/tidelinehq/tideline/broker/share"
	"github.com/tidelinehq/tideline/metadata"
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

// shareSettings are those of a group: its own, else the broker's.
func (b *Broker) shareSettings(group string) share.Settings {
	c, s := b.replicas.config(), share.DefaultSettings()
	own := b.meta.Image().GroupConfigs(group)
	s.Deliveries = int16(groupInt(own, "share.delivery.count.limit", int64(c.GroupShareDeliveryCountLimit)))
	s.RecordLocks = int(groupInt(own, "share.partition.max.record.locks", int64(c.GroupShareMaxRecordLocks)))
	s.LockDuration = time.Duration(groupInt(own, "share.record.lock.duration.ms", c.GroupShareRecordLockDuration.Milliseconds())) * time.Millisecond
	// The bounds may have changed since the group's were set.
	s.Deliveries = min(max(s.Deliveries, int16(c.GroupShareMinDeliveryCountLimit)), int16(c.GroupShareMaxDeliveryCountLimit))
	s.RecordLocks = min(max(s.RecordLocks, int(c.GroupShareMinMaxRecordLocks)), int(c.GroupShareMaxMaxRecordLocks))
	s.LockDuration = min(max(s.LockDuration, c.GroupShareMinRecordLockDuration), c.GroupShareMaxRecordLockDuration)
	level, _ := own.Get("share.isolation.level")
	renew, _ := own.Get("share.renew.acknowledge.enable")
	s.ReadCommitted, s.NoRenew = level == "read_committed", renew == "false"
	// What was checked when it was set, and is not understood all the same, is as if it were not set.
	if text, ok := own.Get("share.auto.offset.reset"); ok {
		switch r, err := config.ParseShareReset(text); {
		case err != nil:
		case r.Earliest:
			s.Reset = share.Reset{At: share.ResetEarliest}
		case r.Since:
			s.Reset = share.Reset{At: share.ResetDuration, Back: r.Back}
		}
	}
	return s
}

// groupInt is a group's own value of a setting, else the broker's.
func groupInt(own metadata.Configs, key string, fallback int64) int64 {
	text, ok := own.Get(key)
	if !ok {
		return fallback
	}
	n, err := strconv.ParseInt(text, 10, 32)
	if err != nil {
		return fallback
	}
	return n
}
