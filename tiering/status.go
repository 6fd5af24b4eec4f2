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

// lagCollector offers how far the bucket is behind, which is computed when it is asked for.
type lagCollector struct{ e *Engine }

var (
	pendingDesc = prometheus.NewDesc("tideline_tiering_pending_bytes",
		"Record batches of led partitions that are committed and not in the object store yet.", nil, nil)
	lagRecordsDesc = prometheus.NewDesc("tideline_tiering_recovery_point_lag_records",
		"Committed records of led partitions that are not in the object store yet: what a restore from the bucket alone would lose.", nil, nil)
	lagSecondsDesc = prometheus.NewDesc("tideline_tiering_recovery_point_lag_seconds",
		"Age of the oldest committed record of a led partition that is not in the object store yet.", nil, nil)
	overdueDesc = prometheus.NewDesc("tideline_tiering_roll_overdue_seconds",
		"How much longer than tier.roll.ms the oldest of them waits, of partitions that are not paused; 0 while all go up in time.", nil, nil)
	faultyDesc = prometheus.NewDesc("tideline_tiering_faulty_partitions",
		"Led partitions whose last upload failed for reasons of their own, as damage in the local log.", nil, nil)
	pausedDesc = prometheus.NewDesc("tideline_tiering_paused_partitions",
		"Led partitions with something to upload whose tiering is paused.", nil, nil)
)

// Describe implements prometheus.Collector.
func (c lagCollector) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{pendingDesc, lagRecordsDesc, lagSecondsDesc, overdueDesc, faultyDesc, pausedDesc} {
		ch <- d
	}
}

// Collect implements prometheus.Collector. Only partitions that wait are looked at: one in which nothing happens costs nothing.
func (c lagCollector) Collect(ch chan<- prometheus.Metric) {
	var pending, records int64
	var lag, overdue time.Duration
	var faulty, paused int
	now := c.e.o.Now()
	for _, l := range c.e.pendingLeases() {
		pending += l.hint.Load()
		p := l.status(now)
		records += p.LagRecords
		if p.Fault != nil {
			faulty++
		}
		if p.PendingBytes == 0 {
			continue
		}
		lag = max(lag, p.Lag)
		if p.Paused {
			paused++
			continue
		}
		overdue = max(overdue, p.Lag-l.src.Settings().RollAfter)
	}
	gauge := func(d *prometheus.Desc, v float64) { ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v) }
	gauge(pendingDesc, float64(pending))
	gauge(lagRecordsDesc, float64(records))
	gauge(lagSecondsDesc, lag.Seconds())
	gauge(overdueDesc, overdue.Seconds())
	gauge(faultyDesc, float64(faulty))
	gauge(pausedDesc, float64(paused))
}

// pendingLeases are those that have something to upload, as far as the engine was told.
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
