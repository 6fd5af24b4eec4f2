// Package memfs is a vfs.FS in memory that can lose power.
//
// It keeps, beside what a running process sees, what a disk would still have after a crash: the bytes of a file as
// of its last Sync, the names of a directory as of its last SyncDir. Crash builds the file system that would be found
// after the power came back: of everything that was not synced, a choice of the caller decides sector by sector
// (vfs.SectorSize) which version survived, so that writes are lost, torn, and reordered. Operations on names survive
// as a prefix, as with an ordered journal.
//
// What it does not model: bit rot (see FS.Corrupt), a device that lies about syncs, access rights.
//
// Direct files insist on aligned accesses, as a real disk does. All methods may be called concurrently.
package memfs
