package broker

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/noop"

	"github.com/tidelinehq/tideline/broker/api"
	"github.com/tidelinehq/tideline/broker/config"
	"github.com/tidelinehq/tideline/broker/coordinator/group"
	"github.com/tidelinehq/tideline/broker/membership"
	"github.com/tidelinehq/tideline/broker/partition"
	"github.com/tidelinehq/tideline/broker/purgatory"
	"github.com/tidelinehq/tideline/broker/replication"
	"github.com/tidelinehq/tideline/broker/server"
	"github.com/tidelinehq/tideline/broker/telemetry"
	"github.com/tidelinehq/tideline/internal/peer"
	"github.com/tidelinehq/tideline/internal/vfs"
	"github.com/tidelinehq/tideline/metadata"
	"github.com/tidelinehq/tideline/metadata/controller"
	command "github.com/tidelinehq/tideline/metadata/record"
	"github.com/tidelinehq/tideline/tiering"
	"github.com/tidelinehq/tideline/tiering/cache"
	"github.com/tidelinehq/tideline/tiering/manifest"
	"github.com/tidelinehq/tideline/tiering/objstore"
	"github.com/tidelinehq/tideline/tiering/objstore/open"
	"github.com/tidelinehq/tideline/tiering/objstore/retry"
	"github.com/tidelinehq/tideline/wal"
)

// Broker is one node. Start it once, stop it once.
type Broker struct {
	// Version is what spans say of the program; to be set before Start.
	Version string

	tracer      trace.Tracer // nil: off
	stopTracing func(context.Context) error

	cfg      *config.Config
	logger   *slog.Logger
	registry *prometheus.Registry
	deps     Deps
	fs       vfs.FS           // deps.FS
	now      func() time.Time // deps.Now

	kafka []net.Listener
	http  net.Listener
	web   *http.Server

	incarnation metadata.ID // of this process
	peers       *peer.Host  // nil in a cluster of one
	member      *membership.Member
	sender      *replication.Sender // nil in a cluster of one
	isr         *isrKeeper

	meta      *metadataHandle
	log       *wal.Log
	uploads   objstore.Store
	reads     objstore.Store
	locator   *manifest.Locator
	reader    *tiering.Reader
	engine    *tiering.Engine
	table     *partition.Table
	replicas  *replicas
	groups    *group.Coordinator
	purgatory *purgatory.Purgatory
	api       *api.API
	server    *server.Server
	opened    atomic.Pointer[metadata.Store] // meta, for those who ask while it is being opened

	run    context.Context // of the background work
	cancel context.CancelFunc
	work   sync.WaitGroup
	fatal  chan error // the first error that ends the broker
	ready  chan struct{}
}

// maxParked bounds the fetches that wait for records: one for each connection
// that Kafka's default would allow, and then some.
const maxParked = 100_000

// pageCacheBytes bounds the manifest pages that are kept decoded.
const pageCacheBytes = 32 << 20

// cleanInterval is how often garbage is looked for, unless the grace period is
// shorter: then a look for each period.
const cleanInterval = 30 * time.Second

// New makes a broker in the real world that does nothing yet. registry may be nil.
func New(cfg *config.Config, logger *slog.Logger, registry *prometheus.Registry) (*Broker, error) {
	return NewWith(cfg, logger, registry, Deps{})
}

// NewWith makes a broker in the world that its dependencies are.
func NewWith(cfg *config.Config, logger *slog.Logger, registry *prometheus.Registry, deps Deps) (*Broker, error) {
	for _, l := range cfg.Listeners {
		if l.Protocol != config.Plaintext {
			return nil, fmt.Errorf("listeners: %s needs the protocol %s, and this release speaks PLAINTEXT only", l, l.Protocol)
		}
	}
	if registry == nil {
		registry = prometheus.NewRegistry()
	}
	deps.setDefaults(cfg)
	b := &Broker{
		cfg: cfg, logger: logger, registry: registry, deps: deps, fs: deps.FS, now: deps.Now,
		fatal: make(chan error, 1), ready: make(chan struct{}),
	}
	b.run, b.cancel = context.WithCancel(context.Background())
	return b, nil
}

// Start brings the broker up and returns when it serves. When it fails, what was
// started is stopped again.
func (b *Broker) Start(ctx context.Context) (err error) {
	defer func() {
		if err != nil {
			err = errors.Join(err, b.Stop(context.WithoutCancel(ctx)))
		}
	}()
	for _, step := range []func(context.Context) error{
		b.trace, b.listen, b.openPeers, b.openState, b.openStore, b.assemble, b.register, b.serve,
	} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	close(b.ready)
	return nil
}

// trace starts the export of spans, if the environment asks for it.
func (b *Broker) trace(ctx context.Context) error {
	provider, stop, err := telemetry.Tracing(ctx, telemetry.TraceOptions{
		Version: b.Version, NodeID: b.cfg.NodeID, Getenv: os.Getenv, Logger: b.logger.With("part", "tracing"),
	})
	if err != nil {
		return err
	}
	b.stopTracing = stop
	if _, off := provider.(noop.TracerProvider); !off {
		b.tracer = provider.Tracer("github.com/tidelinehq/tideline")
	}
	return nil
}

// listen takes the addresses first: a port that is in use should be known before
// anything else happens.
func (b *Broker) listen(ctx context.Context) error {
	for _, l := range b.cfg.Listeners {
		bound, err := b.deps.Listen(ctx, l.Address())
		if err != nil {
			return fmt.Errorf("listeners: %w", err)
		}
		b.kafka = append(b.kafka, bound)
	}
	if b.cfg.HTTPListener == "" {
		return nil
	}
	bound, err := b.deps.Listen(ctx, b.cfg.HTTPListener)
	if err != nil {
		return fmt.Errorf("http.listener: %w", err)
	}
	b.http = bound
	return nil
}

// openPeers opens the internal port.
func (b *Broker) openPeers(ctx context.Context) error {
	if _, err := rand.Read(b.incarnation[:]); err != nil {
		return fmt.Errorf("name this process: %w", err)
	}
	if len(b.cfg.ClusterSeeds) == 0 {
		return nil
	}
	bound, err := b.deps.Listen(ctx, b.cfg.RPCListener)
	if err != nil {
		return fmt.Errorf("rpc.listener: %w", err)
	}
	b.peers = peer.New(peer.Options{
		Node: b.cfg.NodeID, Incarnation: b.incarnation, Listener: bound, Dialer: b.deps.Dial, Cluster: b.clusterID,
		Logger: b.logger.With("part", "peers"),
	})
	b.peers.Start()
	return nil
}

// clusterID is that of the metadata, empty while they are not known.
func (b *Broker) clusterID() string {
	if m := b.opened.Load(); m != nil {
		return m.Image().ClusterID()
	}
	return ""
}

// openState opens the Raft state and the write-ahead log, side by side.
func (b *Broker) openState(ctx context.Context) error {
	opened := make(chan error, 1)
	go func() { opened <- b.openMetadata(ctx) }()
	sync := wal.SyncAlways
	if b.cfg.WALSync == "os" {
		sync = wal.SyncOS
	}
	var err error
	b.log, err = wal.Open(wal.Options{
		FS: b.fs, Dir: filepath.Join(b.cfg.DataDir, "wal"), Sync: sync,
		FileBytes: b.cfg.WALFileBytes, MaxBytes: b.cfg.WALMaxBytes, TailBytes: b.cfg.WALTailBytes, DirectIO: b.cfg.WALDirectIO,
		OnRoll: b.rolled, OnFatal: b.fail, Logger: b.logger.With("part", "wal"), Registerer: b.registry,
	})
	return errors.Join(err, <-opened)
}

// openMetadata opens the Raft state, and finds or makes the cluster where there is none yet.
func (b *Broker) openMetadata(ctx context.Context) error {
	o := metadata.Options{
		NodeID: b.cfg.NodeID, HeartbeatTimeout: b.cfg.ControllerElectionTimeout, Log: b.deps.MetadataLog, Now: b.now,
		OnFatal: b.fail, Logger: b.logger.With("part", "metadata"), Registerer: b.registry,
	}
	if b.peers != nil {
		o.Peers, o.Advertise = b.peers, b.rpcAdvertised()
	}
	if o.Log == nil {
		o.Dir = filepath.Join(b.cfg.DataDir, "metadata")
	}
	if b.peers != nil && o.Log == nil {
		o.Seeds = &metadata.Seeds{
			Peers: b.peers, NodeID: b.cfg.NodeID, Addresses: b.cfg.ClusterSeeds, Voters: int(b.cfg.ControllerVoters), Logger: o.Logger,
		}
	}
	store, err := metadata.Open(ctx, o)
	if err != nil {
		return err
	}
	b.opened.Store(store)
	b.meta = newMetadataHandle(store)
	return nil
}

// rpcAdvertised is rpc.advertised, with the port that the system chose where that is 0.
func (b *Broker) rpcAdvertised() string {
	host, port, err := net.SplitHostPort(b.cfg.RPCAdvertised)
	if err != nil || port != "0" {
		return b.cfg.RPCAdvertised
	}
	_, bound, err := net.SplitHostPort(b.peers.Addr().String())
	if err != nil {
		return b.cfg.RPCAdvertised
	}
	return net.JoinHostPort(host, bound)
}

// rolled is called by the write-ahead log, maybe before the replicas exist: then
// recovery has not opened anything that could have a state to save.
func (b *Broker) rolled(logs []*wal.Partition) {
	select {
	case <-b.ready:
		b.replicas.rolled(logs)
	case <-b.run.Done():
	}
}

// storeCheckTimeout bounds the look at the object store at start. A store that is
// away is no reason not to serve.
const storeCheckTimeout = 3 * time.Second

func (b *Broker) openStore(ctx context.Context) error {
	logger := b.logger.With("part", "object_store")
	options := retry.Options{Logger: logger, Registerer: b.registry}
	var err error
	// Uploads and cold reads have connections and retry budgets of their own.
	if b.uploads, err = b.deps.Store(ctx, options); err != nil {
		return err
	}
	if b.reads, err = b.deps.Store(ctx, options); err != nil {
		return err
	}
	check, cancel := context.WithTimeout(ctx, storeCheckTimeout)
	defer cancel()
	if err := open.Wait(check, b.uploads, logger); err != nil {
		if check.Err() == nil {
			return fmt.Errorf("object.store %s: %w", b.cfg.ObjectStore, err)
		}
		logger.Warn("the object store does not answer; the broker serves what is on its disk and uploads later", "error", err)
	}
	return nil
}

// assemble makes the parts and ties them together.
func (b *Broker) assemble(context.Context) error {
	b.table = partition.NewTable()
	l := &ledger{meta: b.meta, nodeID: b.cfg.NodeID, now: b.now}
	b.locator = tiering.NewLocator(l, b.reads, pageCacheBytes, b.registry)
	var err error
	if b.engine, err = tiering.New(tiering.Options{
		Ledger: l, Store: b.uploads, FS: b.fs, Dir: filepath.Join(b.cfg.DataDir, "spool"), Locator: b.locator,
		Grace: b.cfg.TierGarbageGrace, Tracer: b.tracer, CleanInterval: min(cleanInterval, b.cfg.TierGarbageGrace),
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
	if b.groups, err = group.New(group.Options{
		Config: groupConfig(b.cfg, b.meta.Image()), Log: &internalLog{topic: api.OffsetsTopic, table: b.table, history: past},
		Topics: topicNames{b.meta}, Logger: b.logger.With("part", "groups"), Registerer: b.registry,
	}); err != nil {
		return err
	}
	b.replicas = &replicas{
		nodeID: b.cfg.NodeID, log: b.log, table: b.table, engine: b.engine, groups: b.groups, now: b.now, logger: b.logger,
		history: past, store: b.reads,
		leases: make(map[wal.ID]*tiering.Lease), names: make(map[metadata.ID]string),
	}
	b.replicas.conf.Store(b.cfg)
	b.connect()
	b.purgatory = purgatory.New(maxParked, b.registry)
	b.api = api.New(api.Deps{
		Config: b.cfg, Metadata: b.meta, Partitions: b.table, History: past, Groups: b.groups,
		Purgatory: b.purgatory, Tracer: b.tracer, DiskUsage: b.diskUsage, WaitForRoom: b.replicas.waitForRoom,
		Policy: func() controller.Policy { return policyOf(b.replicas.config()) }, Quorum: metadataGroup{b.meta.Store, b}, Forward: b.forward(),
	}, b.now, b.logger, b.registry)
	b.takeForwarded()
	b.server, err = server.New(server.Options{
		Handler: b.api, MaxConnections: int(b.cfg.MaxConnections), MaxConnectionsPerIP: int(b.cfg.MaxConnectionsPerIP),
		MaxRequestBytes: b.cfg.SocketRequestMaxBytes, QueuedBytes: b.cfg.QueuedMaxRequestBytes, IdleTimeout: b.cfg.ConnectionsMaxIdle,
		Logger: b.logger.With("part", "server"), Registerer: b.registry,
	})
	return err
}

func groupConfig(c *config.Config, image *metadata.Image) group.Config {
	g := group.Defaults()
	g.Partitions = c.OffsetsTopicPartitions
	if t, ok := image.Topic(api.OffsetsTopic); ok {
		g.Partitions = t.Partitions // fixed when the topic was created
	}
	g.MinSessionTimeout, g.MaxSessionTimeout = c.GroupMinSessionTimeout, c.GroupMaxSessionTimeout
	g.InitialRebalanceDelay = c.GroupInitialRebalanceDelay
	if c.GroupMaxSize > 0 {
		g.MaxSize = int(min(c.GroupMaxSize, int32(g.MaxSize)))
	}
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
		Logger: b.logger.With("part", "replication"), Registerer: b.registry,
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

// register announces this process to the cluster, starts to follow the metadata, and
// waits until it is in service.
func (b *Broker) register(ctx context.Context) error {
	r := controller.Registration{
		ID: b.cfg.NodeID, Rack: b.cfg.Rack, Incarnation: b.incarnation, Alone: b.peers == nil, LostLog: b.log.Lost(),
		Features: controller.SupportedFeatures(),
	}
	var err error
	if r.Endpoints, err = b.endpoints(); err != nil {
		return err
	}
	b.member = membership.New(membership.Options{
		Store: b.meta.Store, Peers: b.peers, Registration: r, Applied: b.meta.Applied,
		Policy:         func() controller.Policy { return policyOf(b.replicas.config()) },
		SessionTimeout: b.cfg.BrokerSessionTimeout, HeartbeatInterval: b.cfg.BrokerHeartbeatInterval,
		Grace: b.cfg.TierGarbageGrace, Now: b.now, OnFatal: b.fail,
		Balance: membership.BalanceOptions{
			Leaders: b.cfg.AutoLeaderRebalance, Interval: b.cfg.LeaderImbalanceCheck,
			Replicas: b.cfg.AutoBalance, MaxMoves: maxMoves, MaxBytes: maxMovedBytes,
		},
		Loads:  b.loads,
		Voting: controller.Voting{Want: int(b.cfg.ControllerVoters), Patience: b.cfg.ControllerVoterGone},
		Logger: b.logger.With("part", "membership"), Registerer: b.registry,
	})
	b.background(func() { b.member.Steward().Run(b.run) })
	if b.peers != nil {
		b.background(func() { b.member.Steward().RunVoting(b.run) })
		b.background(func() { b.member.Steward().RunBalance(b.run) })
	}
	if err := b.member.Register(ctx); err != nil {
		return err
	}
	watcher := b.meta.Watch()
	if err := b.follow(ctx, watcher); err != nil {
		return err
	}
	b.background(func() {
		defer b.meta.setEnded()
		defer watcher.Close()
		for {
			if err := b.follow(b.run, watcher); err != nil {
				if b.run.Err() == nil && !errors.Is(err, metadata.ErrClosed) {
					b.fail(err)
				}
				return
			}
		}
	})
	b.background(func() { b.member.Run(b.run) })
	if b.sender != nil {
		b.background(func() { b.isr.run(b.run) })
	}
	if err := b.member.AwaitService(ctx); err != nil {
		return err
	}
	return b.meta.await(ctx, b.meta.Image().Index())
}

// Bounds of replicas that move on their own at a time: each has a stream that catches up.
const (
	maxMoves      = 100
	maxMovedBytes = 4 << 30
)

// endpoints are where this broker is reached.
func (b *Broker) endpoints() ([]command.Endpoint, error) {
	var out []command.Endpoint
	for i, l := range b.cfg.Advertised {
		e := command.Endpoint{Listener: l.Name, Host: l.Host, Port: int32(l.Port), Protocol: string(l.Protocol)}
		if l.Port == 0 {
			_, port, err := splitPort(b.kafka[i].Addr().String())
			if err != nil {
				return nil, fmt.Errorf("advertised.listeners: %w", err)
			}
			e.Port = port
		}
		out = append(out, e)
	}
	if b.peers != nil {
		host, port, err := splitPort(b.rpcAdvertised())
		if err != nil {
			return nil, fmt.Errorf("rpc.advertised: %w", err)
		}
		out = append(out, command.Endpoint{Listener: command.InternalListener, Host: host, Port: port})
	}
	return out, nil
}

func splitPort(address string) (host string, port int32, err error) {
	host, text, err := net.SplitHostPort(address)
	if err != nil {
		return "", 0, err
	}
	n, err := strconv.ParseInt(text, 10, 32)
	return host, int32(n), err
}

// follow brings the broker in line with the next image.
func (b *Broker) follow(ctx context.Context, w *metadata.Watcher) error {
	image, delta, err := w.Next(ctx)
	if err != nil {
		return err
	}
	if len(delta.Brokers) > 0 || delta.All {
		effective, err := b.cfg.WithDynamic(image.BrokerConfigs(command.DefaultBroker).Map(), image.BrokerConfigs(b.cfg.NodeID).Map())
		if err != nil {
			b.logger.Error("dynamic settings do not go together; the ones before stay", "error", err)
		} else if err := b.replicas.reconfigure(image, effective); err != nil {
			return err
		}
	}
	if err := b.replicas.apply(image, delta); err != nil {
		return err
	}
	b.meta.setApplied(image.Index())
	return nil
}

// serve starts the background work and opens the doors.
func (b *Broker) serve(context.Context) error {
	b.background(func() {
		if err := b.engine.Run(b.run); err != nil && b.run.Err() == nil {
			b.fail(fmt.Errorf("tiering: %w", err))
		}
	})
	b.background(func() { b.replicas.retainLocally(b.run) })
	for i, l := range b.kafka {
		name := b.cfg.Listeners[i].Name
		b.background(func() {
			if err := b.server.Serve(l, server.ListenerOptions{Name: name}); err != nil && !errors.Is(err, server.ErrClosed) && b.run.Err() == nil {
				b.fail(fmt.Errorf("listener %s: %w", name, err))
			}
		})
	}
	if b.http != nil {
		b.web = &http.Server{Handler: b.adminHandler(), ReadHeaderTimeout: 10 * time.Second, MaxHeaderBytes: 64 << 10}
		b.background(func() {
			if err := b.web.Serve(b.http); err != nil && !errors.Is(err, http.ErrServerClosed) {
				b.fail(fmt.Errorf("http.listener: %w", err))
			}
		})
	}
	return nil
}

func (b *Broker) background(f func()) {
	b.work.Add(1)
	go func() {
		defer b.work.Done()
		f()
	}()
}

// fail ends the broker because of err. The first error counts.
func (b *Broker) fail(err error) {
	select {
	case b.fatal <- err:
	default:
	}
}

// Addresses returns where Kafka clients and HTTP clients reach this broker.
func (b *Broker) Addresses() (kafka, web string) {
	if len(b.kafka) > 0 {
		kafka = b.kafka[0].Addr().String()
	}
	if b.http != nil {
		web = b.http.Addr().String()
	}
	return kafka, web
}

// Wait returns the error that ends the broker, or nil after Stop.
func (b *Broker) Wait() error {
	select {
	case err := <-b.fatal:
		return err
	case <-b.run.Done():
		return nil
	}
}

// handOverTimeout bounds how long a broker that stops waits until others lead what it
// leads: after that its clients notice.
const handOverTimeout = 20 * time.Second

// handOver moves what this broker leads to others, where it is in service and there are any.
func (b *Broker) handOver(ctx context.Context) {
	if b.peers == nil || b.member == nil {
		return
	}
	select {
	case <-b.ready:
	default:
		return // it never was in service
	}
	ctx, cancel := context.WithTimeout(ctx, handOverTimeout)
	defer cancel()
	if err := b.member.Shutdown(ctx); err != nil {
		b.logger.Warn("stopping with partitions that were not handed over", "error", err)
	}
}

// Stop takes no more requests, answers those under way until ctx ends, and
// closes everything. What was acknowledged is durable before it returns.
func (b *Broker) Stop(ctx context.Context) error {
	var errs []error
	b.handOver(ctx)
	if b.purgatory != nil {
		b.purgatory.Close()
	}
	if b.server != nil {
		if err := b.server.Shutdown(ctx); err != nil {
			errs = append(errs, fmt.Errorf("connections: %w", err))
		}
	}
	if b.web != nil {
		if err := b.web.Shutdown(ctx); err != nil {
			errs = append(errs, fmt.Errorf("http: %w", err))
		}
	}
	for _, l := range append(b.kafka, b.http) {
		if l != nil {
			_ = l.Close() // the servers have closed theirs; this is for a start that failed before
		}
	}
	if b.api != nil {
		b.api.Close()
	}
	if b.groups != nil {
		b.groups.Close()
	}
	b.cancel()
	b.work.Wait()
	if b.sender != nil {
		b.sender.Close()
	}
	if b.reader != nil {
		errs = append(errs, b.reader.Close())
	}
	if b.log != nil {
		if b.table != nil {
			for _, p := range b.table.All() {
				p.SaveState()
			}
		}
		errs = append(errs, b.log.Close())
	}
	for _, s := range []objstore.Store{b.uploads, b.reads} {
		if s != nil {
			errs = append(errs, s.Close())
		}
	}
	if b.meta != nil {
		errs = append(errs, b.meta.Close())
	}
	if b.peers != nil {
		errs = append(errs, b.peers.Close())
	}
	if b.stopTracing != nil {
		if err := b.stopTracing(ctx); err != nil {
			b.logger.Warn("the last spans were not exported", "error", err)
		}
	}
	return errors.Join(errs...)
}
