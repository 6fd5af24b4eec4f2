package tiering

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// readMetrics are what the cold reader counts. Those of the cache and its memory are in package cache.
type readMetrics struct {
	gets struct{ blocks, index prometheus.Counter }

	fetched, filled, coalesced, repeated, corrupt, relocated prometheus.Counter
	useful, wasted, dropped, spared, stalls                  prometheus.Counter
	failed, refused                                          prometheus.Counter
	bytes                                                    prometheus.Counter
	latency                                                  prometheus.Histogram
}

func newReadMetrics(r prometheus.Registerer) *readMetrics {
	m := &readMetrics{}
	var all []prometheus.Collector
	counter := func(name, help string, labels prometheus.Labels) prometheus.Counter {
		c := prometheus.NewCounter(prometheus.CounterOpts{Name: "tideline_coldread_" + name, Help: help, ConstLabels: labels})
		all = append(all, c)
		return c
	}
	const gets = "GETs of the object store, by what was read."
	m.gets.blocks = counter("gets_total", gets, prometheus.Labels{"what": "blocks"})
	m.gets.index = counter("gets_total", gets, prometheus.Labels{"what": "index"})
	m.fetched = counter("fetched_bytes_total", "Bytes read from the object store.", nil)
	m.filled = counter("filled_blocks_total", "Blocks read from the object store.", nil)
	m.coalesced = counter("coalesced_blocks_total", "Blocks that came with the GET of the block before.", nil)
	m.repeated = counter("repeated_gets_total", "GETs repeated because bytes were short or damaged.", nil)
	m.corrupt = counter("corrupt_blocks_total", "Blocks that were damaged after a repeated GET.", nil)
	m.relocated = counter("relocations_total", "Objects that were gone, so that the ledger was asked again.", nil)
	const ahead = "Bytes of blocks read ahead, by whether the consumer came to them."
	m.useful = counter("readahead_bytes_total", ahead, prometheus.Labels{"outcome": "useful"})
	m.wasted = counter("readahead_bytes_total", ahead, prometheus.Labels{"outcome": "wasted"})
	m.dropped = counter("readahead_dropped_total", "Ranges not read ahead because the memory budget was used up.", nil)
	m.spared = counter("readahead_spared_total", "Streams whose read-ahead was given up for the memory.", nil)
	m.stalls = counter("readahead_stalls_total", "Reads of a sequential consumer that came before their block.", nil)
	m.failed = counter("failed_total", "Reads that failed.", nil)
	m.refused = counter("refused_total", "Reads and ranges refused because a queue was full.", nil)
	m.bytes = counter("read_bytes_total", "Bytes returned to consumers.", nil)
	m.latency = prometheus.NewHistogram(prometheus.HistogramOpts{
		Name: "tideline_coldread_read_seconds", Help: "Time of a Read that succeeded.", Buckets: prometheus.ExponentialBuckets(0.0001, 2.5, 13),
	})
	if r != nil {
		r.MustRegister(append(all, m.latency)...)
	}
	return m
}

func (m *readMetrics) served(bytes int, took time.Duration) {
	m.bytes.Add(float64(bytes))
	m.latency.Observe(took.Seconds())
}
