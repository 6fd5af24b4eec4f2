package config

import (
	"fmt"
	"math"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
)

const (
	kib     = 1 << 10
	mib     = 1 << 20
	gib     = 1 << 30
	maxInt  = math.MaxInt32
	maxLong = math.MaxInt64

	// rackAware is the name of the selector in Kafka's own code; clusters are configured with it.
	rackAware = "org.apache.kafka.common.replica.RackAwareReplicaSelector"
)

// groups is the table, in the order of the documentation.
var groups = []struct {
	Title    string
	Settings []Setting
}{
	{"The node", nodeSettings},
	{"Listeners and connections", listenerSettings},
	{"Quotas and bounds on clients", quotaSettings},
	{"Encryption", encryptionSettings},
	{"Authentication", authenticationSettings},
	{"Other ports and the object store", portSettings},
	{"The WAL", walSettings},
	{"Tiering and caches", tierSettings},
	{"Topics", topicSettings},
	{"Topic defaults", topicDefaultSettings},
	{"Compaction", cleanerSettings},
	{"Compression", compressionSettings},
	{"Consumer groups", groupSettings},
	{"Share groups: delivery", shareSettings},
	{"Share groups", shareGroupSettings},
	{"Producers and transactions", transactionSettings},
	{"Replication", replicationSettings},
	{"Authorization", authorizerSettings},
	{"Metrics of clients", telemetrySettings},
	{"Delegation tokens", tokenSettings},
	{"Logging", loggingSettings},
	{"Settings of Apache Kafka without effect", kafkaSettings},
}

var nodeSettings = []Setting{
	{Key: "node.id", Type: Int, Allowed: between(0, maxInt),
		Auto: "1 for a cluster of one; must be given when cluster.seeds is",
		auto: func(_ Machine, get func(string) string) string {
			if get("cluster.seeds") != "" {
				return ""
			}
			return "1"
		},
		Doc: "The number of this broker, unique in its cluster and the same for the whole life of its data directory."},
	{Key: "broker.id", Type: Int, Allowed: between(0, maxInt), Coarse: "node.id", Factor: 1,
		Doc: "Kafka's older name for node.id."},
	{Key: "broker.rack", Type: String, Update: ReadOnly,
		Doc: "The rack or availability zone of this broker. Replicas are spread over racks."},
	{Key: "data.dir", Type: String, Allowed: Allowed{Text: "a directory"},
		Doc: "Where the WAL, the Raft log and the disk cache lie. The command server refuses to start without it."},
	{Key: "cluster.seeds", Type: List, Allowed: orEmpty(parsed("HOST:PORT, separated by commas", hostPortList), "a cluster of one"),
		Doc: "The internal addresses (rpc.advertised) of the first brokers, the same list in the same order on each of them. A broker without data asks them: when there is a cluster it joins, else those that are listed make one."},
	{Key: "controller.voters", Type: Int, Default: "3", Allowed: oneOf("1", "3", "5", "7"),
		Doc: "How many brokers vote on the metadata, the same on each. A majority of them must be up for anything to change. Others take the place of a voter that is gone for good."},
	{Key: "controller.voter.gone.ms", Type: Int, Default: "300000", Allowed: between(1000, maxInt),
		Doc: "A voter that was away for so long loses its vote to another broker that is there and has caught up."},
	{Key: "controller.quorum.election.timeout.ms", Type: Int, Default: "1000", Allowed: between(50, 60_000),
		Doc: "A voter that hears nothing from the controller for so long stands for election. The death of the controller's process is noticed at once."},
	{Key: "broker.session.timeout.ms", Type: Int, Default: "3000", Allowed: between(100, 600_000),
		Doc: "A broker from which the controller hears nothing for so long is taken out of service, and others lead what it led. The death of a broker's process is noticed at once."},
	{Key: "controlled.shutdown.enable", Type: Bool, Default: "true",
		Doc: "A broker that is stopped hands over what it leads before it goes."},
	{Key: "broker.heartbeat.interval.ms", Type: Int, Default: "500", Allowed: between(10, 60_000),
		Doc: "How often a broker tells the controller that it is there."},
}

var listenerSettings = []Setting{
	{Key: "listeners", Type: List, Default: "PLAINTEXT://:9092",
		Allowed: Allowed{Text: "NAME://HOST:PORT, separated by commas; names and ports are unique, the host may be empty for every interface"},
		Doc:     "Where Kafka clients connect. Port 0 lets the system choose one, which the ready line tells."},
	{Key: "advertised.listeners", Type: List,
		Allowed: Allowed{Text: "NAME://HOST:PORT, separated by commas; names are among those of listeners, hosts are reachable ones"},
		Doc:     "What clients are told to connect to. A listener that is not named here is advertised as it stands in listeners, with this machine's name in place of an empty host; 0.0.0.0 and :: cannot be advertised."},
	{Key: "listener.security.protocol.map", Type: String, Default: "PLAINTEXT:PLAINTEXT,SSL:SSL,SASL_PLAINTEXT:SASL_PLAINTEXT,SASL_SSL:SASL_SSL",
		Allowed: parsed("NAME:PROTOCOL, separated by commas; PROTOCOL is PLAINTEXT, SSL, SASL_PLAINTEXT or SASL_SSL", parseProtocolMap),
		Doc:     "The security protocol of each listener name."},
	{Key: "rpc.listener", Type: String, Default: "127.0.0.1:9093", Allowed: parsed("HOST:PORT", hostPort),
		Doc: "Where the other brokers of the cluster connect, for replication and Raft. It is not opened in a cluster of one."},
	{Key: "rpc.advertised", Type: String, Allowed: orEmpty(parsed("HOST:PORT", hostPort), "the same as rpc.listener"),
		Doc: "What the other brokers are told to connect to."},
	{Key: "http.listener", Type: String, Default: "127.0.0.1:8080", Allowed: parsed("HOST:PORT", hostPort),
		Doc: "Where /metrics, /healthz, /readyz, /readyz/in-sync and the admin API are served. On a loopback address also /debug/pprof."},
	{Key: "schema.registry.listener", Type: String, Default: "127.0.0.1:8081", Allowed: orEmpty(parsed("HOST:PORT", hostPort), "off"), Later: true,
		Doc: "Where the schema registry is served."},
	{Key: "rest.listener", Type: String, Default: "127.0.0.1:8082", Allowed: orEmpty(parsed("HOST:PORT", hostPort), "off"), Later: true,
		Doc: "Where the REST proxy is served."},
	{Key: "socket.request.max.bytes", Type: Int, Default: fmt.Sprint(100 * mib), Allowed: between(64*kib, maxInt),
		Doc: "The largest request that is read from a connection. A larger one closes the connection before any of it is buffered."},
	{Key: "queued.max.request.bytes", Type: Long, Allowed: atLeast(mib),
		Auto: "one eighth of memory, from 64 MiB to 4 GiB",
		auto: func(m Machine, _ func(string) string) string { return share(m.MemoryBytes, 1, 8, 64*mib, 4*gib) },
		Doc:  "The memory that requests may hold from being read until they are answered. At the limit connections are not read from. Kafka has no limit by default; Tideline always has one."},
	{Key: "max.connections", Type: Int, Default: fmt.Sprint(maxInt), Allowed: between(1, maxInt), Update: PerBroker, PerListener: true,
		Doc: "The connections that may be open at once, over all listeners, or on one. Further ones are closed at once."},
	{Key: "max.connections.per.ip", Type: Int, Default: fmt.Sprint(maxInt), Allowed: between(0, maxInt), Update: PerBroker,
		Doc: "The connections that may be open at once from one address."},
	{Key: "connections.max.idle.ms", Type: Long, Default: "600000", Allowed: alsoLong(atLeast(1000), -1, "never"),
		Doc: "A connection on which nothing was sent or received for so long is closed."},
	{Key: "socket.send.buffer.bytes", Type: Int, Default: "-1", Allowed: alsoLong(between(1, maxInt), -1, "as much as the system gives"),
		Doc: "The system's buffer for what is on its way to a client, for each connection."},
	{Key: "socket.receive.buffer.bytes", Type: Int, Default: "-1", Allowed: alsoLong(between(1, maxInt), -1, "as much as the system gives"),
		Doc: "The system's buffer for what a client has sent, for each connection."},
	{Key: "fetch.max.bytes", Type: Int, Default: fmt.Sprint(55 * mib), Allowed: between(1024, maxInt),
		Doc: "The largest answer to a fetch request, whatever the consumer asks for; at least one batch is always returned."},
	{Key: "max.request.partition.size.limit", Type: Int, Default: "2000", Allowed: between(1, 2000),
		Doc: "The partitions that one answer to DescribeTopicPartitions has at most."},
	{Key: "max.incremental.fetch.session.cache.slots", Type: Int, Default: "1000", Allowed: between(0, 1_000_000),
		Doc: "The fetch sessions that are kept. A consumer without one sends and gets all its partitions with every fetch."},
}

var walSettings = []Setting{
	{Key: "wal.sync", Type: String, Default: "always", Allowed: oneOf("always", "os"),
		Doc: "When a record counts as written: always means after fdatasync, shared by all that waits (group commit); os means after the write, as Kafka does, so that a power failure can lose acknowledged records."},
	{Key: "wal.max.bytes", Type: Long, Allowed: atLeast(256 * mib),
		Auto: "64 GiB, or 80 % of the disk of data.dir if that is less",
		auto: func(m Machine, get func(string) string) string {
			return share(m.DiskBytes(get("data.dir")), 8, 10, 256*mib, 64*gib)
		},
		Doc: "What may wait in the WAL for the object store before producers are held back."},
	{Key: "wal.file.bytes", Type: Long, Allowed: between(16*mib, 4*gib),
		Auto: "64 MiB, or an eighth of wal.max.bytes if that is less",
		auto: func(_ Machine, get func(string) string) string {
			return share(parseLong(get("wal.max.bytes")), 1, 8, 16*mib, 64*mib)
		},
		Doc: "The size of one file of the WAL. Files are preallocated and used again. A restart after a crash reads one of them; a batch may have half of it."},
	{Key: "wal.tail.bytes", Type: Long, Allowed: between(4*mib, 64*gib),
		Auto: "1/32 of memory, from 32 MiB to 512 MiB",
		auto: func(m Machine, _ func(string) string) string { return share(m.MemoryBytes, 1, 32, 32*mib, 512*mib) },
		Doc:  "The memory for the newest records of all partitions, from which consumers that keep up are served."},
	{Key: "wal.direct.io", Type: Bool, Default: "true",
		Doc: "Write the WAL past the page cache where the file system can."},
}

var tierSettings = []Setting{
	{Key: "object.store", Type: String, Allowed: parsed("s3://BUCKET/PREFIX?endpoint=URL&region=R&path_style=true&driver=minio|aws, or file:///DIR", objectStoreURL),
		Auto: "file://<data.dir>/objects",
		auto: func(_ Machine, get func(string) string) string {
			dir, err := filepath.Abs(get("data.dir"))
			if get("data.dir") == "" || err != nil {
				return ""
			}
			return (&url.URL{Scheme: "file", Path: filepath.ToSlash(filepath.Join(dir, "objects"))}).String()
		},
		Doc: "The bucket, the same for all brokers of a cluster, where it must be given. Credentials come from the AWS standard chain (environment, shared config, web identity, instance role), never from this URL."},
	{Key: "tier.roll.bytes", Type: Long, Default: fmt.Sprint(64 * mib), Allowed: between(64*kib, 2*gib), Update: PerBroker,
		Doc: "A partition's tail is uploaded when it has this many bytes."},
	{Key: "tier.roll.ms", Type: Long, Default: "60000", Allowed: between(100, 86400000), Update: PerBroker,
		Doc: "A partition's tail is uploaded at the latest when its oldest record is this old. Small tails share one object."},
	{Key: "tier.garbage.grace.ms", Type: Long, Default: "3600000", Allowed: between(1000, 30*86400000),
		Doc: "How long an object that nothing refers to is kept, so that readers which still use it can finish."},
	{Key: "remote.log.manager.copy.max.bytes.per.second", Type: Long, Default: fmt.Sprint(int64(maxLong)), Allowed: atLeast(1), Update: PerBroker,
		Doc: "What this broker uploads to the object store, at most."},
	{Key: "cache.memory.bytes", Type: Long, Allowed: atLeast(0),
		Auto: "one eighth of memory, from 32 MiB to 8 GiB",
		auto: func(m Machine, _ func(string) string) string { return share(m.MemoryBytes, 1, 8, 32*mib, 8*gib) },
		Doc:  "The memory for blocks that were read from the object store."},
	{Key: "cache.disk.bytes", Type: Long, Allowed: atLeast(0),
		Auto: "one tenth of the disk of data.dir, at most 16 GiB; 0 when the object store is a directory",
		auto: func(m Machine, get func(string) string) string {
			if strings.HasPrefix(get("object.store"), "file://") {
				return "0" // a second copy on a disk is no nearer than the first
			}
			return share(m.DiskBytes(get("data.dir")), 1, 10, 0, 16*gib)
		},
		Doc: "The disk space for blocks that were read from the object store, reserved at start, but no more than half of what is free then; 0 turns the disk cache off."},
}

var groupSettings = []Setting{
	{Key: "offsets.topic.num.partitions", Type: Int, Default: "50", Allowed: between(1, 10_000),
		Doc: "The partitions of __consumer_offsets, fixed when the topic is created."},
	{Key: "offsets.topic.segment.bytes", Type: Int, Default: fmt.Sprint(100 * mib), Allowed: between(1, maxInt),
		Doc: "The segment.bytes of __consumer_offsets, fixed when the topic is created."},
	{Key: "offsets.topic.replication.factor", Type: Short, Allowed: between(1, 127),
		Auto: "1 for a cluster of one, else 3", auto: internalReplicas,
		Doc: "The replicas of __consumer_offsets, fixed when the topic is created."},
	{Key: "offset.metadata.max.bytes", Type: Int, Default: "4096", Allowed: between(0, mib),
		Doc: "The longest text that may accompany a committed offset."},
	{Key: "offsets.retention.minutes", Type: Int, Default: "10080", Allowed: between(1, maxInt),
		Doc: "Committed offsets of a group without members are dropped after so long."},
	{Key: "offsets.retention.check.interval.ms", Type: Long, Default: "600000", Allowed: between(1, maxLong),
		Doc: "How often expired offsets are looked for."},
	{Key: "group.min.session.timeout.ms", Type: Int, Default: "6000", Allowed: between(1, maxInt),
		Doc: "The shortest session timeout that a member may ask for."},
	{Key: "group.max.session.timeout.ms", Type: Int, Default: "1800000", Allowed: between(1, maxInt),
		Doc: "The longest session timeout that a member may ask for."},
	{Key: "group.initial.rebalance.delay.ms", Type: Int, Default: "3000", Allowed: between(0, maxInt),
		Doc: "How long a new group waits for further members before its first rebalance."},
	{Key: "group.max.size", Type: Int, Default: fmt.Sprint(maxInt), Allowed: between(1, maxInt),
		Doc: "The members that one group may have."},
	{Key: "group.consumer.session.timeout.ms", GroupKey: "consumer.session.timeout.ms", GroupMin: "group.consumer.min.session.timeout.ms", GroupMax: "group.consumer.max.session.timeout.ms",
		Type: Int, Default: "45000", Allowed: between(1, maxInt), Update: PerBroker,
		Doc: "A member of the consumer protocol that is silent for so long is out of its group. A group may have a value of its own."},
	{Key: "group.consumer.min.session.timeout.ms", Type: Int, Default: "45000", Allowed: between(1, maxInt),
		Doc: "The shortest session timeout that a group of the consumer protocol may have."},
	{Key: "group.consumer.max.session.timeout.ms", Type: Int, Default: "60000", Allowed: between(1, maxInt),
		Doc: "The longest session timeout that a group of the consumer protocol may have."},
	{Key: "group.consumer.heartbeat.interval.ms", GroupKey: "consumer.heartbeat.interval.ms", GroupMin: "group.consumer.min.heartbeat.interval.ms", GroupMax: "group.consumer.max.heartbeat.interval.ms",
		Type: Int, Default: "5000", Allowed: between(1, maxInt), Update: PerBroker,
		Doc: "How often members of the consumer protocol are to be heard of. A group may have a value of its own."},
	{Key: "group.consumer.min.heartbeat.interval.ms", Type: Int, Default: "5000", Allowed: between(1, maxInt),
		Doc: "The shortest heartbeat interval that a group of the consumer protocol may have."},
	{Key: "group.consumer.max.heartbeat.interval.ms", Type: Int, Default: "15000", Allowed: between(1, maxInt),
		Doc: "The longest heartbeat interval that a group of the consumer protocol may have."},
	{Key: "group.consumer.max.size", Type: Int, Default: fmt.Sprint(maxInt), Allowed: between(1, maxInt),
		Doc: "The members that one group of the consumer protocol may have, at most 10000."},
	{Key: "group.consumer.assignors", Type: List, Default: "uniform,range", Allowed: parsed("uniform and range, separated by commas", assignorList),
		Doc: "The assignors that members of the consumer protocol may ask for. The first is for groups whose members ask for none."},
	{Key: "group.consumer.migration.policy", Type: String, Default: "bidirectional", Allowed: oneOf("bidirectional", "upgrade", "downgrade", "disabled"),
		Doc: "Which way a group with members may go from one protocol to the other: to the consumer protocol when the first member of it joins (upgrade), back when the last one leaves (downgrade)."},
	{Key: "group.consumer.regex.refresh.interval.ms", Type: Int, Default: "600000", Allowed: between(10_000, maxInt),
		Doc: "How often subscriptions by regular expression are looked at anew. New topics are seen after ten seconds at the latest."},
	{Key: "group.streams.session.timeout.ms", GroupKey: "streams.session.timeout.ms", GroupMin: "group.streams.min.session.timeout.ms", GroupMax: "group.streams.max.session.timeout.ms",
		Type: Int, Default: "45000", Allowed: between(1, maxInt), Update: PerBroker,
		Doc: "A member of a streams group that is silent for so long is out of it."},
	{Key: "group.streams.min.session.timeout.ms", Type: Int, Default: "45000", Allowed: between(1, maxInt),
		Doc: "The shortest session timeout that a streams group may have."},
	{Key: "group.streams.max.session.timeout.ms", Type: Int, Default: "60000", Allowed: between(1, maxInt),
		Doc: "The longest session timeout that a streams group may have."},
	{Key: "group.streams.heartbeat.interval.ms", GroupKey: "streams.heartbeat.interval.ms", GroupMin: "group.streams.min.heartbeat.interval.ms", GroupMax: "group.streams.max.heartbeat.interval.ms",
		Type: Int, Default: "5000", Allowed: between(1, maxInt), Update: PerBroker,
		Doc: "How often members of a streams group are to be heard of."},
	{Key: "group.streams.min.heartbeat.interval.ms", Type: Int, Default: "5000", Allowed: between(1, maxInt),
		Doc: "The shortest heartbeat interval that a streams group may have."},
	{Key: "group.streams.max.heartbeat.interval.ms", Type: Int, Default: "15000", Allowed: between(1, maxInt),
		Doc: "The longest heartbeat interval that a streams group may have."},
	{Key: "group.streams.max.size", Type: Int, Default: fmt.Sprint(maxInt), Allowed: between(1, maxInt),
		Doc: "The members (threads of an application) that one streams group may have, at most 10000."},
	{Key: "group.streams.num.standby.replicas", GroupKey: "streams.num.standby.replicas", GroupMax: "group.streams.max.standby.replicas",
		Type: Int, Default: "0", Allowed: between(0, maxInt), Update: PerBroker,
		Doc: "The standby copies that the state of each task has."},
	{Key: "group.streams.max.standby.replicas", Type: Int, Default: "2", Allowed: between(0, maxInt),
		Doc: "The most standby copies that a streams group may have."},
	{Key: "group.streams.initial.rebalance.delay.ms", GroupKey: "streams.initial.rebalance.delay.ms",
		Type: Int, Default: "3000", Allowed: between(0, maxInt), Update: PerBroker,
		Doc: "How long a streams group without members waits for further ones before the first tasks are assigned."},
	{Key: "group.streams.assignment.interval.ms", GroupKey: "streams.assignment.interval.ms", GroupMin: "group.streams.min.assignment.interval.ms", GroupMax: "group.streams.max.assignment.interval.ms",
		Type: Int, Default: "1000", Allowed: between(0, maxInt), Update: PerBroker,
		Doc: "The least time between two assignments of a streams group."},
	{Key: "group.streams.min.assignment.interval.ms", Type: Int, Default: "0", Allowed: between(0, maxInt),
		Doc: "The least assignment interval that a streams group may have."},
	{Key: "group.streams.max.assignment.interval.ms", Type: Int, Default: "15000", Allowed: between(0, maxInt),
		Doc: "The greatest assignment interval that a streams group may have."},
}

// assignorList reads the names of assignors.
func assignorList(text string) ([]string, error) {
	names := splitList(text)
	for i, name := range names {
		if name != "uniform" && name != "range" {
			return nil, fmt.Errorf("unknown assignor: %q", name)
		}
		if slices.Contains(names[:i], name) {
			return nil, fmt.Errorf("assignor named twice: %q", name)
		}
	}
	if len(names) == 0 {
		return nil, fmt.Errorf("no assignor")
	}
	return names, nil
}

var shareSettings = []Setting{
	{Key: "group.share.delivery.count.limit", GroupKey: "share.delivery.count.limit", GroupMin: "group.share.min.delivery.count.limit", GroupMax: "group.share.max.delivery.count.limit", Type: Int, Default: "5", Allowed: between(2, 25), Update: PerBroker,
		Doc: "How often a record is delivered to a share group at most."},
	{Key: "group.share.partition.max.record.locks", GroupKey: "share.partition.max.record.locks", GroupMin: "group.share.min.partition.max.record.locks", GroupMax: "group.share.max.partition.max.record.locks", Type: Int, Default: "2000", Allowed: between(100, 10_000), Update: PerBroker,
		Doc: "The records of a partition that may be in flight in a share group, from the first that is not done to the last that was delivered."},
	{Key: "group.share.record.lock.duration.ms", GroupKey: "share.record.lock.duration.ms",
		GroupMin: "group.share.min.record.lock.duration.ms", GroupMax: "group.share.max.record.lock.duration.ms", Type: Int, Default: "30000", Allowed: between(1000, 3_600_000), Update: PerBroker,
		Doc: "How long a member of a share group has a record to itself. Then it is delivered to another."},
	{Key: "group.share.min.delivery.count.limit", Type: Int, Default: "2", Allowed: between(2, 5),
		Doc: "The least limit of deliveries that a group may ask for."},
	{Key: "group.share.max.delivery.count.limit", Type: Int, Default: "10", Allowed: between(5, 25),
		Doc: "The greatest limit of deliveries that a group may ask for."},
	{Key: "group.share.min.partition.max.record.locks", Type: Int, Default: "100", Allowed: between(100, 2000),
		Doc: "The fewest records in flight that a group may ask for."},
	{Key: "group.share.max.partition.max.record.locks", Type: Int, Default: "4000", Allowed: between(2000, 10_000),
		Doc: "The most records in flight that a group may ask for."},
	{Key: "group.share.min.record.lock.duration.ms", Type: Int, Default: "15000", Allowed: between(1000, 30_000),
		Doc: "The shortest lock duration that a group may ask for."},
	{Key: "group.share.max.record.lock.duration.ms", Type: Int, Default: "60000", Allowed: between(30_000, 3_600_000),
		Doc: "The longest lock duration that a group may ask for."},
	{GroupKey: "share.auto.offset.reset", Type: String, Default: "latest",
		Allowed: parsed("latest, earliest, or by_duration:PnDTnHnMn.nS", ParseShareReset),
		Doc:     "Where a share group begins in a partition: at the end, at the start, or so far back from now."},
	{GroupKey: "share.isolation.level", Type: String, Default: "read_uncommitted", Allowed: oneOf("read_uncommitted", "read_committed"),
		Doc: "Whether a share group sees the records of transactions that are open or were aborted."},
	{GroupKey: "share.renew.acknowledge.enable", Type: Bool, Default: "true",
		Doc: "Whether members of a share group may lock a record once more."},
	{Key: "group.share.max.share.sessions", Type: Int, Default: "2000", Allowed: between(1, 1_000_000),
		Doc: "The share sessions that may be open at once, one for each member of a share group that fetches from this broker."},
}

var transactionSettings = []Setting{
	{Key: "producer.id.expiration.ms", Type: Int, Default: "86400000", Allowed: between(1, maxInt), Update: PerBroker,
		Doc: "The state of an idempotent producer that wrote nothing for so long is dropped."},
	{Key: "transactional.id.expiration.ms", Type: Int, Default: "604800000", Allowed: between(1, maxInt),
		Doc: "A transactional id that was not used for so long is forgotten."},
	{Key: "transaction.remove.expired.transaction.cleanup.interval.ms", Type: Int, Default: "3600000", Allowed: between(1, maxInt),
		Doc: "How often transactional ids that were not used are looked for."},
	{Key: "transaction.max.timeout.ms", Type: Int, Default: "900000", Allowed: between(1, maxInt),
		Doc: "The longest transaction timeout that a producer may ask for."},
	{Key: "transaction.abort.timed.out.transaction.cleanup.interval.ms", Type: Int, Default: "10000", Allowed: between(1, maxInt),
		Doc: "How often transactions that ran out of time are looked for and aborted."},
	{Key: "transaction.state.log.num.partitions", Type: Int, Default: "50", Allowed: between(1, 10_000),
		Doc: "The partitions of __transaction_state, fixed when the topic is created."},
	{Key: "transaction.state.log.segment.bytes", Type: Int, Default: fmt.Sprint(100 * mib), Allowed: between(1, maxInt),
		Doc: "The segment.bytes of __transaction_state, fixed when the topic is created."},
	{Key: "transaction.state.log.replication.factor", Type: Short, Allowed: between(1, 127),
		Auto: "1 for a cluster of one, else 3", auto: internalReplicas,
		Doc: "The replicas of __transaction_state, fixed when the topic is created."},
	{Key: "transaction.state.log.min.isr", Type: Int, Allowed: between(1, 127),
		Auto: "1 for a cluster of one, else 2",
		auto: func(_ Machine, get func(string) string) string {
			if get("cluster.seeds") == "" {
				return "1"
			}
			return "2"
		},
		Doc: "The min.insync.replicas of __transaction_state."},
}

func internalReplicas(_ Machine, get func(string) string) string {
	if get("cluster.seeds") == "" {
		return "1"
	}
	return "3"
}

var replicationSettings = []Setting{
	{Key: "default.replication.factor", Type: Int, Default: "1", Allowed: between(1, 127),
		Doc: "The replicas of a topic that is created without saying how many."},
	{Key: "replica.lag.time.max.ms", Type: Long, Default: "30000", Allowed: between(100, maxLong),
		Doc: "A follower that did not reach the leader's end for so long leaves the ISR."},
	{Key: "auto.leader.rebalance.enable", Type: Bool, Default: "true",
		Doc: "Give leadership back to preferred leaders in the background."},
	{Key: "leader.imbalance.check.interval.seconds", Type: Long, Default: "300", Allowed: between(1, 86400*365),
		Doc: "How often the balance of leadership is looked at."},
	{Key: "leader.replication.throttled.rate", Type: Long, Default: fmt.Sprint(int64(maxLong)), Allowed: atLeast(1), Update: PerBroker,
		Doc: "What this broker sends, as the leader, to the throttled replicas of all its partitions that are not in sync, together and per second; see leader.replication.throttled.replicas."},
	{Key: "follower.replication.throttled.rate", Type: Long, Default: fmt.Sprint(int64(maxLong)), Allowed: atLeast(1), Update: PerBroker,
		Doc: "What this broker takes, as a follower, for its throttled replicas that are not in sync, together and per second; see follower.replication.throttled.replicas. Its leaders keep to it, each to an equal part, so it counts when it is set dynamically."},
	{Key: "replica.selector.class", Type: String, Default: rackAware, Allowed: orEmpty(oneOf(rackAware), "leaders only"),
		Doc: "Which replica a consumer that names its rack (client.rack) reads from: one in sync in the same rack, or only the leader."},
	{Key: "auto.balance.enable", Type: Bool, Default: "true",
		Doc: "Move replicas where brokers come or go, until all have about as many and as much. Only what is not in the object store is copied."},
}

var loggingSettings = []Setting{
	{Key: "logging.level", Type: String, Default: "info", Allowed: oneOf("debug", "info", "warn", "error"), Update: PerBroker,
		Doc: "The least level that the broker writes to standard error. Parts of the broker may have levels of their own, see the resource type BROKER_LOGGER."},
	{Key: "logging.format", Type: String, Default: "text", Allowed: oneOf("text", "json"),
		Doc: "The form of the broker's log lines."},
}

// objectStoreURL checks the form of the object store's URL and that it carries
// no credentials. The backend checks the parameters.
func objectStoreURL(text string) (*url.URL, error) {
	u, err := url.Parse(text)
	if err != nil {
		return nil, fmt.Errorf("not a URL: %w", err)
	}
	if u.User != nil || u.Fragment != "" {
		return nil, fmt.Errorf("user or fragment in an object store URL")
	}
	switch u.Scheme {
	case "s3":
		if u.Host == "" {
			return nil, fmt.Errorf("bucket missing")
		}
		for parameter := range u.Query() {
			switch lower := strings.ToLower(parameter); {
			case strings.Contains(lower, "secret"), strings.Contains(lower, "password"), strings.Contains(lower, "access_key"), strings.Contains(lower, "token"):
				return nil, fmt.Errorf("credentials in an object store URL")
			}
		}
	case "file":
		if u.Host != "" || !strings.HasPrefix(u.Path, "/") {
			return nil, fmt.Errorf("not an absolute directory")
		}
	default:
		return nil, fmt.Errorf("unknown scheme: %q", u.Scheme)
	}
	return u, nil
}
