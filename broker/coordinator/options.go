package coordinator

import (
	"errors"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Options of a Runtime. Zero values take the defaults named here.
type Options struct {
	// Subsystem names the metrics: tideline_<Subsystem>_…; required.
	Subsystem string
	// Log is the internal topic; required.
	Log Log
	// New makes the empty state of one partition at one epoch; required.
	New func(partition, epoch int32) Machine

	// MaxPending bounds the requests under way per shard, parked ones included. 16384.
	MaxPending int
	// MaxBatchBytes bounds a batch, uncompressed. 1 MiB - 1 KiB, below Kafka's default message.max.bytes.
	MaxBatchBytes int
	// MaxReplayBytes bounds the decompressed bytes of one batch that is replayed. 64 MiB.
	MaxReplayBytes int
	// MaxInFlight bounds the appends under way per shard. 8.
	MaxInFlight int
	// CommitTimeout is how long a request waits for its records to be committed. 5 s.
	CommitTimeout time.Duration
	// RetryPause is the pause before a failed replay, or a timer whose records
	// could not be appended, is tried again. A replay's pause doubles up to 30 times this. 1 s.
	RetryPause time.Duration

	// Now is the clock; time.Now.
	Now func() time.Time
	// Logger; discards if nil.
	Logger *slog.Logger
	// Registerer of the metrics; may be nil.
	Registerer prometheus.Registerer
}

func (o Options) withDefaults() (Options, error) {
	if o.Subsystem == "" || o.Log == nil || o.New == nil {
		return o, errors.New("coordinator: Subsystem, Log and New are required")
	}
	def := func(p *int, v int) {
		if *p <= 0 {
			*p = v
		}
	}
	def(&o.MaxPending, 16384)
	def(&o.MaxBatchBytes, 1<<20-1<<10)
	def(&o.MaxReplayBytes, 64<<20)
	def(&o.MaxInFlight, 8)
	if o.CommitTimeout <= 0 {
		o.CommitTimeout = 5 * time.Second
	}
	if o.RetryPause <= 0 {
		o.RetryPause = time.Second
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return o, nil
}
