// Package replication carries what leaders append to their followers: one stream for
// each pair of brokers and direction, on which the leader's broker pushes the batches of
// all partitions that it leads and the other follows.
//
//	partition.Feeder ─▶ Sender ─▶ link ══ connection ══▶ Receiver ─▶ partition.Replicate
//	partition.Acked  ◀─────────── link ◀═════════════════ Receiver ◀─ durable
//	partition.Wish   ─▶ Keeper ─▶ metadata                (ISR changes)
//
// # One partition on a stream
//
//	leader                                             follower
//	open(slot, partition, epoch, index)  ─────────▶    waits for its metadata to reach index
//	                                     ◀─────────    opened(start, end, leader epochs)
//	compares the leader epochs
//	cut(to), or restart(at, state)       ─────────▶    drops what the leader does not have
//	                                     ◀─────────    ack(end) when that is durable
//	append(high watermark, batches) …    ─────────▶    appends
//	                                     ◀─────────    ack(end): once for each group commit
//	commit(high watermark)               ─────────▶    only where no append carries it along
//	close                                ─────────▶
//	                                     ◀─────────    refused(reason), at any time
//
// A slot is a number that stands for a partition in one leader epoch on one connection. A
// broken connection forgets all slots. The sender is a reader of the partition's log: what
// is new comes from memory, what a follower lacks from the local disk, and what is in the
// object store is not sent at all.
//
// # Frames
//
// Integers are big endian.
//
//	frame      0 length u32 of what follows   4 CRC-32C u32 of all behind it   8 type u8   9 payload
//	1 open     0 slot u32   4 topic id 16 bytes   20 partition i32   24 leader epoch i32   28 metadata index u64
//	2 cut      0 slot u32   4 to i64   12 high watermark i64
//	3 restart  0 slot u32   4 at i64   12 high watermark i64   20 state, as package partition has it
//	4 append   0 slot u32   4 high watermark i64   12 record batches
//	5 commit   any number of: slot u32, high watermark i64
//	6 close    0 slot u32
//	7 opened   0 slot u32   4 start i64   12 end i64   20 any number of: leader epoch i32, start offset i64
//	8 ack      any number of: slot u32, end i64
//	9 refused  0 slot u32   4 reason u8: 1 a newer leader epoch is known, 2 open it again, 3 not a replica
//	10 traced  0 slot u32   4 up to 16 of: first offset i64, last offset i64, trace id 16 bytes, origin 8 bytes,
//	           parent 8 bytes, flags u8
//
// # Traces
//
// A traced frame says which offsets of the append behind it belong to a trace: origin is the span that all later ones about
// the records are children of, as the follower may lead one day, and parent the leader's span in which they are sent. It comes
// on streams of the kind TracedReplication alone (package peer). A leader that traces asks for such a stream, and does with a
// plain one where nobody serves it, at a broker of an earlier release; one that does not trace never asks.
//
// # Throttling
//
// A follower that is not in sync can be throttled (Throttles): its partition waits until what was
// sent is paid for at the rate, while others on the same stream go on. A follower in sync never is.
//
// # Invariants
//
//   - A follower acknowledges what is durable on its disk, under the leader epoch of the slot.
//   - Appends of a slot continue each other; anything else ends the slot, and it is opened again.
//   - Nothing is sent for a partition in which nothing happens.
//   - Bytes that were sent and are not acknowledged are bounded for each stream (Window), and
//     so is the memory of what a broker receives. A follower whose write-ahead log is full
//     stops reading, which holds all its leaders back.
//
// # Concurrency
//
// All methods of Sender, Receiver and Keeper may be called by any goroutine. Each link has a
// goroutine that dials and writes and one that reads; each accepted connection has one that
// reads and one that acknowledges. Locks are taken in the order: those of a partition →
// that of a link → that of a session.
package replication
