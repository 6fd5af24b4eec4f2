package group

import (
	"time"

	"github.com/tidelinehq/tideline/broker/coordinator"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// Types of a member, as ConsumerGroupDescribe v1 has them.
const (
	memberTypeClassic  = 0
	memberTypeConsumer = 1
)

// describeConsumer reads one group of a ConsumerGroupDescribe request. It is answered
// with a *kmsg.ConsumerGroupDescribeResponseGroup.
type describeConsumer struct {
	group string
	call  *coordinator.Call
}

func describeConsumerError(group string, code int16, text string) *kmsg.ConsumerGroupDescribeResponseGroup {
	r := kmsg.NewConsumerGroupDescribeResponseGroup()
	r.Group, r.ErrorCode, r.ErrorMessage = group, code, errorText(text)
	return &r
}

func (q *describeConsumer) decide(m *machine, _ time.Time) coordinator.Outcome {
	g := m.groups[q.group]
	if g == nil {
		return refuse(q.call, describeConsumerError(q.group, kerr.GroupIDNotFound.Code, "Group "+q.group+" not found."))
	}
	c, ok := g.modern.(*consumerGroup)
	if !ok {
		return refuse(q.call, describeConsumerError(q.group, kerr.GroupIDNotFound.Code, "Group "+q.group+" is not a consumer group."))
	}
	r := describeConsumerError(q.group, 0, "")
	r.State, r.Epoch, r.AssignmentEpoch, r.AssignorName = c.stateName(), c.epoch, c.assigned, c.assignorName(m.cfg)
	image := m.topics()
	for _, mb := range c.members {
		d := kmsg.NewConsumerGroupDescribeResponseGroupMember()
		d.MemberID, d.InstanceID, d.RackID, d.MemberEpoch = mb.id, mb.instance, mb.rack, mb.epoch
		d.ClientID, d.ClientHost = mb.clientID, mb.clientHost
		d.SubscribedTopics, d.SubscribedTopicRegex = mb.topics, kmsg.StringPtr(deref(mb.regex))
		d.Assignment = describeAssignment(image, mb.owned.union(mb.revoking)) // what is to be given up is held until then
		d.TargetAssignment = describeAssignment(image, c.targets[mb.id])
		d.MemberType = memberTypeConsumer
		if mb.classic != nil {
			d.MemberType = memberTypeClassic
		}
		r.Members = append(r.Members, d)
	}
	return coordinator.Outcome{Replies: []coordinator.Reply{{To: q.call, Body: r}}}
}

// describeAssignment names the topics; those that are gone are left out.
func describeAssignment(image Image, a assignment) kmsg.Assignment {
	out := kmsg.NewAssignment()
	out.TopicPartitions = []kmsg.AssignmentTopicPartition{}
	for _, id := range a.topics() {
		if name, ok := image.Name(id); ok {
			t := kmsg.NewAssignmentTopicPartition()
			t.TopicID, t.Topic, t.Partitions = id, name, a[id]
			out.TopicPartitions = append(out.TopicPartitions, t)
		}
	}
	return out
}
