package server

import (
	"strconv"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel/trace"

	"github.com/tidelinehq/tideline/broker/telemetry"
	"github.com/tidelinehq/tideline/broker/wire"
)

// metrics are resolved per API key at the start, so that a request looks up no label.
type metrics struct {
	accepted       *prometheus.CounterVec
	rejected       *prometheus.CounterVec
	paced          *prometheus.CounterVec
	closed         *prometheus.CounterVec
	requests       *prometheus.CounterVec
	receivedBytes  prometheus.Counter
	sentBytes      prometheus.Counter
	protocolErrors prometheus.Counter
	panics         prometheus.Counter
	admissionWaits prometheus.Counter
	apis           [wire.MaxKey + 1]apiMetrics
}

// apiMetrics are those of one API key; absent for keys outside the protocol.
type apiMetrics struct {
	bytes    prometheus.Counter
	seconds  prometheus.Observer
	versions [maxVersions]atomic.Pointer[prometheus.Counter] // made at first use
}

// maxVersions bounds the versions that are counted apart; those above share
// the last one.
const maxVersions = 32

func newMetrics(reg prometheus.Registerer, s *Server) *metrics {
	var collectors []prometheus.Collector
	counterVec := func(name, help string, labels ...string) *prometheus.CounterVec {
		v := prometheus.NewCounterVec(prometheus.CounterOpts{Name: "tideline_server_" + name, Help: help}, labels)
		collectors = append(collectors, v)
		return v
	}
	counter := func(name, help string) prometheus.Counter {
		c := prometheus.NewCounter(prometheus.CounterOpts{Name: "tideline_server_" + name, Help: help})
		collectors = append(collectors, c)
		return c
	}
	gauge := func(name, help string, value func() float64) {
		collectors = append(collectors, prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "tideline_server_" + name, Help: help}, value))
	}
	m := &metrics{
		accepted:       counterVec("connections_accepted_total", "Connections accepted.", "listener"),
		rejected:       counterVec("connections_rejected_total", "Connections closed on arrival.", "listener", "reason"),
		paced:          counterVec("connections_paced_total", "Connections that waited because their listener or the broker takes as many per second as it may.", "listener"),
		closed:         counterVec("connections_closed_total", "Connections ended.", "reason"),
		requests:       counterVec("requests_total", "Requests read.", "api", "version"),
		receivedBytes:  counter("received_bytes_total", "Bytes read from clients."),
		sentBytes:      counter("sent_bytes_total", "Bytes written to clients."),
		protocolErrors: counter("protocol_errors_total", "Connections closed for bytes that are no request."),
		panics:         counter("handler_panics_total", "Requests whose handler panicked."),
		admissionWaits: counter("admission_waits_total", "Requests that waited for the budget of request bytes."),
	}
	gauge("connections", "Open connections.", func() float64 { return float64(s.Connections()) })
	gauge("unauthenticated_connections", "Open connections whose client has yet to prove who it is.", func() float64 { return float64(s.Unauthenticated()) })
	gauge("in_flight_requests", "Requests without a written reply.", func() float64 { return float64(s.inFlight.Load()) })
	gauge("queued_request_bytes", "Bytes of request frames in memory.", func() float64 { return float64(s.admission.used()) })
	gauge("admission_waiting", "Connections that wait for the budget of request bytes.", func() float64 { return float64(s.admission.waiting()) })

	bytes := counterVec("request_bytes_total", "Bytes of requests.", "api")
	seconds := prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name: "tideline_server_request_seconds", Help: "From the read of a request to its reply.",
		Buckets: []float64{.00005, .0001, .00025, .0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30},
	}, []string{"api"})
	collectors = append(collectors, seconds)
	for key := range wire.MaxKey + 1 {
		if wire.KnownKey(key) {
			m.apis[key].bytes = bytes.WithLabelValues(wire.KeyName(key))
			m.apis[key].seconds = seconds.WithLabelValues(wire.KeyName(key))
		}
	}
	if reg != nil {
		reg.MustRegister(collectors...)
	}
	return m
}

// received counts a request; the key is in the protocol.
func (m *metrics) received(key, version int16, bytes int) {
	a := &m.apis[key]
	a.bytes.Add(float64(bytes))
	slot := &a.versions[min(max(version, 0), maxVersions-1)]
	c := slot.Load()
	if c == nil {
		made := m.requests.WithLabelValues(wire.KeyName(key), strconv.Itoa(int(min(max(version, 0), maxVersions-1))))
		c = &made
		slot.Store(c)
	}
	(*c).Inc()
}

// responded counts a reply; span is that of the request, nil when it is not traced.
func (m *metrics) responded(key int16, d time.Duration, span *trace.SpanContext) {
	if span != nil {
		telemetry.Observe(m.apis[key].seconds, d.Seconds(), *span)
		return
	}
	m.apis[key].seconds.Observe(d.Seconds())
}
