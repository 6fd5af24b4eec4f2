package tiering

import (
	"context"
	"crypto/rand"
	"fmt"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/noop"

	"github.com/tidelinehq/tideline/internal/vfs"
	"github.com/tidelinehq/tideline/tiering/manifest"
	"github.com/tidelinehq/tideline/tiering/objstore"
)

// Options are the parts and settings of an Engine. Zero settings mean the default in brackets.
type Options struct {
	Ledger Ledger
	Store  objstore.Store
	FS     vfs.FS
	Dir    string // spool folder, below data.dir; this engine alone uses it

	Uploads              int   // objects built and put at once [2]; each may use the spool for MaxObjectBytes, and compaction for MaxSegmentBytes
	LargeBytes           int64 // a partition with so much pending gets an object of its own [32 MiB]
	MaxObjectBytes       int64 // batches in one object [1 GiB]
	MaxSegmentBytes      int64 // batches of one partition in one object [512 MiB]
	SplitBytes           int64 // a retention class with so much pending gets bundles of its own [32 MiB]
	MemoryBytes          int   // objects up to this size are built in memory [8 MiB]
	ReadBytes            int   // one read of a Source [4 MiB]
	UploadBytesPerSecond int64 // limit on what is put, below produce priority [no limit]

	SpillAt   int // hot entries of a partition from which on the oldest are paged out [64]
	SpillKeep int // hot entries that stay [16]

	Grace         time.Duration // from garbage to deletion: readers of old views finish meanwhile [1 h]
	PutTimeout    time.Duration // for one object, all attempts; less than Grace [15 min]
	CleanInterval time.Duration // between looks at garbage, purges and abandoned intents [30 s]
	HeadSpread    time.Duration // a new leader learns the oldest segment of a paged partition within this time [5 min]

	CompactOff            bool          // nothing is compacted
	CompactKeyBytes       int64         // the map of keys of one round, at most; it exists only while a round runs [128 MiB]
	CompactKeyLoad        float64       // the part of its slots that may be taken [0.9]
	CompactBytesPerSecond int64         // what compaction reads and writes in the object store, at most [no limit]
	CompactInterval       time.Duration // between looks for partitions that are due, when none was [15 s]

	// Locator finds older segments. The broker shares one between engine and cold reader; see NewLocator.
	Locator *manifest.Locator
	// WALUsage tells bytes used and allowed, for the status. May be nil.
	WALUsage func() (used, limit int64)
	// Fence returns an error when this cluster may no longer write to the bucket, because a restored one took it over. It is
	// asked before every PUT and every deletion. May be nil.
	Fence func(context.Context) error

	Now        func() time.Time      // [time.Now]
	NewID      func() [16]byte       // object ids [random]
	Logger     *slog.Logger          // [discards]
	Tracer     trace.Tracer          // spans of rolls, compaction, retention and upkeep [none]
	Traces     Traces                // what is known of producers' traces; nil: nothing
	Registerer prometheus.Registerer // may be nil
}

func (o *Options) setDefaults() error {
	def := func(p *int64, v int64) {
		if *p == 0 {
			*p = v
		}
	}
	defInt := func(p *int, v int) {
		if *p == 0 {
			*p = v
		}
	}
	defTime := func(p *time.Duration, v time.Duration) {
		if *p == 0 {
			*p = v
		}
	}
	defInt(&o.Uploads, 2)
	def(&o.LargeBytes, 32<<20)
	def(&o.MaxObjectBytes, 1<<30)
	def(&o.MaxSegmentBytes, min(512<<20, o.MaxObjectBytes))
	def(&o.SplitBytes, 32<<20)
	defInt(&o.MemoryBytes, 8<<20)
	defInt(&o.ReadBytes, 4<<20)
	defInt(&o.SpillAt, 64)
	defInt(&o.SpillKeep, 16)
	defTime(&o.Grace, time.Hour)
	defTime(&o.PutTimeout, min(15*time.Minute, o.Grace/2))
	defTime(&o.CleanInterval, 30*time.Second)
	defTime(&o.HeadSpread, 5*time.Minute)
	def(&o.CompactKeyBytes, 128<<20)
	if o.CompactKeyLoad == 0 {
		o.CompactKeyLoad = 0.9
	}
	defTime(&o.CompactInterval, 15*time.Second)
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.NewID == nil {
		o.NewID = func() (id [16]byte) {
			rand.Read(id[:]) // never fails
			return id
		}
	}
	if o.Tracer == nil {
		o.Tracer = noop.NewTracerProvider().Tracer("")
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	switch {
	case o.Ledger == nil || o.Store == nil || o.FS == nil || o.Locator == nil || o.Dir == "":
		return fmt.Errorf("tiering: a part is missing ledger=%t store=%t fs=%t locator=%t dir=%q",
			o.Ledger != nil, o.Store != nil, o.FS != nil, o.Locator != nil, o.Dir)
	case o.Uploads < 1 || o.LargeBytes < 1 || o.MaxSegmentBytes < 1 || o.SplitBytes < 1 || o.MemoryBytes < 1 || o.ReadBytes < 1 || o.UploadBytesPerSecond < 0:
		return fmt.Errorf("tiering: a size or count is not positive uploads=%d large=%d segment=%d split=%d memory=%d read=%d rate=%d",
			o.Uploads, o.LargeBytes, o.MaxSegmentBytes, o.SplitBytes, o.MemoryBytes, o.ReadBytes, o.UploadBytesPerSecond)
	case o.CompactKeyBytes < 48 || o.CompactKeyLoad < 0 || o.CompactKeyLoad > 0.99 || o.CompactBytesPerSecond < 0 || o.CompactInterval < 0:
		return fmt.Errorf("tiering: a bound of compaction is out of range keyBytes=%d load=%g rate=%d interval=%s",
			o.CompactKeyBytes, o.CompactKeyLoad, o.CompactBytesPerSecond, o.CompactInterval)
	case o.MaxObjectBytes < 1 || o.MaxObjectBytes > 4<<30:
		// Indexes and producer states come on top, and one PUT takes 5 GiB.
		return fmt.Errorf("tiering: object size out of range bytes=%d max=%d", o.MaxObjectBytes, int64(4<<30))
	case o.SpillKeep < 1 || o.SpillAt <= o.SpillKeep || o.SpillAt > 128:
		return fmt.Errorf("tiering: spill bounds out of range at=%d keep=%d", o.SpillAt, o.SpillKeep)
	case o.Grace <= 0 || o.PutTimeout <= 0 || o.PutTimeout >= o.Grace:
		return fmt.Errorf("tiering: a put must end before its garbage may go put=%s grace=%s", o.PutTimeout, o.Grace)
	}
	return nil
}

// NewLocator returns a locator over the ledger and the pages in the store. cacheBytes bounds its memory.
func NewLocator(l Ledger, store objstore.Store, cacheBytes int64, r prometheus.Registerer) *manifest.Locator {
	return manifest.NewLocator(manifest.LocatorOptions{
		View: l.View, Generation: l.Generation,
		ReadPage: func(ctx context.Context, ref manifest.PageRef) ([]byte, error) {
			b := make([]byte, ref.Size)
			_, err := objstore.ReadRange(ctx, store, objstore.PagesKey(ref.Object), ref.Position, b)
			return b, err
		},
		CacheBytes: cacheBytes,
		Registerer: r,
	})
}
