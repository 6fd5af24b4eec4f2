package tiering

import (
	"context"
	"errors"
	"iter"
	"time"

	"github.com/tidelinehq/tideline/tiering/manifest"
	"github.com/tidelinehq/tideline/tiering/objstore"
)

var (
	// ErrRefused marks the definite no of the ledger: the command or entry was not applied and will not be. Every other
	// error of a command leaves it open whether it was, or is yet to be, applied.
	ErrRefused = errors.New("refused by the ledger")
	// ErrHotFull is a refusal: the partition has too many hot entries, spill first.
	ErrHotFull = errors.New("hot entries full")
)

// Ledger is the Raft group as the tiering engine sees it. The view methods answer from memory, at any rate, from any
// goroutine, and show at least every command that has returned to this broker. What they return is never changed afterwards.
//
// Commands return when applied. All are idempotent: repeated after a lost reply, they answer as the first time or say
// that nothing is left to do. Applied to a partition, they judge each entry by itself.
type Ledger interface {
	// View is the newest ledger of a partition; false when there is no such partition.
	View(topic [16]byte, partition int32) (manifest.Ledger, bool)
	// Generation is that of the ledger which View would return; it costs nothing.
	Generation(topic [16]byte, partition int32) (uint64, bool)
	// Intents are the open uploads of this broker, those of its earlier lives included.
	Intents() []Intent
	// Cleaner reports whether this broker is the one that deletes garbage and works off deleted topics. Two for a while, or
	// none, do no harm.
	Cleaner() bool
	// Garbage yields the objects that nothing refers to, due first first.
	Garbage() iter.Seq[Garbage]
	// Purges yields the deleted topics whose remote data remains, with their partitions.
	Purges() iter.Seq[Purge]

	// BeginUpload records that this broker is about to put an object.
	BeginUpload(ctx context.Context, object [16]byte, kind objstore.Kind) error
	// AbortUpload closes an intent. The object becomes garbage, due then, unless something of it was accepted. Unknown or
	// closed intents: nil.
	AbortUpload(ctx context.Context, object [16]byte, due time.Time) error
	// CommitUpload adds sections to ledgers, one outcome per entry.
	CommitUpload(ctx context.Context, c CommitUpload) ([]Outcome, error)
	// Spill publishes manifest pages, one outcome per entry.
	Spill(ctx context.Context, s Spill) ([]Outcome, error)
	// Retain releases the oldest segments of one partition.
	Retain(ctx context.Context, topic [16]byte, partition int32, r Release) error
	// Replace puts a segment in place of those that it was made of, or is refused.
	Replace(ctx context.Context, r Replace) error
	// SetCleaned notes how far compaction has been over a partition.
	SetCleaned(ctx context.Context, c Cleaned) error
	// CollectGarbage forgets objects that were deleted from the bucket.
	CollectGarbage(ctx context.Context, objects [][16]byte) error
	// PurgeProgress releases the oldest segments of one partition of a deleted topic; done: nothing of it remains.
	PurgeProgress(ctx context.Context, topic [16]byte, partition int32, r Release, done bool) error
	// PurgeDone forgets a deleted topic of which no partition remains.
	PurgeDone(ctx context.Context, topic [16]byte) error
}

// Intent is an upload that was begun and neither committed nor aborted.
type Intent struct {
	Object [16]byte
	Kind   objstore.Kind
}

// Garbage is an object that nothing refers to.
type Garbage struct {
	Object [16]byte
	Kind   objstore.Kind // KindUnknown: it may be data or pages
	Due    time.Time     // it may be deleted from then on
}

// Purge is a deleted topic whose remote data remains.
type Purge struct {
	Topic      [16]byte
	Partitions []PurgePartition // those not worked off
}

// PurgePartition is one partition of a deleted topic.
type PurgePartition struct {
	Partition int32
	Ledger    manifest.Ledger
}

// MaxCommitEntries is the number of entries that one CommitUpload or Spill command may have.
const MaxCommitEntries = 500

// CommitUpload adds the sections of one object to the ledgers of their partitions. The last command for an object closes its
// intent; an object of which nothing was accepted becomes garbage then.
type CommitUpload struct {
	Object  [16]byte
	Bytes   int64 // size of the object
	Entries []CommitEntry
	Last    bool
	Due     time.Time // for garbage
}

// CommitEntry is one section. It is refused when the leader epoch is stale, when the ledger does not end at Expected, or when
// the segment begins elsewhere: at Expected, or above it if all between lies below the log start.
type CommitEntry struct {
	ID          manifest.ID
	LeaderEpoch int32
	Expected    int64 // Ledger.Tiered
	Segment     manifest.Segment
}

// Outcome answers one entry.
type Outcome struct {
	Err error // nil: accepted, now or before; else marked ErrRefused, and ErrHotFull when that is why
}

// Spill publishes manifest pages: the hot entries below each NewRootEnd leave the Raft state.
type Spill struct {
	Object  [16]byte
	Bytes   int64
	Entries []SpillEntry
	Last    bool
	Due     time.Time
}

// SpillEntry is one partition of a Spill.
type SpillEntry struct {
	ID         manifest.ID
	Generation uint64 // expected
	NewRoot    manifest.PageRef
	NewRootEnd int64
	Pages      int                // pages of this partition in the object, NewRoot among them
	Released   []manifest.PageRef // pages that the new tree does not refer to
}

// Release takes the oldest live segments of a ledger away: all that end at or below Cut. Hot ones follow from it; those in
// pages are listed. The root goes when Cut reaches RootEnd, and is among ReleasedPages then.
type Release struct {
	Generation    uint64 // expected
	Cut           int64  // the log start becomes this, unless it is ahead already
	Released      []ObjectRef
	ReleasedPages []manifest.PageRef

	// Greatest timestamp of the segments that stay in pages; -1 when there are none.
	PagedMaxTimestamp, PagedMaxTimestampOffset int64

	Due time.Time // for what becomes garbage
}

// Replace is a compare-and-swap: New stands for the range of the segments that were read. They are in pages, or hot, or begin
// there and end here. Refused when the leader epoch is stale or one of them is not where it was. Accepted, it closes the
// intents of both objects; refused, it changes nothing.
type Replace struct {
	ID          manifest.ID
	LeaderEpoch int32
	Bytes       int64 // size of New's object
	New         manifest.Segment
	Hot         []manifest.Segment // those replaced that are hot: a run, and the first ones when Pages is set
	Pages       *ReplacePages      // nil: none of them is in pages

	// Greatest timestamp of all segments in pages afterwards; -1 when there are none.
	PagedMaxTimestamp, PagedMaxTimestampOffset int64

	Due time.Time // for what becomes garbage
}

// ReplacePages is the part of a Replace that changes the tree.
type ReplacePages struct {
	OldRoot     manifest.PageRef // expected
	OldSegments int64            // Ledger.PagedSegments, expected
	NewRoot     manifest.PageRef
	NewRootEnd  int64
	Bytes       int64 // size of the object of the pages
	Pages       int   // pages in it, NewRoot among them
	Released    []ObjectRef
	Gone        []manifest.PageRef // pages that the new tree does not refer to
}

// Cleaned says that compaction has been over all below Offset; see manifest.Ledger.
type Cleaned struct {
	ID          manifest.ID
	LeaderEpoch int32
	Offset      int64
	Horizon     int64
}

// ObjectRef is a release of sections of one object.
type ObjectRef struct {
	Object   [16]byte
	Bytes    int64
	LogBytes int64
	Segments int64
}
