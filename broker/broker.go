package broker

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/noop"

	"github.com/tidelinehq/tideline/broker/api"
	"github.com/tidelinehq/tideline/broker/config"
	"github.com/tidelinehq/tideline/broker/coordinator/group"
	sharestate "github.com/tidelinehq/tideline/broker/coordinator/share"
	"github.com/tidelinehq/tideline/broker/coordinator/txn"
	"github.com/tidelinehq/tideline/broker/membership"
	"github.com/tidelinehq/tideline/broker/partition"
	"github.com/tidelinehq/tideline/broker/purgatory"
	"github.com/tidelinehq/tideline/broker/quota"
	"github.com/tidelinehq/tideline/broker/replication"
	"github.com/tidelinehq/tideline/broker/security/audit"
	"github.com/tidelinehq/tideline/broker/server"
	"github.com/tidelinehq/tideline/broker/share"
	"github.com/tidelinehq/tideline/broker/telemetry"
	"github.com/tidelinehq/tideline/broker/telemetry/clientmetrics"
	"github.com/tidelinehq/tideline/broker/trail"
	"github.com/tidelinehq/tideline/internal/peer"
	"github.com/tidelinehq/tideline/internal/vfs"
	"github.com/tidelinehq/tideline/metadata"
	"github.com/tidelinehq/tideline/tiering"
	"github.com/tidelinehq/tideline/tiering/manifest"
	"github.com/tidelinehq/tideline/tiering/objstore"
	"github.com/tidelinehq/tideline/wal"
)

// Broker is one node. Start it once, stop it once.
type Broker struct {
	// Version is what spans say of the program; to be set before Start.
	Version string

	tracer      trace.Tracer // nil: off
	gate        *telemetry.Gate
	trail       *trail.Trail // nil: off
	looker      *trail.Looker
	stopTracing func(context.Context) error
	stopMetrics func(context.Context) error // of the export; nil: not begun
	exporter    *clientmetrics.Exporter     // of what clients push; nil: off

	cfg      *config.Config
	logger   *slog.Logger
	levels   *telemetry.Levels // of logger
	registry *prometheus.Registry
	deps     Deps
	fs       vfs.FS           // deps.FS
	now      func() time.Time // deps.Now

	kafka []net.Listener
	doors *doors
	http  net.Listener
	web   *http.Server

	adminTLS, peerTLS *tlsFiles // nil: plain

	incarnation metadata.ID // of this process
	peers       *peer.Host  // nil in a cluster of one
	member      *membership.Member
	sender      *replication.Sender // nil in a cluster of one
	isr         *isrKeeper

	meta         *metadataHandle
	log          *wal.Log
	uploads      objstore.Store
	reads        objstore.Store
	locator      *manifest.Locator
	reader       *tiering.Reader
	engine       *tiering.Engine
	table        *partition.Table
	replicas     *replicas
	groups       *group.Coordinator
	transactions *txn.Coordinator
	// shareStates coordinates share partitions, shareClient asks their coordinators.
	shareStates     *sharestate.Coordinator
	shareClient     *sharestate.Client
	sharePartitions *share.Manager
	purgatory       *purgatory.Purgatory
	quotas          *quota.Manager
	quotaLimits     quotaLimits
	api             *api.API
	audit           *audit.Log
	server          *server.Server
	opened          atomic.Pointer[metadata.Store] // meta, for those who ask while it is being opened

	run    context.Context // of the background work
	cancel context.CancelFunc
	work   sync.WaitGroup
	fatal  chan error // the first error that ends the broker
	ready  chan struct{}

	stopping  atomic.Bool // Stop was called
	wasInSync atomic.Bool // see isInSync
}

// New makes a broker in the real world that does nothing yet. registry may be nil.
func New(cfg *config.Config, logger *slog.Logger, registry *prometheus.Registry) (*Broker, error) {
	return NewWith(cfg, logger, registry, Deps{})
}

// NewWith makes a broker in the world that its dependencies are.
func NewWith(cfg *config.Config, logger *slog.Logger, registry *prometheus.Registry, deps Deps) (*Broker, error) {
	if registry == nil {
		registry = prometheus.NewRegistry()
	}
	deps.setDefaults(cfg)
	logger, levels := telemetry.WithLevels(logger)
	b := &Broker{
		cfg: cfg, logger: logger, levels: levels, registry: registry, deps: deps, fs: deps.FS, now: deps.Now,
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
		b.trace, b.openDoors, b.listen, b.openPeers, b.openState, b.openStore, b.assemble, b.register, b.serve,
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
	provider, gate, stop, err := telemetry.Tracing(ctx, telemetry.TraceOptions{
		Version: b.Version, NodeID: b.cfg.NodeID, Getenv: os.Getenv, Logger: b.logger.With("part", "tracing"), Registerer: b.registry,
	})
	if err != nil {
		return err
	}
	b.stopTracing, b.gate = stop, gate
	if _, off := provider.(noop.TracerProvider); !off {
		b.tracer = provider.Tracer("github.com/tidelinehq/tideline")
		b.trail, b.looker = trail.New(trail.Entries), trail.NewLooker(trail.LooksPerSecond)
	}
	return nil
}

// serve starts the background work and opens the doors.
func (b *Broker) serve(ctx context.Context) error {
	if err := b.observe(ctx); err != nil {
		return err
	}
	b.background(func() {
		if err := b.engine.Run(b.run); err != nil && b.run.Err() == nil {
			b.fail(fmt.Errorf("tiering: %w", err))
		}
	})
	b.background(func() { b.replicas.retainLocally(b.run) })
	b.runAudit()
	b.background(func() { b.expireTokens(b.run) })
	b.seedDoors()
	b.background(b.pollDoors)
	for i, l := range b.kafka {
		name, options := b.cfg.Listeners[i].Name, b.listenerOptions(b.cfg.Listeners[i])
		b.background(func() {
			if err := b.server.Serve(l, options); err != nil && !errors.Is(err, server.ErrClosed) && b.run.Err() == nil {
				b.fail(fmt.Errorf("listener %s: %w", name, err))
			}
		})
	}
	if b.http != nil {
		b.web = b.newAdminServer()
		b.background(func() {
			if err := b.serveAdmin(); err != nil && !errors.Is(err, http.ErrServerClosed) {
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

// Image returns the newest metadata that this broker knows; nil before it knows any. It
// may be called at any time after New.
func (b *Broker) Image() *metadata.Image {
	if m := b.opened.Load(); m != nil {
		return m.Image()
	}
	return nil
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
	if b.peers == nil || b.member == nil || !b.cfg.ControlledShutdown {
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
		b.logger.WarnContext(ctx, "stopping with partitions that were not handed over", "error", err)
	}
}

// Stop takes no more requests, answers those under way until ctx ends, and
// closes everything. What was acknowledged is durable before it returns.
func (b *Broker) Stop(ctx context.Context) error {
	var errs []error
	b.stopping.Store(true)
	b.handOver(ctx)
	b.stopObserving(ctx)
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
	if b.transactions != nil {
		b.transactions.Close()
	}
	if b.sharePartitions != nil {
		b.sharePartitions.Close()
	}
	if b.groups != nil {
		b.groups.Close()
	}
	if b.shareStates != nil {
		b.shareStates.Close()
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
	b.stopExporter(ctx)
	if b.stopTracing != nil {
		if err := b.stopTracing(ctx); err != nil {
			b.logger.WarnContext(ctx, "the last spans were not exported", "error", err)
		}
	}
	return errors.Join(errs...)
}
