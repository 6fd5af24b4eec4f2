package quorum

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/raft"
	"golang.org/x/sync/semaphore"
)

const (
	// MaxCommand is the largest command in bytes.
	MaxCommand = 512 << 10
	// maxInflight bounds the memory of proposals that wait, in bytes.
	maxInflight = 64 << 20
	// maxBatch is how many commands share one disk sync and one message.
	maxBatch = 128
	// entryOverhead is what an entry counts besides its bytes towards the next
	// snapshot: applying even an empty one takes time.
	entryOverhead = 512
	// snapshotsKept: the newest, and one before it should it be unreadable.
	snapshotsKept = 2
	// DefaultHeartbeatTimeout is that of Options.
	DefaultHeartbeatTimeout = time.Second
	// closeDrain is how long Close waits for proposals under way.
	closeDrain = 2 * time.Second
)

// Options configure a member of a raft group.
type Options struct {
	Dir string // folder of the log and the snapshots
	ID  string // of this member, for ever
	// Stream carries the group's connections; nil in a group of one that
	// nobody will join. The log closes it.
	Stream StreamLayer
	// Advertise is the host:port under which the others reach Stream; empty:
	// its own address.
	Advertise string
	// Voters is the group at the beginning of time, the same on every voter.
	// Empty: this member alone. Ignored once there is a log.
	Voters []Member
	// Join says that this member starts with nothing and is added by a leader,
	// or that it may have been removed while it was away.
	Join bool
	// Existing says that this member has a log: if it is gone, the start is
	// refused. A voter that forgot what it acknowledged must not vote again.
	Existing bool
	// HeartbeatTimeout is when a follower that hears nothing starts an
	// election; 0: one second. A leader steps down after half of it without a
	// majority.
	HeartbeatTimeout time.Duration
	// SnapshotBytes is how much log there is at least between snapshots; 0:
	// 4 MiB, which applies in well under 100 ms.
	SnapshotBytes int64
	// TrailingLogs is how many entries are kept behind a snapshot for slow
	// followers; 0: 4096 in a group of several, 64 in a group of one.
	TrailingLogs uint64
	Logger       *slog.Logger
	// OnFatal is called, once, when the log's disk failed: the process must
	// stop. Nil: only logged.
	OnFatal func(error)
}

// Raft is a Log on hashicorp/raft.
type Raft struct {
	raft      *raft.Raft
	store     *boltStore
	transport raft.Transport
	fsm       *fsm
	id        string
	log       *slog.Logger

	inflight *semaphore.Weighted // bytes
	waiting  atomic.Int64        // operations under way
	moved    atomic.Int64        // Unix ns when one of them ended last, or the first of them began
	closing  chan struct{}
	once     sync.Once
	closeErr error
	workers  sync.WaitGroup

	observer *raft.Observer
	observed chan raft.Observation
	mu       sync.Mutex
	changed  chan struct{} // guarded by mu, closed at a change of leadership
}

var _ Log = (*Raft)(nil)

// Open starts a member. When it returns, the newest snapshot is restored;
// entries after it are applied as soon as they are known to be committed,
// which in a group of one is at once.
func Open(o Options, machine StateMachine) (*Raft, error) {
	o = o.withDefaults()
	if err := os.MkdirAll(o.Dir, 0o700); err != nil {
		return nil, errors.Join(fmt.Errorf("open metadata log: %w", err), closeStream(o.Stream))
	}
	var fatal atomic.Bool
	store, err := openBolt(filepath.Join(o.Dir, "log.db"), func(err error) {
		if fatal.Swap(true) {
			return
		}
		o.Logger.Error("metadata log failed", "error", err)
		if o.OnFatal != nil {
			go o.OnFatal(err)
		}
	})
	if err != nil {
		return nil, errors.Join(err, closeStream(o.Stream))
	}
	// The file's name must be as durable as what is in it.
	if err := errors.Join(syncDir(o.Dir), syncDir(filepath.Dir(o.Dir))); err != nil {
		return nil, errors.Join(fmt.Errorf("open metadata log: %w", err), closeStream(o.Stream), store.close())
	}
	l := &Raft{
		store: store, id: o.ID, log: o.Logger,
		fsm:      &fsm{machine: machine, overhead: entryOverhead, floor: o.SnapshotBytes, due: make(chan struct{}, 1)},
		inflight: semaphore.NewWeighted(maxInflight),
		closing:  make(chan struct{}),
		changed:  make(chan struct{}),
		observed: make(chan raft.Observation, 16),
	}
	if err := l.start(o); err != nil {
		err = fmt.Errorf("open metadata log: %w: dir=%s", err, o.Dir)
		if l.transport == nil {
			return nil, errors.Join(err, closeStream(o.Stream), store.close())
		}
		return nil, errors.Join(err, l.closeTransport(), store.close())
	}
	return l, nil
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

func closeStream(s StreamLayer) error {
	if s == nil {
		return nil
	}
	return s.Close()
}

func (o Options) withDefaults() Options {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.HeartbeatTimeout == 0 {
		o.HeartbeatTimeout = DefaultHeartbeatTimeout
	}
	if o.SnapshotBytes == 0 {
		o.SnapshotBytes = 4 << 20
	}
	if o.Advertise == "" && o.Stream != nil {
		o.Advertise = o.Stream.Addr().String()
	}
	if o.Advertise == "" {
		o.Advertise = "local/" + o.ID
	}
	if len(o.Voters) == 0 {
		o.Voters = []Member{{ID: o.ID, Address: o.Advertise}}
	}
	if o.TrailingLogs == 0 {
		o.TrailingLogs = 4096
		if len(o.Voters) == 1 && !o.Join {
			o.TrailingLogs = 64
		}
	}
	return o
}

func (l *Raft) start(o Options) error {
	logger := newBridge(o.Logger)
	config := raft.DefaultConfig()
	config.LocalID = raft.ServerID(o.ID)
	config.Logger = logger
	config.HeartbeatTimeout = o.HeartbeatTimeout
	config.ElectionTimeout = o.HeartbeatTimeout
	config.LeaderLeaseTimeout = o.HeartbeatTimeout / 2
	config.CommitTimeout = min(50*time.Millisecond, o.HeartbeatTimeout/4)
	config.MaxAppendEntries = maxBatch
	config.TrailingLogs = o.TrailingLogs
	config.NoLegacyTelemetry = true
	// Snapshots are taken when the log is large, which fsm knows; never by count.
	config.SnapshotThreshold = math.MaxUint64
	config.SnapshotInterval = 24 * time.Hour

	if err := removeTorn(o.Dir); err != nil {
		return err
	}
	files, err := raft.NewFileSnapshotStoreWithLogger(o.Dir, snapshotsKept, logger)
	if err != nil {
		return err
	}
	snaps := &snapshots{SnapshotStore: files, log: l.store}

	var network *transport
	if o.Stream != nil {
		network = &transport{closing: l.closing, NetworkTransport: raft.NewNetworkTransportWithConfig(&raft.NetworkTransportConfig{
			// No pipeline to a follower: where its reader of answers has given up, the one that sends into it blocks
			// for good, and with it the follower, and a stop.
			MaxRPCsInFlight: 1,
			Stream:          raftStream{StreamLayer: o.Stream, advertised: address(o.Advertise)},
			MaxPool:         3, Timeout: 10 * o.HeartbeatTimeout, Logger: logger,
		})}
		l.transport = network
	} else {
		_, local := raft.NewInmemTransport(raft.ServerAddress(o.Advertise))
		local.Connect(local.LocalAddr(), local)
		l.transport = local
	}

	known, err := raft.HasExistingState(l.store, l.store, snaps)
	if err != nil {
		return err
	}
	if !known && o.Existing {
		return errors.New("the log is missing: this node was a member before; with an empty data.dir it joins anew, as an observer")
	}
	if !known && !o.Join {
		var group raft.Configuration
		for _, v := range o.Voters {
			group.Servers = append(group.Servers, raft.Server{ID: raft.ServerID(v.ID), Address: raft.ServerAddress(v.Address)})
		}
		if !slices.ContainsFunc(o.Voters, func(m Member) bool { return m.ID == o.ID }) {
			return fmt.Errorf("this node is not among the voters: id=%s voters=%v", o.ID, o.Voters)
		}
		if err := raft.BootstrapCluster(config, l.store, l.store, snaps, l.transport, group); err != nil {
			return err
		}
	}
	if l.raft, err = raft.NewRaft(config, l.fsm, l.store, l.store, snaps, l.transport); err != nil {
		return err
	}
	if network != nil {
		network.raft.Store(l.raft)
	}
	servers := l.raft.GetConfiguration()
	if err := servers.Error(); err != nil {
		return errors.Join(err, l.raft.Shutdown().Error())
	}
	group := servers.Configuration().Servers
	if len(group) > 0 && !o.Join && !slices.ContainsFunc(group, func(s raft.Server) bool { return s.ID == config.LocalID }) {
		return errors.Join(fmt.Errorf("the log belongs to other nodes: id=%s group=%v", o.ID, group), l.raft.Shutdown().Error())
	}

	l.observer = raft.NewObserver(l.observed, false, func(ob *raft.Observation) bool {
		switch ob.Data.(type) {
		case raft.LeaderObservation, raft.RaftState:
			return true
		}
		return false
	})
	l.raft.RegisterObserver(l.observer)
	l.workers.Go(l.watchLeader)
	l.workers.Go(l.takeSnapshots)

	if len(group) == 1 && group[0].ID == config.LocalID {
		// There is nobody to wait for: stand for election now instead of after
		// the heartbeat timeout.
		if err := l.campaign(); err != nil {
			l.log.Warn("metadata: early election failed, waiting for the timeout", "error", err)
		}
	}
	return nil
}

// watchLeader tells subscribers about changes of leadership.
func (l *Raft) watchLeader() {
	for {
		select {
		case <-l.observed:
			l.mu.Lock()
			close(l.changed)
			l.changed = make(chan struct{})
			l.mu.Unlock()
		case <-l.closing:
			return
		}
	}
}

// takeSnapshots writes a snapshot whenever the log has grown enough.
func (l *Raft) takeSnapshots() {
	for {
		select {
		case <-l.fsm.due:
		case <-l.closing:
			return
		}
		if l.fsm.weight.Load() < max(l.fsm.floor, l.fsm.snapshotBytes.Load()/2) {
			continue // the snapshot before covered it
		}
		if err := l.raft.Snapshot().Error(); err != nil && !errors.Is(err, raft.ErrRaftShutdown) && !errors.Is(err, raft.ErrNothingNewToSnapshot) {
			l.log.Error("metadata snapshot failed", "error", err)
			l.fsm.weight.Store(0) // the next try after as much log again
		}
	}
}

// Propose implements Log.
func (l *Raft) Propose(ctx context.Context, command []byte) (any, uint64, error) {
	return l.ProposeOrdered(ctx, command, func() {})
}

// ProposeOrdered implements Log.
func (l *Raft) ProposeOrdered(ctx context.Context, command []byte, placed func()) (any, uint64, error) {
	if len(command) > MaxCommand {
		placed()
		return nil, 0, fmt.Errorf("%w: bytes=%d max=%d", ErrTooLarge, len(command), MaxCommand)
	}
	weight := int64(len(command)) + entryOverhead
	if err := l.admit(ctx, weight); err != nil {
		placed()
		return nil, 0, err
	}
	var response any
	var index uint64
	err := l.admitted(ctx, weight, func(timeout time.Duration) raft.Future {
		defer placed()
		return l.raft.Apply(command, timeout)
	}, func(f raft.Future) {
		a := f.(raft.ApplyFuture)
		response, index = a.Response(), a.Index()
	})
	if err != nil {
		return nil, 0, err
	}
	return response, index, nil
}

// Barrier implements Log.
func (l *Raft) Barrier(ctx context.Context) error {
	return l.wait(ctx, entryOverhead, func(timeout time.Duration) raft.Future { return l.raft.Barrier(timeout) }, func(raft.Future) {})
}

// wait starts an operation and waits for it or for ctx. done runs only when the
// operation succeeded before ctx ended.
func (l *Raft) wait(ctx context.Context, weight int64, start func(time.Duration) raft.Future, done func(raft.Future)) error {
	if err := l.admit(ctx, weight); err != nil {
		return err
	}
	return l.admitted(ctx, weight, start, done)
}

// admit waits for room among the operations under way.
func (l *Raft) admit(ctx context.Context, weight int64) error {
	if err := l.inflight.Acquire(ctx, weight); err != nil {
		return err
	}
	select { // after Acquire: Close drains all that passed here before it
	case <-l.closing:
		l.inflight.Release(weight)
		return ErrClosed
	default:
	}
	return nil
}

// admitted is wait for what has room already, which it gives back.
func (l *Raft) admitted(ctx context.Context, weight int64, start func(time.Duration) raft.Future, done func(raft.Future)) error {
	var timeout time.Duration
	if deadline, ok := ctx.Deadline(); ok {
		timeout = max(time.Until(deadline), time.Nanosecond)
	}
	result := make(chan error, 1)
	var future raft.Future
	if l.waiting.Add(1) == 1 {
		l.moved.Store(time.Now().UnixNano())
	}
	go func() {
		future = start(timeout)
		err := future.Error()
		l.moved.Store(time.Now().UnixNano())
		l.waiting.Add(-1)
		l.inflight.Release(weight)
		result <- err
	}()
	select {
	case err := <-result:
		if err != nil {
			return l.translate(err)
		}
		done(future)
		return nil
	case <-ctx.Done():
		return fmt.Errorf("%w: %w", ErrUnknown, ctx.Err())
	}
}

// stalled is for how long no operation has ended while some are under way.
func (l *Raft) stalled() time.Duration {
	if l.waiting.Load() == 0 {
		return 0
	}
	return max(time.Since(time.Unix(0, l.moved.Load())), 0)
}

func (l *Raft) translate(err error) error {
	switch {
	case errors.Is(err, raft.ErrNotLeader), errors.Is(err, raft.ErrLeadershipTransferInProgress):
		leader, _ := l.Leader()
		return &NotLeaderError{Leader: leader}
	case errors.Is(err, raft.ErrEnqueueTimeout):
		return context.DeadlineExceeded
	case errors.Is(err, raft.ErrRaftShutdown):
		return fmt.Errorf("%w: %w", ErrClosed, ErrUnknown)
	}
	return fmt.Errorf("%w: %w", ErrUnknown, err)
}

// IsLeader implements Log.
func (l *Raft) IsLeader() bool { return l.raft.State() == raft.Leader }

// Leader implements Log.
func (l *Raft) Leader() (Member, bool) {
	addr, id := l.raft.LeaderWithID()
	return Member{ID: string(id), Address: string(addr)}, id != ""
}

// LeaderChanges implements Log.
func (l *Raft) LeaderChanges() <-chan struct{} {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.changed
}

// Stats implements Log.
func (l *Raft) Stats() Stats {
	s := Stats{
		AppliedIndex: l.fsm.applied.Load(), LogBytes: l.fsm.bytes.Load(), LogEntries: l.fsm.entries.Load(),
		Snapshots: l.fsm.taken.Load(), SnapshotBytes: l.fsm.snapshotBytes.Load(), SnapshotNanos: l.fsm.snapshotNanos.Load(),
		Term: l.raft.CurrentTerm(),
	}
	l.store.mu.Lock()
	s.FirstIndex, s.LastIndex = l.store.first, l.store.last
	l.store.mu.Unlock()
	return s
}

// Close implements Log. It waits a moment for proposals under way, and in a
// group of several hands leadership over first.
func (l *Raft) Close() error {
	l.once.Do(func() {
		close(l.closing)
		ctx, cancel := context.WithTimeout(context.Background(), closeDrain)
		if err := l.inflight.Acquire(ctx, maxInflight); err != nil {
			l.log.Warn("metadata: closing with proposals under way", "error", err)
		} else {
			l.inflight.Release(maxInflight) // those who waited for room see that it is closing
		}
		cancel()
		if l.IsLeader() && len(l.raft.GetConfiguration().Configuration().Servers) > 1 {
			if err := l.raft.LeadershipTransfer().Error(); err != nil {
				l.log.Info("metadata: closing without handing leadership over", "error", err)
			}
		}
		l.raft.DeregisterObserver(l.observer)
		err := l.raft.Shutdown().Error()
		l.workers.Wait()
		l.closeErr = errors.Join(err, l.closeTransport(), l.store.close())
	})
	return l.closeErr
}

func (l *Raft) closeTransport() error {
	if c, ok := l.transport.(raft.WithClose); ok {
		return c.Close()
	}
	return nil
}
