package transport

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Metrics are those of all listeners together; nil counts nothing.
type Metrics struct {
	reloads *prometheus.CounterVec
	expiry  *prometheus.GaugeVec
}

// NewMetrics registers the metrics; registerer may be nil.
func NewMetrics(registerer prometheus.Registerer) *Metrics {
	m := &Metrics{
		reloads: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "tideline_tls_reloads_total",
			Help: "Keys and certificates that were read anew: done, or failed, which leaves the ones before in force."}, []string{"listener", "result"}),
		expiry: prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "tideline_tls_certificate_expiry_seconds",
			Help: "When the certificate that the listener shows ends, in seconds since 1970."}, []string{"listener"}),
	}
	if registerer != nil {
		registerer.MustRegister(m.reloads, m.expiry)
	}
	return m
}

func (m *Metrics) reloaded(listener, result string) {
	if m != nil {
		m.reloads.WithLabelValues(listener, result).Inc()
	}
}

func (m *Metrics) expires(listener string, at time.Time) {
	if m != nil {
		m.expiry.WithLabelValues(listener).Set(float64(at.Unix()))
	}
}
