// Package quorum is the replicated log under the cluster state: commands go in
// as bytes, and every member hands them to its state machine in one order.
//
// It has two implementations of Log: Open, which is hashicorp/raft on bbolt and
// files, and Group, a deterministic twin in memory for tests and simulation. No
// other package of the broker imports raft.
//
// # What it promises
//
// A command whose Propose returned without error is committed, durable on a
// majority, and applied to the local state machine. One that failed with
// ErrNotLeader or ErrTooLarge was not appended. Any other error leaves it open
// whether the command will be applied (ErrUnknown marks those): commands must
// be safe to repeat.
//
// # Disk
//
//	DIR/log.db       bbolt: bucket "log" (index → entry), bucket "stable" (term, vote)
//	DIR/snapshots/   the newest snapshots of the state machine, each a folder
//
// The entry in log.db, integers little-endian:
//
//	+---------+------+-------+--------------+----------------+-------------+------------+--------+
//	| version | type | term  | appended at  | extensions len | extensions  | data       | crc32c |
//	| u8 = 1  | u8   | u64   | i64 Unix ns  | u32            |             | to the end | u32    |
//	+---------+------+-------+--------------+----------------+-------------+------------+--------+
//
// The checksum covers all before it and the index under which the entry is
// stored. A snapshot is taken when the log has grown by Options.SnapshotBytes or
// half the last snapshot, whichever is more, so that what a restart replays is
// bounded in proportion to the state. Nothing is written while nothing is proposed.
//
// # Members
//
// A group of one bootstraps itself, needs no listener, and elects itself as
// soon as it is open. A group of several is bootstrapped with the same list of
// voters on each of them; other members are added by the leader (Membership).
//
// A member is dialed by its id and its address: addresses change hands, and two
// members that reached one process would count its acknowledgement twice. What
// is for a member that can not be dialed waits until it can, so that one that
// comes back has the newest state at once. A voter that knows the leader's
// process to be dead need not wait for the heartbeat timeout (Campaign).
//
// A member whose disk is lost must be removed before it opens this log again: it
// may have forgotten for whom it voted.
//
// Raft's messages go to slog; a warning that repeats itself is said once a
// minute.
//
// # Who may call
//
// All methods of Log may be called from any goroutine. The state machine is
// called from one goroutine at a time, except that a snapshot is written
// concurrently with Apply.
package quorum
