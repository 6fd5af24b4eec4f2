package share

import (
	"time"

	"github.com/tidelinehq/tideline/broker/coordinator"
	"github.com/twmb/franz-go/pkg/kerr"
)

// remove ends a share partition. One that is not there is removed already.
type remove struct{ request }

func (r *remove) decide(m *machine, _ time.Time) coordinator.Outcome {
	if r.key.Partition < 0 {
		return r.reply(refuse(kerr.InvalidRequest, negativePartition))
	}
	if a, unknown := r.unknown(); unknown {
		return r.reply(a)
	}
	if m.states[r.key] == nil {
		return r.reply(answer{})
	}
	return m.commit(&r.request, tombstone(r.key), nil, true, answer{})
}

// topicDeleted: a topic is gone, and with it all share partitions of it.
type topicDeleted struct{ id [16]byte }

func (t topicDeleted) decide(m *machine, _ time.Time) coordinator.Outcome {
	var out coordinator.Outcome
	for _, k := range m.keys() {
		if k.Topic == t.id {
			out.Follow = append(out.Follow, coordinator.Event{Key: k.String(), Access: coordinator.Exclusive, Body: forget{k}})
		}
	}
	return out
}

// forget removes a share partition of a deleted topic.
type forget struct{ key Key }

func (f forget) decide(m *machine, _ time.Time) coordinator.Outcome {
	if m.states[f.key] == nil {
		return coordinator.Outcome{}
	}
	return m.commit(&request{key: f.key}, tombstone(f.key), nil, true, nil)
}
