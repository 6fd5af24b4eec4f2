// Package dirstore is an object store in a directory of a local file system: the embedded default (file:///DIR), for one
// broker or for several processes on one machine that share the directory.
//
//	DIR/data/3f/3f9c….seg          an object: a file with exactly its bytes, at the path that is its key
//	DIR/.tideline/tmp/<random>     a put that is not finished; its writer holds a lock on it
//	DIR/.tideline/lock/00 … 3f     locks of keys, by hash
//
// A key never begins a part with a dot, so .tideline cannot collide with one.
//
// # Crash safety
//
// Put writes a temporary file, verifies the CRC-32C of the body on the way, fsyncs it, moves it to its name in one step and
// fsyncs the directory (and each directory that it had to make, up to the root):
//
//	create tmp → write, verify → set mtime → fsync tmp → lock key → [check ETag] → link(2) or rename(2) → fsync directory → unlock
//
// A crash at any arrow leaves the old object or the new one, whole, and at most a file in tmp, which the next Open removes when
// nobody holds its lock. Delete unlinks and fsyncs the directories before it returns, because its caller will forget the object.
//
// # Conditions
//
// IfNoneMatch is link(2), which fails when the name exists: atomic on every file system. IfMatch compares and renames while it
// holds the key's lock, a mutex within the process and flock(2) between processes; unconditional puts take the same lock, so no put
// can slip between another's comparison and rename. The lock needs a file system with working flock (local ones, not old NFS);
// open.Probe races it.
//
// # ETag
//
// The ETag is modification time in nanoseconds and size, in hex. A put gives the new file a modification time that is greater
// than the one it replaces, whatever the clock says and however coarse the file system's times are, so no two versions of a
// key share an ETag while the key exists. Copying the directory with its times keeps the ETags.
//
// # What it refuses
//
// Paths that leave the directory: all access goes through os.Root, so that even a symbolic link planted in the directory cannot
// lead out of it. Keys that name directories and objects at once. It does not retry I/O errors: they are ErrUnavailable, except that a
// full disk and a read-only file system are named in the message.
package dirstore
