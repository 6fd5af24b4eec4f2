// Package share coordinates the state of share groups: for each partition that a
// share group reads, where it has got to and what became of the records it has
// taken up. InitializeShareGroupState 0, ReadShareGroupState 0, WriteShareGroupState 0-1,
// DeleteShareGroupState 0, ReadShareGroupStateSummary 0-1. Only brokers ask for it:
// the leaders of partitions, for the records, and the group coordinators, for who
// takes part. Requests and responses are kmsg's; error codes are Kafka's.
//
// # Parts
//
//	Coordinator   picks the shard of a share partition, takes requests about many apart
//	machine       the share partitions of one partition of __share_group_state; decides, purely
//	state         one share partition: never changed but replaced
//	Client        the other side: finds the coordinator of a share partition and asks it
//
// # A share partition
//
// Its key is "group:topic id:partition"; Java's hash of that, modulo the partitions
// of __share_group_state, says whose leader coordinates it.
//
//	        Initialize                     Write: update, or every n-th time a snapshot
//	(none) ────────────▶ snapshot ───────▶ snapshot + updates ──┐
//	   ▲                    ▲                    │    ▲         │
//	   │                    └────────────────────┘    └─────────┘
//	   └── Delete, topic deleted: tombstone   Initialize, cold: snapshot
//
// Two epochs fence its writers. The state epoch is the group coordinator's: it grows
// when the group is made anew or its offsets are altered. The leader epoch is that of
// the partition's leader, and grows with the first Read of a new one: after that no
// older leader can write, so what was read is what stays. Read therefore writes too,
// and is answered when that is committed.
//
// A state is a start offset and batches above it: ranges of offsets in one delivery
// state, that many times delivered. What is written overlaps what is there: of two
// statements about an offset the one with more deliveries counts, of equal ones the
// later delivery state, since a record never goes back.
//
// # Records
//
// Those of Kafka, byte for byte; strings in keys have an int16 length:
//
//	key  version int16 = 0, 1 │ group string │ topic id uuid │ partition int32
//
//	snapshot, 0 │ version int16 = 0 │ snapshot epoch int32 │ state epoch int32 │ leader epoch int32
//	            │ start int64 │ created int64 │ written int64 │ batches │ tags: 0 = complete int32 │
//	update, 1   │ version int16 = 0 │ snapshot epoch int32 │ leader epoch int32 │ start int64
//	            │ batches │ tags: 0 = complete int32 │
//	batches     count uvarint, one higher [ first int64 │ last int64 │ delivery state int8
//	            │ delivery count int16 │ tags ]
//
// A start of -1 in an update means that it does not change; complete is the number of
// offsets above the start that are done, -1 unknown. A null value under a snapshot's key
// deletes the share partition.
//
// # What the log keeps
//
// The topic is not compacted: a snapshot says everything, so what lies below the
// oldest of the newest snapshots is of no use, and is deleted (Options.Prune). A share
// partition that nobody writes would hold that back; it is written anew when its
// snapshot is old (cold), unless all are: then there is nothing to be gained.
//
// # Invariants
//
//   - What Replay makes of the committed records equals the state in memory, also
//     from any offset that was pruned to.
//   - Batches of a state ascend, do not overlap, do not end before its start, and
//     differ from their neighbours where they touch.
//   - A writer whose leader epoch is below that of a Read that was answered changes nothing.
//   - A request is answered exactly once.
//
// # Bounds
//
// Share partitions and batches of a shard, batches of a state (Config). A snapshot of
// the largest state fits into one batch of the log.
//
// # Differences from Kafka
//
//   - The count of updates begins anew with every snapshot, also a cold one or an initial one.
//   - Initialize under the state epoch that a share partition has changes nothing, so that
//     one which is late does not take the state away from who works with it. Kafka begins anew.
//   - A share partition that begins anew keeps its leader epoch; Kafka writes -1, and
//     forgets which leaders are fenced once the older records are pruned.
//   - Batches that touch and are alike are always joined; Kafka leaves some of them apart.
//   - Batches whose last offset is below their first, or that are too many, are
//     refused with INVALID_REQUEST.
//
// # Concurrency
//
// Coordinator and Client may be used by any goroutine. A machine belongs to its shard.
package share
