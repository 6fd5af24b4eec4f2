// Package wire is the framing of the Kafka protocol and the codecs of its two
// hot requests, Produce and Fetch. All other requests are kmsg's, in broker/api.
//
// # Bytes
//
//	request   size int32 │ key int16 │ version int16 │ correlation id int32 │
//	          client id nullable string (int16 length) │
//	          tagged fields, when (key, version) is flexible │ body
//	response  size int32 │ correlation id int32 │
//	          empty tagged fields, when flexible and not ApiVersions │ body
//
// The size counts the bytes after itself. A flexible version (KIP-482) has
// compact lengths, uvarints of n+1 with 0 for null, and ends each structure in
// tagged fields: count, then {tag, size, bytes} with tags ascending, all uvarints.
//
// # Memory
//
// Requests are parsed without copying: topic names, ids of clients and record
// batches are views of the frame, and live as long as it does. The structures
// are pooled and keep their slices. Responses append to a slice; a fetch
// response interleaves that slice with the record buffers it was given, so that
// records are never copied.
//
// # What it refuses
//
// ErrMalformed for bytes that do not parse, whatever the reason: lengths beyond
// the frame, counts that the remaining bytes cannot hold or above MaxTopics and
// MaxPartitions, nulls where the schema has none, tags out of order. Unknown
// tags are skipped. Bytes after the body are ignored, as Apache Kafka does.
//
// # Concurrency
//
// Package functions are safe for concurrent use; a structure belongs to one
// goroutine at a time.
package wire
