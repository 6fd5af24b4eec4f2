// Package group coordinates consumer groups by Kafka's classic protocol, and
// keeps committed offsets: JoinGroup 0-9, SyncGroup 0-5, Heartbeat 0-4,
// LeaveGroup 0-5, OffsetCommit 2-10, OffsetFetch 1-10, OffsetDelete 0,
// ListGroups 0-5, DescribeGroups 0-6, DeleteGroups 0-2. Requests and responses are kmsg's;
// error codes are Kafka's.
//
// # Parts
//
//	Coordinator   picks the shard of a group, takes apart requests about many groups,
//	              resolves topic ids
//	machine       the groups of one partition of __consumer_offsets; decides, purely
//	group         a membership, never changed but replaced, and offsets by partition
//	draft         a decision: a clone of a membership, answers, timers, records
//
// The runtime is package coordinator's: a decision with records is applied and
// answered when they are committed, and a refused one leaves no trace. So a leader's
// SyncGroup whose assignment cannot be stored leaves the group waiting for its
// leader, a static member whose record cannot be written does not replace its
// predecessor, and the last member of a group does not leave it. (Kafka changes its
// memory in those cases and reverts some of it.)
//
// # What a group is made of
//
// See State for its life. Members wait in the membership itself: a parked JoinGroup or
// SyncGroup is a field of its member, answered when the rebalance completes or the
// leader's assignment is committed. Timers: one per member (its session; or how long a
// first join may wait; or how long a member id that was handed out waits to be
// used), one for the join phase, one for the sync phase, and one per shard for expiry.
//
// # Transactions
//
// Offsets that are committed in a transaction (TxnOffsetCommit 0-5) are records of its
// producer, in transactional batches. They are pending until the marker of the producer comes
// to the same partition, which the broker tells (TransactionEnded), or Replay finds; see txnOffsets.
//
// # Records
//
// Those of Kafka, byte for byte, keys first:
//
//	version int16 = 0, 1 │ group string │ topic string │ partition int32     an offset
//	version int16 = 2    │ group string                                      a group
//
//	offset value, version int16 = 0-4
//	│ offset int64 │ leader epoch int32 (3+) │ metadata string │ commit timestamp int64 │
//	│ expire timestamp int64 (1 only) │ tags (4+): 0 = topic id uuid │
//
//	group value, version int16 = 0-4
//	│ protocol type string │ generation int32 │ protocol nullable │ leader nullable │
//	│ state timestamp int64 (2+) │ members [ id │ instance id nullable (3+) │ client id │
//	│ client host │ rebalance timeout int32 (1+) │ session timeout int32 │ subscription
//	│ bytes │ assignment bytes ] │ tags (4+) │
//
// Strings have an int16 length, bytes an int32, arrays an int32 count; from version
// 4 on all of them an unsigned varint, one higher. A null value deletes. Written are
// offset values v3, v4 where the topic id is known, v1 where the request had a
// retention time; group values v3. Records of other kinds, of unknown versions, or
// that do not parse are skipped with a log line and a metric.
//
// # Invariants
//
//   - What Replay makes of the committed records equals the state in memory, but for
//     who waits, timers, and groups of generation 0.
//   - A generation has one assignment; members of another generation can neither commit nor sync.
//   - A request is answered exactly once.
//   - A group that is not Empty has members, all supporting its protocol, and a leader among them.
//
// # What it refuses
//
// The share and streams protocols. A topic that the cluster does not know, or
// a partition that the topic does not have, cannot be committed to: so the
// offsets of a group are bounded by the partitions of the cluster.
//
// # Differences from Kafka
//
//   - A new group is written when its first rebalance completes, not when its first
//     member asks for an id.
//   - A static member that gets a new id during a rebalance is written at once, as the
//     last stored generation with that id. Otherwise a failover before the next
//     assignment would bring back the old id and fence a live member, which is fatal to it.
//   - An offset that was committed for an earlier topic of the same name is not
//     returned, by name or by id.
//   - A JoinGroup or SyncGroup that takes the place of a parked one of the same member
//     has the first answered with REBALANCE_IN_PROGRESS.
//   - Member ids handed out and not used are bounded, as are groups and metadata of a member.
//
// # Concurrency
//
// Coordinator may be used by any goroutine. A machine belongs to its shard.
package group
