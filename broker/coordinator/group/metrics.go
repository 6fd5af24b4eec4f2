package group

import "github.com/prometheus/client_golang/prometheus"

type metrics struct {
	groups     *prometheus.GaugeVec // by kind and state
	members    prometheus.Gauge
	offsets    prometheus.Gauge
	rebalances prometheus.Counter
	completed  prometheus.Counter
	commits    prometheus.Counter
	expired    prometheus.Counter
	deleted    prometheus.Counter
	requests   *prometheus.CounterVec // by api
}

func newMetrics(reg prometheus.Registerer) *metrics {
	gauge := func(name, help string) prometheus.Gauge {
		return prometheus.NewGauge(prometheus.GaugeOpts{Namespace: "tideline", Subsystem: "group_coordinator", Name: name, Help: help})
	}
	counter := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{Namespace: "tideline", Subsystem: "group_coordinator", Name: name, Help: help})
	}
	m := &metrics{
		groups: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Namespace: "tideline", Subsystem: "group_coordinator", Name: "groups", Help: "Groups, by type and state.",
		}, []string{"type", "state"}),
		members:    gauge("members", "Members of all groups."),
		offsets:    gauge("offsets", "Committed offsets of all groups."),
		rebalances: counter("rebalances_total", "Rebalances begun."),
		completed:  counter("rebalances_completed_total", "Rebalances that ended in an assignment."),
		commits:    counter("offset_commits_total", "Offsets committed."),
		expired:    counter("offsets_expired_total", "Offsets removed because their retention was over."),
		deleted:    counter("offsets_deleted_total", "Offsets removed on request, or with their topic."),
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Namespace: "tideline", Subsystem: "group_coordinator", Name: "requests_total", Help: "Requests handled, by API key.",
		}, []string{"api"}),
	}
	for s := range numStates {
		m.groups.WithLabelValues(Classic.String(), s.String())
	}
	if reg != nil {
		reg.MustRegister(m.groups, m.members, m.offsets, m.rebalances, m.completed, m.commits, m.expired, m.deleted, m.requests)
	}
	return m
}

// count adds a group to the gauges, or with -1 takes it out.
func (m *metrics) count(g *group, sign float64) {
	m.groups.WithLabelValues(g.kind().String(), g.stateName()).Add(sign)
	m.members.Add(sign * float64(g.memberCount()))
	m.offsets.Add(sign * float64(len(g.offsets)))
}
