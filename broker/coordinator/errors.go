package coordinator

import "errors"

// The reasons for which an event is refused, handed to Event.Refuse. None of
// them leaves anything changed, except ErrTimedOut, after which the log still
// decides.
var (
	// ErrNotCoordinator: this broker does not lead the key's partition.
	ErrNotCoordinator = errors.New("not the coordinator")
	// ErrLoading: the partition's log is still being replayed.
	ErrLoading = errors.New("coordinator is loading")
	// ErrBusy: MaxPending requests are under way at this shard.
	ErrBusy = errors.New("coordinator has too many requests under way")
	// ErrTimedOut: the records were not committed within CommitTimeout.
	ErrTimedOut = errors.New("records were not committed in time")
	// ErrTooLarge: the records of one decision do not fit in one batch.
	ErrTooLarge = errors.New("records do not fit in one batch")
	// ErrProducerFenced: a newer epoch of the producer is known.
	ErrProducerFenced = errors.New("producer is fenced")
	// ErrNotInTransaction: the producer has no open transaction that the records belong to.
	ErrNotInTransaction = errors.New("producer has no open transaction here")
	// ErrNotLeader is what a Log reports when the partition's leadership with
	// the given epoch is over. It is the one failure after which a record may
	// survive, at the next leader; so the shard ends.
	ErrNotLeader = errors.New("not the leader of the partition")
)
