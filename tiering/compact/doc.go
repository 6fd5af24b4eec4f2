// Package compact decides what log compaction keeps: which partitions are due, which record is the last of its key, and
// what becomes of tombstones, transactions and their markers. It reads and writes nothing; the tiering engine brings the
// batches of tiered segments in order and takes what is left of them.
//
//	      clean                        dirty                    not to be cleaned yet
//	├──────────────────────┼──────────────────────────────┼───────────────────────────▶
//	0                    first dirty                     bound: whole segments below the last stable offset,
//	                                                     and older than min.compaction.lag.ms
//	                       1. Index: last offset of each key ─▶ Keys
//	2. Filter over everything from the log start: keep a record unless Keys knows a later one
//
// # What is kept
//
// As in Apache Kafka (its cleaner, and KIP-534), batch by batch:
//
//	record                                    kept
//	----------------------------------------  ------------------------------------------------------------
//	at or above what Keys has seen            yes
//	without a key                             no
//	of an aborted transaction                 no
//	not the last of its key                   no
//	a tombstone, the last of its key          until the delete horizon of its batch: when compaction first met
//	                                          it, plus delete.retention.ms
//	a transaction marker                      while compaction meets batches of its transaction, and then until
//	                                          a delete horizon likewise
//
// A batch keeps its base and last offset, producer, sequence, epoch and codec, whatever it loses. One that loses all its
// records is dropped, or stays as a bare header: when it has the last sequence of a producer that is active, and when it
// is the last of its segment, so that a reader at any offset finds a batch that leads it on.
//
// # Memory
//
// [Keys] is one buffer outside of the heap: 24 bytes a key, as many as its size allows. When the dirty range has more keys,
// it is cleaned as far as the map goes, and the rest in the next round. Keys are known by a keyed 128-bit hash; two keys that
// share one would be a loss, and no client can look for them.
//
// # What it refuses
//
// A batch whose records take more than [MaxBatchBytes] decompressed, or that is corrupt: nothing of such a partition is
// cleaned.
//
// # Concurrency
//
// Everything belongs to one goroutine.
package compact
