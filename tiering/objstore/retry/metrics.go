package retry

import (
	"errors"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/tidelinehq/tideline/tiering/objstore"
)

// metrics of one wrapped store. Label kind is that of the key (data, manifest, metadata, root, probe, other).
type metrics struct {
	attempts   *prometheus.CounterVec   // operation, kind, status
	operations *prometheus.CounterVec   // operation, kind, outcome
	duration   *prometheus.HistogramVec // operation; of attempts
	bytes      *prometheus.CounterVec   // direction
	hedges     *prometheus.CounterVec   // outcome
	inflight   *prometheus.GaugeVec     // operation
	budget     prometheus.Gauge
}

// Outcomes of operations.
const (
	outcomeOK        = "ok"        // at the first attempt
	outcomeRecovered = "recovered" // after repetitions
	outcomeRefused   = "refused"   // an error that repeating does not mend
	outcomeExhausted = "exhausted" // all attempts failed
	outcomeBudget    = "budget"    // not repeated, because the budget was spent
	outcomeCanceled  = "canceled"  // the caller's context ended
)

func newMetrics(reg prometheus.Registerer) (*metrics, error) {
	const ns, sub = "tideline", "objstore"
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: ns, Subsystem: sub, Name: name, Help: help}, labels)
	}
	m := &metrics{
		attempts:   counter("attempts_total", "Requests sent to the object store, by operation, kind of object and class of answer.", "operation", "kind", "status"),
		operations: counter("operations_total", "Calls to the object store, with their repetitions, by operation, kind of object and outcome.", "operation", "kind", "outcome"),
		duration: prometheus.NewHistogramVec(prometheus.HistogramOpts{Namespace: ns, Subsystem: sub, Name: "attempt_duration_seconds",
			Help:    "Time of one request; for get until the answer began.",
			Buckets: prometheus.ExponentialBuckets(0.001, 2, 16)}, []string{"operation"}),
		bytes:    counter("transferred_bytes_total", "Bytes of objects sent (repetitions included) and received.", "direction"),
		hedges:   counter("hedges_total", "Slow reads: second request won, lost, or was denied by the budget.", "outcome"),
		inflight: prometheus.NewGaugeVec(prometheus.GaugeOpts{Namespace: ns, Subsystem: sub, Name: "inflight_operations", Help: "Calls under way."}, []string{"operation"}),
		budget:   prometheus.NewGauge(prometheus.GaugeOpts{Namespace: ns, Subsystem: sub, Name: "retry_budget_tokens", Help: "Repetitions that may be made at once."}),
	}
	if reg == nil {
		return m, nil
	}
	// Several stores may share a registerer: then they share the metrics.
	return m, errors.Join(register(reg, &m.attempts), register(reg, &m.operations), register(reg, &m.duration), register(reg, &m.bytes),
		register(reg, &m.hedges), register(reg, &m.inflight), register(reg, &m.budget))
}

func register[C prometheus.Collector](reg prometheus.Registerer, c *C) error {
	err := reg.Register(*c)
	var already prometheus.AlreadyRegisteredError
	if errors.As(err, &already) {
		existing, ok := already.ExistingCollector.(C)
		if !ok {
			return err
		}
		*c = existing
		return nil
	}
	return err
}

func (m *metrics) attempt(op, kind string, err error, elapsed time.Duration) {
	m.attempts.WithLabelValues(op, kind, statusOf(err)).Inc()
	m.duration.WithLabelValues(op).Observe(elapsed.Seconds())
}

// statusOf is the class of an answer as label and log value: from a small, fixed set.
func statusOf(err error) string {
	if err == nil {
		return "ok"
	}
	switch objstore.ClassOf(err) {
	case objstore.ErrNotFound:
		return "not_found"
	case objstore.ErrPrecondition:
		return "precondition"
	case objstore.ErrDenied:
		return "denied"
	case objstore.ErrCorrupt:
		return "corrupt"
	case objstore.ErrRange:
		return "range"
	case objstore.ErrInvalid:
		return "invalid"
	case objstore.ErrUnavailable:
		if errors.Is(err, errTimeout) {
			return "timeout"
		}
		var e *objstore.Error
		if !errors.As(err, &e) || e.Status == 0 {
			return "network"
		}
		if e.Code == "SlowDown" || e.Code == "SlowDownRead" || e.Code == "SlowDownWrite" || e.Status == 429 {
			return "slow_down"
		}
		switch e.Status {
		case 409, 500, 502, 503, 504:
			return strconv.Itoa(e.Status)
		}
		return strconv.Itoa(e.Status/100) + "xx"
	}
	return "canceled"
}

// kindOf is the kind of object that a call is about. Keys come from us, so the set is small.
func kindOf(key string) string {
	kind, _, _ := objstore.ParseKey(key)
	return kind.String()
}
