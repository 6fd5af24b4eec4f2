package txn

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/tidelinehq/tideline/broker/coordinator"
)

// Topics is the cluster's metadata as this package needs it. It must not block.
type Topics interface {
	// Leader is the broker that leads a partition, or -1 if none does at the moment; false
	// if there is no such partition.
	Leader(topic string, partition int32) (broker int32, ok bool)
	// Level is the finalized level of the feature transaction.version.
	Level() int16
}

// Brokers asks brokers, this one included.
type Brokers interface {
	// Ask has the broker answer a WriteTxnMarkers request.
	Ask(ctx context.Context, broker int32, req kmsg.Request) (kmsg.Response, error)
}

// Options of a Coordinator.
type Options struct {
	Config Config
	// Log is the topic __transaction_state; required.
	Log coordinator.Log
	// Topics is the cluster's metadata, Brokers the way to the leaders of partitions, asked
	// for when it is needed; required.
	Topics  Topics
	Brokers func() Brokers
	// NewProducerID returns a producer id that nobody has; required. It may block.
	NewProducerID func(ctx context.Context) (int64, error)
	// GroupPartition is the partition of __consumer_offsets, named by its topic, that a
	// group's offsets are in; required.
	GroupPartition func(group string) (topic string, partition int32)
	// MaxPending and MaxBatchBytes as in coordinator.Options; 0 takes the defaults there.
	MaxPending, MaxBatchBytes int
	// Now is the clock; time.Now.
	Now func() time.Time
	// Logger; discards if nil.
	Logger *slog.Logger
	// Registerer of the metrics; may be nil.
	Registerer prometheus.Registerer
}

// Coordinator coordinates the transactions of those partitions of __transaction_state
// that this broker leads. All methods may be called from any goroutine, and none blocks on I/O.
type Coordinator struct {
	coordinator.Topic // __transaction_state

	cfg     Config
	opts    Options
	metrics *metrics
	log     *slog.Logger
	markers *sender
	fresh   fresh
	takeID  func(done func(int64, error)) // fresh.take, or a test's
}

// New returns a coordinator of no partitions yet.
func New(o Options) (*Coordinator, error) {
	if err := o.Config.Validate(); err != nil {
		return nil, fmt.Errorf("transaction coordinator: %w", err)
	}
	if o.Topics == nil || o.Brokers == nil || o.NewProducerID == nil || o.GroupPartition == nil {
		return nil, fmt.Errorf("transaction coordinator: Topics, Brokers, NewProducerID and GroupPartition are required")
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	c := &Coordinator{cfg: o.Config, opts: o, metrics: newMetrics(o.Registerer), log: o.Logger}
	c.fresh.init(o.NewProducerID)
	c.takeID = c.fresh.take
	c.markers = newSender(senderOptions{
		topics: o.Topics, brokers: o.Brokers, metrics: c.metrics, logger: o.Logger,
		written: func(j *job) {
			c.Runtime.Submit(j.shard.partition, coordinator.Event{
				Key: j.id, Access: coordinator.Exclusive,
				Body: markersWritten{id: j.id, producerID: j.producerID, epoch: j.epoch},
			})
		},
	})
	err := c.Start(o.Config.Partitions, coordinator.Options{
		Subsystem: "transaction_coordinator", Log: o.Log,
		New: func(partition, epoch int32) coordinator.Machine {
			return c.newMachine(&shardEdge{c: c, shard: shardID{partition, epoch}})
		},
		MaxPending: o.MaxPending, MaxBatchBytes: o.MaxBatchBytes,
		Now: o.Now, Logger: o.Logger, Registerer: o.Registerer,
	})
	if err != nil {
		return nil, fmt.Errorf("transaction coordinator: %w", err)
	}
	return c, nil
}

func (c *Coordinator) newMachine(e edge) *machine {
	return &machine{cfg: &c.cfg, metrics: c.metrics, log: c.log, edge: e, level: c.opts.Topics.Level, txns: make(map[string]*transaction)}
}

// Close answers all requests and ends.
func (c *Coordinator) Close() {
	c.fresh.close()
	c.Runtime.Close()
	c.markers.close()
}

// TopicDeleted says that a topic is gone: nobody waits for markers in it. That is found out
// from the metadata when they are sent again.
func (c *Coordinator) TopicDeleted(string, [16]byte) {}

// shardID is one term of a coordinator.
type shardID struct{ partition, epoch int32 }

// shardEdge is the edge of one shard.
type shardEdge struct {
	c     *Coordinator
	shard shardID
}

func (e *shardEdge) write(id string, t *transaction) {
	e.c.markers.add(&job{
		shard: e.shard, id: id, producerID: t.producerID, epoch: t.epoch,
		commit: t.state == PrepareCommit, version: t.version,
	}, t.partitions)
}

func (e *shardEdge) refill(_ string, fn func(int64) coordinator.Event) {
	e.c.takeID(func(id int64, err error) {
		if err == nil {
			e.c.Runtime.Submit(e.shard.partition, fn(id))
		}
	})
}

func (e *shardEdge) forget() { e.c.markers.forget(e.shard) }

// submit hands an event about a transactional id to the shard of its partition.
func (c *Coordinator) submit(id string, access coordinator.Access, b body, call *coordinator.Call, refuse func(error) any) {
	c.Runtime.Submit(c.Partition(id), coordinator.Event{Key: id, Access: access, Body: b, Call: call, Refuse: refuse})
}
