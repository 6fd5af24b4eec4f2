// Package hostile is the suite of bad input: a whole broker, in this process,
// and clients that break every rule of the protocol.
//
//	frames    lengths that lie, requests cut in two, bytes one at a time, unknown keys and versions
//	bodies    each key in each version: counts and lengths out of bounds, null where none is allowed,
//	          random bytes changed
//	values    names, partitions, offsets and timeouts that cannot be, the same thing twice
//	records   batches that are torn, corrupt, of old formats, too large, bombs, or not a client's to send
//	crowds    ten thousand idle connections; requests that ask for far more than they weigh
//
// What is expected is the error code that Apache Kafka gives for the same bytes,
// or a closed connection. After every kind of abuse the broker must serve an
// ordinary producer and consumer, must not have panicked, and must not have grown
// beyond a bound.
//
// The package has tests only. Bounds of memory are generous: they tell a request
// that costs gigabytes from one that costs megabytes.
package hostile
