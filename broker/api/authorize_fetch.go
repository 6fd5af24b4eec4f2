package api

import "github.com/tidelinehq/tideline/broker/security/acl"

// authorize marks the parts of topics that the consumer may not read. It runs on the
// connection's goroutine, for each request anew: what a session names was allowed once, and
// may not be any more.
func (op *fetchOp) authorize() {
	x := op.api.access(op.r)
	if x == nil {
		return
	}
	last, denied := "", false
	for i := range op.parts {
		part := &op.parts[i]
		name := part.topic
		if part.p != nil {
			name = part.p.Topic()
		} else if op.r.Version >= topicIDsSince {
			t, ok := op.api.Metadata.Image().TopicByID(part.id.Topic)
			if !ok {
				continue // refused as such, when it is looked for
			}
			name = t.Name
		}
		if i == 0 || name != last {
			last, denied = name, !x.topicNamed(acl.Read, name)
			if denied {
				op.api.noteDenied(op.r, x, acl.Read, acl.Topic, name)
			}
		}
		part.denied = denied
	}
}
