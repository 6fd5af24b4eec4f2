package group

import (
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/tidelinehq/tideline/broker/coordinator"
)

// txnOffsetCommit is a TxnOffsetCommit request; topics as in offsetCommit. Its offsets are
// written in a batch of the producer, and pending until its marker comes.
type txnOffsetCommit struct {
	req    *kmsg.TxnOffsetCommitRequest
	topics []resolved
	guard  uint64
	call   *coordinator.Call
}

// CommitTransactional answers a TxnOffsetCommit request like Handle. Guard is what the
// partition of __consumer_offsets gave out before the transaction coordinator was asked
// whether the transaction is open; 0 where it did not have to be asked.
func (c *Coordinator) CommitTransactional(req *kmsg.TxnOffsetCommitRequest, guard uint64, reply func(kmsg.Response)) {
	o := &txnOffsetCommit{req: req, guard: guard, call: callFor(reply)}
	o.topics = resolveEach(req.Topics, func(t *kmsg.TxnOffsetCommitRequestTopic) resolved { return c.byName(t.Topic) })
	c.metrics.requests.WithLabelValues(kmsg.NameForKey(req.Key())).Inc()
	if req.Group == "" {
		reply(o.refuse(kerr.InvalidGroupID.Code))
		return
	}
	c.submit(req.Group, coordinator.Share, o, o.call, o.refuseFor)
}

// refuse gives all partitions the code, except those that have one already.
func (c *txnOffsetCommit) refuse(code int16) *kmsg.TxnOffsetCommitResponse {
	return c.respond(func(resolved, *kmsg.TxnOffsetCommitRequestTopicPartition) int16 { return code })
}

func (c *txnOffsetCommit) refuseFor(err error) any { return c.refuse(commitCode(err)) }

// respond answers each partition with its own error code, or else with fn's.
func (c *txnOffsetCommit) respond(fn func(resolved, *kmsg.TxnOffsetCommitRequestTopicPartition) int16) *kmsg.TxnOffsetCommitResponse {
	resp := kmsg.NewPtrTxnOffsetCommitResponse()
	resp.Version = c.req.Version
	resp.Topics = make([]kmsg.TxnOffsetCommitResponseTopic, 0, len(c.req.Topics))
	for i := range c.req.Topics {
		t, known := &c.req.Topics[i], c.topics[i]
		rt := kmsg.NewTxnOffsetCommitResponseTopic()
		rt.Topic = t.Topic
		rt.Partitions = make([]kmsg.TxnOffsetCommitResponseTopicPartition, 0, len(t.Partitions))
		for j := range t.Partitions {
			p := &t.Partitions[j]
			rp := kmsg.NewTxnOffsetCommitResponseTopicPartition()
			rp.Partition, rp.ErrorCode = p.Partition, known.answer(p.Partition, func() int16 { return fn(known, p) })
			rt.Partitions = append(rt.Partitions, rp)
		}
		resp.Topics = append(resp.Topics, rt)
	}
	return resp
}

func (c *txnOffsetCommit) decide(m *machine, now time.Time) coordinator.Outcome {
	each, code := c.check(m)
	if code != 0 {
		return coordinator.Outcome{Replies: []coordinator.Reply{{To: c.call, Body: c.refuse(code)}}}
	}
	out := coordinator.Outcome{Producer: &coordinator.Producer{ID: c.req.ProducerID, Epoch: c.req.ProducerEpoch, Guard: c.guard}}
	taken := taking{group: c.req.Group, maxMetadata: m.cfg.OffsetMetadataMaxSize, check: each, at: now.UnixMilli(), expires: -1}
	resp := c.respond(func(t resolved, p *kmsg.TxnOffsetCommitRequestTopicPartition) int16 {
		return taken.take(t, p.Partition, p.Offset, p.LeaderEpoch, p.Metadata)
	})
	out.Records = taken.records
	out.Replies = []coordinator.Reply{{To: c.call, Body: resp}}
	if len(taken.offsets) > 0 {
		out.Apply = func() {
			for _, o := range taken.offsets {
				m.txn.put(c.req.ProducerID, c.req.Group, o.tp, o.committed)
			}
		}
	}
	return out
}

// generationCode is how members of all kinds are told that they are behind.
func generationCode(code int16) int16 {
	if code == kerr.StaleMemberEpoch.Code {
		return kerr.IllegalGeneration.Code
	}
	return code
}

// check says whether the group takes the commit. A producer need not say for which member it
// commits, and one that does is checked against the generation, also in the midst of a
// rebalance: it read what it read as a member of it.
func (c *txnOffsetCommit) check(m *machine) (func(resolved, int32) int16, int16) {
	req := c.req
	g := m.groups[req.Group]
	switch {
	case req.ProducerID < 0 || req.ProducerEpoch < 0:
		return nil, kerr.InvalidProducerIDMapping.Code
	case g == nil && req.Generation >= 0:
		return nil, kerr.IllegalGeneration.Code
	case len(req.Group) > maxID:
		return nil, kerr.InvalidGroupID.Code
	case g == nil && len(m.groups) >= m.cfg.MaxGroups:
		return nil, kerr.CoordinatorNotAvailable.Code
	case g == nil:
		return nil, 0 // a simple group comes to be, if the transaction is committed
	case g.modern != nil:
		each, code := g.modern.checkCommit(commitCheck{member: req.MemberID, instance: req.InstanceID, epoch: req.Generation, version: req.Version, txn: true})
		if each == nil {
			return nil, generationCode(code)
		}
		return func(t resolved, partition int32) int16 { return generationCode(each(t, partition)) }, generationCode(code)
	case req.Generation < 0 && (g.state == Empty || req.MemberID == "" && req.InstanceID == nil):
		return nil, 0
	}
	if _, code := g.checkMember(req.MemberID, req.InstanceID); code != 0 {
		return nil, code
	}
	if req.Generation != g.generation {
		return nil, kerr.IllegalGeneration.Code
	}
	return nil, 0
}
