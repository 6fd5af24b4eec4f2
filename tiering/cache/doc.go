// Package cache keeps blocks of the tiered log near: in memory, and on disk below it. Both tiers are bounded by bytes and
// may be off (0), and no scan of any length can empty them of what is really used.
//
//	Claim(key) ──▶ memory tier (S3-FIFO, shard.go) ──hit──▶ Buffer, shared by reference count
//	    │ miss
//	    ├──▶ somebody fills it: join the Flight and wait (or leave: the fill goes on)
//	    └──▶ a new Flight: the caller fills it, from the disk tier (disk.go) or the object store, and completes it
//	                                                  │
//	            memory tier ◀── every filled block ───┤
//	            disk tier   ◀── blocks filled twice, and blocks that leave memory after they were asked for again
//
// # Memory
//
// All block memory comes from one [Pool], which is the budget: a block is counted once from the moment it is allocated
// until its last holder, be it the cache, a fill or a consumer's socket, lets go of it. Allocation waits its turn, and ends
// in [ErrBusy]. A fill allocates all that it needs at once, and who holds blocks never waits for more: so nobody
// waits in a circle.
//
//	Pool limit │◀──────── memory tier, at most MemoryBytes ────────▶│◀── fills, read-ahead, blocks that sockets hold ──▶│
//
// # What it refuses
//
// It keeps no error, caches nothing that somebody did not ask for, never cancels a fill because one of those who wait
// for it left, and never serves bytes of the disk tier that do not have the checksum they were written with. It syncs
// nothing but the table of a clean close: after a crash the disk tier starts empty, and whatever it lost is read again.
//
// # Invariants
//
//   - Used and idle memory of a Pool never exceed its limit, except for one allocation that is larger than the limit by itself.
//   - For one key there is at most one Flight; its Complete is called exactly once.
//   - The bytes of a Buffer never change between the moment it is shared and its last Release.
//   - An entry of the disk ring is removed from the map before its slots are written again, and a read checks after the
//     read that the entry is still the one it began with.
//
// # Concurrency
//
// Pool, Buffer, Cache, Flight, Disk and Table are safe for concurrent use. A Claim belongs to one goroutine at a time. Locks are
// taken in the order shard, pool; the disk's lock is taken alone, with the pool's inside it.
package cache
