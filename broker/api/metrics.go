package api

import (
	"log/slog"

	"github.com/prometheus/client_golang/prometheus"
)

// levelRefusedBatch is the level at which a batch that its producer must not
// have sent is logged: often, when it happens, and the producer is told anyway.
const levelRefusedBatch = slog.LevelDebug

type metrics struct {
	refused, produceErrors, throttled, coldErrors, panics, expiredSessions prometheus.Counter
	authentications, errors                                                *prometheus.CounterVec
}

func newMetrics(a *API, registerer prometheus.Registerer) *metrics {
	counter := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{Namespace: "tideline", Subsystem: "api", Name: name, Help: help})
	}
	m := &metrics{
		refused:         counter("refused_requests_total", "Requests that could not be answered; their connections were closed."),
		produceErrors:   counter("produce_errors_total", "Record batches that were refused."),
		throttled:       counter("throttled_appends_total", "Appends that waited because the write-ahead log was full."),
		panics:          counter("panics_total", "Panics in request handlers; each closed a connection."),
		expiredSessions: counter("expired_sessions_total", "Connections closed because their clients did not prove anew in time who they are."),
		authentications: prometheus.NewCounterVec(prometheus.CounterOpts{
			Namespace: "tideline", Subsystem: "api", Name: "authentications_total", Help: "Attempts of clients to prove who they are.",
		}, []string{"mechanism", "result"}),
		errors: prometheus.NewCounterVec(prometheus.CounterOpts{
			Namespace: "tideline", Subsystem: "api", Name: "errors_total", Help: "Error codes in answers to clients, by API key and name of the code.",
		}, []string{"api", "error"}),
		coldErrors: counter("history_errors_total", "Fetches of a partition that the object store could not serve."),
	}
	sessions := prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Namespace: "tideline", Subsystem: "api", Name: "fetch_sessions", Help: "Incremental fetch sessions.",
	}, func() float64 { return float64(a.fetchSessions.len()) })
	budget := prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Namespace: "tideline", Subsystem: "api", Name: "response_budget_free_bytes", Help: "Bytes that fetch responses may still use.",
	}, func() float64 { return float64(a.responseBytes.free.Load()) })
	if registerer != nil {
		registerer.MustRegister(m.refused, m.produceErrors, m.throttled, m.coldErrors, m.panics, m.expiredSessions, m.authentications, m.errors, sessions, budget)
	}
	return m
}
