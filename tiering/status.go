package tiering

import (
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/tidelinehq/tideline/tiering/manifest"
)

// Status is what the engine of one broker is doing.
type Status struct {
	Partitions []PartitionStatus // led by this broker, by topic id and number
	Total      PartitionStatus   // sums; the lag is the greatest

	Store, LedgerHealth Health
	WALUsed, WALLimit   int64         // bytes; zero when not known
	WALFullIn           time.Duration // while the store fails: when the WAL is full at the rate since; negative: not known
	ParkedGarbage       int           // objects that could not be deleted and wait for another try
}

// Health says since when something fails; the zero value: it does not.
type Health struct {
	Since    time.Time
	Failures int
	RetryAt  time.Time
	Err      error
}

// PartitionStatus is one led partition. The recovery point lag, what a restore from the bucket alone would lose, is what
// lies between the tiered offset and the high watermark: none when they are equal.
type PartitionStatus struct {
	ID                              manifest.ID
	LogStart, Tiered, HighWatermark int64
	LagRecords                      int64
	Lag                             time.Duration // age of the oldest record that is not in the bucket
	PendingBytes                    int64         // of record batches
	Segments, LogBytes, StoredBytes int64         // in the bucket
	HotSegments                     int
	Paused                          bool
	Fault                           error // why the partition's last upload failed, when that was its own doing
}

// Status looks at every led partition: for people and tools, not for a hot path.
func (e *Engine) Status() Status {
	now := e.o.Now()
	e.mu.Lock()
	leases := make([]*Lease, 0, len(e.leases))
	for _, l := range e.leases {
		leases = append(leases, l)
	}
	h, parked := e.health, len(e.parked)
	e.mu.Unlock()
	slices.SortFunc(leases, func(a, b *Lease) int { return compareID(a.id, b.id) })

	s := Status{Store: h.store.health(), LedgerHealth: h.ledger.health(), WALFullIn: -1, ParkedGarbage: parked}
	t := &s.Total
	for _, l := range leases {
		p := l.status(now)
		s.Partitions = append(s.Partitions, p)
		t.LagRecords += p.LagRecords
		t.Lag = max(t.Lag, p.Lag)
		t.PendingBytes += p.PendingBytes
		t.Segments += p.Segments
		t.LogBytes += p.LogBytes
		t.StoredBytes += p.StoredBytes
		t.HotSegments += p.HotSegments
	}
	if e.o.WALUsage != nil {
		s.WALUsed, s.WALLimit = e.o.WALUsage()
		if h.store.failures > 0 {
			s.WALFullIn = fullIn(s.WALLimit-s.WALUsed, e.advanced.Load()-h.advancedAtFail, now.Sub(h.store.since))
		}
	}
	return s
}

// fullIn is when free bytes are used up at the rate of bytes in a time; negative: not at all.
func fullIn(free, bytes int64, in time.Duration) time.Duration {
	if free <= 0 {
		return 0
	}
	if bytes <= 0 || in <= 0 {
		return -1
	}
	seconds := float64(free) / float64(bytes) * in.Seconds()
	if seconds > 1e9 {
		return -1
	}
	return time.Duration(seconds * float64(time.Second))
}

func (b *backoff) health() Health { return Health{b.since, b.failures, b.retryAt, b.err} }

func (l *Lease) status(now time.Time) PartitionStatus {
	st := l.src.Status()
	p := PartitionStatus{ID: l.id, HighWatermark: st.HighWatermark, PendingBytes: st.PendingBytes, Paused: l.src.Settings().Paused}
	if v, ok := l.e.o.Ledger.View(l.id.Topic, l.id.Partition); ok {
		p.LogStart, p.Tiered = v.LogStart, v.Tiered
		p.Segments, p.LogBytes, p.StoredBytes, p.HotSegments = v.Segments, v.LogBytes, v.StoredBytes, len(v.Hot)
		p.LagRecords = max(st.HighWatermark-max(v.Tiered, v.LogStart), 0)
	}
	if p.LagRecords > 0 && !st.OldestPending.IsZero() {
		p.Lag = max(now.Sub(st.OldestPending), 0)
	}
	if f := l.fault.Load(); f != nil {
		p.Fault = *f
	}
	return p
}

// registerGauges offers what is computed when it is asked for.
func (e *Engine) registerGauges(r prometheus.Registerer) {
	if r == nil {
		return
	}
	r.MustRegister(
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "tideline_tiering_pending_bytes",
			Help: "Record batches of led partitions that are committed and not in the object store yet."}, func() float64 {
			var n int64
			for _, l := range e.pendingLeases() {
				n += l.hint.Load()
			}
			return float64(n)
		}),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "tideline_tiering_recovery_point_lag_seconds",
			Help: "Age of the oldest committed record of a led partition that is not in the object store yet."}, func() float64 {
			now, lag := e.o.Now(), time.Duration(0)
			for _, l := range e.pendingLeases() {
				if st := l.src.Status(); st.PendingBytes > 0 {
					lag = max(lag, now.Sub(st.OldestPending))
				}
			}
			return lag.Seconds()
		}),
	)
}

func (e *Engine) pendingLeases() (out []*Lease) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, l := range e.leases {
		if l.hint.Load() > 0 {
			out = append(out, l)
		}
	}
	return out
}
