package share

import (
	"fmt"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/tidelinehq/tideline/broker/coordinator"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// Topics is the cluster's metadata as this package needs it. It must not block.
type Topics interface {
	// Partitions returns how many partitions a topic has.
	Partitions(id [16]byte) (n int32, ok bool)
}

// Options of a Coordinator.
type Options struct {
	Config Config
	// Log is the topic __share_group_state; required.
	Log coordinator.Log
	// Topics is the cluster's metadata; required.
	Topics Topics
	// Prune is told that records of a partition of __share_group_state below an offset are
	// of no more use. It must not block; what it does not do is asked for again with a
	// higher offset later. May be nil.
	Prune func(partition, epoch int32, below int64)
	// MaxPending and MaxBatchBytes as in coordinator.Options; 0 takes the defaults there.
	MaxPending, MaxBatchBytes int
	// Now is the clock; time.Now.
	Now func() time.Time
	// Logger; discards if nil.
	Logger *slog.Logger
	// Registerer of the metrics; may be nil.
	Registerer prometheus.Registerer
}

// Coordinator coordinates the share partitions of those partitions of
// __share_group_state that this broker leads. All methods may be called from any
// goroutine, and none blocks on I/O.
type Coordinator struct {
	coordinator.Topic // __share_group_state

	cfg     Config
	topics  Topics
	metrics *metrics
}

// New returns a coordinator of no partitions yet.
func New(o Options) (*Coordinator, error) {
	if err := o.Config.Validate(); err != nil {
		return nil, fmt.Errorf("share coordinator: %w", err)
	}
	if o.Topics == nil {
		return nil, fmt.Errorf("share coordinator: Topics is required")
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	c := &Coordinator{cfg: o.Config, topics: o.Topics, metrics: newMetrics(o.Registerer)}
	err := c.Start(o.Config.Partitions, coordinator.Options{
		Subsystem: "share_coordinator_runtime",
		Log:       o.Log,
		New: func(partition, epoch int32) coordinator.Machine {
			var prune func(int64)
			if o.Prune != nil {
				prune = func(below int64) { o.Prune(partition, epoch, below) }
			}
			return newMachine(&c.cfg, c.metrics, o.Logger.With("topic_partition", partition), prune)
		},
		MaxPending: o.MaxPending, MaxBatchBytes: o.MaxBatchBytes, CommitTimeout: o.Config.CommitTimeout,
		Now: o.Now, Logger: o.Logger, Registerer: o.Registerer,
	})
	if err != nil {
		return nil, fmt.Errorf("share coordinator: %w", err)
	}
	return c, nil
}

// Close answers all requests and ends.
func (c *Coordinator) Close() { c.Runtime.Close() }

// TopicDeleted removes the share partitions of a topic that is gone. A partition of
// __share_group_state whose leader changes just then may keep them.
func (c *Coordinator) TopicDeleted(_ string, id [16]byte) {
	for _, p := range c.Runtime.Partitions() {
		c.Runtime.Submit(p, coordinator.Event{Access: coordinator.Read, Body: topicDeleted{id}})
	}
}

// Handle answers a request about the state of share partitions, exactly once, with the
// response type that belongs to it, version set; maybe before it returns, and never
// blocking on I/O. It returns false, and does not answer, for other requests.
//
// The request's memory may be reused once it is answered. Authorization is the caller's.
func (c *Coordinator) Handle(req kmsg.Request, reply func(kmsg.Response)) bool {
	switch r := req.(type) {
	case *kmsg.InitializeShareGroupStateRequest:
		c.initialize(r, reply)
	case *kmsg.ReadShareGroupStateRequest:
		c.read(r, reply)
	case *kmsg.WriteShareGroupStateRequest:
		c.write(r, reply)
	case *kmsg.DeleteShareGroupStateRequest:
		c.remove(r, reply)
	case *kmsg.ReadShareGroupStateSummaryRequest:
		c.summarize(r, reply)
	default:
		return false
	}
	c.metrics.requests.WithLabelValues(kmsg.NameForKey(req.Key())).Inc()
	return true
}

// submit asks the shard of the body's key.
func (c *Coordinator) submit(b asked, access coordinator.Access, call *coordinator.Call, refuse func(error) any) {
	r := b.of()
	r.call = call
	key := r.key.String()
	c.Runtime.Submit(c.Partition(key), coordinator.Event{Key: key, Access: access, Body: b, Call: call, Refuse: refuse})
}

// about makes the request about one partition of a topic.
func (c *Coordinator) about(group string, topic [16]byte, partition int32) request {
	n, ok := c.topics.Partitions(topic)
	return request{key: Key{Group: group, Topic: topic, Partition: partition}, known: ok && partition < n}
}
