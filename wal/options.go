package wal

import (
	"fmt"
	"log/slog"

	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel/trace"

	"github.com/tidelinehq/tideline/internal/vfs"
)

// SyncMode says when an append is complete.
type SyncMode uint8

const (
	// SyncAlways completes an append after the fdatasync that covers it. The default.
	SyncAlways SyncMode = iota
	// SyncOS completes it after the write, as Kafka does; files are synced when they are full.
	SyncOS
)

// Limits and defaults, in bytes.
const (
	defaultFileBytes = 64 << 20
	defaultMaxBytes  = 64 << 30
	defaultTailBytes = 256 << 20

	minFileBytes = 64 << 10
	maxFileBytes = 2 << 30 // positions are 32 bits

	// maxGroupBytes bounds what one sync covers, and so how long the appends behind it wait.
	maxGroupBytes = 4 << 20
	// frameTarget is where a long append is split into frames: a reader has to verify whole frames, so they
	// should not be much larger than what a fetch takes.
	frameTarget = 256 << 10
	// maxQueuedBytes and maxQueued bound what waits for the writer. The memory is the callers', whose own
	// admission should hold them back long before.
	maxQueuedBytes = 256 << 20
	maxQueued      = 1 << 20
)

// Options configure a Log. FS and Dir are required.
type Options struct {
	FS   vfs.FS
	Dir  string // made when it does not exist
	Sync SyncMode
	// FileBytes is the size of each preallocated file; default 64 MiB, 64 KiB to 2 GiB, a multiple of 4 KiB.
	FileBytes int64
	// MaxBytes bounds the log on disk; default 64 GiB, at least four files. Appends are refused two files
	// earlier, which leaves room for state, truncation and copied-forward frames.
	MaxBytes int64
	// TailBytes of the newest log are kept in memory for readers; default 256 MiB.
	TailBytes int64
	// DirectIO writes past the page cache where the file system can.
	DirectIO bool
	// OnRoll is told which partitions have batches in a file that was just sealed, on a goroutine of its own.
	// The owner answers with AppendState for each, so that a restart replays little and old files can go.
	OnRoll func([]*Partition)
	// OnFatal is called once, on a goroutine of its own, when a write or sync has failed for good.
	OnFatal func(error)

	Logger     *slog.Logger
	Registerer prometheus.Registerer // nil: metrics are kept and not registered
	Tracer     trace.Tracer          // spans wal.sync, of groups with appends that are traced; nil: none

	// salt makes the number that tells one life of a recycled file from the next; tests fix it.
	salt func() uint64
	// now is the wall clock in Unix milliseconds; tests fix it.
	now func() int64
}

func (o *Options) fill() error {
	if o.FS == nil || o.Dir == "" {
		return fmt.Errorf("wal: options need a file system and a directory")
	}
	if o.FileBytes == 0 {
		o.FileBytes = defaultFileBytes
	}
	if o.MaxBytes == 0 {
		o.MaxBytes = max(defaultMaxBytes, 4*o.FileBytes)
	}
	if o.TailBytes == 0 {
		o.TailBytes = defaultTailBytes
	}
	if o.FileBytes < minFileBytes || o.FileBytes > maxFileBytes || o.FileBytes%blockSize != 0 {
		return fmt.Errorf("wal: file size must be a multiple of %d from %d to %d: bytes=%d", blockSize, minFileBytes, maxFileBytes, o.FileBytes)
	}
	if o.MaxBytes < 4*o.FileBytes {
		return fmt.Errorf("wal: at least four files must fit: max=%d file=%d", o.MaxBytes, o.FileBytes)
	}
	if o.TailBytes < 0 {
		return fmt.Errorf("wal: negative tail size: bytes=%d", o.TailBytes)
	}
	if o.Sync > SyncOS {
		return fmt.Errorf("wal: unknown sync mode: mode=%d", o.Sync)
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.salt == nil {
		o.salt = randomSalt
	}
	if o.now == nil {
		o.now = wallClock
	}
	return nil
}
