package clientmetrics

import "github.com/prometheus/client_golang/prometheus"

type metrics struct {
	throttled, unknown, refused, pushes, dropped, evicted prometheus.Counter
}

func newMetrics(m *Manager, registerer prometheus.Registerer) *metrics {
	counter := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{Namespace: "tideline", Subsystem: "client_metrics", Name: name, Help: help})
	}
	x := &metrics{
		throttled: counter("throttled_total", "Requests of clients that came before their next push interval."),
		unknown:   counter("unknown_subscription_total", "Pushes under a subscription id that is not the client's."),
		refused:   counter("refused_total", "Pushes that could not be read as metrics, or were too large."),
		pushes:    counter("pushes_total", "Pushes that were taken."),
		dropped:   counter("dropped_pushes_total", "Pushes that were dropped because the exporter's queue was full."),
		evicted:   counter("evicted_instances_total", "Instances of clients that were forgotten to make room for others."),
	}
	instances := prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Namespace: "tideline", Subsystem: "client_metrics", Name: "instances", Help: "Instances of clients that are known.",
	}, func() float64 {
		m.mu.Lock()
		defer m.mu.Unlock()
		return float64(len(m.instances))
	})
	if registerer != nil {
		registerer.MustRegister(x.throttled, x.unknown, x.refused, x.pushes, x.dropped, x.evicted, instances)
	}
	return x
}
