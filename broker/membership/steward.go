package membership

import (
	"context"
	"errors"
	"net"
	"strconv"
	"sync"
	"time"

	"github.com/tidelinehq/tideline/internal/peer"
	"github.com/tidelinehq/tideline/metadata"
	"github.com/tidelinehq/tideline/metadata/controller"
	"github.com/tidelinehq/tideline/metadata/record"
)

// Steward is the controller while its broker leads the metadata.
type Steward struct {
	o    *Options
	m    *metrics
	wake chan struct{}
	// uneven: the balance is to be looked at
	uneven chan struct{}

	mu       sync.Mutex // guards what follows
	sessions *controller.Sessions
	leads    bool
	reached  map[int32]progress

	// Of the goroutine of Run.
	watches   map[int32]*watch
	unsettled bool // partitions may wait for a change that nobody has proposed
}

// progress is how far a broker's image is, as its last heartbeat said.
type progress struct {
	index uint64
	at    time.Time
}

// watch is one process that is watched.
type watch struct {
	epoch  int64
	cancel context.CancelFunc
}

func newSteward(o *Options) *Steward {
	return &Steward{
		o: o, m: newMetrics(o.Registerer), wake: make(chan struct{}, 1), uneven: make(chan struct{}, 1),
		sessions: controller.NewSessions(o.Policy(), o.SessionTimeout),
		reached:  make(map[int32]progress), watches: make(map[int32]*watch),
	}
}

// serve takes the heartbeat of another broker.
func (s *Steward) serve(_ context.Context, from peer.Identity, payload []byte) ([]byte, error) {
	h, err := parseHeartbeat(payload, from.Node)
	if err != nil {
		return nil, err
	}
	a := s.heartbeat(h)
	return a.append(nil), nil
}

func (s *Steward) heartbeat(h controller.Heartbeat) answer {
	now := s.o.Now()
	s.mu.Lock()
	a := answer{leads: s.leads}
	if s.leads {
		a.HeartbeatReply = s.sessions.Heartbeat(s.o.Store.Image(), h, now)
		s.reached[h.Broker] = progress{h.Reached, now}
	}
	s.mu.Unlock()
	if a.leads && (a.Fenced || h.WantShutdown) {
		s.kick()
	}
	return a
}

// Reached returns how far the images of the brokers are, as their heartbeats said, and when
// that was; nothing while this broker does not lead.
func (s *Steward) Reached(broker int32) (index uint64, at time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := s.reached[broker]
	return p.index, p.at
}

func (s *Steward) kick() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// failPause keeps a steward whose proposals fail from spinning.
const failPause = 100 * time.Millisecond

// Run does the controller's work whenever this broker leads, until ctx ends.
func (s *Steward) Run(ctx context.Context) {
	w := s.o.Store.Watch()
	defer w.Close()
	defer s.watchNobody()
	for ctx.Err() == nil {
		changes := s.o.Store.LeaderChanges()
		next, err := s.step(ctx, w)
		if err != nil && ctx.Err() == nil {
			s.m.failures.Inc()
			s.o.Logger.WarnContext(ctx, "the controller could not carry out what is due, and tries again", "error", err)
			next = s.o.Now().Add(failPause)
			s.unsettled = true
		}
		timer := time.NewTimer(time.Hour)
		if !next.IsZero() {
			timer.Reset(max(next.Sub(s.o.Now()), 0))
		}
		select {
		case <-timer.C:
		case <-changes:
		case <-w.Ready():
		case <-s.wake:
		case <-ctx.Done():
		}
		timer.Stop()
	}
}

// step does what is due and returns when to look again.
func (s *Steward) step(ctx context.Context, w *metadata.Watcher) (time.Time, error) {
	image, delta, fresh := w.TryNext()
	if !s.o.Store.IsLeader() {
		s.resign()
		return time.Time{}, nil
	}
	if !s.leading() {
		if err := s.take(ctx); err != nil {
			return time.Time{}, err
		}
		image, fresh = s.o.Store.Image(), false
	}
	s.watchAll(ctx, image)
	if fresh {
		if err := s.settleChanged(ctx, image, &delta); err != nil {
			return time.Time{}, err
		}
	}
	if err := s.settle(ctx); err != nil {
		return time.Time{}, err
	}
	image = s.o.Store.Image()
	now := s.o.Now()
	s.mu.Lock()
	verdicts := s.sessions.Tick(image, now)
	s.mu.Unlock()
	if err := s.carryOut(ctx, &verdicts); err != nil {
		return time.Time{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.sessions.Next(s.o.Store.Image()), nil
}

func (s *Steward) leading() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.leads
}

// take begins the time in which this broker is the controller: once its image has all that
// was committed before.
func (s *Steward) take(ctx context.Context) error {
	if err := s.o.Store.Log().Barrier(ctx); err != nil {
		return err
	}
	if c := s.o.Policy().Publish(s.o.Store.Image()); c != nil {
		if _, err := s.o.Store.Propose(ctx, c); err != nil {
			return err
		}
	}
	if c := controller.FirstFeatures(s.o.Store.Image()); c != nil {
		if err := s.propose(ctx, c); err != nil {
			return err
		}
	}
	s.mu.Lock()
	s.leads = true
	s.sessions.Lead(s.o.Store.Image(), true, s.o.Now())
	clear(s.reached)
	s.mu.Unlock()
	s.unsettled = true
	s.unbalance()
	s.m.leads.Set(1)
	s.o.Logger.InfoContext(ctx, "this broker is the controller now")
	return nil
}

func (s *Steward) resign() {
	s.mu.Lock()
	was := s.leads
	if was {
		s.leads = false
		s.sessions.Lead(nil, false, s.o.Now())
	}
	s.mu.Unlock()
	if was {
		s.watchNobody()
		s.m.leads.Set(0)
		s.o.Logger.Info("this broker is the controller no more")
	}
}

// watchAll watches the processes of all other brokers in service.
func (s *Steward) watchAll(ctx context.Context, image *metadata.Image) {
	if s.o.Peers == nil {
		return
	}
	for id, x := range s.watches {
		if b, ok := image.Broker(id); !ok || b.Epoch != x.epoch {
			x.cancel()
			delete(s.watches, id)
		}
	}
	for b := range image.Brokers() {
		if b.ID == s.o.Registration.ID || s.watches[b.ID] != nil {
			continue
		}
		address, ok := Address(b)
		if !ok {
			continue
		}
		watched, cancel := context.WithCancel(ctx)
		x := &watch{epoch: b.Epoch, cancel: cancel}
		s.watches[b.ID] = x
		go s.watch(watched, b, address)
	}
}

func (s *Steward) watchNobody() {
	for id, x := range s.watches {
		x.cancel()
		delete(s.watches, id)
	}
}

// watch waits until a process is gone, which it tells the sessions.
func (s *Steward) watch(ctx context.Context, b *metadata.Broker, address string) {
	for ctx.Err() == nil {
		err := s.o.Peers.Watch(ctx, address, b.ID, b.Incarnation)
		if ctx.Err() != nil || errors.Is(err, peer.ErrClosed) {
			return
		}
		if peer.Gone(err) {
			s.o.Logger.InfoContext(ctx, "a broker's process is gone", "broker", b.ID, "epoch", b.Epoch)
			s.mu.Lock()
			s.sessions.Lost(s.o.Store.Image(), b.ID, b.Epoch, true, s.o.Now())
			s.mu.Unlock()
			s.kick()
			return
		}
		// It may be the network: its heartbeats decide.
		timer := time.NewTimer(s.o.HeartbeatInterval)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
		}
	}
}

// Address returns where other brokers reach one.
func Address(b *metadata.Broker) (string, bool) {
	for _, e := range b.Endpoints {
		if e.Listener == record.InternalListener {
			return net.JoinHostPort(e.Host, strconv.Itoa(int(e.Port))), true
		}
	}
	return "", false
}

// settleBatch is how many partitions are changed at a time: what fits a few commands.
const settleBatch = 10_000

// settle proposes what an earlier controller, or a failed proposal, has left half-done.
func (s *Steward) settle(ctx context.Context) error {
	for s.unsettled {
		changes := s.o.Policy().Settle(s.o.Store.Image(), settleBatch)
		if len(changes) == 0 {
			s.unsettled = false
			break
		}
		if err := s.change(ctx, changes); err != nil {
			return err
		}
	}
	return nil
}

// settleChanged brings partitions to rest that were changed by others.
func (s *Steward) settleChanged(ctx context.Context, image *metadata.Image, d *metadata.Delta) error {
	if d.All {
		s.unsettled = true
		s.unbalance()
		return nil
	}
	if len(d.Brokers)+len(d.Topics) > 0 {
		s.unbalance()
	}
	policy := s.o.Policy()
	var changes []record.PartitionChange
	look := func(topic metadata.ID, index int32) {
		if c, ok := policy.SettlePartition(image, topic, index); ok {
			changes = append(changes, c)
		}
	}
	for _, tp := range d.Partitions {
		look(tp.Topic, tp.Partition)
	}
	for _, id := range d.Topics {
		if t, ok := image.TopicByID(id); ok {
			for i := range t.Partitions {
				look(id, i)
			}
		}
	}
	return s.change(ctx, changes)
}

// change proposes changes of partitions. An entry that is refused, because the partition
// was changed meanwhile, is looked at again with that change.
func (s *Steward) change(ctx context.Context, changes []record.PartitionChange) error {
	if len(changes) == 0 {
		return nil
	}
	results, err := s.o.Store.ChangePartitions(ctx, changes)
	if err != nil {
		return err
	}
	for i := range results {
		switch {
		case results[i].Reason.Refused():
			s.m.refused.Inc()
		case results[i].Unclean:
			s.m.unclean.Inc()
			s.o.Logger.WarnContext(ctx, "a leader was elected that may lack acknowledged records", "topic_id", changes[i].Topic, "partition", changes[i].Partition, "leader", changes[i].Leader)
		}
	}
	s.m.changes.Add(float64(len(results)))
	return nil
}

// carryOut proposes what the sessions say.
func (s *Steward) carryOut(ctx context.Context, v *controller.Verdicts) error {
	policy := s.o.Policy()
	for _, b := range v.Fence {
		if err := s.propose(ctx, &record.FenceBroker{ID: b.Broker, Epoch: b.Epoch}); err != nil {
			return err
		}
		s.o.Logger.InfoContext(ctx, "broker fenced", "broker", b.Broker, "epoch", b.Epoch)
		s.m.fences.Inc()
		if err := s.change(ctx, policy.Fenced(s.o.Store.Image(), b.Broker)); err != nil {
			return err
		}
	}
	for _, b := range v.Unfence {
		if err := s.propose(ctx, &record.UnfenceBroker{ID: b.Broker, Epoch: b.Epoch}); err != nil {
			return err
		}
		s.o.Logger.InfoContext(ctx, "broker in service", "broker", b.Broker, "epoch", b.Epoch)
		if err := s.change(ctx, policy.Unfenced(s.o.Store.Image(), b.Broker, true)); err != nil {
			return err
		}
	}
	for _, b := range v.Shutdown {
		if err := s.propose(ctx, &record.ShutdownBroker{ID: b.Broker, Epoch: b.Epoch}); err != nil {
			return err
		}
		s.o.Logger.InfoContext(ctx, "broker shuts down", "broker", b.Broker, "epoch", b.Epoch)
	}
	return s.handOver(ctx)
}

// handOver goes on with the shutdowns that are under way.
func (s *Steward) handOver(ctx context.Context) error {
	for b := range s.o.Store.Image().Brokers() {
		if !b.ShuttingDown || b.Fenced {
			continue
		}
		for {
			changes, done := s.o.Policy().Shutdown(s.o.Store.Image(), b.ID)
			if done {
				break
			}
			before := s.o.Store.Image().Index()
			if err := s.change(ctx, changes); err != nil {
				return err
			}
			if s.o.Store.Image().Index() == before {
				break
			}
		}
	}
	return nil
}

// propose applies a command. A refusal means that the broker was registered anew, or
// is as wanted: the next look at the sessions says.
func (s *Steward) propose(ctx context.Context, c record.Command) error {
	_, err := s.o.Store.Propose(ctx, c)
	var reason record.Reason
	if errors.As(err, &reason) {
		s.m.refused.Inc()
		return nil
	}
	return err
}
