// Package memstore is an object store in memory, for tests: the whole contract of objstore and nothing else. It never fails
// by itself (faultstore does that) and it counts the requests that it gets, so that a test can assert that an idle broker makes none.
package memstore
