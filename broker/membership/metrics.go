package membership

import "github.com/prometheus/client_golang/prometheus"

type metrics struct {
	leads                                                      prometheus.Gauge
	fences, changes, refused, unclean, moves, failures, yields prometheus.Counter
}

func newMetrics(registerer prometheus.Registerer) *metrics {
	counter := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{Name: "tideline_controller_" + name + "_total", Help: help})
	}
	m := &metrics{
		leads: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "tideline_controller_active", Help: "1 while this broker is the controller."}),
		fences:   counter("fenced_brokers", "Brokers that were taken out of service."),
		changes:  counter("partition_changes", "Changes of leaders, ISRs and replicas that the controller proposed."),
		refused:  counter("refused", "Proposals of the controller that the state had overtaken."),
		unclean:  counter("unclean_elections", "Leaders that were elected without all acknowledged records."),
		moves:    counter("moved_partitions", "Partitions of which a replica was moved to even out the brokers."),
		yields:   counter("yields", "Times at which this controller asked to be replaced because its disk was too slow."),
		failures: counter("failures", "Times at which the controller could not propose what was due."),
	}
	if registerer != nil {
		registerer.MustRegister(m.leads, m.fences, m.changes, m.refused, m.unclean, m.moves, m.failures, m.yields)
	}
	return m
}
