// Package quota decides how long a client has to wait because it took more than its share: what the broker calls throttling.
//
//	request ─▶ who (user, client id) ─▶ which limit (Table) ─▶ sensor: what it took lately ─▶ for how long it is not read
//
// # Kinds
//
//   - Producer and Consumer: bytes of produce requests and of fetch responses, per second.
//   - Request: time of the broker's goroutines, in percent of one of them. See "What a request costs".
//   - Mutation: partitions created and deleted, per second (KIP-599).
//   - Connection: connections made, per second, by an address; and by all of a listener or of the broker.
//
// All but Mutation are rates over a window of samples, as Apache Kafka's: quota.window.num samples of
// quota.window.size.seconds each, of which the last is being filled. Who is above its limit waits for as long as it takes the rate over
// the window to come down to it: (rate - limit) / limit × window. Mutation is a bucket of tokens, which fills at the limit's rate and holds
// as much as a whole window lets through; it takes a request while it is not below zero, whatever the request's size.
//
// # Whose limit
//
// The most specific limit counts, in this order: user and client id; user and the default of client ids; user; default of users and
// client id; defaults of both; default of users; client id; default of client ids. A limit on a user alone, or on the default of users
// alone, is one share for all the client ids of a user; every other limit is a share for each pair or id. A limit that is not set for one kind
// is looked for on the next level.
//
// # What a request costs
//
// Apache Kafka counts the time of its request-handler and network threads. Here a connection's goroutine does the work of both, and it
// waits for the network in between. So what counts is the time from the moment at which a whole request is in memory until its handler has
// returned: decoding, deciding, reading what is local, encoding the answer. What a fetch spends in the purgatory, a produce on the disks of
// the replicas, and either in the kernel's buffers does not count; nor does a cold read's wait for the object store. A handler that waits within its own goroutine,
// such as one that changes the metadata, counts with that wait. Time is the wall's: on a machine that is overloaded a request costs
// more.
//
// # Memory
//
// A sensor lives while somebody is limited by it: it goes after an hour without use. The number of sensors is bounded; above
// the bound the one that was used longest ago makes room, so that a client which invents client ids costs others nothing but the memory of
// what they took lately, and only if they were silent.
//
// # Concurrency
//
// Rates, buckets, tables and limits are plain values with the time as an argument. A Manager may be used by any number of goroutines. Where no
// limit of a kind is set, asking it is one load of a pointer: no lock, no allocation.
package quota
