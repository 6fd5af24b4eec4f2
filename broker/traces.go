package broker

import (
	"go.opentelemetry.io/otel/trace"

	"github.com/tidelinehq/tideline/broker/telemetry"
	"github.com/tidelinehq/tideline/broker/trail"
	"github.com/tidelinehq/tideline/tiering"
	"github.com/tidelinehq/tideline/tiering/manifest"
)

// tieringLooks is how many batches of a run are looked into for a trace when it is uploaded: a run of the local log is one
// append, as a rule one batch.
const tieringLooks = 4

// producerTraces shows the tiering engine which traces wrote what it uploads.
type producerTraces struct {
	meta   *metadataHandle
	trail  *trail.Trail
	looker *trail.Looker
}

// walTracer is that of the write-ahead log, which knows of no traces but those that were let in. nil: it makes no spans.
func (b *Broker) walTracer() trace.Tracer {
	if b.tracer == nil {
		return nil
	}
	return telemetry.Granting{Tracer: b.tracer}
}

// producerTraces returns nil when tracing is off.
func (b *Broker) producerTraces() tiering.Traces {
	if b.tracer == nil {
		return nil
	}
	return &producerTraces{meta: b.meta, trail: b.trail, looker: b.looker}
}

var _ tiering.Traces = (*producerTraces)(nil)

// Between implements tiering.Traces.
func (p *producerTraces) Between(id manifest.ID, from, to int64, max int) []tiering.ProducerTrace {
	entries := p.trail.Between(id.Topic, id.Partition, from, to, max)
	if len(entries) == 0 {
		return nil
	}
	out := make([]tiering.ProducerTrace, len(entries))
	for i := range entries {
		out[i] = p.of(id, &entries[i])
	}
	return out
}

// Within implements tiering.Traces.
func (p *producerTraces) Within(id manifest.ID, batches []byte) (tiering.ProducerTrace, bool) {
	found := p.looker.Look(batches, tieringLooks, 1)
	if len(found) == 0 {
		return tiering.ProducerTrace{}, false
	}
	return p.of(id, &found[0]), true
}

func (p *producerTraces) of(id manifest.ID, e *trail.Entry) tiering.ProducerTrace {
	t := tiering.ProducerTrace{Parent: e.Context, First: e.First, Last: e.Last}
	if topic, ok := p.meta.Image().TopicByID(id.Topic); ok {
		t.Topic = topic.Name
	}
	return t
}
