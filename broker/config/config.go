package config

import "time"

// Config is the settings of one broker, typed. Each field is bound by its tag to
// the row of the table that documents it; durations are written in the table in
// the unit that the key ends in. It is immutable.
type Config struct {
	NodeID       int32    `key:"node.id"`
	Rack         string   `key:"broker.rack"`
	DataDir      string   `key:"data.dir"`
	ClusterSeeds []string `key:"cluster.seeds"`

	ControllerVoters          int32         `key:"controller.voters"`
	ControllerVoterGone       time.Duration `key:"controller.voter.gone.ms"`
	ControllerElectionTimeout time.Duration `key:"controller.quorum.election.timeout.ms"`
	BrokerSessionTimeout      time.Duration `key:"broker.session.timeout.ms"`
	ControlledShutdown        bool          `key:"controlled.shutdown.enable"`
	BrokerHeartbeatInterval   time.Duration `key:"broker.heartbeat.interval.ms"`

	// Listeners and Advertised have the same length and order.
	Listeners              []Listener
	Advertised             []Listener
	ListenersText          []string `key:"listeners"`
	AdvertisedText         []string `key:"advertised.listeners"`
	ProtocolMapText        []string `key:"listener.security.protocol.map"`
	RPCListener            string   `key:"rpc.listener"`
	RPCAdvertised          string   `key:"rpc.advertised"` // rpc.listener when not given
	HTTPListener           string   `key:"http.listener"`
	SchemaRegistryListener string   `key:"schema.registry.listener"`
	RESTListener           string   `key:"rest.listener"`

	SocketRequestMaxBytes    int32         `key:"socket.request.max.bytes"`
	QueuedMaxRequestBytes    int64         `key:"queued.max.request.bytes"`
	MaxConnections           int32         `key:"max.connections"`
	MaxConnectionsPerIP      int32         `key:"max.connections.per.ip"`
	ConnectionsMaxIdle       time.Duration `key:"connections.max.idle.ms"` // negative: never
	SocketSendBufferBytes    int32         `key:"socket.send.buffer.bytes"`
	SocketReceiveBufferBytes int32         `key:"socket.receive.buffer.bytes"`
	FetchMaxBytes            int32         `key:"fetch.max.bytes"`
	MaxDescribedPartitions   int32         `key:"max.request.partition.size.limit"`
	FetchSessionSlots        int32         `key:"max.incremental.fetch.session.cache.slots"`

	QuotaWindowNum               int32         `key:"quota.window.num"`
	QuotaWindowSize              time.Duration `key:"quota.window.size.seconds"`
	ControllerQuotaWindowNum     int32         `key:"controller.quota.window.num"`
	ControllerQuotaWindowSize    time.Duration `key:"controller.quota.window.size.seconds"`
	MaxConnectionsPerIPOverrides string        `key:"max.connections.per.ip.overrides"`
	MaxConnectionCreationRate    int32         `key:"max.connection.creation.rate"`
	MaxUnauthenticated           int32         `key:"max.unauthenticated.connections"`
	AuthenticationTimeout        time.Duration `key:"connections.authentication.timeout.ms"`
	SASLMaxReceiveBytes          int32         `key:"sasl.server.max.receive.size"`
	// What may differ between listeners: ListenerSecurity and MechanismSecurity.
	StoreReloadInterval  time.Duration `key:"ssl.reload.interval.ms"`
	FailedAuthentication time.Duration `key:"connection.failed.authentication.delay.ms"`

	PeerTLSCertificate       string `key:"peer.tls.certificate"`
	PeerTLSKey               string `key:"peer.tls.key"`
	PeerTLSCA                string `key:"peer.tls.ca"`
	ObjectStoreCAFile        string `key:"object.store.ca.file"`
	ObjectStoreTLSMinVersion string `key:"object.store.tls.min.version"`
	HTTPCertificate          string `key:"http.ssl.certificate"`
	HTTPKey                  string `key:"http.ssl.key"`
	HTTPUsers                string `key:"http.users"`
	HTTPAllowUnauthenticated bool   `key:"http.allow.unauthenticated"`

	WALSync      string `key:"wal.sync"` // "always" or "os"
	WALMaxBytes  int64  `key:"wal.max.bytes"`
	WALFileBytes int64  `key:"wal.file.bytes"`
	WALTailBytes int64  `key:"wal.tail.bytes"`
	WALDirectIO  bool   `key:"wal.direct.io"`

	ObjectStore              string        `key:"object.store"`
	TierRollBytes            int64         `key:"tier.roll.bytes"`
	TierRoll                 time.Duration `key:"tier.roll.ms"`
	RemoteCopyBytesPerSecond int64         `key:"remote.log.manager.copy.max.bytes.per.second"`
	TierGarbageGrace         time.Duration `key:"tier.garbage.grace.ms"`
	CacheMemoryBytes         int64         `key:"cache.memory.bytes"`
	CacheDiskBytes           int64         `key:"cache.disk.bytes"`

	NumPartitions          int32         `key:"num.partitions"`
	AutoCreateTopics       bool          `key:"auto.create.topics.enable"`
	DeleteTopicEnable      bool          `key:"delete.topic.enable"`
	RetentionCheckInterval time.Duration `key:"log.retention.check.interval.ms"`

	CleanerEnable         bool          `key:"log.cleaner.enable"`
	CleanerBufferBytes    int64         `key:"log.cleaner.dedupe.buffer.size"`
	CleanerLoadFactor     float64       `key:"log.cleaner.io.buffer.load.factor"`
	CleanerBytesPerSecond float64       `key:"log.cleaner.io.max.bytes.per.second"`
	CleanerBackoff        time.Duration `key:"log.cleaner.backoff.ms"`

	OffsetsTopicPartitions        int32         `key:"offsets.topic.num.partitions"`
	OffsetsTopicSegmentBytes      int32         `key:"offsets.topic.segment.bytes"`
	OffsetsTopicReplicationFactor int16         `key:"offsets.topic.replication.factor"`
	OffsetMetadataMaxBytes        int32         `key:"offset.metadata.max.bytes"`
	OffsetsRetention              time.Duration `key:"offsets.retention.minutes"`
	OffsetsRetentionCheckInterval time.Duration `key:"offsets.retention.check.interval.ms"`
	GroupMinSessionTimeout        time.Duration `key:"group.min.session.timeout.ms"`
	GroupMaxSessionTimeout        time.Duration `key:"group.max.session.timeout.ms"`
	GroupInitialRebalanceDelay    time.Duration `key:"group.initial.rebalance.delay.ms"`
	GroupMaxSize                  int32         `key:"group.max.size"`
	ConsumerSessionTimeout        time.Duration `key:"group.consumer.session.timeout.ms"`
	ConsumerMinSessionTimeout     time.Duration `key:"group.consumer.min.session.timeout.ms"`
	ConsumerMaxSessionTimeout     time.Duration `key:"group.consumer.max.session.timeout.ms"`
	ConsumerHeartbeatInterval     time.Duration `key:"group.consumer.heartbeat.interval.ms"`
	ConsumerMinHeartbeatInterval  time.Duration `key:"group.consumer.min.heartbeat.interval.ms"`
	ConsumerMaxHeartbeatInterval  time.Duration `key:"group.consumer.max.heartbeat.interval.ms"`
	ConsumerMaxSize               int32         `key:"group.consumer.max.size"`
	ConsumerAssignors             []string      `key:"group.consumer.assignors"`
	ConsumerMigrationPolicy       string        `key:"group.consumer.migration.policy"`
	ConsumerRegexRefreshInterval  time.Duration `key:"group.consumer.regex.refresh.interval.ms"`
	StreamsSessionTimeout         time.Duration `key:"group.streams.session.timeout.ms"`
	StreamsMinSessionTimeout      time.Duration `key:"group.streams.min.session.timeout.ms"`
	StreamsMaxSessionTimeout      time.Duration `key:"group.streams.max.session.timeout.ms"`
	StreamsHeartbeatInterval      time.Duration `key:"group.streams.heartbeat.interval.ms"`
	StreamsMinHeartbeatInterval   time.Duration `key:"group.streams.min.heartbeat.interval.ms"`
	StreamsMaxHeartbeatInterval   time.Duration `key:"group.streams.max.heartbeat.interval.ms"`
	StreamsMaxSize                int32         `key:"group.streams.max.size"`
	StreamsNumStandbyReplicas     int32         `key:"group.streams.num.standby.replicas"`
	StreamsMaxStandbyReplicas     int32         `key:"group.streams.max.standby.replicas"`
	StreamsInitialRebalanceDelay  time.Duration `key:"group.streams.initial.rebalance.delay.ms"`
	StreamsAssignmentInterval     time.Duration `key:"group.streams.assignment.interval.ms"`
	StreamsMinAssignmentInterval  time.Duration `key:"group.streams.min.assignment.interval.ms"`
	StreamsMaxAssignmentInterval  time.Duration `key:"group.streams.max.assignment.interval.ms"`

	GroupShareDeliveryCountLimit    int32         `key:"group.share.delivery.count.limit"`
	GroupShareMaxRecordLocks        int32         `key:"group.share.partition.max.record.locks"`
	GroupShareRecordLockDuration    time.Duration `key:"group.share.record.lock.duration.ms"`
	GroupShareMinDeliveryCountLimit int32         `key:"group.share.min.delivery.count.limit"`
	GroupShareMaxDeliveryCountLimit int32         `key:"group.share.max.delivery.count.limit"`
	GroupShareMinMaxRecordLocks     int32         `key:"group.share.min.partition.max.record.locks"`
	GroupShareMaxMaxRecordLocks     int32         `key:"group.share.max.partition.max.record.locks"`
	GroupShareMinRecordLockDuration time.Duration `key:"group.share.min.record.lock.duration.ms"`
	GroupShareMaxRecordLockDuration time.Duration `key:"group.share.max.record.lock.duration.ms"`
	GroupShareMaxShareSessions      int32         `key:"group.share.max.share.sessions"`

	ShareSessionTimeout       time.Duration `key:"group.share.session.timeout.ms"`
	ShareMinSessionTimeout    time.Duration `key:"group.share.min.session.timeout.ms"`
	ShareMaxSessionTimeout    time.Duration `key:"group.share.max.session.timeout.ms"`
	ShareHeartbeatInterval    time.Duration `key:"group.share.heartbeat.interval.ms"`
	ShareMinHeartbeatInterval time.Duration `key:"group.share.min.heartbeat.interval.ms"`
	ShareMaxHeartbeatInterval time.Duration `key:"group.share.max.heartbeat.interval.ms"`
	ShareMaxSize              int32         `key:"group.share.max.size"`
	ShareInitializeRetry      time.Duration `key:"group.share.initialize.retry.interval.ms"`

	ShareTopicPartitions        int32         `key:"share.coordinator.state.topic.num.partitions"`
	ShareTopicReplicationFactor int16         `key:"share.coordinator.state.topic.replication.factor"`
	ShareTopicMinISR            int32         `key:"share.coordinator.state.topic.min.isr"`
	ShareTopicSegmentBytes      int32         `key:"share.coordinator.state.topic.segment.bytes"`
	ShareTopicPruneInterval     time.Duration `key:"share.coordinator.state.topic.prune.interval.ms"`
	ShareUpdatesPerSnapshot     int32         `key:"share.coordinator.snapshot.update.records.per.snapshot"`
	ShareColdInterval           time.Duration `key:"share.coordinator.cold.partition.snapshot.interval.ms"`
	ShareWriteTimeout           time.Duration `key:"share.coordinator.write.timeout.ms"`

	ProducerIDExpiration              time.Duration `key:"producer.id.expiration.ms"`
	TransactionalIDExpiration         time.Duration `key:"transactional.id.expiration.ms"`
	TransactionMaxTimeout             time.Duration `key:"transaction.max.timeout.ms"`
	TransactionalIDExpirationInterval time.Duration `key:"transaction.remove.expired.transaction.cleanup.interval.ms"`
	TransactionAbortInterval          time.Duration `key:"transaction.abort.timed.out.transaction.cleanup.interval.ms"`
	TransactionTopicPartitions        int32         `key:"transaction.state.log.num.partitions"`
	TransactionTopicSegmentBytes      int32         `key:"transaction.state.log.segment.bytes"`
	TransactionTopicReplicationFactor int16         `key:"transaction.state.log.replication.factor"`
	TransactionTopicMinISR            int32         `key:"transaction.state.log.min.isr"`

	DelegationTokenSecret      string        `key:"delegation.token.secret.key"`
	DelegationTokenMaxLifetime time.Duration `key:"delegation.token.max.lifetime.ms"`
	DelegationTokenExpiry      time.Duration `key:"delegation.token.expiry.time.ms"`
	DelegationTokenExpiryCheck time.Duration `key:"delegation.token.expiry.check.interval.ms"`

	DefaultReplicationFactor int16         `key:"default.replication.factor"`
	ReplicaLagTimeMax        time.Duration `key:"replica.lag.time.max.ms"`
	AutoLeaderRebalance      bool          `key:"auto.leader.rebalance.enable"`
	LeaderImbalanceCheck     time.Duration `key:"leader.imbalance.check.interval.seconds"`
	LeaderThrottledRate      int64         `key:"leader.replication.throttled.rate"`
	ReplicaSelector          string        `key:"replica.selector.class"` // empty: leaders only
	AutoBalance              bool          `key:"auto.balance.enable"`

	AuthorizerClass   string `key:"authorizer.class.name"` // empty: everybody may do everything
	SuperUsers        string `key:"super.users"`
	AllowIfNoACLFound bool   `key:"allow.everyone.if.no.acl.found"`
	AuditLogTopic     string `key:"audit.log.topic"` // empty: events are only log lines
	TelemetryMaxBytes int32  `key:"telemetry.max.bytes"`

	GroupLagInterval  time.Duration `key:"metrics.group.lag.interval.ms"` // 0: off
	GroupLagMaxSeries int32         `key:"metrics.group.lag.max.series"`

	LoggingLevel  string `key:"logging.level"`
	LoggingFormat string `key:"logging.format"`

	values  map[string]value // every broker key that has a value, by its own name
	layers  []layer          // rising; the default layer is not among them
	machine Machine
}

// value is what one broker key has, and why.
type value struct {
	text   string // canonical
	source Source
	origin string // where it was written, for errors; empty for defaults
}
