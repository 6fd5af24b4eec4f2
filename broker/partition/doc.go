// Package partition is one partition's replica on this broker: it assigns
// offsets, refuses what must not be appended, remembers idempotent producers and
// leader epochs, and knows which offsets a consumer may see.
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
// can never be contradicted.
//
// # Who may call what
//
// A Partition may be used by any number of goroutines. One mutex orders the
// appends: the order in which offsets are assigned is the order in which the
// write-ahead log receives the batches, and therefore the order in which they
// become durable. The high watermark, the log start and the tiered offset are
// atomics that readers load without the lock. The completion of an append runs on
// the write-ahead log's goroutine: it moves the high watermark and wakes the
// waiters, and must never block.
//
// # State frames
//
// What must survive a restart beside the batches themselves (producer entries,
// leader epochs, log start) is written as an opaque state frame into the
// write-ahead log whenever a file is sealed, and at a clean stop. Recovery decodes
// the newest one and replays the batch headers after it. The byte layout is drawn
// in state.go.
package partition
