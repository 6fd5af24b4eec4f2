package membership

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/tidelinehq/tideline/internal/peer"
	"github.com/tidelinehq/tideline/metadata"
	"github.com/tidelinehq/tideline/metadata/controller"
	"github.com/tidelinehq/tideline/metadata/quorum"
)

// Options are the parts and settings of a Member and its Steward.
type Options struct {
	Store *metadata.Store
	// Peers is nil in a cluster of one, where the steward is always this broker.
	Peers        *peer.Host
	Registration controller.Registration
	// Applied returns the index of the image on which this broker acts, and a channel
	// that is closed when it acts on a newer one.
	Applied func() (index uint64, newer <-chan struct{})
	// Policy is that of the cluster, as this broker is configured.
	Policy func() controller.Policy
	// SessionTimeout is after how long without a sign of life a broker is fenced,
	// HeartbeatInterval how often it gives one.
	SessionTimeout, HeartbeatInterval time.Duration
	// Grace is how long objects of uploads that an older process left open are kept.
	Grace   time.Duration
	Balance BalanceOptions
	// Loads tells what the partitions led here have to do; those without anything may be
	// left out.
	Loads  func() []PartitionLoad
	Voting controller.Voting
	Now    func() time.Time
	// OnFatal is told why this process must stop: another one is this broker now.
	OnFatal    func(error)
	Logger     *slog.Logger
	Registerer prometheus.Registerer
}

// Member is this broker's membership in its cluster.
type Member struct {
	o       Options
	steward *Steward
	epoch   atomic.Int64 // broker epoch of this process

	kicked   chan struct{}
	shutdown atomic.Bool
	stopOnce sync.Once
	stopped  chan struct{} // the controller has said that this broker may stop
}

// New makes a Member. With Peers it serves the heartbeats of others.
func New(o Options) *Member {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	m := &Member{o: o, kicked: make(chan struct{}, 1), stopped: make(chan struct{})}
	m.steward = newSteward(&m.o)
	if o.Peers != nil {
		o.Peers.Register(HeartbeatRequest, m.steward.serve)
		o.Peers.Register(LoadRequest, m.steward.serveLoads)
	}
	return m
}

// Steward returns the controller that this broker is while it leads the metadata.
func (m *Member) Steward() *Steward { return m.steward }

// Epoch returns the broker epoch of this process, 0 before Register.
func (m *Member) Epoch() int64 { return m.epoch.Load() }

// Register announces this process. While an older one with the same id is in service
// it waits until that is fenced. Where nobody knows whether it was registered, it asks
// again: the same process is registered once.
func (m *Member) Register(ctx context.Context) error {
	w := m.o.Store.Watch()
	defer w.Close()
	for said := false; ; {
		c, err := controller.Register(m.o.Store.Image(), &m.o.Registration, m.o.Now(), m.o.Grace)
		if errors.Is(err, controller.ErrDuplicateBroker) {
			if !said {
				said = true
				m.o.Logger.InfoContext(ctx, "waiting until the process before this one is out of service", "error", err)
			}
			if _, _, err := w.Next(ctx); err != nil {
				return fmt.Errorf("register: %w", err)
			}
			continue
		}
		if err != nil {
			return fmt.Errorf("register: %w", err)
		}
		epoch, err := m.o.Store.RegisterBroker(ctx, c)
		if err == nil {
			m.epoch.Store(epoch)
			return nil
		}
		if !errors.Is(err, quorum.ErrUnknown) || ctx.Err() != nil {
			return fmt.Errorf("register: %w", err)
		}
		m.o.Logger.InfoContext(ctx, "whether this broker is registered is not known, it asks again", "error", err)
		again := time.NewTimer(retryPause)
		select {
		case <-again.C:
		case <-ctx.Done():
		}
		again.Stop()
	}
}

// retryPause is the wait before another heartbeat when no leader took the last.
const retryPause = 50 * time.Millisecond

// Run sends heartbeats until ctx ends. Register comes first.
func (m *Member) Run(ctx context.Context) {
	failing := false
	for ctx.Err() == nil {
		leader := m.o.Store.LeaderChanges()
		index, newer := m.o.Applied()
		a, err := m.beat(ctx, index)
		wait := m.o.HeartbeatInterval
		switch {
		case ctx.Err() != nil:
			return
		case err != nil || !a.leads:
			if err != nil && !failing {
				m.o.Logger.InfoContext(ctx, "no controller takes this broker's heartbeat", "error", err)
			}
			failing = true
			wait = min(retryPause, wait)
		case a.Stale:
			m.stale(ctx)
			wait = min(retryPause, wait)
		default:
			failing = false
			if a.MayStop {
				m.stopOnce.Do(func() { close(m.stopped) })
			}
		}
		if a.CaughtUp && !a.ShuttingDown {
			newer = nil // nobody waits for news of its progress
		}
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
		case <-leader:
		case <-newer:
		case <-m.kicked:
		case <-ctx.Done():
		}
		timer.Stop()
	}
}

// beat sends one heartbeat to whoever leads.
func (m *Member) beat(ctx context.Context, index uint64) (answer, error) {
	h := controller.Heartbeat{
		Broker: m.o.Registration.ID, Epoch: m.epoch.Load(), Reached: index, WantShutdown: m.shutdown.Load(),
	}
	leader, ok := m.o.Store.Leader()
	if !ok {
		return answer{}, &quorum.NotLeaderError{}
	}
	node, err := strconv.ParseInt(leader.ID, 10, 32)
	if err != nil {
		return answer{}, fmt.Errorf("metadata leader has no node id: member=%q: %w", leader.ID, err)
	}
	if int32(node) == h.Broker {
		return m.steward.heartbeat(h), nil
	}
	ctx, cancel := context.WithTimeout(ctx, max(m.o.SessionTimeout/2, m.o.HeartbeatInterval))
	defer cancel()
	b, err := m.o.Peers.Call(ctx, leader.Address, int32(node), HeartbeatRequest, appendHeartbeat(nil, &h))
	if err != nil {
		return answer{}, err
	}
	return parseAnswer(b)
}

// stale is for a process that is not the one which is registered: it registers anew, or
// ends where another one has taken its place.
func (m *Member) stale(ctx context.Context) {
	b, ok := m.o.Store.Image().Broker(m.o.Registration.ID)
	if ok && b.Incarnation == m.o.Registration.Incarnation {
		if b.Epoch != m.epoch.Load() {
			m.epoch.Store(b.Epoch)
		}
		return // the leader's image is older than this one, or it was registered a moment ago
	}
	if ok && b.Epoch > m.epoch.Load() {
		m.o.OnFatal(fmt.Errorf("another process was registered as broker %d after this one: give each broker a node.id of its own", b.ID))
		return
	}
	if !ok {
		m.o.OnFatal(fmt.Errorf("broker %d was removed from the cluster", m.o.Registration.ID))
		return
	}
	if err := m.Register(ctx); err != nil && ctx.Err() == nil {
		m.o.Logger.WarnContext(ctx, "this broker could not be registered anew", "error", err)
	}
}

// AwaitService waits until this broker is in service, and partitions that only it could
// lead are led.
func (m *Member) AwaitService(ctx context.Context) error {
	w := m.o.Store.Watch()
	defer w.Close()
	for {
		image, _, err := w.Next(ctx)
		if err != nil {
			return fmt.Errorf("come into service: %w", err)
		}
		if b, ok := image.Broker(m.o.Registration.ID); ok && b.Epoch == m.epoch.Load() && !b.Fenced && !m.awaited(image) {
			return nil
		}
	}
}

// awaited reports whether any partition waits for this broker to lead it.
func (m *Member) awaited(image *metadata.Image) bool {
	for _, p := range image.HostedPartitions(m.o.Registration.ID) {
		if p.Leader == metadata.NoLeader && (len(p.Replicas) == 1 || slices.Contains(p.ISR, m.o.Registration.ID)) {
			return true
		}
	}
	return false
}

// errNobodyLeads is why a broker stops without having handed over what it leads.
var errNobodyLeads = errors.New("nobody leads the metadata")

// Shutdown asks the controller to hand over what this broker leads, and waits until that
// is done and all know, or ctx ends. It gives up when nobody has led the metadata for as
// long as a session lasts: when a whole cluster stops, the last ones have no majority, and
// nobody whom they could hand anything to.
func (m *Member) Shutdown(ctx context.Context) error {
	m.shutdown.Store(true)
	select {
	case m.kicked <- struct{}{}:
	default:
	}
	var alone <-chan time.Time // while nobody leads
	for {
		changes := m.o.Store.LeaderChanges()
		if _, led := m.o.Store.Leader(); led {
			alone = nil
		} else if alone == nil {
			alone = time.After(m.o.SessionTimeout)
		}
		select {
		case <-m.stopped:
			return nil
		case <-changes:
		case <-alone:
			return fmt.Errorf("controlled shutdown: %w", errNobodyLeads)
		case <-ctx.Done():
			return fmt.Errorf("controlled shutdown: %w", ctx.Err())
		}
	}
}
