package group

import (
	"context"
	"crypto/rand"
	"fmt"
	"log/slog"
	"time"

	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/tidelinehq/tideline/broker/coordinator"
	"github.com/tidelinehq/tideline/broker/coordinator/group/streams"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// Topics is the cluster's metadata as this package needs it. It must not block.
type Topics interface {
	// Lookup finds a topic by name.
	Lookup(name string) (id [16]byte, partitions int32, ok bool)
	// Name finds a topic by id.
	Name(id [16]byte) (name string, ok bool)
	// Image is all of it at this moment.
	Image() Image
}

// Options of a Coordinator.
type Options struct {
	Config Config
	// Log is the topic __consumer_offsets; required.
	Log coordinator.Log
	// Topics is the cluster's metadata; required.
	Topics Topics
	// Shares is the coordinators of share partitions; nil: there are no share groups.
	Shares ShareStates
	// PartitionEnd returns the high watermark of a partition, for the lag of share groups; nil:
	// it is not known.
	PartitionEnd func(ctx context.Context, topic string, partition int32) (int64, error)
	// MaxPending and MaxBatchBytes as in coordinator.Options; 0 takes the defaults there.
	MaxPending, MaxBatchBytes int
	// Now is the clock; time.Now.
	Now func() time.Time
	// NewID makes the random part of a member id; a random UUID.
	NewID func() string
	// Logger; discards if nil.
	Logger *slog.Logger
	// Registerer of the metrics; may be nil.
	Registerer prometheus.Registerer
}

// Caller is the client that sent a request.
type Caller struct {
	ClientID   string
	ClientHost string // as Kafka writes it: "/10.0.0.1"
	// Sees says which topics the client may know of; nil: all. It is pure.
	Sees func(topic string) bool
}

// Coordinator coordinates the groups of those partitions of __consumer_offsets
// that this broker leads. All methods may be called from any goroutine, and none
// blocks on I/O.
type Coordinator struct {
	coordinator.Topic // __consumer_offsets

	cfg     Config
	topics  Topics
	metrics *metrics
	shares  *shareTasks // nil: there are no share groups here
}

// New returns a coordinator of no partitions yet.
func New(o Options) (*Coordinator, error) {
	if err := o.Config.Validate(); err != nil {
		return nil, fmt.Errorf("group coordinator: %w", err)
	}
	if o.Topics == nil {
		return nil, fmt.Errorf("group coordinator: Topics is required")
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.NewID == nil {
		o.NewID = randomID
	}
	c := &Coordinator{cfg: o.Config, topics: o.Topics, metrics: newMetrics(o.Registerer)}
	if o.Shares != nil {
		c.shares = newShareTasks(o.Shares, o.PartitionEnd, o.Logger)
	}
	err := c.Start(o.Config.Partitions, coordinator.Options{
		Subsystem: "group_coordinator",
		Log:       o.Log,
		New: func(partition, _ int32) coordinator.Machine {
			return newMachine(&c.cfg, c.topics.Image, c.metrics, o.Logger.With("topic_partition", partition), o.NewID)
		},
		MaxPending: o.MaxPending, MaxBatchBytes: o.MaxBatchBytes, CommitTimeout: o.Config.CommitTimeout,
		Now: o.Now, Logger: o.Logger, Registerer: o.Registerer,
	})
	if err != nil {
		return nil, fmt.Errorf("group coordinator: %w", err)
	}
	return c, nil
}

func randomID() string {
	return uuid.Must(uuid.NewRandomFromReader(rand.Reader)).String()
}

// Close answers all requests and ends.
func (c *Coordinator) Close() {
	if c.shares != nil {
		c.shares.close()
	}
	c.Runtime.Close()
}

// TopicDeleted removes the offsets of a deleted topic from all groups here,
// but not those of a later topic of the same name. A partition whose leader
// changes just then may keep them until their retention is over; they are not
// returned for a later topic.
func (c *Coordinator) TopicDeleted(name string, id [16]byte) {
	gone := topicsDeleted{ids: map[string][16]byte{name: id}}
	for _, p := range c.Runtime.Partitions() {
		c.Runtime.Submit(p, coordinator.Event{Access: coordinator.Read, Body: gone})
	}
}

// Handle answers a group request, exactly once, with the response type that
// belongs to it, version set; maybe before it returns, and never blocking on I/O. It returns
// false, and does not answer, for requests that are not a group coordinator's.
//
// The request must have been decoded by ReadFrom; its memory may be reused
// once it is answered. Authorization is the caller's: topics that may not be
// seen are taken out of requests before, and out of "all topics" answers of
// OffsetFetch and the answers of ListGroups afterwards.
func (c *Coordinator) Handle(caller Caller, req kmsg.Request, reply func(kmsg.Response)) bool {
	switch r := req.(type) {
	case *kmsg.JoinGroupRequest:
		c.join(caller, r, reply)
	case *kmsg.SyncGroupRequest:
		c.sync(r, reply)
	case *kmsg.HeartbeatRequest:
		c.heartbeat(r, reply)
	case *kmsg.LeaveGroupRequest:
		c.leave(r, reply)
	case *kmsg.OffsetCommitRequest:
		c.offsetCommit(r, reply)
	case *kmsg.OffsetFetchRequest:
		c.offsetFetch(r, reply)
	case *kmsg.OffsetDeleteRequest:
		c.offsetDelete(r, reply)
	case *kmsg.ListGroupsRequest:
		c.listGroups(r, reply)
	case *kmsg.DescribeGroupsRequest:
		c.describeGroups(r, reply)
	case *kmsg.DeleteGroupsRequest:
		c.deleteGroups(r, reply)
	case *kmsg.StreamsGroupHeartbeatRequest:
		c.streamsHeartbeat(caller, r, func(resp *kmsg.StreamsGroupHeartbeatResponse, _ []streams.InternalTopic) { reply(resp) })
	case *kmsg.StreamsGroupDescribeRequest:
		c.describeStreams(r, reply)
	case *kmsg.ConsumerGroupHeartbeatRequest:
		c.consumerHeartbeat(caller, r, reply)
	case *kmsg.ConsumerGroupDescribeRequest:
		c.describeConsumers(r, reply)
	case *kmsg.ShareGroupHeartbeatRequest:
		c.shareHeartbeat(caller, r, reply)
	case *kmsg.ShareGroupDescribeRequest:
		c.describeShares(r, reply)
	case *kmsg.DescribeShareGroupOffsetsRequest:
		c.describeShareOffsets(r, reply)
	case *kmsg.AlterShareGroupOffsetsRequest:
		c.alterShareOffsets(r, reply)
	case *kmsg.DeleteShareGroupOffsetsRequest:
		c.deleteShareOffsets(r, reply)
	default:
		return false
	}
	c.metrics.requests.WithLabelValues(kmsg.NameForKey(req.Key())).Inc()
	return true
}

// callFor is a call whose answer is a whole response.
func callFor(reply func(kmsg.Response)) *coordinator.Call {
	return coordinator.NewCall(func(body any) { reply(body.(kmsg.Response)) })
}

// submit hands an event about a group to the shard of its partition.
func (c *Coordinator) submit(group string, access coordinator.Access, b body, call *coordinator.Call, refuse func(error) any) {
	c.Runtime.Submit(c.Partition(group), coordinator.Event{Key: group, Access: access, Body: b, Call: call, Refuse: refuse})
}
