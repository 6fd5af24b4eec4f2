// Package hostile is the suite of bad input: a whole broker, in this process,
// and clients that break every rule of the protocol.
//
//	frames    lengths that lie, requests cut in two, bytes one at a time, unknown keys and versions
//	bodies    each key in each version: counts and lengths out of bounds, null where none is allowed,
//	          random bytes changed
//	values    names, partitions, offsets and timeouts that cannot be, the same thing twice
//	records   batches that are torn, corrupt, of old formats, too large, or not a client's to send
//	bombs     batches that inflate a thousandfold, for topics of all kinds, in transactions, looked up by time
//	sockets   connections that never finish, never read, come in floods, close one side, go on with rubbish
//	crowds    ten thousand idle connections; requests that ask for far more than they weigh
//
// What is expected is the error code that Apache Kafka gives for the same bytes,
// or a closed connection. After every kind of abuse the broker must serve an
// ordinary producer and consumer, must not have panicked, and must not have grown
// beyond a bound. A client that does nothing wrong goes on beside every flood.
//
// FuzzRequestXxx, one for each API key, have an engine make requests: an input is a
// script, of which a well-formed request is grown field by field, and edits of its
// bytes. The broker's disk, network and object store are in memory. Each request
// must bring a reply that can be read, or the end; it must not panic, nor allocate
// more than a multiple of what it was admitted with, nor leave goroutines behind.
//
// The package has tests only; see loadtest/flood for what floods do to an honest
// client's latency. Bounds of memory are generous: they tell a request
// that costs gigabytes from one that costs megabytes.
package hostile
