package manifest

import "errors"

var (
	// ErrVersion: the bytes are of a format version that this build does not know.
	ErrVersion = errors.New("manifest: unknown version")
	// ErrTorn: the bytes end before the format says that they do.
	ErrTorn = errors.New("manifest: torn")
	// ErrCorrupt: the bytes are not what was written, or not what was asked for.
	ErrCorrupt = errors.New("manifest: corrupt")
	// ErrFull: the inner page of a partition has no room for another leaf.
	ErrFull = errors.New("manifest: page tree is full")

	// ErrUnknownPartition: the ledger has no such partition.
	ErrUnknownPartition = errors.New("manifest: unknown partition")
	// ErrBelowStart: the offset lies below the log start offset.
	ErrBelowStart = errors.New("manifest: offset below the log start")
	// ErrNotTiered: the offset lies at or above the tiered offset.
	ErrNotTiered = errors.New("manifest: offset not tiered")
)
