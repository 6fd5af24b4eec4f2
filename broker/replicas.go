package broker

import (
	"fmt"
	"log/slog"
	"math"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tidelinehq/tideline/broker/config"
	"github.com/tidelinehq/tideline/broker/partition"
	"github.com/tidelinehq/tideline/broker/replication"
	"github.com/tidelinehq/tideline/broker/share"
	"github.com/tidelinehq/tideline/broker/trail"
	"github.com/tidelinehq/tideline/metadata"
	"github.com/tidelinehq/tideline/tiering"
	"github.com/tidelinehq/tideline/tiering/objstore"
	"github.com/tidelinehq/tideline/wal"
)

// replicas keeps the partitions of this broker in line with the metadata image:
// it opens those of which the broker is a replica, has them lead or follow,
// configures them, and drops what is gone. One goroutine calls apply; the rest may
// be called from any.
type replicas struct {
	nodeID int32
	log    *wal.Log
	table  *partition.Table
	engine *tiering.Engine
	// coordinators by the internal topic in which they keep their state.
	coordinators map[string]coordinates
	shares       *share.Manager
	sender       *replication.Sender // nil in a cluster of one
	isr          *isrKeeper
	trail        *trail.Trail // nil: nothing is traced
	now          func() time.Time
	logger       *slog.Logger

	history *history
	store   objstore.Store

	conf   atomic.Pointer[config.Config]
	topics sync.Map // topic id → *config.TopicConfig, of the newest image applied

	leases map[wal.ID]*tiering.Lease // of the goroutine that applies
	names  map[metadata.ID]string    // topics that have partitions here; of the same goroutine

	storeAway atomic.Int64 // until when the object store is not asked; see restore
}

// coordinates is a coordinator as the replicas know it. None of its methods blocks.
type coordinates interface {
	// Elected and Resigned say which partitions of its internal topic this broker leads.
	Elected(partition, epoch int32)
	Resigned(partition, epoch int32)
	// TopicCreated says how many partitions its internal topic has.
	TopicCreated(partitions int32)
	// TopicDeleted says that a topic is gone, whichever.
	TopicDeleted(name string, id [16]byte)
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
	if r.sender != nil {
		for _, id := range d.Brokers {
			r.sender.Changed(id)
		}
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
	// What the write-ahead log has of topics that were deleted, and of replicas that were moved away, while the broker was down: it
	// would keep files for ever. The image is not older than this process, which is registered in it.
	for _, p := range r.log.Partitions() {
		if state, ok := image.Partition(p.ID().Topic, p.ID().Partition); !ok || !slices.Contains(state.Replicas, r.nodeID) {
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
	if c := r.coordinators[t.Name]; c != nil {
		c.TopicCreated(t.Partitions)
	}
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
			r.drop(p)
		}
	}
	r.topics.Delete(id)
	if name, ok := r.names[id]; ok {
		delete(r.names, id)
		for _, c := range r.coordinators {
			c.TopicDeleted(name, id)
		}
	}
}

// drop ends a replica and deletes its local data.
func (r *replicas) drop(p *partition.Partition) {
	r.table.Remove(p)
	r.resign(p)
	p.Drop()
}

// resign ends what this broker does as the leader of a partition.
func (r *replicas) resign(p *partition.Partition) {
	if !p.Leads() {
		return
	}
	p.Attach(nil)
	if lease := r.leases[p.ID()]; lease != nil {
		lease.Close()
		delete(r.leases, p.ID())
	}
	if r.sender != nil {
		r.sender.Resign(p.ID())
	}
	r.shares.Resigned(p.ID())
	if c := r.coordinators[p.Topic()]; c != nil {
		c.Resigned(p.ID().Partition, p.Epoch())
	}
}

// applyPartition opens a partition of which this broker is a replica, and has it lead or
// follow; it drops one of which it is none any more.
func (r *replicas) applyPartition(image *metadata.Image, t *metadata.Topic, index int32) error {
	state, ok := image.PartitionOf(t, index)
	if !ok {
		return nil
	}
	id := wal.ID{Topic: t.ID, Partition: index}
	p := r.table.GetByID(id)
	if !slices.Contains(state.Replicas, r.nodeID) {
		if p != nil {
			r.drop(p)
		}
		return nil
	}
	if p == nil {
		var err error
		if p, err = partition.Open(partition.Options{
			Topic: t.Name, ID: id, Log: r.log, LogStart: state.Ledger.LogStart, Tiered: state.Ledger.Tiered,
			Settings: r.settings(t.ID), Now: r.now, Logger: r.logger, Trail: r.trail,
			Restore: func() ([]partition.EpochStart, []byte, error) { return r.restore(id, p.Tiered()) },
		}); err != nil {
			return fmt.Errorf("open partition: %w", err)
		}
		r.table.Add(p)
	} else {
		p.Configure(r.settings(t.ID))
	}
	r.applyLedger(image, id) // who leads must not begin below what is in the object store
	if state.Leader == r.nodeID {
		r.lead(image, t, state, p)
	} else {
		r.resign(p)
		p.Follow(state.LeaderEpoch)
	}
	if lease := r.leases[id]; lease != nil {
		lease.Changed()
	}
	return nil
}

// lead takes up the leadership of a partition, or what changed of it.
func (r *replicas) lead(image *metadata.Image, t *metadata.Topic, state *metadata.Partition, p *partition.Partition) {
	l := partition.Leadership{
		Epoch: state.LeaderEpoch, PartitionEpoch: state.PartitionEpoch, ISR: state.ISR,
		MinISR: policyOf(r.config()).EffectiveMinISR(image, t, state),
	}
	for _, b := range state.Replicas {
		if b != r.nodeID {
			l.Followers = append(l.Followers, b)
		}
	}
	before, led := p.Epoch(), p.Leads()
	var elected bool
	if r.sender != nil {
		elected = r.sender.Lead(p, l, r.isr)
	} else {
		elected = p.Lead(l, nil, nil)
	}
	if !elected {
		return
	}
	if r.leases[p.ID()] == nil {
		lease := r.engine.Lead(&source{p: p, replicas: r})
		r.leases[p.ID()] = lease
		p.Attach(lease)
	}
	if c := r.coordinators[p.Topic()]; c != nil {
		if led {
			c.Resigned(p.ID().Partition, before)
		}
		c.Elected(p.ID().Partition, p.Epoch())
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
	before, tiered := p.LogStart(), p.Tiered()
	p.SetTiered(state.Ledger.Tiered)
	p.SetLogStart(state.Ledger.LogStart)
	if p.Tiered() != tiered && !p.Leads() || state.Ledger.Cleaned > p.LocalStart() {
		r.freeLocal(p)
	}
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
		Compression:        compressionOf(t),
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
