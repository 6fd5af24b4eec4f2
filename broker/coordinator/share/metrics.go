package share

import "github.com/prometheus/client_golang/prometheus"

type metrics struct {
	partitions prometheus.Gauge
	batches    prometheus.Gauge
	snapshots  prometheus.Counter
	updates    prometheus.Counter
	deleted    prometheus.Counter
	fenced     *prometheus.CounterVec // by epoch
	pruned     prometheus.Counter
	requests   *prometheus.CounterVec // by api
}

func newMetrics(reg prometheus.Registerer) *metrics {
	gauge := func(name, help string) prometheus.Gauge {
		return prometheus.NewGauge(prometheus.GaugeOpts{Namespace: "tideline", Subsystem: "share_coordinator", Name: name, Help: help})
	}
	counter := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{Namespace: "tideline", Subsystem: "share_coordinator", Name: name, Help: help})
	}
	m := &metrics{
		partitions: gauge("share_partitions", "Share partitions whose state is kept here."),
		batches:    gauge("state_batches", "Batches of all share partitions."),
		snapshots:  counter("snapshots_total", "Snapshots of share partitions written."),
		updates:    counter("updates_total", "Updates of share partitions written."),
		deleted:    counter("deleted_total", "Share partitions deleted."),
		pruned:     counter("prunes_total", "Times that records of no more use were given up."),
		fenced: prometheus.NewCounterVec(prometheus.CounterOpts{
			Namespace: "tideline", Subsystem: "share_coordinator", Name: "fenced_total", Help: "Requests refused for an epoch that is over, by epoch.",
		}, []string{"epoch"}),
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Namespace: "tideline", Subsystem: "share_coordinator", Name: "requests_total", Help: "Requests handled, by API key.",
		}, []string{"api"}),
	}
	if reg != nil {
		reg.MustRegister(m.partitions, m.batches, m.snapshots, m.updates, m.deleted, m.pruned, m.fenced, m.requests)
	}
	return m
}

// count moves the gauges from one state of a share partition to the next; nil is none.
func (m *metrics) count(was, next *state) {
	if was != nil {
		m.partitions.Dec()
		m.batches.Sub(float64(len(was.batches)))
	}
	if next != nil {
		m.partitions.Inc()
		m.batches.Add(float64(len(next.batches)))
	}
}

func (m *metrics) wrote(snapshot, deleted bool) {
	switch {
	case deleted:
		m.deleted.Inc()
	case snapshot:
		m.snapshots.Inc()
	default:
		m.updates.Inc()
	}
}
