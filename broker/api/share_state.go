package api

import (
	"context"
	"fmt"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// ShareState answers the requests about the state of share partitions. It is
// implemented by share.Coordinator.
type ShareState interface {
	// Handle answers a request exactly once, without blocking; false: not a request of
	// this kind, and not answered.
	Handle(req kmsg.Request, reply func(kmsg.Response)) bool
}

// shareStateBytes is what an answer about one share partition may take: 2000 records
// under way is Kafka's default, each in a state of its own.
const shareStateBytes = 64 << 10

// toShareState hands a request to the share coordinator, which replies later.
func toShareState(c *Call) kmsg.Response {
	if !c.API.ShareState.Handle(c.Request, c.Reply) {
		panic("api: the share coordinator does not know an api key of the table")
	}
	return nil
}

// ShareCoordinator returns the broker that coordinates a share partition, by its key.
func (a *API) ShareCoordinator(ctx context.Context, key string) (node int32, err error) {
	b, err := a.coordinator(ctx, coordinatorKind(shareCoordinator), key)
	if err != nil {
		return -1, err
	}
	return b.ID, nil
}

// PartitionEnd returns the high watermark of a partition, as its leader has it.
func (a *API) PartitionEnd(ctx context.Context, topic string, partition int32) (int64, error) {
	image := a.Metadata.Image()
	t, ok := image.Topic(topic)
	if !ok {
		return -1, fmt.Errorf("%w: topic=%s", kerr.UnknownTopicOrPartition, topic)
	}
	p, ok := image.PartitionOf(t, partition)
	if !ok || p.Leader < 0 {
		return -1, fmt.Errorf("%w: topic=%s partition=%d", kerr.LeaderNotAvailable, topic, partition)
	}
	const latest = -1
	req := kmsg.NewPtrListOffsetsRequest()
	req.Version, req.ReplicaID = 10, -1
	rp := kmsg.NewListOffsetsRequestTopicPartition()
	rp.Partition, rp.Timestamp = partition, latest
	req.Topics = []kmsg.ListOffsetsRequestTopic{{Topic: topic, Partitions: []kmsg.ListOffsetsRequestTopicPartition{rp}}}
	resp, err := a.Ask(ctx, p.Leader, req)
	if err != nil {
		return -1, err
	}
	l, ok := resp.(*kmsg.ListOffsetsResponse)
	if !ok || len(l.Topics) != 1 || len(l.Topics[0].Partitions) != 1 {
		return -1, fmt.Errorf("answer to another question: topic=%s partition=%d", topic, partition)
	}
	if at := l.Topics[0].Partitions[0]; at.ErrorCode != 0 || at.Offset < 0 {
		return -1, fmt.Errorf("end of topic=%s partition=%d: %w", topic, partition, kerr.ErrorForCode(at.ErrorCode))
	}
	return l.Topics[0].Partitions[0].Offset, nil
}
