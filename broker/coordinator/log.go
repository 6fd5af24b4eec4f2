package coordinator

import (
	"context"

	"github.com/tidelinehq/tideline/internal/record"
)

// Log is the internal topic as this package needs it. The broker implements it
// over its partitions. All methods may be called from any goroutine.
type Log interface {
	// Append hands over one batch with offsets from 0, to be given its base
	// offset and the leader epoch. It must not block. done is called exactly once,
	// from any goroutine (also from within Append), without blocking: with the
	// batch's base offset when all in-sync replicas have it (acks=all, at or below
	// the high watermark, min.insync.replicas met), or with an error that means that
	// the batch is not and never will be in the log. Batches of one partition and
	// epoch are committed in the order of the calls. Errors wrap ErrNotLeader
	// where leadership with that epoch is over, ErrTooLarge where the batch
	// is larger than the topic allows; any other is taken as unavailable for now.
	// The batch's memory is the log's until done is called.
	Append(partition, epoch int32, batch record.Batch, done func(base int64, err error))

	// Replay calls fn with every batch of the partition from its log start offset,
	// in order, through whichever tier holds it, up to the end that the log
	// has at the call, and returns nil once all of it is committed. The batch is valid
	// during the call of fn only. An error of fn, or of ctx, ends it.
	Replay(ctx context.Context, partition, epoch int32, fn func(record.Batch) error) error
}

// TransactionalLog is a Log that takes records of a producer's transaction (Outcome.Producer).
type TransactionalLog interface {
	Log
	// AppendTransactional is Append for a transactional batch. Its errors may also wrap
	// ErrProducerFenced, ErrNotInTransaction.
	AppendTransactional(partition, epoch int32, batch record.Batch, guard uint64, done func(base int64, err error))
}
