package api

import (
	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/tidelinehq/tideline/broker/security/acl"
	"github.com/tidelinehq/tideline/broker/wire"
	"github.com/tidelinehq/tideline/internal/record"
)

// authorize refuses the parts of topics that the producer may not write to; and all of
// them, if it may not use the transactional id that some need. It runs on the connection's
// goroutine, before anything is verified or appended.
func (op *produceOp) authorize() {
	x := op.api.access(op.r)
	if x == nil {
		return
	}
	if op.transactional() && !x.client.Allowed(acl.Write, acl.TransactionalID, string(op.req.TransactionalID)) {
		op.api.noteDenied(op.r, x, acl.Write, acl.TransactionalID, string(op.req.TransactionalID))
		for i := range op.parts {
			op.fail(i, kerr.TransactionalIDAuthorizationFailed)
		}
		return
	}
	i := 0
	for t := range op.req.Topics {
		topic := &op.req.Topics[t]
		end := i + len(topic.Partitions)
		if name, ok := op.topicName(topic); ok && !x.topic(acl.Write, name) {
			op.api.noteDenied(op.r, x, acl.Write, acl.Topic, string(name))
			for ; i < end; i++ {
				op.fail(i, kerr.TopicAuthorizationFailed)
			}
		}
		i = end
	}
}

// topicName returns the name of a topic that the request names by name or id. An id that
// is not known is refused as such, by whoever looks for the partition.
func (op *produceOp) topicName(topic *wire.ProduceTopic) ([]byte, bool) {
	if op.r.Version < producesTopicIDs {
		return topic.Name, true
	}
	t, ok := op.api.Metadata.Image().TopicByID(topic.ID)
	if !ok {
		return nil, false
	}
	return []byte(t.Name), true
}

// producesTopicIDs is the first version of Produce that names topics by id.
const producesTopicIDs = 13

// transactional reports whether the request has transactional batches. The id alone does not
// make it so.
func (op *produceOp) transactional() bool {
	if op.req.TransactionalID == nil {
		return false // a batch that needs one is refused as such
	}
	for t := range op.req.Topics {
		parts := op.req.Topics[t].Partitions
		for p := range parts {
			if b, _, err := record.Next(parts[p].Records); err == nil && b.Transactional() {
				return true
			}
		}
	}
	return false
}
