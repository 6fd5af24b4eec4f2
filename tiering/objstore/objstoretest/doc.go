// Package objstoretest is the acceptance suite that every backend of objstore passes, and the real server that the S3 backends
// pass it against.
//
// A package whose tests need S3 has
//
//	func TestMain(m *testing.M) { objstoretest.Main(m) }
//
// and calls [Shared] in its tests: the first call starts one MinIO for the package, Main stops it. A test that stops or
// restarts the server itself has one of its own from [StartMinIO]. Neither ever skips: when MinIO cannot be built or started, the
// test fails.
package objstoretest
