// Package api answers the requests of the Kafka protocol: one file for each API
// key, named after it.
//
// table.go lists the keys and versions that the broker advertises, which is
// exactly what works. Produce and Fetch have their own codec (package wire) and
// run on the connection's goroutine; every other request is decoded by kmsg and
// answered either at once or later, as its handler decides. Replies leave a
// connection in the order of its requests whatever the handlers do, which package
// server sees to.
//
// errors.go is the only place where an error of another package becomes a Kafka
// error code.
//
// Everything may be called concurrently.
package api
