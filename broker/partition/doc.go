// Package partition is one partition's replica on this broker. As the leader it
// assigns offsets, refuses what must not be appended, and knows which offsets a
// consumer may see; as a follower it takes what its leader pushes. Either way it
// remembers idempotent producers and leader epochs.
//
// # The ranges of a log
//
//	log start            local start                 high watermark   log end
//	   |  object store only  |  local WAL (and object store)  |  not yet  |
//	   |                     |                                |  durable  |
//	   +---------------------+--------------------------------+-----------+
//	                             tiered offset: somewhere in [local start, high watermark]
//
// Always: log start <= high watermark <= log end, and local start <= log end. The
// tiered offset never passes the high watermark, so that what lies in the bucket
// can never be contradicted. A follower that lags may know of a tiered offset that is
// above its own log end.
//
// # Leading and following
//
//	        Lead(epoch)                        Follow(a newer epoch)
//	opened ─────────────▶ leader ───────────────────────────────────▶ follower
//	   │                     ▲ Lead(the next epoch)                      │
//	   │ Follow(epoch)       └───────────────────────────────────────────┘
//	   └────────────────────────────────────────────────────────────▶ (Stop: none any more)
//
// The high watermark of a leader is the lowest durable end among itself, the members
// of the ISR and those that it has asked for (Wish), and stands while the ISR has
// fewer members than min.insync.replicas. That of a follower is what its leader said,
// as far as it is durable here. It goes back only when a cut after an unclean election
// drops what was committed.
//
// A new leader epoch begins with a comparison of leader epochs (Describe, Reconcile),
// never of high watermarks: the follower drops what the leader does not have (Cut), or
// begins anew where the object store ends (Restart), and then takes batch after batch
// (Replicate). Until a cut is durable the high watermark stands. An append is
// acknowledged to a producer when the high watermark passes it, to a follower's leader
// when it is durable.
//
// # Who may call what
//
// A Partition may be used by any number of goroutines. Two mutexes, taken in this order:
// that of the log, and that of the acknowledgements. The first orders the
// appends: the order in which offsets are assigned is the order in which the
// write-ahead log receives the batches, and therefore the order in which they
// become durable. The ends of the ranges are atomics that readers load without a
// lock. The completion of an append runs on the write-ahead log's goroutine, that of a
// follower's acknowledgement on the one that received it: both move the high watermark
// and wake the waiters, and must never block.
//
// # State frames
//
// What must survive a restart beside the batches themselves (producer entries,
// leader epochs, log start, high watermark) is written as an opaque state frame into the
// write-ahead log whenever a file is sealed, and at a clean stop. Recovery decodes
// the newest one and replays the batch headers after it. The byte layout is drawn
// in state.go.
package partition
