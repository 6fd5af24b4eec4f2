package share

import "github.com/prometheus/client_golang/prometheus"

type metrics struct {
	acquired    prometheus.Counter
	expired     prometheus.Counter
	writes      prometheus.Counter
	writeErrors prometheus.Counter
	loadErrors  prometheus.Counter
}

// newMetrics makes the metrics; registerer may be nil.
func newMetrics(m *Manager, registerer prometheus.Registerer) *metrics {
	counter := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{Name: name, Help: help})
	}
	x := &metrics{
		acquired:    counter("tideline_share_acquired_records_total", "Records that were acquired by members of share groups."),
		expired:     counter("tideline_share_lock_timeouts_total", "Times at which acquisition locks of a share partition ran out."),
		writes:      counter("tideline_share_state_writes_total", "Writes of the state of share partitions."),
		writeErrors: counter("tideline_share_state_write_errors_total", "Writes of the state of share partitions that failed."),
		loadErrors:  counter("tideline_share_load_errors_total", "Share partitions that could not be loaded."),
	}
	if registerer != nil {
		registerer.MustRegister(x.acquired, x.expired, x.writes, x.writeErrors, x.loadErrors,
			prometheus.NewGaugeFunc(prometheus.GaugeOpts{
				Name: "tideline_share_partitions", Help: "Share partitions of the partitions that this broker leads."},
				func() float64 {
					m.mu.Lock()
					defer m.mu.Unlock()
					return float64(m.count)
				}))
	}
	return x
}
