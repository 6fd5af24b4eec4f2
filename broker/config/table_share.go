package config

import "fmt"

// shareGroupSettings are those of the members of share groups, and of the coordinator of
// their state.
var shareGroupSettings = []Setting{
	{Key: "group.share.session.timeout.ms", GroupKey: "share.session.timeout.ms", GroupMin: "group.share.min.session.timeout.ms", GroupMax: "group.share.max.session.timeout.ms",
		Type: Int, Default: "45000", Allowed: between(1, maxInt), Update: PerBroker,
		Doc: "How long a member of a share group may be silent before it is removed. A group may have a value of its own."},
	{Key: "group.share.min.session.timeout.ms", Type: Int, Default: "45000", Allowed: between(1, maxInt),
		Doc: "The shortest session timeout that a share group may have."},
	{Key: "group.share.max.session.timeout.ms", Type: Int, Default: "60000", Allowed: between(1, maxInt),
		Doc: "The longest session timeout that a share group may have."},
	{Key: "group.share.heartbeat.interval.ms", GroupKey: "share.heartbeat.interval.ms", GroupMin: "group.share.min.heartbeat.interval.ms", GroupMax: "group.share.max.heartbeat.interval.ms",
		Type: Int, Default: "5000", Allowed: between(1, maxInt), Update: PerBroker,
		Doc: "How often a member of a share group sends heartbeats. A group may have a value of its own."},
	{Key: "group.share.min.heartbeat.interval.ms", Type: Int, Default: "5000", Allowed: between(1, maxInt),
		Doc: "The shortest heartbeat interval that a share group may have."},
	{Key: "group.share.max.heartbeat.interval.ms", Type: Int, Default: "15000", Allowed: between(1, maxInt),
		Doc: "The longest heartbeat interval that a share group may have."},
	{Key: "group.share.max.size", Type: Int, Default: "200", Allowed: between(1, 1000),
		Doc: "The members that one share group may have."},
	{Key: "group.share.initialize.retry.interval.ms", Type: Int, Default: "30000", Allowed: between(1, maxInt),
		Doc: "After how long share coordinators that did not answer are asked once more to begin a share partition."},
	{Key: "group.share.assignors", Type: List, Default: "simple", Allowed: oneOf("simple"), NoEffect: true,
		Doc: "How partitions are shared out among the members of a share group."},
	{Key: "share.coordinator.state.topic.num.partitions", Type: Int, Default: "50", Allowed: between(1, 10_000),
		Doc: "The partitions of __share_group_state, fixed when the topic is created."},
	{Key: "share.coordinator.state.topic.replication.factor", Type: Short, Allowed: between(1, 127),
		Auto: "1 for a cluster of one, else 3", auto: internalReplicas,
		Doc: "The replicas of __share_group_state, fixed when the topic is created."},
	{Key: "share.coordinator.state.topic.min.isr", Type: Short, Allowed: between(1, 127),
		Auto: "1 for a cluster of one, else 2", auto: internalMinISR,
		Doc: "The min.insync.replicas of __share_group_state."},
	{Key: "share.coordinator.state.topic.segment.bytes", Type: Int, Default: fmt.Sprint(100 * mib), Allowed: between(1, maxInt),
		Doc: "The segment.bytes of __share_group_state."},
	{Key: "share.coordinator.state.topic.prune.interval.ms", Type: Int, Default: "300000", Allowed: between(1, maxInt),
		Doc: "How often the records of __share_group_state that newer ones have replaced are deleted."},
	{Key: "share.coordinator.snapshot.update.records.per.snapshot", Type: Int, Default: "500", Allowed: between(0, 500),
		Doc: "How many updates of a share partition's state follow a snapshot before the next one."},
	{Key: "share.coordinator.cold.partition.snapshot.interval.ms", Type: Int, Default: "300000", Allowed: between(1, maxInt),
		Doc: "The age at which the snapshot of a share partition that nobody writes is written anew, so that older records can go."},
	{Key: "share.coordinator.write.timeout.ms", Type: Int, Default: "5000", Allowed: between(1, maxInt),
		Doc: "How long the share coordinator waits for all in-sync replicas to have what it wrote."},
	{Key: "share.coordinator.append.linger.ms", Type: Int, Default: "-1", Allowed: between(-1, maxInt), NoEffect: true,
		Doc: "Kafka waits for more writes before it flushes; here a flush takes whatever has come during the one before."},
	{Key: "share.coordinator.cached.buffer.max.bytes", Type: Int, Default: fmt.Sprint(mib + 12), Allowed: between(512<<10, maxInt), Update: PerBroker, NoEffect: true,
		Doc: "The largest buffer that Kafka's share coordinator keeps for the next write."},
	{Key: "share.coordinator.load.buffer.size", Type: Int, Default: fmt.Sprint(5 * mib), Allowed: between(1, maxInt), NoEffect: true,
		Doc: "How much of __share_group_state Kafka reads at a time while it loads."},
	{Key: "share.coordinator.state.topic.compression.codec", Type: Int, Default: "0", Allowed: between(0, 4), NoEffect: true,
		Doc: "The compression of __share_group_state in Kafka; here batches go into the object store compressed."},
	{Key: "share.coordinator.threads", Type: Int, Default: "1", Allowed: between(1, maxInt), NoEffect: true,
		Doc: "The threads of Kafka's share coordinator."},
}

// internalMinISR is the min.insync.replicas of internal topics.
func internalMinISR(_ Machine, get func(string) string) string {
	if get("cluster.seeds") == "" {
		return "1"
	}
	return "2"
}
