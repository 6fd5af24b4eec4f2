package group

import (
	"time"

	"github.com/tidelinehq/tideline/broker/coordinator"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// offsetDelete is an OffsetDelete request; topics as in offsetCommit.
type offsetDelete struct {
	req    *kmsg.OffsetDeleteRequest
	topics []resolved
	call   *coordinator.Call
}

func deleteOffsetsError(code int16) *kmsg.OffsetDeleteResponse {
	r := kmsg.NewPtrOffsetDeleteResponse()
	r.ErrorCode = code
	return r
}

func (o *offsetDelete) decide(m *machine, _ time.Time) coordinator.Outcome {
	var out coordinator.Outcome
	g := m.groups[o.req.Group]
	resp := deleteOffsetsError(0)
	out.Replies = []coordinator.Reply{{To: o.call, Body: resp}}
	switch {
	case g == nil:
		resp.ErrorCode = kerr.GroupIDNotFound.Code
		return out
	case g.modern != nil && g.modern.checkOffsetDelete() != 0:
		resp.ErrorCode = g.modern.checkOffsetDelete()
		return out
	case g.state != Empty && g.protocolType != protocolTypeConsumer:
		// What the members use cannot be told, so nothing may go.
		resp.ErrorCode = kerr.NonEmptyGroup.Code
		return out
	}
	var gone []topicPartition
	for i := range o.req.Topics {
		t, known := &o.req.Topics[i], o.topics[i]
		code := known.code
		if code == 0 && g.subscribesTo(t.Topic) {
			code = kerr.GroupSubscribedToTopic.Code
		}
		rt := kmsg.NewOffsetDeleteResponseTopic()
		rt.Topic = t.Topic
		for _, p := range t.Partitions {
			rp := kmsg.NewOffsetDeleteResponseTopicPartition()
			rp.Partition, rp.ErrorCode = p.Partition, code
			rt.Partitions = append(rt.Partitions, rp)
			tp := topicPartition{t.Topic, p.Partition}
			if _, ok := g.offsets[tp]; ok && code == 0 {
				gone = append(gone, tp)
				out.Records = append(out.Records, offsetTombstone(o.req.Group, tp))
			}
		}
		resp.Topics = append(resp.Topics, rt)
	}
	out.Apply = func() { m.dropOffsets(o.req.Group, gone, m.metrics.deleted) }
	return out
}
