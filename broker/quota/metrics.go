package quota

import "github.com/prometheus/client_golang/prometheus"

type metrics struct {
	throttled, seconds [kinds]prometheus.Counter
}

func newMetrics(m *Manager, registerer prometheus.Registerer) *metrics {
	vec := func(name, help string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: "tideline", Subsystem: "quota", Name: name, Help: help}, []string{"kind"})
	}
	throttled := vec("throttled_total", "Requests and connections whose client was told to wait, by the quota that was the reason.")
	seconds := vec("throttle_seconds_total", "How long clients were told to wait, by the quota that was the reason.")
	out := new(metrics)
	for k := range kinds {
		out.throttled[k], out.seconds[k] = throttled.WithLabelValues(k.label()), seconds.WithLabelValues(k.label())
	}
	sensors := prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Namespace: "tideline", Subsystem: "quota", Name: "sensors", Help: "Clients and addresses whose rate is known.",
	}, func() float64 { return float64(m.sensors.len()) })
	if registerer != nil {
		registerer.MustRegister(throttled, seconds, sensors)
	}
	return out
}
