package api

import (
	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel/trace"

	"github.com/tidelinehq/tideline/broker/telemetry"
)

// fetchStages says where the time of fetches goes.
type fetchStages struct {
	purgatory, tail, wal, cache, object, send prometheus.Observer
}

func newFetchStages(registerer prometheus.Registerer) fetchStages {
	seconds := prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Namespace: "tideline", Subsystem: "fetch", Name: "stage_seconds", Buckets: produceStageBuckets,
		Help: "Time of a stage of a fetch or share fetch: waiting for records in the purgatory; reading from the tail in memory, from the files of the write-ahead log, " +
			"from the cache of blocks, from the object store; sending. A stage that a fetch does not have is not counted.",
	}, []string{"stage"})
	if registerer != nil {
		registerer.MustRegister(seconds)
	}
	return fetchStages{
		purgatory: seconds.WithLabelValues("purgatory"), tail: seconds.WithLabelValues("tail"), wal: seconds.WithLabelValues("wal"),
		cache: seconds.WithLabelValues("cache"), object: seconds.WithLabelValues("object"), send: seconds.WithLabelValues("send"),
	}
}

// observe counts the stages that are known when a fetch is answered. span is that of the fetch, where it has one.
func (s *fetchStages) observe(t *fetchTimes, span trace.SpanContext) {
	if t.waited > 0 {
		telemetry.Observe(s.purgatory, t.waited.Seconds(), span)
	}
	switch t.local {
	case localTail:
		telemetry.Observe(s.tail, t.found.Sub(t.looked).Seconds(), span)
	case localDisk:
		telemetry.Observe(s.wal, t.found.Sub(t.looked).Seconds(), span)
	}
	if t.asked.IsZero() {
		return
	}
	if t.cold.Waited {
		telemetry.Observe(s.object, t.came.Sub(t.asked).Seconds(), span)
	} else {
		telemetry.Observe(s.cache, t.came.Sub(t.asked).Seconds(), span)
	}
}
