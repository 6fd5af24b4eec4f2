package wal

import (
	"errors"
	"fmt"
)

var (
	// ErrFull is returned by Append while MaxBytes or the disk is used up, or too much is queued. It is
	// retriable: the log makes room when owners raise their starts.
	ErrFull = errors.New("wal: full")
	// ErrBusy is returned by ReadInTurn and InTurn when too many others read from the disk. It is retriable.
	ErrBusy = errors.New("wal: too many read from the disk")
	// ErrClosed is returned after Close, and for what Close could not write any more.
	ErrClosed = errors.New("wal: closed")
	// ErrFatal is returned once a write or sync has failed: what reached the disk is unknown, so nothing more
	// may be appended by this process.
	ErrFatal = errors.New("wal: a write failed")
	// ErrDropped is returned by the methods of a partition after Drop.
	ErrDropped = errors.New("wal: partition is dropped")
	// ErrBelowStart means that the offset lies below the partition's local log start.
	ErrBelowStart = errors.New("wal: offset is below the local log start")
	// ErrAboveEnd means that the offset lies above the partition's durable log end.
	ErrAboveEnd = errors.New("wal: offset is above the log end")
	// ErrOffset means that batches do not start at the log end, or are not contiguous.
	ErrOffset = errors.New("wal: batches do not continue the log")
	// ErrTooLarge means that one batch is larger than half a file.
	ErrTooLarge = errors.New("wal: batch is too large")
	// ErrInvalid means that the bytes to append are not complete record batches.
	ErrInvalid = errors.New("wal: not complete record batches")
	// ErrVersion means that a file was written by a newer release.
	ErrVersion = errors.New("wal: unknown format version")
	// ErrCorrupt marks damage; the error in hand is a *CorruptError that says where.
	ErrCorrupt = errors.New("wal: corrupt")
	// ErrMissing means that a file between two others is gone: the log's structure is lost.
	ErrMissing = errors.New("wal: a file is missing")
)

// CorruptError tells which bytes are damaged and, where that is known, whose offsets they held.
type CorruptError struct {
	File     string // name within the directory
	Position int64  // bytes from the start of the file
	ID       ID     // zero when unknown
	From, To int64  // offsets [From, To) that are lost; both -1 when unknown
	Reason   string
	Err      error // the cause, when reading failed
}

func (e *CorruptError) Error() string {
	s := fmt.Sprintf("wal: corrupt: %s file=%s position=%d", e.Reason, e.File, e.Position)
	if e.ID != (ID{}) {
		s += fmt.Sprintf(" partition=%s", e.ID)
	}
	if e.From >= 0 {
		s += fmt.Sprintf(" offsets=[%d,%d)", e.From, e.To)
	}
	if e.Err != nil {
		s += ": " + e.Err.Error()
	}
	return s
}

// Is makes errors.Is(err, ErrCorrupt) true.
func (e *CorruptError) Is(target error) bool { return target == ErrCorrupt }

// Unwrap returns the cause.
func (e *CorruptError) Unwrap() error { return e.Err }
