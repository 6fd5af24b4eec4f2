package coordinator

import "sync/atomic"

// Topic is an internal topic of which this broker coordinates what it leads: the part that
// coordinators of all kinds have. Its methods may be called from any goroutine.
type Topic struct {
	// Runtime is set by Start, and by tests that drive a shard by hand.
	Runtime    Shards
	partitions atomic.Int32 // before the topic is made, what this broker would make
}

// Shards is a Runtime, or in tests one shard driven by hand.
type Shards interface {
	Elected(partition, epoch int32)
	Resigned(partition, epoch int32)
	Partitions() []int32
	Submit(partition int32, ev Event)
	Close()
}

// Start makes the runtime. Partitions is how many the topic gets if this broker makes it.
func (t *Topic) Start(partitions int32, o Options) error {
	t.partitions.Store(partitions)
	r, err := NewRuntime(o)
	if err != nil {
		return err
	}
	t.Runtime = r
	return nil
}

// Elected says that this broker leads a partition of the topic.
func (t *Topic) Elected(partition, epoch int32) { t.Runtime.Elected(partition, epoch) }

// Resigned says that leadership with the epoch, and all before, is over.
func (t *Topic) Resigned(partition, epoch int32) { t.Runtime.Resigned(partition, epoch) }

// TopicCreated says how many partitions the topic has, whatever this broker's own settings
// would have made of it.
func (t *Topic) TopicCreated(partitions int32) { t.partitions.Store(partitions) }

// Partition is the partition of the topic whose leader coordinates the key.
func (t *Topic) Partition(key string) int32 { return PartitionFor(key, t.partitions.Load()) }
