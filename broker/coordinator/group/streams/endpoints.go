package streams

import (
	"slices"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// endpoints says for every member that answers queries which partitions it has the state
// of: those of the topics that its tasks read. The member that asks comes last, with the
// tasks that it has just got. While topics are missing there is nothing to say.
func (d *decision) endpoints(asks *Member) []kmsg.StreamsGroupHeartbeatResponsePartitionsByUserEndpoint {
	out := []kmsg.StreamsGroupHeartbeatResponsePartitionsByUserEndpoint{}
	if d.g.configured.Subtopologies == nil {
		return out
	}
	for _, m := range d.g.members {
		if m.ID != asks.ID && m.Endpoint != nil {
			out = append(out, d.endpoint(m))
		}
	}
	if asks.Endpoint != nil {
		out = append(out, d.endpoint(asks))
	}
	return out
}

func (d *decision) endpoint(m *Member) kmsg.StreamsGroupHeartbeatResponsePartitionsByUserEndpoint {
	e := kmsg.NewStreamsGroupHeartbeatResponsePartitionsByUserEndpoint()
	e.UserEndpoint.Host, e.UserEndpoint.Port = m.Endpoint.Host, m.Endpoint.Port
	e.ActivePartitions = []kmsg.StreamsGroupHeartbeatResponsePartitionsByUserEndpointActivePartition{}
	e.StandbyPartitions = []kmsg.StreamsGroupHeartbeatResponsePartitionsByUserEndpointStandbyPartition{}
	d.partitions(m.Assigned.Active, func(topic string, partitions []int32) {
		p := kmsg.NewStreamsGroupHeartbeatResponsePartitionsByUserEndpointActivePartition()
		p.Topic, p.Partitions = topic, partitions
		e.ActivePartitions = append(e.ActivePartitions, p)
	})
	d.partitions(m.Assigned.Standby, func(topic string, partitions []int32) {
		p := kmsg.NewStreamsGroupHeartbeatResponsePartitionsByUserEndpointStandbyPartition()
		p.Topic, p.Partitions = topic, partitions
		e.StandbyPartitions = append(e.StandbyPartitions, p)
	})
	return e
}

// partitions calls fn with the partitions of each topic that the tasks read. A topic that
// is narrower than its subtopology has none for the tasks beyond its end.
func (d *decision) partitions(tasks TaskSet, fn func(topic string, partitions []int32)) {
	for _, id := range tasks.ids() {
		s := d.g.configured.subtopology(id.SubtopologyID)
		if s == nil {
			continue
		}
		topics := slices.Clone(s.Sources)
		for _, it := range s.RepartitionSources {
			topics = append(topics, it.Name)
		}
		slices.Sort(topics)
		for _, topic := range topics {
			n, ok := d.env.Topics.Partitions(topic)
			if !ok {
				continue
			}
			fn(topic, slices.DeleteFunc(slices.Clone(id.Partitions), func(p int32) bool { return p >= n }))
		}
	}
}
