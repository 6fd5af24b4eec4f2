package config

import (
	"fmt"
	"regexp"
)

var topicSettings = []Setting{
	{Key: "num.partitions", Type: Int, Default: "1", Allowed: between(1, 1_000_000), Update: PerBroker,
		Doc: "The partitions of a topic that is created without saying how many."},
	{Key: "auto.create.topics.enable", Type: Bool, Default: "true",
		Doc: "Create a topic when a client asks for one that is not there."},
	{Key: "delete.topic.enable", Type: Bool, Default: "true",
		Doc: "Let clients delete topics."},
	{Key: "log.retention.check.interval.ms", Type: Long, Default: "300000", Allowed: between(1, maxLong),
		Doc: "How often retention is applied."},
	{Key: "log.retention.minutes", Type: Int, Allowed: between(-1, maxInt), Coarse: "log.retention.ms", Factor: 60_000,
		Doc: "log.retention.ms in minutes."},
	{Key: "log.retention.hours", Type: Int, Allowed: between(-1, maxInt), Coarse: "log.retention.ms", Factor: 3_600_000,
		Doc: "log.retention.ms in hours. Kafka's default of 168 is the default of log.retention.ms here."},
	{Key: "log.roll.hours", Type: Int, Allowed: between(1, maxInt), Coarse: "log.roll.ms", Factor: 3_600_000, NoEffect: true,
		Doc: "log.roll.ms in hours."},
	{Key: "log.roll.jitter.hours", Type: Int, Allowed: between(0, maxInt), Coarse: "log.roll.jitter.ms", Factor: 3_600_000, NoEffect: true,
		Doc: "log.roll.jitter.ms in hours."},
}

var throttledReplicas = regexp.MustCompile(`^(\*|[0-9]+:[0-9]+(,[0-9]+:[0-9]+)*)?$`)

func throttled(v string) (string, error) {
	if !throttledReplicas.MatchString(v) {
		return "", fmt.Errorf("not a list of partition:broker: %q", v)
	}
	return v, nil
}

var topicDefaultSettings = []Setting{
	{Key: "log.cleanup.policy", TopicKey: "cleanup.policy", Type: List, Default: "delete", Allowed: someOf(0, "delete", "compact"), Update: PerBroker,
		Doc: "What becomes of old records: delete drops what is past the retention, compact keeps the newest record of each key, and both may be given. An empty list keeps all."},
	{Key: "log.retention.ms", TopicKey: "retention.ms", Type: Long, Default: "604800000", Allowed: atLeast(-1), Update: PerBroker,
		Doc: "How long records are kept, in the WAL and the object store together; -1 is for ever."},
	{Key: "log.retention.bytes", TopicKey: "retention.bytes", Type: Long, Default: "-1", Allowed: atLeast(-1), Update: PerBroker,
		Doc: "How many bytes of record batches a partition keeps, in the WAL and the object store together; -1 is no limit."},
	{Key: "log.local.retention.ms", TopicKey: "local.retention.ms", Type: Long, Default: "-2", Allowed: atLeast(-2), Update: PerBroker,
		Doc: "How long records that are in the object store stay on the local disk as well; -2 is the same as the retention, -1 for ever. The WAL frees whole files, and frees them earlier when wal.max.bytes asks for it."},
	{Key: "log.local.retention.bytes", TopicKey: "local.retention.bytes", Type: Long, Default: "-2", Allowed: atLeast(-2), Update: PerBroker,
		Doc: "How many bytes of a partition that are in the object store stay on the local disk as well; -2 is the same as the retention, -1 no limit."},
	{Key: "message.max.bytes", TopicKey: "max.message.bytes", Type: Int, Default: "1048588", Allowed: between(0, maxInt), Update: PerBroker,
		Doc: "The largest record batch that is taken, as it came (compressed)."},
	{Key: "log.message.timestamp.type", TopicKey: "message.timestamp.type", Type: String, Default: "CreateTime", Allowed: oneOf("CreateTime", "LogAppendTime"), Update: PerBroker,
		Doc: "Whether records keep the producer's time or get the broker's."},
	{Key: "log.message.timestamp.before.max.ms", TopicKey: "message.timestamp.before.max.ms", Type: Long, Default: fmt.Sprint(int64(maxLong)), Allowed: atLeast(0), Update: PerBroker,
		Doc: "A record whose time is further in the past is refused. Not used with LogAppendTime."},
	{Key: "log.message.timestamp.after.max.ms", TopicKey: "message.timestamp.after.max.ms", Type: Long, Default: "3600000", Allowed: atLeast(0), Update: PerBroker,
		Doc: "A record whose time is further in the future is refused. Not used with LogAppendTime."},
	{Key: "min.insync.replicas", TopicKey: "min.insync.replicas", Type: Int, Default: "1", Allowed: between(1, maxInt), Update: ClusterWide,
		Doc: "With acks=all a record is taken only while so many replicas are in sync."},
	{Key: "unclean.leader.election.enable", TopicKey: "unclean.leader.election.enable", Type: Bool, Default: "false", Update: ClusterWide,
		Doc: "Let a replica that is not in sync become leader when no other is left, which loses records."},
	{Key: "log.cleaner.delete.retention.ms", TopicKey: "delete.retention.ms", Type: Long, Default: "86400000", Allowed: atLeast(0), Update: PerBroker,
		Doc: "How long compaction keeps tombstones and transaction markers after it first met them, so that a reader from the start sees them."},
	{Key: "log.cleaner.min.cleanable.ratio", TopicKey: "min.cleanable.dirty.ratio", Type: Double, Default: "0.5", Allowed: fraction(), Update: PerBroker,
		Doc: "Compaction starts when more than this part of what is in the object store was not compacted yet."},
	{Key: "log.cleaner.min.compaction.lag.ms", TopicKey: "min.compaction.lag.ms", Type: Long, Default: "0", Allowed: atLeast(0), Update: PerBroker,
		Doc: "A record is not compacted before it is this old."},
	{Key: "log.cleaner.max.compaction.lag.ms", TopicKey: "max.compaction.lag.ms", Type: Long, Default: fmt.Sprint(int64(maxLong)), Allowed: atLeast(1), Update: PerBroker,
		Doc: "A record waits for compaction no longer than this, whatever the dirty ratio; it is uploaded by then."},
	{TopicKey: "remote.storage.enable", Type: Bool, Default: "true", Allowed: oneOf("true"),
		Doc: "Every topic is tiered: all share one WAL, which the object store relieves. Only true is taken."},
	{TopicKey: "remote.log.copy.disable", Type: Bool, Default: "false", Allowed: oneOf("false"),
		Doc: "Copying cannot be stopped for one topic, because the topics share one WAL. Only false is taken."},
	{TopicKey: "remote.log.delete.on.disable", Type: Bool, Default: "false", NoEffect: true,
		Doc: "Tiering cannot be disabled."},
	{Key: "log.segment.bytes", TopicKey: "segment.bytes", Type: Int, Default: fmt.Sprint(gib), Allowed: between(mib, maxInt), Update: PerBroker,
		Doc: "Compaction merges segments in the object store up to this size of record batches, at most 512 MiB. Partitions have no local segment files; see wal.file.bytes and tier.roll.bytes."},
	{Key: "log.roll.ms", TopicKey: "segment.ms", Type: Long, Default: "604800000", Allowed: atLeast(1), Update: PerBroker, NoEffect: true,
		Doc: "Partitions have no local segment files; see tier.roll.ms."},
	{Key: "log.roll.jitter.ms", TopicKey: "segment.jitter.ms", Type: Long, Default: "0", Allowed: atLeast(0), Update: PerBroker, NoEffect: true,
		Doc: "Partitions have no local segment files."},
	{Key: "log.index.size.max.bytes", TopicKey: "segment.index.bytes", Type: Int, Default: fmt.Sprint(10 * mib), Allowed: between(4, maxInt), Update: PerBroker, NoEffect: true,
		Doc: "The WAL's indexes have the size that they need."},
	{Key: "log.index.interval.bytes", TopicKey: "index.interval.bytes", Type: Int, Default: "4096", Allowed: between(0, maxInt), Update: PerBroker, NoEffect: true,
		Doc: "The WAL indexes every batch."},
	{Key: "log.flush.interval.messages", TopicKey: "flush.messages", Type: Long, Default: fmt.Sprint(int64(maxLong)), Allowed: atLeast(1), Update: PerBroker, NoEffect: true,
		Doc: "See wal.sync."},
	{Key: "log.flush.interval.ms", TopicKey: "flush.ms", Type: Long, Default: fmt.Sprint(int64(maxLong)), Allowed: atLeast(0), Update: PerBroker, NoEffect: true,
		Doc: "See wal.sync."},
	{Key: "log.segment.delete.delay.ms", TopicKey: "file.delete.delay.ms", Type: Long, Default: "60000", Allowed: atLeast(0), Update: PerBroker, NoEffect: true,
		Doc: "See tier.garbage.grace.ms."},
	{Key: "log.preallocate", TopicKey: "preallocate", Type: Bool, Default: "false", Update: PerBroker, NoEffect: true,
		Doc: "The WAL's files are always preallocated."},
	{TopicKey: "leader.replication.throttled.replicas", Type: List, Allowed: parsed("partition:broker, separated by commas, or *", throttled),
		Doc: "The replicas that leader.replication.throttled.rate of the leader's broker is for, while they are not in sync, as the partition and the leader's broker; * stands for all. The tools of reassignments set it."},
	{TopicKey: "follower.replication.throttled.replicas", Type: List, Allowed: parsed("partition:broker, separated by commas, or *", throttled),
		Doc: "The replicas that follower.replication.throttled.rate of their broker is for, while they are not in sync, as the partition and the follower's broker; * stands for all."},
}

var compressionSettings = []Setting{
	{Key: "compression.type", TopicKey: "compression.type", Type: String, Default: "producer", Allowed: oneOf("producer", "uncompressed", "gzip", "snappy", "lz4", "zstd"), Update: PerBroker,
		Doc: "The codec in which batches are kept. A batch that comes in another one is compressed anew by the leader; producer leaves batches as they come."},
	{Key: "compression.gzip.level", TopicKey: "compression.gzip.level", Type: Int, Default: "-1", Allowed: alsoLong(between(1, 9), -1, "the codec's own default"), Update: PerBroker,
		Doc: "The level when compression.type is gzip."},
	{Key: "compression.lz4.level", TopicKey: "compression.lz4.level", Type: Int, Default: "9", Allowed: between(1, 17), Update: PerBroker,
		Doc: "The level when compression.type is lz4."},
	{Key: "compression.zstd.level", TopicKey: "compression.zstd.level", Type: Int, Default: "3", Allowed: between(-131072, 22), Update: PerBroker,
		Doc: "The level when compression.type is zstd."},
}
