package share

import (
	"context"
	"errors"
)

// Persister keeps the state of share partitions: it is the share coordinator, on
// whichever broker. It may be called concurrently; calls about one share partition
// are made one after the other.
type Persister interface {
	// Read returns the state, and makes leaderEpoch the one that later writes must
	// carry at least.
	Read(ctx context.Context, group string, topic [16]byte, partition, leaderEpoch int32) (State, error)
	// Write keeps a new start offset and the state of some ranges, maybe none, which
	// replaces what was known of the same offsets. It returns once that is committed. After
	// ErrRetry, and after any error that is none of this package's, it may or may not have
	// been; but it must not be once a later Write has returned.
	Write(ctx context.Context, group string, topic [16]byte, partition, stateEpoch, leaderEpoch int32,
		start int64, deliveryCompleteCount int32, batches []StateBatch) error
}

// State is what a Persister has of a share partition.
type State struct {
	Epoch int32
	// Start is the share-partition start offset; Uninitialized: nobody has said yet
	// where the group begins.
	Start int64
	// DeliveryCompleteCount is how many offsets from Start on are done; -1: not known. The
	// leader counts anew.
	DeliveryCompleteCount int32
	// Batches do not overlap and ascend. Offsets that none covers are available, and
	// were never delivered.
	Batches []StateBatch
}

// Uninitialized is the start offset of a share partition whose group has not begun.
const Uninitialized = -1

// StateBatch is a range of offsets, both ends inclusive, in one state.
type StateBatch struct {
	First, Last   int64
	State         RecordState
	DeliveryCount int16
}

// RecordState is what becomes of a record. The values are those of the wire and of
// __share_group_state.
type RecordState int8

const (
	// Available records may be acquired.
	Available RecordState = 0
	// Acquired records are locked for a member.
	Acquired RecordState = 1
	// Acknowledged records were accepted.
	Acknowledged RecordState = 2
	// Archived records are done for another reason: rejected, delivered too often, of
	// an aborted transaction, deleted, or never there.
	Archived RecordState = 4
)

// Errors of a Persister.
var (
	// ErrFencedStateEpoch means that the group was deleted or made anew.
	ErrFencedStateEpoch = errors.New("state epoch of the share partition is fenced")
	// ErrFencedLeaderEpoch means that a newer leader of the partition has read the state.
	ErrFencedLeaderEpoch = errors.New("leader epoch of the share partition is fenced")
	// ErrUnknownState means that the share partition was not initialized, or that the
	// group or the topic is gone.
	ErrUnknownState = errors.New("share partition has no state")
	// ErrRetry means that the share coordinator can not be reached or is loading: asking again may help.
	ErrRetry = errors.New("share coordinator is not available")
)
