package manifest

import "github.com/prometheus/client_golang/prometheus"

type metrics struct {
	hits, misses prometheus.Counter
	bytes        prometheus.Gauge
}

func newMetrics(r prometheus.Registerer) *metrics {
	m := &metrics{
		hits: prometheus.NewCounter(prometheus.CounterOpts{Name: "tideline_manifest_page_hits_total",
			Help: "Manifest pages found in the page cache."}),
		misses: prometheus.NewCounter(prometheus.CounterOpts{Name: "tideline_manifest_page_misses_total",
			Help: "Manifest pages not in the page cache; those that miss at once share one read."}),
		bytes: prometheus.NewGauge(prometheus.GaugeOpts{Name: "tideline_manifest_page_cache_bytes",
			Help: "Memory of the decoded pages in the page cache."}),
	}
	if r != nil {
		r.MustRegister(m.hits, m.misses, m.bytes)
	}
	return m
}
