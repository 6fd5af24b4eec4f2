// Package retry is the one layer that repeats calls to an object store. It wraps any objstore.Store and is one itself; the SDKs' own
// retries are off.
//
// # What is repeated
//
// Errors of class ErrUnavailable, and attempts that ran into their timeout, at most Options.Attempts times, after a back-off that grows
// exponentially and is jittered. A put that is denied is repeated once: MinIO denies some that it would not a moment later. Everything
// else is returned as it comes. A delete repeats only the keys that failed, and starts counting anew as long as it makes progress. A
// Get goes on within its reader: when the body breaks or stalls, the rest of the range is asked for again, of the same ETag or not at
// all.
//
// # Budget
//
// Every operation earns a fraction of a token and each repetition costs a whole one; the bucket is small and refills slowly by
// itself. So in an outage the load on the store stays near that of the first attempts, 1.2 times at the default, instead of growing by
// the number of attempts, and single faults are still repeated at once. Who needs to wait out an outage (start-up, uploads) repeats
// the whole call, slowly: open.Wait, the tiering worker.
//
// # Timeouts
//
// An attempt may take AttemptTimeout plus the body's size at MinThroughput. For a Get it is AttemptTimeout until the
// answer begins and then for each Read, so a consumer may read as slowly as it likes, but the store may not.
//
// # Lost replies
//
// When an attempt of a conditional put ended with an unknown outcome and a later one with ErrPrecondition, the object is read back.
// Has it the body's bytes, the earlier attempt had happened, and the put is a success. That is sound because the body
// carries an id of its write (see objstore). Has it other bytes, the put is ErrPrecondition with the mark ErrUncertain: ours may have been
// there in between. A 409 that does not go away is decided in the same way. When no answer can be had, the error is
// ErrUnavailable and the outcome is open: the caller repeats the put or asks objstore.ReadBack later.
//
// # Hedged reads
//
// A Get of a short range whose answer has not begun well after the 95th percentile of recent ones is sent a second time; the first answer
// wins, the other is cancelled. A token bucket keeps the extra requests to a few percent, also when the whole store is slow. It hedges the time to
// the first byte, where the slow tail of S3 is; a body that stalls is resumed as above. For stores without a network it is off.
//
// # Spans
//
// A call that is part of a trace has a span with its kind of object, its bytes, its attempts and its outcome, an event for each attempt
// that failed, and what became of a hedge. A Get's ends with its body. A call that nobody traces begins no trace.
//
// # Logging
//
// A retriable error is logged with its operation and status at most once per window and (operation, status), with the number of those that
// were not logged. Nothing else is: the error goes to the caller.
package retry
