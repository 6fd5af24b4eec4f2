// Package awss3 is the object store over aws-sdk-go-v2: AWS itself, with everything that its default credential chain knows
// (environment, web identity, SSO and assumed roles of the shared configuration, containers, the instance's role), SSE-KMS, and
// regional endpoints by the SDK's own rules.
//
// Credentials are resolved at the first request and kept until they expire. The chain asks the instance metadata service last,
// so with credentials in the environment nothing waits for it; the region is never asked there, it must be named.
//
// A put is one PUT of known length, read from the body's io.ReaderAt as it is sent. Left to itself the SDK would read a body twice over
// plain HTTP (SHA-256, then CRC-32) and hash it in a trailer over TLS; here the body's own CRC-32C goes as a header, the payload's
// hash is UNSIGNED-PAYLOAD, and nothing is hashed (see s3proto). The SDK's retries are off for S3; they stay on for its
// credential services.
//
// Redirects are not followed: a bucket in another region is ErrDenied with the code PermanentRedirect.
package awss3
