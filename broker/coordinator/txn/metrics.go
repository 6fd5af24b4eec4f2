package txn

import "github.com/prometheus/client_golang/prometheus"

type metrics struct {
	transactions *prometheus.GaugeVec // by state
	byState      [numStates]prometheus.Gauge
	timedOut     prometheus.Counter
	fenced       prometheus.Counter
	expired      prometheus.Counter
	requests     *prometheus.CounterVec // by api
	markers      *prometheus.CounterVec // by result
	pending      prometheus.Gauge
}

func newMetrics(reg prometheus.Registerer) *metrics {
	counter := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{Namespace: "tideline", Subsystem: "transaction_coordinator", Name: name, Help: help})
	}
	vec := func(name, help, label string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: "tideline", Subsystem: "transaction_coordinator", Name: name, Help: help}, []string{label})
	}
	m := &metrics{
		transactions: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Namespace: "tideline", Subsystem: "transaction_coordinator", Name: "transactional_ids", Help: "Transactional ids, by state.",
		}, []string{"state"}),
		timedOut: counter("transactions_timed_out_total", "Transactions aborted because they ran out of time."),
		fenced:   counter("transactions_fenced_total", "Transactions aborted because a new instance of their producer came."),
		expired:  counter("transactional_ids_expired_total", "Transactional ids forgotten because nobody used them."),
		requests: vec("requests_total", "Requests handled, by API key.", "api"),
		markers:  vec("markers_total", "Markers asked for, by what became of them: written, retried, obsolete, gone.", "result"),
		pending: prometheus.NewGauge(prometheus.GaugeOpts{
			Namespace: "tideline", Subsystem: "transaction_coordinator", Name: "markers_pending", Help: "Markers that are not written yet.",
		}),
	}
	for s := range numStates {
		m.byState[s] = m.transactions.WithLabelValues(s.String())
	}
	if reg != nil {
		reg.MustRegister(m.transactions, m.timedOut, m.fenced, m.expired, m.requests, m.markers, m.pending)
	}
	return m
}

// count adds a transactional id to the gauges, or with -1 takes it out.
func (m *metrics) count(t *transaction, sign float64) { m.byState[t.state].Add(sign) }
