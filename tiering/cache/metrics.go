package cache

import "github.com/prometheus/client_golang/prometheus"

// Metrics are what the cache counts.
type Metrics struct {
	hits struct{ memory, disk prometheus.Counter }

	misses, joined, evicted                       prometheus.Counter
	diskWritten, diskDropped, diskBad, diskFailed prometheus.Counter
}

// NewMetrics makes the metrics and registers them when r is not nil. pool may be nil.
func NewMetrics(r prometheus.Registerer, pool *Pool) *Metrics {
	m := &Metrics{}
	var all []prometheus.Collector
	counter := func(name, help string, labels prometheus.Labels) prometheus.Counter {
		c := prometheus.NewCounter(prometheus.CounterOpts{Name: "tideline_cache_" + name, Help: help, ConstLabels: labels})
		all = append(all, c)
		return c
	}
	gauge := func(name, help string, f func(Stats) int64) {
		all = append(all, prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "tideline_cache_" + name, Help: help},
			func() float64 { return float64(f(pool.Stats())) }))
	}
	m.hits.memory = counter("hits_total", "Blocks found, by tier.", prometheus.Labels{"tier": "memory"})
	m.hits.disk = counter("hits_total", "Blocks found, by tier.", prometheus.Labels{"tier": "disk"})
	m.misses = counter("misses_total", "Blocks that were not in memory.", nil)
	m.joined = counter("joined_total", "Claims that joined a fill under way.", nil)
	m.evicted = counter("evicted_bytes_total", "Bytes that left the memory tier.", nil)
	m.diskWritten = counter("disk_written_bytes_total", "Bytes written to the disk tier.", nil)
	m.diskDropped = counter("disk_dropped_total", "Blocks not written to the disk tier because it was busy.", nil)
	m.diskBad = counter("disk_bad_total", "Blocks of the disk tier whose checksum did not match: read as misses.", nil)
	m.diskFailed = counter("disk_errors_total", "Failed reads and writes of the disk tier.", nil)
	if pool != nil {
		gauge("memory_used_bytes", "Memory of blocks in the cache, being filled or held by readers.", func(s Stats) int64 { return s.Used })
		gauge("memory_idle_bytes", "Memory kept for reuse.", func(s Stats) int64 { return s.Idle })
		gauge("memory_limit_bytes", "Budget of used and idle memory.", func(s Stats) int64 { return s.Limit })
		all = append(all, prometheus.NewCounterFunc(prometheus.CounterOpts{
			Name: "tideline_cache_memory_waits_total", Help: "Allocations that had to wait for the budget.",
		}, func() float64 { return float64(pool.Stats().Waits) }))
	}
	if r != nil {
		r.MustRegister(all...)
	}
	return m
}
