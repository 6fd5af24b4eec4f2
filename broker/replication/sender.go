package replication

import (
	"context"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel/trace"

	"github.com/tidelinehq/tideline/broker/partition"
	"github.com/tidelinehq/tideline/broker/trail"
	"github.com/tidelinehq/tideline/internal/peer"
	"github.com/tidelinehq/tideline/wal"
)

// Options are the parts and bounds of this broker's side of replication.
type Options struct {
	Peers *peer.Host
	// Address returns the internal address of a broker; false while it is not known.
	Address func(broker int32) (string, bool)
	// Index is that of the newest metadata on which this broker acts.
	Index func() uint64
	// WindowBytes bounds what a stream has sent and its follower has not acknowledged.
	WindowBytes int64
	Receiver    ReceiverOptions
	Now         func() time.Time // time.Now
	Logger      *slog.Logger
	Registerer  prometheus.Registerer
	// Tracer makes the spans of what is sent and received of records that belong to traces, which Trail
	// remembers; nil: none.
	Tracer trace.Tracer
	Trail  *trail.Trail
}

// Sender pushes what this broker leads to the brokers that follow. Register it with
// New, which serves the other direction, too.
type Sender struct {
	o      Options
	m      *metrics
	ctx    context.Context
	cancel context.CancelFunc
	work   sync.WaitGroup

	throttle throttle

	mu      sync.Mutex // guards what follows
	links   map[int32]*link
	outlets map[wal.ID]*outlet
	closed  bool
}

// New makes a Sender, and serves the streams of other brokers at Options.Peers.
func New(o Options) *Sender {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	o.Receiver.Logger, o.Receiver.Tracer = o.Logger, o.Tracer
	m := newMetrics(o.Registerer)
	s := &Sender{o: o, m: m, links: make(map[int32]*link), outlets: make(map[wal.ID]*outlet)}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	r := newReceiver(s.ctx, o.Receiver, m)
	o.Peers.Handle(peer.TracedReplication, r.ServeTraced)
	o.Peers.Handle(peer.Replication, r.Serve)
	return s
}

// outlet is one led partition: a feed for each follower. It does not change; other
// followers are another outlet.
type outlet struct {
	p     *partition.Partition
	epoch int32
	feeds []*feed
}

// Feed implements partition.Feeder.
func (o *outlet) Feed() {
	for _, f := range o.feeds {
		f.link.queue(f)
	}
}

// Lead makes a partition's leadership known to it and feeds its followers from then on. It
// reports whether that is a new leader epoch. Calls for one partition must not overlap.
func (s *Sender) Lead(p *partition.Partition, l partition.Leadership, keeper partition.ISRKeeper) (elected bool) {
	o := s.outlet(p, &l)
	elected = p.Lead(l, o, keeper)
	o.Feed()
	return elected
}

// outlet replaces the outlet of a partition by one for these followers.
func (s *Sender) outlet(p *partition.Partition, l *partition.Leadership) *outlet {
	s.mu.Lock()
	defer s.mu.Unlock()
	old := s.outlets[p.ID()]
	o := &outlet{p: p, epoch: l.Epoch}
	for _, b := range l.Followers {
		if old != nil && old.p == p && old.epoch == l.Epoch {
			if i := slices.IndexFunc(old.feeds, func(f *feed) bool { return f.link.broker == b }); i >= 0 {
				o.feeds = append(o.feeds, old.feeds[i])
				continue
			}
		}
		o.feeds = append(o.feeds, &feed{link: s.link(b), p: p, epoch: l.Epoch})
	}
	s.drop(old, o)
	s.outlets[p.ID()] = o
	return o
}

// drop ends the feeds of an outlet that its successor has not. The mutex is held.
func (s *Sender) drop(old, next *outlet) {
	if old == nil {
		return
	}
	for _, f := range old.feeds {
		if next == nil || !slices.Contains(next.feeds, f) {
			f.gone.Store(true)
			f.link.queue(f)
		}
	}
}

// Resign ends the feeds of a partition that this broker does not lead any more.
func (s *Sender) Resign(id wal.ID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.drop(s.outlets[id], nil)
	delete(s.outlets, id)
}

// link returns the link to a broker. The mutex is held.
func (s *Sender) link(broker int32) *link {
	l := s.links[broker]
	if l == nil {
		l = &link{s: s, broker: broker, wake: make(chan struct{}, 1), kicked: make(chan struct{}, 1)}
		s.links[broker] = l
		if !s.closed {
			s.work.Go(l.run)
		}
	}
	return l
}

// Changed says that a broker was registered anew, or has another address: a link that
// pauses after a failure tries at once.
func (s *Sender) Changed(broker int32) {
	s.mu.Lock()
	l := s.links[broker]
	s.mu.Unlock()
	if l != nil {
		l.kick()
	}
}

// Led returns the partitions that have followers, in no order.
func (s *Sender) Led() []*partition.Partition {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := make([]*partition.Partition, 0, len(s.outlets))
	for _, o := range s.outlets {
		if len(o.feeds) > 0 {
			out = append(out, o.p)
		}
	}
	return out
}

// Close ends all streams of this side, and what those of other brokers wait for; they
// themselves end with Options.Peers.
func (s *Sender) Close() {
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	s.cancel()
	s.work.Wait()
	s.m.unregister(s.o.Registerer)
}
