// Package minios3 is the object store over minio-go v7: MinIO and everything else that speaks S3. It is the default driver.
//
// A put is one PUT of known length, read from the body's io.ReaderAt as it is sent: nothing is buffered, nothing hashed
// (see s3proto). Credentials come from the environment, the container or the instance, in this order: AWS_ACCESS_KEY_ID, the shared
// credentials file, then web identity, ECS, EKS pod identity or the EC2 metadata service. The network is asked for credentials
// only when neither environment nor file has them.
//
// The SDK's own retries are off, and so is the pause that it makes after the last attempt.
//
// It refuses S3 Express buckets and everything that objstore refuses.
package minios3
