// Package objstore is the door to the object store: the contract that the rest of tiering is written against, the
// names of objects, and the classes of errors. The backends live below it and are interchangeable:
//
//	minios3    minio-go v7; MinIO and anything else that speaks S3
//	awss3      aws-sdk-go-v2; AWS itself: default credential chain, web identity, SSE-KMS
//	dirstore   a directory of a local file system; crash-safe; the embedded default
//	memstore   memory; for tests
//	faultstore any of them, with scripted or seeded faults
//
//	retry      wraps any of them: back-off with jitter, a retry budget, timeouts per attempt, hedged reads, metrics
//	open       turns an object.store URL into a wrapped store, waits for it, and probes what it really guarantees
//
//	objstoretest one acceptance suite that every one of them passes, and a real MinIO to pass it against
//
// # What it refuses
//
// It has no multipart upload: an object is one PUT of known size, at most [MaxObjectSize], so that an upload is there as a
// whole or not at all and nothing is left to sweep. It has no conditional delete: stores answer success to a stale
// ETag (MinIO does), so nothing may rely on it. It has no copy, no append, no metadata, no versions. LIST exists for
// audits, and no steady state may use it: what is in the bucket is what the ledger says.
//
// # Invariants
//
//   - Put is atomic: a reader sees the object as it was before or the whole new one, and once Put has returned nil, every
//     later Get, Head and List of any process sees it (read after write).
//   - Put with IfNoneMatch: of any number of racing writers of an absent key exactly one gets nil. Put with IfMatch: of any
//     number of writers that name one ETag exactly one gets nil. The others get ErrPrecondition. open.Probe proves it by a race.
//   - The bytes that arrive are the bytes whose CRC-32C the Body names, or Put fails and the object does not exist.
//   - The reader of a Get yields exactly the bytes of the range, or ends in an error: io.EOF is never early. A body that
//     ended short is ErrUnavailable, because a second try may get all of it.
//   - An error is of exactly one class (see errors.go). Only ErrUnavailable is worth repeating, and only it leaves the outcome
//     of a Put or Delete unknown.
//
// # Lost replies and unique bodies
//
// A conditional put whose reply was lost looks, when it is repeated, like a rival that was faster: ErrPrecondition against
// oneself. The way out is to read back. It needs bodies that differ between any two writers, so: the body of a
// conditional put carries a write id (16 random bytes, or the writer's epoch and a counter) that no other write uses. Then
// "the object has my bytes" means "I wrote it", and [ReadBack] tells it. (Other bytes do not mean "I never did": see ErrUncertain.) The retry package does that by itself; a
// caller that got ErrUnavailable in the end calls ReadBack when the store answers again, before it takes any decision.
//
// The same id makes If-Match sound: S3's ETag is a digest of the bytes, so without it A → B → A would go unnoticed, and a
// writer of the bytes that are there already would not shut out the next one.
//
// # Keys
//
// A key is 1 to [MaxKeySize] bytes: parts of letters, digits, '-', '_', '.', '=' joined by '/', no part empty or beginning with
// '.'. So a key is always a safe relative path, needs no escaping in a URL, and sorts the same everywhere. No key may be a path
// prefix of another ("a" and "a/b"): file systems and MinIO cannot hold both. Below the prefix that the URL names:
//
//	root                               the cluster's root object, the only one that is ever replaced (keys.go)
//	data/<2 hex>/<32 hex>.seg          segments and bundles
//	manifest/<2 hex>/<32 hex>.pages    manifest pages
//	metadata/<2 hex>/<32 hex>.snap     metadata snapshots that the root names
//	probe/<32 hex>                     objects of the capability probe, deleted when it is done
//
// <2 hex> is the first byte of the random id: it spreads the keys over a store's index partitions and over directories.
//
// # Concurrency
//
// All methods of all stores may be called by any number of goroutines, except that one returned reader belongs to one
// goroutine at a time. Close is called once, after all other calls have returned and all readers are closed.
package objstore
