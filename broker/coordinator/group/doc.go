// Package group coordinates groups of every kind, and keeps their committed offsets: the
// classic protocol (JoinGroup 0-9, SyncGroup 0-5, Heartbeat 0-4, LeaveGroup 0-5,
// DescribeGroups 0-6), the consumer protocol (ConsumerGroupHeartbeat 0-1,
// ConsumerGroupDescribe 0-1), share groups (ShareGroupHeartbeat 1, ShareGroupDescribe 1,
// DescribeShareGroupOffsets 0-1, AlterShareGroupOffsets 0, DeleteShareGroupOffsets 0), the
// streams protocol (StreamsGroupHeartbeat 0, StreamsGroupDescribe 0), and for all kinds
// OffsetCommit 2-10, OffsetFetch 1-10, TxnOffsetCommit 0-5,
// OffsetDelete 0, ListGroups 0-5, DeleteGroups 0-2. Requests and responses are kmsg's;
// error codes are Kafka's.
//
// # Parts
//
//	Coordinator   picks the shard of a group, takes apart requests about many groups,
//	              resolves topic ids
//	machine       the groups of one partition of __consumer_offsets; decides, purely
//	group         a membership or a modern, never changed but replaced, and offsets by partition
//	membership    who is in a classic group
//	modern        a group of another kind: consumerGroup, shareGroup, streamsGroup
//	draft         a decision about a membership: a clone, answers, timers, records
//	consumerTurn  the same about a consumer group; shareTurn about a share group
//	shareTasks    what share coordinators are asked between two decisions
//	assignor      (package) who should have what
//	streams       (package) all decisions about streams groups
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
// # Kinds
//
// A group id belongs to one Kind at a time. What all kinds have in common asks the
// interface modern: lists, descriptions, deletion, expiry, who may commit and read offsets,
// replay, timers. A kind brings an implementation of it, the keys of its records (keyForms,
// newModern), and bodies for its requests. A group without members gives its id up to
// whichever kind is joined next, in the batch of the one who joins; a streams group takes it
// from a classic one only.
//
// # Groups of the consumer protocol
//
// A member sends heartbeats and nothing else. A change of what members subscribe to, or of
// those topics (their ids, partitions, racks), begins a group epoch; an assignor computes the
// target of it at once; each member goes to its target on its own (reconcile), giving up
// before others take over. Members are known by the epoch that they have reached; who names
// another is fenced. Timers: one per member for its session, one for as long as it has
// something to give up.
//
// Subscriptions may be regular expressions in RE2 syntax, which match whole names. They are
// resolved in the decision, against the image of the topics, and kept in the log; when the
// topics change again after 10 s.
//
// # Share groups
//
// A member of a share group fetches records of partitions that others have, too (package
// broker/share). It is assigned as in the consumer protocol, but goes to its target at once,
// and only to partitions of which the share coordinators (package coordinator/share) have
// begun a state for the group: see shareParts. Decisions stay pure: one says what the share
// coordinators are to be asked, which its records note; when they are committed a task
// asks; what came of it is decided about next. A task that is lost is done again by
// whoever coordinates the group then, under the same state epoch or a newer one, and an
// answer counts only under the epoch that was asked for last. So nothing is begun anew
// while members work with it.
//
// # From one protocol to the other
//
// See migrate.go: a classic group of consumers becomes a consumer group when the first
// member of that protocol joins, and a classic one again when only members of the classic
// protocol are left. In between these are served as in consumer_classic.go.
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
// Consumer groups, keys first; values have version 0 and are flexible:
//
//	version int16 = 3      │ group string                    the group epoch
//	version int16 = 5, 7, 8│ group string │ member string    a member, its target, what it has
//	version int16 = 6      │ group string                    the epoch of the targets
//	version int16 = 16     │ group string │ regex string     the topics of a regular expression
//
//	3   │ epoch int32 │ tags: 0 = metadata hash int64 │
//	5   │ instance id nullable │ rack nullable │ client id │ client host │ topics [ name ] │
//	    │ regex nullable │ rebalance timeout int32 │ assignor nullable │ tags: 0 = of the classic
//	    │ protocol: int8 1 │ session timeout int32 │ protocols [ name │ metadata bytes ] │
//	6   │ epoch int32 │ tags: 0 = timestamp int64 │
//	7   │ topics [ id uuid │ partitions [ int32 ] ] │
//	8   │ epoch int32 │ epoch before int32 │ state int8: 0 stable, 1 unrevoked, 2 unreleased │
//	    │ it has [ id uuid │ partitions [ int32 ] │ tags: 0 = since epochs [ int32 ] ] │
//	    │ it must give up [ id uuid │ partitions [ int32 ] ] │
//	16  │ topics [ name ] │ version int64 │ timestamp int64 │
//
// Share groups, likewise:
//
//	version int16 = 11, 12, 15 │ group string                    the group epoch; the epoch of the
//	                                                             targets; its share partitions
//	version int16 = 10, 13, 14 │ group string │ member string    a member, its target, what it has
//
//	10  │ rack nullable │ client id │ client host │ topics [ name ] │
//	11  │ epoch int32 │ metadata hash int64 │
//	12  │ epoch int32 │ tags: 0 = timestamp int64 │
//	13  │ topics [ id uuid │ partitions [ int32 ] ] │
//	14  │ epoch int32 │ epoch before int32 │ state int8 = 0 │ topics [ id uuid │ partitions [ int32 ] ] │
//	15  │ to begin [ id uuid │ name │ partitions [ int32 ] ] │ begun, likewise │ to end [ id uuid │ name ] │
//
// Key version 4, which older brokers compared topics with, is read and does nothing.
//
// # Invariants
//
//   - What Replay makes of the committed records equals the state in memory, but for
//     who waits, timers, and groups of generation 0.
//
//   - A generation has one assignment; members of another generation can neither commit nor sync.
//
//   - A request is answered exactly once.
//
//   - A classic group that is not Empty has members, all supporting its protocol, and a leader among them.
//
//   - Of a consumer group no partition is in two targets, nor had by two members, what they
//     have yet to give up included.
//
//   - A member of a share group is given only partitions that have begun, and of the topics
//     that the members subscribe to each of these is given to somebody.
//
// # What it refuses
//
// A topic that the cluster does not know, or
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
//   - Member ids handed out and not used are bounded, as are groups, metadata of a member and
//     the different regular expressions of a group.
//   - The target of a group epoch is computed when the epoch begins: there is no interval
//     between assignments, and a group is never seen Assigning.
//   - The metadata hash is another function than Kafka's, and is compared when a member sends a
//     heartbeat and the topics may have changed, once a second at most.
//   - The member that completes a downgrade by replacing the last one of the consumer
//     protocol need not be static.
//   - A share group's epoch grows when partitions have begun, not with the heartbeat after that,
//     and when its offsets are altered, so that leaders who know the old ones are fenced.
//   - Where a client-side assignor had given a partition twice, an upgraded group knows the
//     first of its owners.
//
// # Concurrency
//
// Coordinator may be used by any goroutine. A machine belongs to its shard.
package group
