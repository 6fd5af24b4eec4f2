package tiering

import (
	"context"
	"time"

	"github.com/tidelinehq/tideline/tiering/compact"
	"github.com/tidelinehq/tideline/tiering/manifest"
	"github.com/tidelinehq/tideline/tiering/segment"
)

// Source is a partition that this broker leads, as the engine sees it. Methods are called from several goroutines, also for a
// while after the lease was closed: then Read and Snapshot return an error, and the rest is harmless.
type Source interface {
	// ID names the partition; always the same.
	ID() manifest.ID
	// Status takes at most one short lock and does no I/O.
	Status() SourceStatus
	// Settings takes at most one short lock and does no I/O.
	Settings() Settings
	// Read returns verbatim batches of the local log: whole ones, from the one that holds from on, all below limit, about
	// maxBytes and at least one.
	Read(ctx context.Context, from, limit int64, maxBytes int) (SourceChunk, error)
	// Snapshot returns what goes into a section beside its batches.
	Snapshot(ctx context.Context, from, end int64) (Snapshot, error)
	// Producers returns the last records of the producers that are active, which compaction keeps. It does no I/O.
	Producers() map[int64]compact.LastRecord
	// Tiered says that all below to is in the bucket and in the ledger, so that the WAL may free it. It must not block.
	Tiered(to int64)
}

// SourceStatus is the state of a led partition at one moment.
type SourceStatus struct {
	LeaderEpoch   int32
	HighWatermark int64
	PendingBytes  int64     // of record batches from the tiered offset (or the log start, if that is higher) to the high watermark
	OldestPending time.Time // when the first of them was appended; zero when there are none
}

// SourceChunk is a run of batches. Each buffer holds whole batches. The buffers are valid until Release, which is called once.
type SourceChunk struct {
	Buffers [][]byte
	Next    int64 // offset after the last batch
	Release func()
}

// Snapshot is what a section holds beside its batches.
type Snapshot struct {
	Epochs        []segment.EpochStart // leader epochs that apply to the range, oldest first
	Aborted       []segment.AbortedTxn // aborted transactions that overlap the range, as far as they are decided, by LastOffset
	ProducerState []byte               // at the end of the range
	StableOffset  int64                // last stable offset: all that began below it is decided, and in Aborted if it was aborted
}

// Settings are the settings of a topic that tiering follows.
type Settings struct {
	Paused         bool          // nothing is uploaded; the cursor stays, and resuming continues there
	RollBytes      int64         // tier.roll.bytes: upload when so much is pending
	RollAfter      time.Duration // tier.roll.ms: upload when the oldest pending append is so old
	RetentionMs    int64         // retention.ms; negative: forever
	RetentionBytes int64         // retention.bytes; negative: any size

	Compact           bool // cleanup.policy has compact
	CompactPolicy     compact.Policy
	DeleteRetentionMs int64 // delete.retention.ms
	SegmentBytes      int64 // segment.bytes: compaction merges segments up to this size
}
