package replication

import "github.com/prometheus/client_golang/prometheus"

type metrics struct {
	links         prometheus.Gauge
	sentBytes     prometheus.Counter
	receivedBytes prometheus.Counter
	rejoins       prometheus.Counter
	restarts      prometheus.Counter
	reopened      prometheus.Counter
	unreadable    prometheus.Counter
	stalls        prometheus.Counter
	throttled     prometheus.Counter
	isrChanges    *prometheus.CounterVec
}

func newMetrics(registerer prometheus.Registerer) *metrics {
	counter := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{Name: "tideline_replication_" + name, Help: help})
	}
	m := &metrics{
		links: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "tideline_replication_links", Help: "Followers' brokers to which this one pushes."}),
		sentBytes:     counter("sent_bytes_total", "Bytes of record batches that were pushed to followers."),
		receivedBytes: counter("received_bytes_total", "Bytes of record batches that were taken from leaders."),
		rejoins:       counter("rejoins_total", "Followers that were told to begin where the object store ends."),
		restarts:      counter("restarts_total", "Replicas here that began anew where the object store ends."),
		reopened:      counter("reopened_total", "Partitions that were out of step on a stream and were opened again."),
		unreadable:    counter("unreadable_total", "Followers that can not be fed because this broker's log is damaged."),
		stalls:        counter("stalls_total", "Appends of leaders that waited for room in the write-ahead log."),
		throttled:     counter("throttled_total", "Times that a partition waited because its follower is throttled."),
		isrChanges: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "tideline_replication_isr_changes_total", Help: "Changes of ISRs that this broker asked for, by what became of them."},
			[]string{"result"}),
	}
	if registerer != nil {
		registerer.MustRegister(m.all()...)
	}
	return m
}

func (m *metrics) all() []prometheus.Collector {
	return []prometheus.Collector{
		m.links, m.sentBytes, m.receivedBytes, m.rejoins, m.restarts, m.reopened, m.unreadable, m.stalls, m.throttled, m.isrChanges,
	}
}

func (m *metrics) unregister(registerer prometheus.Registerer) {
	if registerer == nil {
		return
	}
	for _, c := range m.all() {
		registerer.Unregister(c)
	}
}
