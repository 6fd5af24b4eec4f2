package audit

import "github.com/prometheus/client_golang/prometheus"

type metrics struct {
	events            *prometheus.CounterVec
	heldBack, dropped prometheus.Counter
}

func newMetrics(r prometheus.Registerer) *metrics {
	m := &metrics{
		events: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "tideline_audit_events_total", Help: "Authentications, denials and changes, whether they were written down or not.",
		}, []string{"event", "result"}),
		heldBack: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "tideline_audit_held_back_total", Help: "Events that were not written down, because there were too many of their kind in one second.",
		}),
		dropped: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "tideline_audit_dropped_total", Help: "Events that did not get into the audit topic.",
		}),
	}
	if r != nil {
		r.MustRegister(m.events, m.heldBack, m.dropped)
	}
	return m
}
