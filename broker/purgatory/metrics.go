package purgatory

import "github.com/prometheus/client_golang/prometheus"

type metrics struct {
	parked  prometheus.Gauge
	refused prometheus.Counter
}

// New makes an empty purgatory for at most max requests.
func New(max int, registerer prometheus.Registerer) *Purgatory {
	m := &metrics{
		parked: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "tideline_purgatory_parked_requests", Help: "Fetch requests that wait for records."}),
		refused: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "tideline_purgatory_refused_total", Help: "Requests that were answered at once because too many were parked."}),
	}
	if registerer != nil {
		registerer.MustRegister(m.parked, m.refused)
	}
	return &Purgatory{max: int64(max), metrics: m, parked: make(map[*Parked]struct{})}
}
