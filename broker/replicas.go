package broker

import (
	"fmt"
	"log/slog"
	"math"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tidelinehq/tideline/broker/api"
	"github.com/tidelinehq/tideline/broker/config"
	"github.com/tidelinehq/tideline/broker/coordinator/group"
	"github.com/tidelinehq/tideline/broker/partition"
	"github.com/tidelinehq/tideline/metadata"
	"github.com/tidelinehq/tideline/tiering"
	"github.com/tidelinehq/tideline/tiering/objstore"
	"github.com/tidelinehq/tideline/wal"
)

// replicas keeps the partitions of this broker in line with the metadata image:
// it opens what the broker leads, configures it, and drops what is gone. One
// goroutine calls apply; the rest may be called from any.
type replicas struct {
	nodeID int32
	log    *wal.Log
	table  *partition.Table
	engine *tiering.Engine
	groups *group.Coordinator
	now    func() time.Time
	logger *slog.Logger

	history *history
	store   objstore.Store

	conf   atomic.Pointer[config.Config]
	topics sync.Map // topic id → *config.TopicConfig, of the newest image applied

	leases map[wal.ID]*tiering.Lease // of the goroutine that applies
	names  map[metadata.ID]string    // topics that have partitions here; of the same goroutine

	storeAway bool // see restore; of the same goroutine
}

func (r *replicas) config() *config.Config { return r.conf.Load() }

// topicConfig returns the settings of a topic; the defaults for one that is gone.
func (r *replicas) topicConfig(id metadata.ID) *config.TopicConfig {
	if t, ok := r.topics.Load(id); ok {
		return t.(*config.TopicConfig)
	}
	t, _ := r.config().Topic(nil)
	return &t
}

// apply brings the partitions in line with an image.
func (r *replicas) apply(image *metadata.Image, d metadata.Delta) error {
	if d.All {
		return r.applyAll(image)
	}
	for _, id := range d.Topics {
		if err := r.applyTopic(image, id); err != nil {
			return err
		}
	}
	for _, tp := range d.Partitions {
		if t, ok := image.TopicByID(tp.Topic); ok {
			if err := r.applyPartition(image, t, tp.Partition); err != nil {
				return err
			}
		}
	}
	for _, tp := range d.Ledgers {
		r.applyLedger(image, wal.ID(tp))
	}
	return nil
}

func (r *replicas) applyAll(image *metadata.Image) error {
	for t := range image.Topics() {
		if err := r.applyTopic(image, t.ID); err != nil {
			return err
		}
	}
	for _, p := range r.table.All() {
		if _, ok := image.TopicByID(p.ID().Topic); !ok {
			if err := r.applyTopic(image, p.ID().Topic); err != nil {
				return err
			}
		}
	}
	// What the write-ahead log has of topics that were deleted while it was down.
	for _, p := range r.log.Partitions() {
		if _, ok := image.Partition(p.ID().Topic, p.ID().Partition); !ok {
			p.Drop()
		}
	}
	return nil
}

// applyTopic creates, configures or drops the partitions of one topic.
func (r *replicas) applyTopic(image *metadata.Image, id metadata.ID) error {
	t, ok := image.TopicByID(id)
	if !ok {
		r.dropTopic(id)
		return nil
	}
	resolved, ignored := r.config().Topic(t.Configs.Map())
	if len(ignored) > 0 {
		r.logger.Warn("topic settings that this release does not know are ignored", "topic", t.Name, "keys", ignored)
	}
	r.topics.Store(id, &resolved)
	r.names[id] = t.Name
	for i := range t.Partitions {
		if err := r.applyPartition(image, t, i); err != nil {
			return err
		}
	}
	return nil
}

// dropTopic deletes the local data of a topic that is gone.
func (r *replicas) dropTopic(id metadata.ID) {
	for _, p := range r.table.All() {
		if p.ID().Topic == id {
			r.resign(p)
			p.Drop()
		}
	}
	r.topics.Delete(id)
	if name, ok := r.names[id]; ok {
		delete(r.names, id)
		r.groups.TopicsDeleted([]group.DeletedTopic{{Name: name, ID: id}})
	}
}

// resign ends the leadership of a partition here.
func (r *replicas) resign(p *partition.Partition) {
	r.table.Remove(p)
	p.Attach(nil)
	if lease := r.leases[p.ID()]; lease != nil {
		lease.Close()
		delete(r.leases, p.ID())
	}
	if p.Topic() == api.OffsetsTopic {
		r.groups.Resigned(p.ID().Partition, p.Epoch())
	}
}

// applyPartition opens a partition that this broker leads now, or stops one that
// it does not lead any more.
func (r *replicas) applyPartition(image *metadata.Image, t *metadata.Topic, index int32) error {
	state, ok := image.PartitionOf(t, index)
	if !ok {
		return nil
	}
	id := wal.ID{Topic: t.ID, Partition: index}
	p := r.table.GetByID(id)
	switch {
	case state.Leader != r.nodeID && p != nil:
		r.resign(p)
		p.Stop()
		return nil
	case state.Leader != r.nodeID:
		return nil
	case p != nil:
		p.Configure(r.settings(t.ID))
		if p.Epoch() != state.LeaderEpoch {
			p.Lead(state.LeaderEpoch)
			r.elected(p)
		}
		r.applyLedger(image, id)
		if lease := r.leases[id]; lease != nil {
			lease.Changed()
		}
		return nil
	}
	p, err := partition.Open(partition.Options{
		Topic: t.Name, ID: id, Log: r.log, LogStart: state.Ledger.LogStart, Tiered: state.Ledger.Tiered,
		Epoch: state.LeaderEpoch, Settings: r.settings(t.ID), Now: r.now, Logger: r.logger,
		Restore: func() ([]partition.EpochStart, []byte, error) { return r.restore(id, state.Ledger.Tiered) },
	})
	if err != nil {
		return fmt.Errorf("open partition: %w", err)
	}
	r.table.Add(p)
	lease := r.engine.Lead(&source{p: p, replicas: r})
	r.leases[id] = lease
	p.Attach(lease)
	r.elected(p)
	return nil
}

func (r *replicas) elected(p *partition.Partition) {
	if p.Topic() == api.OffsetsTopic {
		r.groups.Elected(p.ID().Partition, p.Epoch())
	}
}

// applyLedger tells a partition where its log starts and how far it is tiered.
func (r *replicas) applyLedger(image *metadata.Image, id wal.ID) {
	p := r.table.GetByID(id)
	if p == nil {
		return
	}
	state, ok := image.Partition(id.Topic, id.Partition)
	if !ok {
		return
	}
	before := p.LogStart()
	p.SetTiered(state.Ledger.Tiered)
	p.SetLogStart(state.Ledger.LogStart)
	if lease := r.leases[id]; lease != nil && p.LogStart() != before {
		lease.Changed()
	}
}

func (r *replicas) settings(topic metadata.ID) partition.Settings {
	t, c := r.topicConfig(topic), r.config()
	return partition.Settings{
		MaxMessageBytes:    int(t.MaxMessageBytes),
		LogAppendTime:      t.LogAppendTime,
		TimestampBeforeMax: millis(t.TimestampBeforeMaxMS),
		TimestampAfterMax:  millis(t.TimestampAfterMaxMS),
		Compacted:          t.Compact,
		ProducerExpiry:     c.ProducerIDExpiration,
	}
}

// millis turns milliseconds into a duration; what is longer than a duration can
// say becomes the longest.
func millis(ms int64) time.Duration {
	if ms > math.MaxInt64/int64(time.Millisecond) {
		return math.MaxInt64
	}
	return time.Duration(ms) * time.Millisecond
}

// reconfigure takes over new broker settings, which all topics inherit from.
func (r *replicas) reconfigure(image *metadata.Image, c *config.Config) error {
	r.conf.Store(c)
	for t := range image.Topics() {
		if err := r.applyTopic(image, t.ID); err != nil {
			return err
		}
	}
	return nil
}

// rolled writes the state of the partitions that have batches in a file of the
// write-ahead log that was sealed, so that a restart need not read it.
func (r *replicas) rolled(logs []*wal.Partition) {
	for _, l := range logs {
		if p := r.table.GetByID(l.ID()); p != nil {
			p.SaveState()
		}
	}
}
