// Package open turns the setting object.store into a store that is ready for use:
//
//	s3://BUCKET[/PREFIX][?endpoint=URL&region=R&path_style=true|false&driver=minio|aws&sse=AES256|aws:kms&kms_key_id=K&max_conns=N]
//	file:///DIR
//
// Open picks the backend and wraps it in retries, hedged reads and metrics (package retry). [Wait] waits until the store answers: a 503 at
// start-up is no reason to die. [Probe] finds out what the store really guarantees.
//
// # Why the probe races
//
// Stores that only look like S3 ignore If-None-Match, or check and write without a lock. One put after another looks right on
// some of those; with sixteen writers at once, sixteen or four of them "win". So Probe lets writers race for fresh keys and for one
// ETag, several rounds each, reads back what is there, and believes only that. It also sends a body with a wrong CRC-32C, and looks whether the store
// refuses it.
//
// # Encryption
//
// An https endpoint is spoken to over TLS, checked against the authorities of the system or those that ReadTLS reads. A certificate that nobody
// vouches for is no reason to wait: it is refused at once, as what it is.
//
// # What it refuses
//
// Credentials in the URL: they come from the AWS standard chain (environment, shared configuration, web identity, instance
// role). Unknown and repeated parameters: an error names the parameter and what is allowed.
package open
