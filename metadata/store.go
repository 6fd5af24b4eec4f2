package metadata

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	mathrand "math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/tidelinehq/tideline/internal/peer"
	"github.com/tidelinehq/tideline/metadata/quorum"
	"github.com/tidelinehq/tideline/metadata/record"
)

// Options configure a Store.
type Options struct {
	// Dir holds the node's identity, the log and the snapshots.
	Dir string
	// NodeID is this broker's node.id. A directory of another node is refused.
	NodeID int32
	// ClusterID, when set, is the cluster that the directory must belong to; a
	// new cluster gets it. When empty a new cluster gets a random id.
	ClusterID string
	// Seeds, when set, is how the broker comes to its group: without a log in
	// Dir it finds the cluster or makes it, and with one it tells the group
	// where it is. Voters and Join are not to be set then.
	Seeds *Seeds
	// Peers is the internal port, which carries the group's connections and the
	// proposals that go through the leader; nil in a group of one. Advertise is
	// its address for the others.
	Peers     *peer.Host
	Advertise string
	// Voters are the first members of the group, the same on each of them;
	// empty: a group of one. MemberID gives the ids. Join: this node is added
	// by the leader instead.
	Voters []quorum.Member
	Join   bool
	// HeartbeatTimeout and SnapshotBytes as in quorum.Options.
	HeartbeatTimeout time.Duration
	SnapshotBytes    int64
	// Log, when set, replaces the raft log: simulation and tests pass a twin.
	// Dir may be empty then; there is no identity to check.
	Log func(quorum.StateMachine) (quorum.Log, error)
	// Now gives the time for the cluster's creation; nil: time.Now.
	Now func() time.Time
	// OnFatal is called once when the log's disk failed or the log holds a
	// command that this release can not apply: the broker must stop.
	OnFatal    func(error)
	Logger     *slog.Logger
	Registerer prometheus.Registerer
}

// Store is the broker's handle on the cluster state: the newest image, and the
// way to change it.
type Store struct {
	machine *machine
	log     quorum.Log
	logger  *slog.Logger
	metrics *metrics
	node    int32
	relay   relay
	unreg   func()

	seeds     *Seeds   // nil: the members were given
	advertise string   // this member's address
	had       identity // of the directory, when it was opened
	changes   memberChanges
	announced chan error // capacity 2, of announce and compare: the group knows where this member is, or does not want it

	ctx    context.Context // ends with Close
	cancel context.CancelFunc
	work   sync.WaitGroup
}

// MemberID returns the name of a node in the group.
func MemberID(node int32) string { return strconv.Itoa(int(node)) }

// Open opens the state in Options.Dir, or starts a cluster there. It returns
// when the image has the cluster id, and in a group of one all that was
// committed. In a larger group that can take until a majority is up; end it
// with ctx. A directory of another node or cluster fails with ErrIdentity.
func Open(ctx context.Context, o Options) (*Store, error) {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if fatal := o.OnFatal; fatal != nil {
		var once sync.Once
		o.OnFatal = func(err error) { once.Do(func() { fatal(err) }) }
	}
	had, err := o.claim()
	if err != nil {
		return nil, err
	}
	s := &Store{
		logger: o.Logger, metrics: newMetrics(), node: o.NodeID, unreg: func() {}, had: had, advertise: o.Advertise,
		changes: newMemberChanges(), announced: make(chan error, 2),
	}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	s.relay = relay{peers: o.Peers, session: mathrand.Uint64(), waiting: make(map[uint64]struct{}), senders: make(map[int32]*relayNode)}
	s.machine = &machine{publisher: newPublisher(), log: o.Logger, metrics: s.metrics, onHalt: o.OnFatal}
	if o.Seeds != nil {
		if err := s.introduce(ctx, &o); err != nil {
			s.cancel()
			return nil, err
		}
	}
	if s.log, err = s.openLog(&o); err != nil {
		s.cancel()
		return nil, err
	}
	if o.Peers != nil {
		o.Peers.Register(RelayRequest, s.serveRelay)
		o.Peers.Register(JoinRequest, s.serveJoin)
		o.Peers.Register(MembersRequest, s.serveMembers)
	}
	if o.Seeds != nil {
		s.work.Go(s.announce)
		s.work.Go(func() { s.compare(o.OnFatal) })
	}
	if group, ok := s.log.(quorum.Membership); ok && o.Peers != nil {
		next := successor{store: s, group: group, peers: o.Peers, turn: cmp.Or(o.HeartbeatTimeout, quorum.DefaultHeartbeatTimeout) / turns}
		s.work.Go(func() { next.run(s.ctx) })
	}
	if err := s.ready(ctx, &o); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	if o.Registerer != nil {
		parts := []prometheus.Collector{s.metrics.apply, s.metrics.commands, s.metrics.propose, s.metrics.failures, collector{s}}
		for i, c := range parts {
			if err := o.Registerer.Register(c); err != nil {
				for _, done := range parts[:i] {
					o.Registerer.Unregister(done)
				}
				return nil, errors.Join(fmt.Errorf("register metadata metrics: %w", err), s.Close())
			}
		}
		s.unreg = func() {
			for _, c := range parts {
				o.Registerer.Unregister(c)
			}
		}
	}
	return s, nil
}

// claim checks that the directory is this node's, and makes it so if it is new.
// The node id is written before the log exists, so that a log never is without
// its owner's name.
func (o *Options) claim() (identity, error) {
	id := identity{node: o.NodeID}
	if o.Dir == "" {
		if o.Log == nil {
			return id, errors.New("open metadata: no directory")
		}
		return id, nil
	}
	if err := errors.Join(os.MkdirAll(o.Dir, 0o700), syncDir(filepath.Dir(o.Dir))); err != nil {
		return id, fmt.Errorf("open metadata: %w", err)
	}
	found, ok, err := readIdentity(o.Dir)
	switch {
	case err != nil:
		return id, err
	case ok:
		return found, found.check(o.Dir, o.NodeID, o.ClusterID)
	}
	return id, writeIdentity(o.Dir, id)
}

func (o *Options) raftDir() string { return filepath.Join(o.Dir, "raft") }

// introduce makes this broker answer the other seeds, and finds out what it has to begin with.
func (s *Store) introduce(ctx context.Context, o *Options) error {
	if o.Peers == nil || o.Log != nil || len(o.Voters) > 0 || o.Join {
		return errors.New("open metadata: seeds need an internal port, and nothing else that says who the members are")
	}
	seeds := *o.Seeds
	seeds.Peers, seeds.NodeID, seeds.Logger = o.Peers, o.NodeID, o.Logger
	if err := seeds.Check(); err != nil {
		return err
	}
	if s.advertise == "" {
		s.advertise = o.Peers.Addr().String()
	}
	s.seeds = &seeds
	seeds.Introduce(s.knownCluster)
	return s.enter(ctx, o)
}

func (s *Store) openLog(o *Options) (quorum.Log, error) {
	if o.Log != nil {
		return o.Log(s.machine)
	}
	var stream quorum.StreamLayer
	if o.Peers != nil {
		stream = newGroupStream(s.ctx, o.Peers, s.seeds)
	}
	log, err := quorum.Open(quorum.Options{
		Dir: o.raftDir(), ID: MemberID(o.NodeID),
		Stream: stream, Advertise: o.Advertise, Voters: o.Voters, Join: o.Join,
		HeartbeatTimeout: o.HeartbeatTimeout, SnapshotBytes: o.SnapshotBytes,
		Existing: s.had.cluster != "",
		Logger:   o.Logger, OnFatal: o.OnFatal,
	}, s.machine)
	if err != nil {
		return nil, err
	}
	return log, nil
}

// ready waits until the image is usable and verifies whose it is.
func (s *Store) ready(ctx context.Context, o *Options) error {
	alone, expected := s.alone(), o.Seeds == nil
	for caughtUp := false; ; {
		changed := s.log.LeaderChanges()
		image, advanced, err := s.machine.next()
		if err != nil {
			return err
		}
		if h := s.machine.halted.Load(); h != nil {
			return h.err
		}
		if image.ClusterID() != "" && (caughtUp || !alone) && expected {
			return s.settle(o, image.ClusterID())
		}
		if s.log.IsLeader() && !caughtUp {
			err := s.lead(ctx, o)
			caughtUp = err == nil
			if err == nil {
				continue
			}
			if !errors.Is(err, quorum.ErrNotLeader) && !errors.Is(err, quorum.ErrUnknown) {
				return fmt.Errorf("open metadata: %w", err)
			}
		}
		select {
		case <-changed:
		case <-advanced:
		case err := <-s.announced:
			if err != nil {
				return fmt.Errorf("open metadata: %w", err)
			}
			expected = true
		case <-ctx.Done():
			return fmt.Errorf("open metadata: waiting for a leader and the cluster id: %w", ctx.Err())
		}
	}
}

// alone reports whether this member is the only one whose vote counts, so that it will lead.
func (s *Store) alone() bool {
	group, ok := s.log.(quorum.Membership)
	if !ok {
		return false
	}
	voters, _ := group.Members()
	return len(voters) == 1 && voters[0].ID == MemberID(s.node)
}

// lead brings the image up to date on the leader and gives a new cluster its id.
func (s *Store) lead(ctx context.Context, o *Options) error {
	if err := s.log.Barrier(ctx); err != nil {
		return err
	}
	if s.Image().ClusterID() != "" {
		return nil
	}
	id := o.ClusterID
	if id == "" {
		var b [16]byte
		if _, err := rand.Read(b[:]); err != nil {
			return fmt.Errorf("make a cluster id: %w", err)
		}
		id = base64.RawURLEncoding.EncodeToString(b[:]) // the form that Kafka's tools know
	}
	_, err := s.Propose(ctx, &record.InitCluster{ClusterID: id, At: o.Now().UnixMilli()})
	return err
}

// settle compares the cluster id of the state with what is expected and known.
func (s *Store) settle(o *Options, cluster string) error {
	if o.ClusterID != "" && cluster != o.ClusterID {
		return fmt.Errorf("%w: dir=%s cluster.id=%s expected=%s", ErrIdentity, o.Dir, cluster, o.ClusterID)
	}
	if s.had.cluster != "" && s.had.cluster != cluster {
		return fmt.Errorf("%w: dir=%s cluster.id=%s state=%s", ErrIdentity, o.Dir, s.had.cluster, cluster)
	}
	if o.Dir == "" || s.had.cluster == cluster {
		return nil
	}
	return writeIdentity(o.Dir, identity{node: o.NodeID, cluster: cluster})
}

// Image returns the newest image. It costs one atomic load.
func (s *Store) Image() *Image { return s.machine.image.Load() }

// Watch subscribes to images. Close the watcher when done.
func (s *Store) Watch() *Watcher { return s.machine.watch() }

// Wait waits until the image has the command at an index.
func (s *Store) Wait(ctx context.Context, index uint64) (*Image, error) {
	for {
		image, advanced, err := s.machine.next()
		if err != nil {
			return nil, err
		}
		if image.Index() >= index {
			return image, nil
		}
		select {
		case <-advanced:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// IsLeader reports whether this node leads the metadata group.
func (s *Store) IsLeader() bool { return s.log.IsLeader() }

// Leader returns the leader of the metadata group, false when none is known.
func (s *Store) Leader() (quorum.Member, bool) { return s.log.Leader() }

// LeaderChanges returns a channel that is closed at the next change of leadership.
func (s *Store) LeaderChanges() <-chan struct{} { return s.log.LeaderChanges() }

// Log returns the log under the store, for membership and figures.
func (s *Store) Log() quorum.Log { return s.log }

// Close stops the store. The last image stays readable.
func (s *Store) Close() error {
	s.cancel()
	s.work.Wait()
	err := s.log.Close()
	s.machine.close()
	s.unreg()
	return err
}
