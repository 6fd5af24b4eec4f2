// Package streams decides about streams groups (KIP-1071): the threads of a Kafka Streams
// application, to which the coordinator assigns tasks. It is pure: a decision takes a
// group, a request and the time, and gives back another group, records, timers and an
// answer. Package group runs it.
//
// # A heartbeat
//
//	member ── joins or is fenced ── what it says of itself ──▶ member record
//	topology ── the first one is the group's ────────────────▶ topology record
//	topics ── is all there, and partitioned as it should be? ─▶ status, topics to create
//	anything new? ── another epoch ──────────────────────────▶ group record
//	epoch newer than the target? ── assign all tasks ────────▶ target records
//	member not where its target is? ── one step ─────────────▶ assignment record
//
// Three epochs follow each other: that of the group grows with every change, that of the
// target with every assignment, that of a member when it has given up what it is to
// lose. So a task is never active in two members: who is to get it waits (UnreleasedTasks)
// until the former owner has confirmed (UnrevokedTasks), has left, or has been fenced.
//
// # Parts
//
//	Topology      what the application brings
//	Configured    the topology set against the topics: partitions, tasks, what is missing
//	assign        tasks to members: sticky, balanced, with standby copies
//	reconcile     a member's next step towards its target
//	Heartbeat     all of it together; TimedOut and the requests that leave take members out
//
// # Records
//
// Those of Apache Kafka 4.3, byte for byte, keys first; testdata/golden has them annotated.
//
//	version int16 = 17, 20, 23     │ group string                    group, target epoch, topology
//	version int16 = 19, 21, 22     │ group string │ member string    member, target, assignment
//
// Values have version 0 and are flexible. A null value deletes. The records of a group come
// in any order, since compaction keeps the last of each key.
//
// # Invariants
//
//   - What Replay makes of the committed records equals the group, but for what is worked
//     out again (Configured), the initial delay, endpoint epochs, and a shutdown under way.
//   - No task is active in two members, counting what members have yet to give up; no
//     process has a task twice.
//   - An assignment depends on its inputs only, not on the order of a map.
//   - The active tasks of all members differ by at most one where nobody has standby tasks.
//
// # What it refuses
//
// What Kafka 4.3 refuses: static members, regular expressions for source topics, another
// topology than the group's (but for a member with an older epoch, who is told), task
// offsets, warm-up tasks of members. The assignor gives out none either.
//
// Bounds: members of a group, bytes of a member, bytes and tasks of a topology (Limits). A
// topology beyond them is STREAMS_INVALID_TOPOLOGY.
//
// # Differences from Kafka
//
//   - A member of a full group may join anew; Kafka refuses it.
//   - A topology that is broken as such (a subtopology twice, an index that points nowhere, a
//     negative number) is STREAMS_INVALID_TOPOLOGY, and not an unknown error.
//   - Partitions by endpoint leave out those that a narrower topic does not have, and
//     members whose topics are missing; Kafka fails on the latter.
//   - Of several members that had a copy, the least loaded gets it back, and a new task goes to
//     whoever has least, in whichever process; Kafka compares processes only.
//
// # Concurrency
//
// A group that is installed never changes, and may be read by anybody.
package streams
