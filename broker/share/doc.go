// Package share is the leader's side of share groups (KIP-932): for each group and
// partition that this broker leads, which records are with which member, how often
// each was delivered, and which are done. Kafka calls it the share-partition manager.
//
// # What is in flight
//
//	       start offset                                     end offset
//	───────────┼───────────┬─────────┬──────────┬───────────────┼────────────
//	 done      │ acquired  │ done    │available │ acquired by b │ never fetched
//	           │ by a      │         │          │               │
//	           └── spans: one for each range in one state ──────┘
//
// A span is cut where somebody speaks of a part of it, and joined with its neighbour
// where the two are alike and were fetched together. There is no second way to keep a
// range offset by offset: a range of which every other record was released is as many
// spans as it has records, and the lock limit bounds those.
//
// # The life of a record
//
//	            acquire                 accept, confirmed
//	available ─────────▶ acquired ─────────────────────────▶ acknowledged
//	    ▲                 │  │ │ reject, gap: confirmed;
//	    │                 │  │ └─ delivered as often as may be ──▶ archived
//	    └─────────────────┘  │
//	 release: confirmed      └─ renew: a longer lock
//	 the lock ends
//	 the session ends: the delivery does not count
//
// What lies below the start offset is done: it was acknowledged or archived, deleted, or
// never there. Also archived are records that a read of the log does not find, and those
// of aborted transactions.
//
// # What is kept, and when
//
// An acknowledgement takes effect, and is answered, when the Persister has it. At most
// one write of a share partition is under way; what is acknowledged meanwhile goes into
// the next, so that no timer is needed. A write that fails leaves its records acquired,
// or available if their locks have ended meanwhile. What happens without a member's wish
// (a lock that ends, a session that ends, the start offset) takes effect at once and goes
// into the next write; should that fail, into the one after it.
//
// Locks are not kept, as in Kafka: that would be a write for each fetch. The next leader
// does not know of the delivery that was under way, so the count of a record may lack it.
//
// A new group's start offset is written before the first record is delivered. Apache
// Kafka does not, so that a leader which dies before the first acknowledgement lets its
// successor begin at a later offset.
//
// # The life of a Partition
//
//	        Open                 read                    a member left
//	(none) ─────▶ loading ───────────────▶ active ◀─────────────────────▶ retiring
//	                 │ error, or …            │ fenced, or leader no more     │ nothing to write
//	                 └────────────────────────┴───────── ended ◀──────────────┘
//
// One leader epoch has one Partition; the next one makes another, from what was kept. The
// Persister refuses writes of older leader epochs, so that two leaders cannot both
// confirm.
//
// # Bounds
//
// Offsets in flight of a share partition (Limits.RecordLocks), share partitions
// (maxPartitions), writes under way (one for each), time for which a share coordinator
// that is not there is asked (retryFor).
//
// # Concurrency
//
// inFlight is the state and the rules, without clock or goroutine. Manager and
// Partition may be used by any goroutine and do not block on the Persister. A Partition's
// mutex comes before that of the Manager. Waiters and the functions that answer an
// acknowledgement are called without locks that they could need, and must not block.
package share
