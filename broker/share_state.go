package broker

import (
	"context"
	"sync"
	"time"

	"github.com/tidelinehq/tideline/broker/api"
	"github.com/tidelinehq/tideline/broker/config"
	sharestate "github.com/tidelinehq/tideline/broker/coordinator/share"
	command "github.com/tidelinehq/tideline/metadata/record"
)

// assembleShareStates makes the coordinator of share partitions, and who asks them all.
func (b *Broker) assembleShareStates(past *history) (err error) {
	log := &internalLog{topic: api.ShareStateTopic, table: b.table, history: past}
	p := &shareStatePruner{broker: b, log: log, under: make(map[int32]bool)}
	b.shareStates, err = sharestate.New(sharestate.Options{
		Config: shareConfig(b.cfg), Log: log, Topics: topicNames{b.meta}, Prune: p.prune,
		Logger: b.logger.With("part", "share_states"), Registerer: b.registry,
	})
	b.shareClient = sharestate.NewClient(sharestate.ClientOptions{}) // connected when there is an API
	return err
}

// partitionEnd is group.Options.PartitionEnd.
func (b *Broker) partitionEnd(ctx context.Context, topic string, partition int32) (int64, error) {
	return b.api.PartitionEnd(ctx, topic, partition)
}

func shareConfig(c *config.Config) sharestate.Config {
	s := sharestate.Defaults()
	s.Partitions, s.UpdatesPerSnapshot = c.ShareTopicPartitions, int(c.ShareUpdatesPerSnapshot)
	s.CommitTimeout, s.PruneInterval, s.ColdInterval = c.ShareWriteTimeout, c.ShareTopicPruneInterval, c.ShareColdInterval
	return s
}

// Partitions implements share.Topics.
func (t topicNames) Partitions(id [16]byte) (int32, bool) {
	topic, ok := t.meta.Image().TopicByID(id)
	if !ok {
		return 0, false
	}
	return topic.Partitions, true
}

// shareStatePruner moves the log starts of __share_group_state ahead, one move per
// partition at a time. What fails is not tried again: the next one goes further.
type shareStatePruner struct {
	broker *Broker
	log    *internalLog

	mu    sync.Mutex
	under map[int32]bool // partitions whose log start is being moved
}

// pruneTimeout bounds one move of a log start.
const pruneTimeout = 30 * time.Second

// prune is share.Options.Prune.
func (s *shareStatePruner) prune(partition, epoch int32, below int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.under[partition] || s.broker.run.Err() != nil {
		return
	}
	s.under[partition] = true
	s.broker.work.Go(func() {
		ctx, cancel := context.WithTimeout(s.broker.run, pruneTimeout)
		defer cancel()
		if err := s.move(ctx, partition, epoch, below); err != nil && ctx.Err() == nil {
			s.broker.logger.Warn("records of share partitions that are of no more use stay", "topic_partition", partition, "below", below, "error", err)
		}
		s.mu.Lock()
		delete(s.under, partition)
		s.mu.Unlock()
	})
}

func (s *shareStatePruner) move(ctx context.Context, partition, epoch int32, below int64) error {
	p, err := s.log.led(partition, epoch)
	if err != nil || below <= p.LogStart() {
		return err
	}
	id := p.ID()
	result, err := s.broker.meta.Propose(ctx, &command.SetLogStart{Entries: []command.LogStartEntry{{
		Topic: id.Topic, Partition: id.Partition, LeaderEpoch: epoch, LogStart: below,
	}}})
	if err == nil && len(result.Entries) == 1 {
		err = result.Entries[0].Reason.Err()
	}
	return err
}
