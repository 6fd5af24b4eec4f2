// Package errfs wraps a vfs.FS and makes operations fail on command: the disk that answers EIO, is full, or takes
// only the first bytes of a write.
//
// Faults are data (which operation, which files, from which call on, how often), so a test states what goes wrong and
// nothing else. A fault that has fired as often as it may is out. All methods may be called concurrently.
package errfs
