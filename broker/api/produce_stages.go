package api

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel/trace"

	"github.com/tidelinehq/tideline/broker/telemetry"
)

// produceStageBuckets are those of tideline_server_request_seconds, so that a stage and the whole can be laid over each other.
var produceStageBuckets = []float64{.00005, .0001, .00025, .0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30}

// measuredRequests is how many produce requests of a connection there are for one whose stages are measured. Each reads
// the clock some six times, which is a hundredth of what a small request costs.
const measuredRequests = 16

// measured says whether the stages of a request are measured, traced or not. The correlation id counts the requests of a
// connection: no counter is shared for it.
func measured(correlationID int32) bool { return correlationID%measuredRequests == 0 }

// produceStages says where the time of produce requests goes.
type produceStages struct {
	queue, decode, append, sync, replicate, acknowledge prometheus.Observer
}

func newProduceStages(registerer prometheus.Registerer) produceStages {
	seconds := prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Namespace: "tideline", Subsystem: "produce", Name: "stage_seconds", Buckets: produceStageBuckets,
		Help: "Time of a stage of a produce request, of one request in sixteen and of those that are traced: from its arrival to its handler; " +
			"decoding and validation; append; until it is durable here; then until it is on all replicas in sync; then until the answer is written.",
	}, []string{"stage"})
	if registerer != nil {
		registerer.MustRegister(seconds)
	}
	return produceStages{
		queue: seconds.WithLabelValues("queue"), decode: seconds.WithLabelValues("decode"), append: seconds.WithLabelValues("append"),
		sync: seconds.WithLabelValues("sync"), replicate: seconds.WithLabelValues("replicate"), acknowledge: seconds.WithLabelValues("acknowledge"),
	}
}

// stageTime is when a stage was; from or to may be zero: it was not.
type stageTime struct {
	h        prometheus.Observer
	from, to time.Time
}

func (s *stageTime) took() time.Duration {
	if s.from.IsZero() || s.to.IsZero() {
		return 0
	}
	return max(s.to.Sub(s.from), 0)
}

// count counts the time of a stage that was, with a span as its exemplar if it is valid.
func (s *stageTime) count(span trace.SpanContext) {
	if !s.from.IsZero() && !s.to.IsZero() {
		telemetry.Observe(s.h, s.took().Seconds(), span)
	}
}
