package metadata

import "github.com/tidelinehq/tideline/metadata/record"

// The nouns of the state are those of the records, under the names that the
// rest of the broker uses.
type (
	// ID is a topic id, object id or incarnation.
	ID = record.ID
	// TopicPartition names one partition.
	TopicPartition = record.TopicPartition
	// Partition is the state of one partition.
	Partition = record.Partition
	// Ledger is what the state knows of a partition's remote data.
	Ledger = record.Ledger
	// Segment is one range of one partition in one object.
	Segment = record.Segment
	// PageRef locates a manifest page.
	PageRef = record.PageRef
	// ObjectRef is a release of segments of one object.
	ObjectRef = record.ObjectRef
	// Topic is a topic without its partitions.
	Topic = record.Topic
	// Broker is a registered broker.
	Broker = record.Broker
	// Configs are settings in key order.
	Configs = record.Configs
	// Intent is an open upload.
	Intent = record.Intent
	// Object is a reference count above one.
	Object = record.Object
	// Garbage is an object waiting for its deletion.
	Garbage = record.Garbage
	// Purge is a deleted topic with remote data.
	Purge = record.Purge
	// Feature is a finalized feature level.
	Feature = record.Feature
	// Result answers a command.
	Result = record.Result
)

// NoLeader is the leader of a partition that has none.
const NoLeader = record.NoLeader
