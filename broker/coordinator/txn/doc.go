// Package txn coordinates transactions: InitProducerId 0-5, AddPartitionsToTxn 0-5,
// AddOffsetsToTxn 0-4, EndTxn 0-5, DescribeTransactions 0, ListTransactions 0-2. Requests and
// responses are kmsg's; error codes are Kafka's.
//
// # Parts
//
//	Coordinator   picks the shard of a transactional id, takes apart requests about many
//	machine       the transactional ids of one partition of __transaction_state; decides, purely
//	transaction   what is known of one id, never changed but replaced
//	sender        brings markers to the leaders of partitions, until all are written
//	fresh         producer ids for decisions that need one
//
// The runtime is package coordinator's: a decision is applied and answered when its record
// is committed, and a refused one leaves no trace. Requests about one id that come while
// a record of it is on its way wait for their turn (Kafka answers them with
// CONCURRENT_TRANSACTIONS).
//
// # Two phases
//
//	client            coordinator                 __transaction_state      leaders of partitions
//	──────            ───────────                 ───────────────────      ─────────────────────
//	EndTxn ─────────▶ decide: commit ───────────▶ PrepareCommit
//	       ◀───────── answer  ◀────────────────── committed
//	                  sender ── WriteTxnMarkers, coordinator epoch ──────▶ control batch
//	                  markersWritten ◀────────── all have it, or are gone ─┘
//	                                ────────────▶ CompleteCommit
//
// What is decided is carried out by whoever leads the partition of __transaction_state:
// a new coordinator that finds Prepare… in the log sends all markers again. Partitions take
// them only from the newest coordinator epoch, which is the leader epoch of that partition,
// so a coordinator that was replaced can neither decide (its append is refused) nor
// have its decisions carried out twice with different results.
//
// # Epochs
//
// A producer id and its epoch stand for one instance of a producer, and from transaction
// version 2 on (KIP-890) for one transaction of it:
//
//	version 0, 1   InitProducerId ─▶ e     commit: markers with e       next transaction: e
//	version 2      InitProducerId ─▶ e     commit: markers with e+1     next transaction: e+1
//
// So a batch of version 2 that comes after its markers is refused by its epoch alone. Fencing
// (a new instance, a time-out) raises the epoch in either. Clients get epochs up to
// 32766; the one above is the coordinator's, for fencing. After that a new producer id takes
// over with epoch 0, from InitProducerId or the answer of EndTxn.
//
// # Records
//
// Those of Kafka, byte for byte; key first:
//
//	version int16 = 0 │ transactional id string
//
//	value, version int16 = 0, 1
//	│ producer id int64 │ producer epoch int16 │ time-out ms int32 │ state int8 │
//	│ partitions nullable [ topic string │ [ partition int32 ] │ tags (1+) ] │
//	│ last update ms int64 │ start ms int64 │
//	│ tags (1+): 0 = previous producer id int64, 1 = next producer id int64,
//	│            2 = transaction version of the client int16 │
//
// Strings have an int16 length, arrays an int32 count; from version 1 on both an unsigned
// varint, one higher. A null value forgets the id. Version 1 is written from level 1 of the
// feature transaction.version on. Unknown versions, states and bytes that do not parse are
// skipped at load with a log line and a metric.
//
// # Invariants
//
//   - What Replay makes of the committed records equals the state in memory, but for the last
//     epoch, by which a retry of InitProducerId is known.
//   - A transaction is decided once. Its markers carry one result, however many coordinators
//     send them.
//   - For one transactional id, (producer id, epoch) never goes back to one that was fenced.
//   - A request is answered exactly once.
//
// # What it refuses
//
// Two-phase commit with an outside coordinator (KIP-939; InitProducerId 6 is not stable in
// Kafka 4.3). Ids over a bound of their partition, and transactions of more partitions than a
// record should name.
//
// # Differences from Kafka
//
//   - InitProducerId of an instance with an epoch that is not the current one does not have
//     an open transaction aborted: it is fenced.
//   - The epoch before that of the state makes EndTxn a retry only after a transaction that
//     had an epoch of its own. In Kafka a zombie is given the epoch of its successor, if
//     that is a client of the old protocol.
//   - A marker that a partition refuses because it knows a newer epoch of the producer counts
//     as written. In Kafka the transaction waits for the next coordinator.
//   - Time-outs are looked at per transaction, in steps of the abort interval; there is no
//     scan of all ids.
//
// # Concurrency
//
// Coordinator may be used by any goroutine. A machine belongs to its shard.
package txn
