package broker

import (
	"context"
	"math"
	"path/filepath"
	"time"

	"github.com/tidelinehq/tideline/broker/api"
	"github.com/tidelinehq/tideline/broker/config"
	"github.com/tidelinehq/tideline/broker/coordinator/group"
	"github.com/tidelinehq/tideline/broker/membership"
	"github.com/tidelinehq/tideline/broker/partition"
	"github.com/tidelinehq/tideline/broker/purgatory"
	"github.com/tidelinehq/tideline/broker/replication"
	"github.com/tidelinehq/tideline/broker/server"
	"github.com/tidelinehq/tideline/metadata"
	"github.com/tidelinehq/tideline/metadata/controller"
	"github.com/tidelinehq/tideline/tiering"
	"github.com/tidelinehq/tideline/tiering/cache"
	"github.com/tidelinehq/tideline/wal"
)

// maxParked bounds the fetches that wait for records: one for each connection
// that Kafka's default would allow, and then some.
const maxParked = 100_000

// pageCacheBytes bounds the manifest pages that are kept decoded.
const pageCacheBytes = 32 << 20

// cleanInterval is how often garbage is looked for, unless the grace period is
// shorter: then a look for each period.
const cleanInterval = 30 * time.Second

// assemble makes the parts and ties them together.
func (b *Broker) assemble(context.Context) error {
	b.table = partition.NewTable()
	l := &ledger{meta: b.meta, nodeID: b.cfg.NodeID, now: b.now}
	b.locator = tiering.NewLocator(l, b.reads, pageCacheBytes, b.registry)
	var err error
	if b.engine, err = tiering.New(tiering.Options{
		Ledger: l, Store: b.uploads, FS: b.fs, Dir: filepath.Join(b.cfg.DataDir, "spool"), Locator: b.locator,
		Grace: b.cfg.TierGarbageGrace, Tracer: b.tracer, Traces: b.producerTraces(), CleanInterval: min(cleanInterval, b.cfg.TierGarbageGrace),
		CompactOff: !b.cfg.CleanerEnable, CompactKeyBytes: b.cfg.CleanerBufferBytes, CompactKeyLoad: b.cfg.CleanerLoadFactor,
		CompactBytesPerSecond: cleanerRate(b.cfg.CleanerBytesPerSecond), CompactInterval: b.cfg.CleanerBackoff,
		WALUsage: func() (int64, int64) { u := b.log.Usage(); return u.Bytes, u.MaxBytes },
		Logger:   b.logger.With("part", "tiering"), Registerer: b.registry,
	}); err != nil {
		return err
	}
	if b.reader, err = tiering.NewReader(tiering.ReaderOptions{
		Store: b.reads, Locator: b.locator, CacheBytes: b.cfg.CacheMemoryBytes,
		Disk:   &cache.DiskOptions{FS: b.fs, Dir: filepath.Join(b.cfg.DataDir, "cache"), Bytes: b.cfg.CacheDiskBytes},
		Logger: b.logger.With("part", "cold_read"), Registerer: b.registry,
	}); err != nil {
		return err
	}
	past := &history{meta: b.meta, locator: b.locator, reader: b.reader}
	if err := b.assembleShareStates(past); err != nil {
		return err
	}
	if b.groups, err = group.New(group.Options{
		Config: b.groupConfig(), Log: &internalLog{topic: api.OffsetsTopic, table: b.table, history: past},
		Topics: topicNames{b.meta}, Logger: b.logger.With("part", "groups"), Registerer: b.registry,
		Shares: b.shareClient, PartitionEnd: b.partitionEnd,
	}); err != nil {
		return err
	}
	if b.transactions, err = b.newTransactions(past); err != nil {
		return err
	}
	b.replicas = &replicas{
		nodeID: b.cfg.NodeID, log: b.log, table: b.table, engine: b.engine, trail: b.trail, now: b.now, logger: b.logger,
		coordinators: map[string]coordinates{
			api.OffsetsTopic: b.groups, api.TransactionsTopic: b.transactions, api.ShareStateTopic: b.shareStates,
		},
		history: past, store: b.reads,
		leases: make(map[wal.ID]*tiering.Lease), names: make(map[metadata.ID]string),
	}
	b.replicas.conf.Store(b.cfg)
	b.connect()
	b.purgatory = purgatory.New(maxParked, b.registry)
	b.assembleSharePartitions()
	b.audit = b.newAudit()
	b.quotas = newQuotas(b.cfg, b.registry)
	b.quotaLimits.quotas = b.quotas
	clientMetrics, err := b.assembleClientMetrics()
	if err != nil {
		return err
	}
	b.api = api.New(api.Deps{
		ClientMetrics: clientMetrics,
		Authorizer:    b.authorizer(), Audit: b.audit, Quotas: b.quotas,
		Config: b.cfg, Settings: b.replicas.config, Levels: b.levels,
		Metadata: b.meta, Partitions: b.table, History: past, Groups: b.groups, Shares: b.sharePartitions, ShareState: b.shareStates,
		TxnCoordinator: b.transactions, MarkerWritten: markerWritten(b.groups),
		Purgatory: b.purgatory, Tracer: b.tracer, Gate: b.gate, Trail: b.trail, Looker: b.looker, DiskUsage: b.diskUsage, WaitForRoom: b.replicas.waitForRoom,
		SASL:   b.saslServer,
		Policy: func() controller.Policy { return policyOf(b.replicas.config()) }, Quorum: metadataGroup{b.meta.Store, b}, Forward: b.forward(),
	}, b.now, b.logger, b.registry)
	b.shareClient.Connect(b.api)
	b.takeForwarded()
	b.server, err = server.New(server.Options{
		Handler: b.api, Limits: new(connectionLimits(b.cfg)), Connect: b.quotas.Connect,
		AuthenticationTimeout: b.cfg.AuthenticationTimeout, MaxUnauthenticatedBytes: b.cfg.SASLMaxReceiveBytes,
		MaxRequestBytes: b.cfg.SocketRequestMaxBytes, QueuedBytes: b.cfg.QueuedMaxRequestBytes, IdleTimeout: b.cfg.ConnectionsMaxIdle,
		SendBufferBytes: int(b.cfg.SocketSendBufferBytes), ReceiveBufferBytes: int(b.cfg.SocketReceiveBufferBytes),
		Logger: b.logger.With("part", "server"), Registerer: b.registry,
	})
	if err == nil {
		b.limit(b.cfg)
	}
	return err
}

// cleanerRate is the rate of compaction; 0, no limit, when it is more than any store gives.
func cleanerRate(bytesPerSecond float64) int64 {
	if bytesPerSecond > 1<<40 {
		return 0
	}
	return int64(max(bytesPerSecond, 1))
}

func (b *Broker) groupConfig() group.Config {
	c := b.cfg
	g := group.Defaults()
	g.Partitions = c.OffsetsTopicPartitions
	g.MinSessionTimeout, g.MaxSessionTimeout = c.GroupMinSessionTimeout, c.GroupMaxSessionTimeout
	g.InitialRebalanceDelay = c.GroupInitialRebalanceDelay
	if c.GroupMaxSize > 0 {
		g.MaxSize = int(min(c.GroupMaxSize, int32(g.MaxSize)))
	}
	g.Override = b.groupSetting
	sg := &g.Share
	sg.SessionTimeout, sg.MinSessionTimeout, sg.MaxSessionTimeout = c.ShareSessionTimeout, c.ShareMinSessionTimeout, c.ShareMaxSessionTimeout
	sg.HeartbeatInterval, sg.MinHeartbeatInterval, sg.MaxHeartbeatInterval = c.ShareHeartbeatInterval, c.ShareMinHeartbeatInterval, c.ShareMaxHeartbeatInterval
	sg.MaxSize, sg.InitializeRetry = int(c.ShareMaxSize), c.ShareInitializeRetry
	cg := &g.Consumer
	cg.SessionTimeout, cg.MinSessionTimeout, cg.MaxSessionTimeout = c.ConsumerSessionTimeout, c.ConsumerMinSessionTimeout, c.ConsumerMaxSessionTimeout
	cg.HeartbeatInterval, cg.MinHeartbeatInterval, cg.MaxHeartbeatInterval = c.ConsumerHeartbeatInterval, c.ConsumerMinHeartbeatInterval, c.ConsumerMaxHeartbeatInterval
	cg.MaxSize = int(min(c.ConsumerMaxSize, int32(cg.MaxSize)))
	cg.Assignors, cg.RegexRefreshInterval = c.ConsumerAssignors, c.ConsumerRegexRefreshInterval
	cg.Judged = c.AuthorizerClass != ""
	cg.Migration, _ = group.ParseMigrationPolicy(c.ConsumerMigrationPolicy)
	st := &g.Streams
	st.SessionTimeout, st.MinSessionTimeout, st.MaxSessionTimeout = c.StreamsSessionTimeout, c.StreamsMinSessionTimeout, c.StreamsMaxSessionTimeout
	st.HeartbeatInterval, st.MinHeartbeatInterval, st.MaxHeartbeatInterval = c.StreamsHeartbeatInterval, c.StreamsMinHeartbeatInterval, c.StreamsMaxHeartbeatInterval
	st.AssignmentInterval, st.MinAssignmentInterval, st.MaxAssignmentInterval = c.StreamsAssignmentInterval, c.StreamsMinAssignmentInterval, c.StreamsMaxAssignmentInterval
	st.StandbyReplicas, st.MaxStandbyReplicas = int(c.StreamsNumStandbyReplicas), int(c.StreamsMaxStandbyReplicas)
	st.InitialRebalanceDelay, st.MaxSize = c.StreamsInitialRebalanceDelay, int(min(c.StreamsMaxSize, int32(st.MaxSize)))
	g.OffsetMetadataMaxSize = int(c.OffsetMetadataMaxBytes)
	g.OffsetsRetention, g.OffsetsRetentionCheckInterval = c.OffsetsRetention, c.OffsetsRetentionCheckInterval
	return g
}

func (b *Broker) diskUsage() (total, free int64) {
	u, err := b.fs.DiskUsage(b.cfg.DataDir)
	if err != nil {
		b.logger.Warn("disk usage unknown", "dir", b.cfg.DataDir, "error", err)
		return -1, -1
	}
	return u.Total, u.Free
}

// connect makes the parts that know of other brokers.
func (b *Broker) connect() {
	b.isr = newISRKeeper(&isrKeeper{
		nodeID: b.cfg.NodeID, meta: b.meta, conf: b.replicas.config, logger: b.logger.With("part", "isr"),
		epoch: func() int64 { return b.member.Epoch() },
		led:   func() []*partition.Partition { return b.sender.Led() },
	})
	b.replicas.isr = b.isr
	if b.peers == nil {
		return
	}
	b.sender = replication.New(replication.Options{
		Peers: b.peers, WindowBytes: replicationWindow,
		Index: func() uint64 { return b.meta.Image().Index() },
		Address: func(id int32) (string, bool) {
			if x, ok := b.meta.Image().Broker(id); ok {
				return membership.Address(x)
			}
			return "", false
		},
		Receiver: replication.ReceiverOptions{
			Replica: b.replica, WaitRoom: b.log.WaitRoom, MaxAppendBytes: int(min(b.cfg.WALFileBytes/2, math.MaxInt32)),
			MemoryBytes: replicationMemory,
		},
		Logger: b.logger.With("part", "replication"), Registerer: b.registry, Tracer: b.tracer, Trail: b.trail,
	})
	b.replicas.sender = b.sender
}

// Bounds of replication. The window is enough for a second of a fast disk; the memory
// is that of a few streams that fill their windows at a time.
const (
	replicationWindow = 32 << 20
	replicationMemory = 128 << 20
)

// replica returns a partition that this broker follows, as the metadata have it at index.
func (b *Broker) replica(ctx context.Context, id wal.ID, index uint64) (*partition.Partition, error) {
	if err := b.meta.await(ctx, index); err != nil {
		return nil, err
	}
	return b.table.GetByID(id), nil
}

// policyOf returns the settings on which leaders depend.
func policyOf(c *config.Config) controller.Policy {
	defaults, _ := c.Topic(nil)
	return controller.Policy{MinISR: int(defaults.MinInsyncReplicas), Unclean: defaults.UncleanElection}
}
