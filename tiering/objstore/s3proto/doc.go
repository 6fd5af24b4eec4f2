// Package s3proto is what the two S3 backends share and no SDK gives: their settings, an HTTP transport with a bound on
// everything, ranges, and the class of each answer. It imports no SDK.
//
// # Classes
//
//	404 of a key                         ErrNotFound; ErrPrecondition for a put with If-Match
//	404 of a bucket, 401, 403, 301, 307  ErrDenied: credentials, policy, region or bucket name
//	412                                  ErrPrecondition
//	409                                  ErrUnavailable: another writer was in the way, and nothing says yet who won. A second try
//	                                     gets 200 or 412. (AWS: ConditionalRequestConflict, OperationAborted)
//	408, 429, 499, 5xx except 501        ErrUnavailable; SlowDown and the like by their code, whatever the status
//	416                                  ErrRange
//	digest or checksum mismatch          ErrCorrupt
//	other 4xx, 501                       ErrInvalid
//	no answer                            ErrUnavailable, except certificates that do not verify: ErrDenied
//
// A store answers 403 instead of 404 to a reader that may not list the bucket: the policy must allow s3:ListBucket.
//
// # CPU and the payload's hash
//
// Both backends send UNSIGNED-PAYLOAD as the payload's hash, over TLS and over plain HTTP. The body is covered by
// x-amz-checksum-crc32c, which is a signed header and which the store verifies: SHA-256 on top would protect against nobody that can
// alter the stream but not the header, and costs CPU in the client and in the store. Measured with
//
//	go test ./tiering/objstore/objstoretest -run xxx -bench Put64MiB -benchtime 12x
//
// on two shared cores against MinIO over plain HTTP: 0.42 CPU s per GiB in the client (minio-go) and 0.45 (aws-sdk-go-v2), against
// 1.35 with minio-go's default, a SHA-256 for every chunk.
package s3proto
