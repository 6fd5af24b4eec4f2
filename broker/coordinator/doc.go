// Package coordinator is the runtime under the group, transaction and share
// coordinators: it keeps one state machine for each partition of an internal
// topic (`__consumer_offsets`, …) that this broker leads, and makes each of its
// decisions durable before anybody hears of it.
//
// # One decision
//
//	request ─┐                            ┌─ no records ── apply, answer
//	timer  ──┼─▶ gate(key) ─▶ Decide ─────┤
//	follow ──┘    │  ▲        (pure)      └─ records ─▶ staged ─▶ one batch ─▶ Log.Append
//	              ▼  │                                                            │
//	            waiting ◀── release ◀── committed: apply, answer, set timers  ◀───┤
//	                                └── refused:   answer the requester only  ◀───┘
//
// Decide sees the state, an event and the time, and returns an Outcome: records,
// a function that installs the new state, answers, timers. It changes nothing.
//
// # Why apply-on-commit
//
// The state in memory is at every moment what a replay of the committed log
// gives. An Outcome with records is applied only when Log reports the batch as
// committed (acknowledged by all in-sync replicas), so a failed append needs no
// rollback: the outcome is dropped, whoever asked gets a retriable error, and
// all who are parked in the state stay parked. The price is that two decisions
// about one key must not overlap, since the second would be taken from a state
// that does not yet contain the first. The gate sees to that. Each event names
// its key (a group id, a transactional id) and how it uses it:
//
//	Read       never waits; sees the committed state
//	Share      may be under way together with other Share events (offset commits)
//	Exclusive  waits for all others under way and holds back those that follow
//
// A key is held only while records are being appended, which is one group
// commit; events of all other keys go on. Snapshots keyed by offset, as Apache
// Kafka has them, were the alternative: they let decisions of one key overlap,
// but every collection of every state machine must then be a versioned one, and
// parked requests and timers, which are not in the collections, must be undone
// by hand.
//
// # Commit groups
//
// All records decided in one round of the shard's loop go into one record batch
// and one append; at most Options.MaxInFlight appends are under way. So the busier a
// shard is, the larger its batches: no linger timer is needed. The records
// of one outcome are never split over two batches, so an outcome is in the log
// whole or not at all. An outcome that fits in no batch is refused (ErrTooLarge);
// a decision over an unbounded set does a bounded part and asks to be decided
// again (Outcome.Again). Records of a producer's transaction (Outcome.Producer) have a
// batch of their own, as a batch is of one producer.
//
// # Life of a shard
//
//	       Elected(epoch)        replay done and committed
//	(none) ─────────────▶ Loading ─────────────▶ Active
//	   ▲                     │ ▲ failed: again      │
//	   │                     └─┘ after a pause      │
//	   └───────────── Resigned(epoch), a newer ─────┘
//	                  Elected, Log says ErrNotLeader, Close
//
// Legal repeats: Elected or Resigned with an epoch that was seen before does
// nothing. A request to a shard that is Loading is refused with ErrLoading, to
// none with ErrNotCoordinator; on the way back to (none) every request in the
// queue, waiting at a gate, under way, or parked in the state is answered with
// ErrNotCoordinator. A request is answered exactly once: a Call drops all
// answers after the first.
//
// # Bounds
//
// Requests under way per shard (MaxPending, then ErrBusy), bytes of a batch
// (MaxBatchBytes), appends under way (MaxInFlight), time a request waits for its
// commit (CommitTimeout, then ErrTimedOut; the outcome, whose fate the log
// decides, still holds its gate). One goroutine and one timer heap per shard,
// none per key.
//
// # Concurrency
//
// Runtime may be called from any goroutine and does not block on I/O. A Machine
// is only ever called by the one goroutine of its shard. Answers are delivered
// from that goroutine and must not block.
package coordinator
