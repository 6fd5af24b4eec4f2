package coordinator

import (
	"errors"

	"github.com/prometheus/client_golang/prometheus"
)

type metrics struct {
	shards        *prometheus.GaugeVec // by state: loading, active
	pending       prometheus.Gauge
	refused       *prometheus.CounterVec // by reason
	appends       *prometheus.CounterVec // by result
	appendSeconds prometheus.Histogram
	loadSeconds   prometheus.Histogram
	loadFailures  prometheus.Counter
	loadRecords   prometheus.Counter
	skipped       prometheus.Counter
}

func newMetrics(subsystem string, reg prometheus.Registerer) *metrics {
	name := func(what string) (string, string) { return "tideline", subsystem + "_" + what }
	counter := func(what, help string) prometheus.CounterOpts {
		ns, n := name(what)
		return prometheus.CounterOpts{Namespace: ns, Name: n, Help: help}
	}
	gauge := func(what, help string) prometheus.GaugeOpts {
		ns, n := name(what)
		return prometheus.GaugeOpts{Namespace: ns, Name: n, Help: help}
	}
	histogram := func(what, help string, start float64) prometheus.HistogramOpts {
		ns, n := name(what)
		return prometheus.HistogramOpts{Namespace: ns, Name: n, Help: help, Buckets: prometheus.ExponentialBuckets(start, 2, 16)}
	}
	m := &metrics{
		shards:        prometheus.NewGaugeVec(gauge("shards", "Partitions that this broker coordinates, by state."), []string{"state"}),
		pending:       prometheus.NewGauge(gauge("requests_pending", "Requests that wait for an answer, parked ones included.")),
		refused:       prometheus.NewCounterVec(counter("requests_refused_total", "Requests refused by the runtime, by reason."), []string{"reason"}),
		appends:       prometheus.NewCounterVec(counter("appends_total", "Batches appended to the internal topic, by result."), []string{"result"}),
		appendSeconds: prometheus.NewHistogram(histogram("append_seconds", "Time from append to commit of a batch.", 0.0001)),
		loadSeconds:   prometheus.NewHistogram(histogram("load_seconds", "Time to replay a partition.", 0.001)),
		loadFailures:  prometheus.NewCounter(counter("load_failures_total", "Replays that failed and were tried again.")),
		loadRecords:   prometheus.NewCounter(counter("load_records_total", "Records replayed.")),
		skipped:       prometheus.NewCounter(counter("load_records_skipped_total", "Records and batches skipped in a replay because they could not be understood.")),
	}
	if reg != nil {
		reg.MustRegister(m.shards, m.pending, m.refused, m.appends, m.appendSeconds, m.loadSeconds, m.loadFailures, m.loadRecords, m.skipped)
	}
	return m
}

func resultOf(err error) string {
	switch {
	case err == nil:
		return "committed"
	case errors.Is(err, ErrNotLeader):
		return "not_leader"
	case errors.Is(err, ErrTooLarge):
		return "too_large"
	default:
		return "failed"
	}
}
