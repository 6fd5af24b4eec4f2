package api

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/tidelinehq/tideline/broker/config"
	"github.com/tidelinehq/tideline/broker/coordinator"
	"github.com/tidelinehq/tideline/broker/coordinator/share"
	"github.com/tidelinehq/tideline/metadata"
	"github.com/tidelinehq/tideline/metadata/controller"
	command "github.com/tidelinehq/tideline/metadata/record"
)

// Internal topics: the state of groups, of transactional ids, and of share partitions.
const (
	OffsetsTopic      = "__consumer_offsets"
	TransactionsTopic = "__transaction_state"
	ShareStateTopic   = "__share_group_state"
)

// The types of coordinators, as FindCoordinator has them.
const (
	groupCoordinator       = 0
	transactionCoordinator = 1
	shareCoordinator       = 2
)

// internalTopic is a topic in which coordinators keep their state. It is created on first
// use; a coordinator is found by what it coordinates, whose partition's leader it is.
type internalTopic struct {
	name string
	// kind is the type of coordinator as FindCoordinator has it.
	kind int8
	// size is how many partitions and replicas the topic gets.
	size func(*config.Config) (partitions int32, replicas int16)
	// configs are the topic's settings.
	configs func(*config.Config) map[string]string
	// check says what is wrong with a key; nil: any is right.
	check func(key string) error
}

// internalTopics, by the type of their coordinator.
var internalTopics = []internalTopic{
	{
		name: OffsetsTopic, kind: groupCoordinator,
		size: func(c *config.Config) (int32, int16) {
			return c.OffsetsTopicPartitions, c.OffsetsTopicReplicationFactor
		},
		configs: func(c *config.Config) map[string]string {
			return map[string]string{
				"cleanup.policy": "compact", "compression.type": "producer",
				"segment.bytes": strconv.Itoa(int(c.OffsetsTopicSegmentBytes)), "retention.ms": "-1",
			}
		},
	},
	{
		name: TransactionsTopic, kind: transactionCoordinator,
		size: func(c *config.Config) (int32, int16) {
			return c.TransactionTopicPartitions, c.TransactionTopicReplicationFactor
		},
		configs: func(c *config.Config) map[string]string {
			return map[string]string{
				"cleanup.policy": "compact", "compression.type": "uncompressed", "unclean.leader.election.enable": "false",
				"min.insync.replicas": strconv.Itoa(int(c.TransactionTopicMinISR)), "segment.bytes": strconv.Itoa(int(c.TransactionTopicSegmentBytes)), "retention.ms": "-1",
			}
		},
	},
	{
		name: ShareStateTopic, kind: shareCoordinator,
		size: func(c *config.Config) (int32, int16) {
			return c.ShareTopicPartitions, c.ShareTopicReplicationFactor
		},
		configs: func(c *config.Config) map[string]string {
			return map[string]string{
				"cleanup.policy": "delete", "compression.type": "producer", "segment.bytes": strconv.Itoa(int(c.ShareTopicSegmentBytes)),
				"min.insync.replicas": strconv.Itoa(int(c.ShareTopicMinISR)), "retention.ms": "-1",
			}
		},
		check: func(key string) error {
			_, err := share.ParseKey(key)
			return err
		},
	},
}

// coordinatorKind finds the internal topic of a type of coordinator.
func coordinatorKind(kind int8) *internalTopic {
	for i := range internalTopics {
		if internalTopics[i].kind == kind {
			return &internalTopics[i]
		}
	}
	return nil
}

// internalNamed finds an internal topic by its name.
func internalNamed(name string) *internalTopic {
	for i := range internalTopics {
		if internalTopics[i].name == name {
			return &internalTopics[i]
		}
	}
	return nil
}

// isInternal reports whether a topic is the broker's own.
func isInternal(name string) bool { return internalNamed(name) != nil }

// internal returns an internal topic, which is created if it is not there.
func (a *API) internal(ctx context.Context, it *internalTopic) (*metadata.Topic, error) {
	if t, ok := a.Metadata.Image().Topic(it.name); ok {
		return t, nil
	}
	partitions, replicas := it.size(a.Config)
	_, err := a.createTopic(ctx, &newTopic{name: it.name, partitions: partitions, replication: replicas, configs: it.configs(a.Config)}, false)
	if err != nil && !errors.Is(err, controller.ErrTopicExists) && !errors.Is(err, command.TopicExists) {
		return nil, fmt.Errorf("create %s: %w", it.name, err)
	}
	t, ok := a.Metadata.Image().Topic(it.name)
	if !ok {
		return nil, fmt.Errorf("%w: topic=%s", kerr.UnknownTopicOrPartition, it.name)
	}
	return t, nil
}

// Errors of coordinator.
var (
	errCoordinatorKey = errors.New("not a key of this type of coordinator")
	errNoCoordinator  = errors.New("there is no coordinator")
)

// coordinator returns the broker that coordinates key.
func (a *API) coordinator(ctx context.Context, it *internalTopic, key string) (*metadata.Broker, error) {
	topic, err := a.internal(ctx, it)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errNoCoordinator, err)
	}
	if it.check != nil {
		if err := it.check(key); err != nil {
			return nil, fmt.Errorf("%w: %w", errCoordinatorKey, err)
		}
	}
	partition := coordinator.PartitionFor(key, topic.Partitions)
	image := a.Metadata.Image()
	p, ok := image.PartitionOf(topic, partition)
	if !ok {
		return nil, fmt.Errorf("%w: the partition does not exist yet: topic=%s partition=%d", errNoCoordinator, it.name, partition)
	}
	b, ok := image.Broker(p.Leader)
	if !ok {
		return nil, fmt.Errorf("%w: the partition has no leader: topic=%s partition=%d", errNoCoordinator, it.name, partition)
	}
	return b, nil
}
