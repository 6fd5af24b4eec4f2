package api

import (
	"sync/atomic"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/tidelinehq/tideline/broker/share"
	"github.com/tidelinehq/tideline/wal"
)

// shareAcknowledge answers ShareAcknowledge, once all that it says is kept or refused.
// The last request of a session ends it.
func shareAcknowledge(c *Call) kmsg.Response {
	req := c.Request.(*kmsg.ShareAcknowledgeRequest)
	resp := kmsg.NewPtrShareAcknowledgeResponse()
	fail := func(code int16, err error) kmsg.Response {
		resp.ErrorCode, resp.ErrorMessage = code, message(err)
		return resp
	}
	m, err := c.shareRequest(req.GroupID, req.MemberID)
	if err != nil {
		return fail(errorCode(err), err)
	}
	resp.AcquisitionLockTimeoutMillis = int32(c.API.Shares.Settings(m.group).LockDuration.Milliseconds())
	sessions := c.API.shareSessions
	switch req.ShareSessionEpoch {
	case sessionEpochInitial:
		return fail(kerr.InvalidShareSessionEpoch.Code, nil)
	case sessionEpochFinal:
		if sessions.get(m) == nil {
			return fail(kerr.ShareSessionNotFound.Code, nil)
		}
	default:
		if _, code := sessions.next(m, req.ShareSessionEpoch, nil); code != 0 {
			return fail(code, nil)
		}
	}
	left := countdown{then: func() { c.replyShareAcknowledge(resp) }}
	left.add()
	c.acknowledgeAll(m, req, resp, &left)
	if req.ShareSessionEpoch == sessionEpochFinal {
		sessions.close(m)
	}
	left.done()
	return nil
}

// acknowledgeAll passes on what the request says of each partition, and makes the
// partitions of the response, which are filled in by the time that left is over.
func (c *Call) acknowledgeAll(m shareMember, req *kmsg.ShareAcknowledgeRequest, resp *kmsg.ShareAcknowledgeResponse, left *countdown) {
	resp.Topics = make([]kmsg.ShareAcknowledgeResponseTopic, len(req.Topics))
	for i := range req.Topics {
		t, rt := &req.Topics[i], &resp.Topics[i]
		rt.TopicID = t.TopicID
		rt.Partitions = make([]kmsg.ShareAcknowledgeResponseTopicPartition, len(t.Partitions))
		for j := range t.Partitions {
			p, rp := &t.Partitions[j], &rt.Partitions[j]
			*rp = kmsg.NewShareAcknowledgeResponseTopicPartition()
			rp.Partition = p.Partition
			batches := make([]share.AckBatch, len(p.AcknowledgementBatches))
			for k := range p.AcknowledgementBatches {
				b := &p.AcknowledgementBatches[k]
				batches[k] = share.AckBatch{Range: share.Range{First: b.FirstOffset, Last: b.LastOffset}, Types: ackTypes(b.AcknowledgeTypes)}
			}
			left.add()
			c.acknowledgeShare(m, wal.ID{Topic: t.TopicID, Partition: p.Partition}, batches, req.IsRenewAck, func(err error) {
				rp.ErrorCode, rp.ErrorMessage = errorCode(err), message(err)
				left.done()
			})
		}
	}
}

// replyShareAcknowledge tells, beside the outcome, where the leaders are.
func (c *Call) replyShareAcknowledge(resp *kmsg.ShareAcknowledgeResponse) {
	var nodes []int32
	for i := range resp.Topics {
		t := &resp.Topics[i]
		for j := range t.Partitions {
			p := &t.Partitions[j]
			p.CurrentLeader.LeaderID, p.CurrentLeader.LeaderEpoch = -1, -1
			if p.ErrorCode == kerr.NotLeaderForPartition.Code {
				p.CurrentLeader.LeaderID, p.CurrentLeader.LeaderEpoch = c.API.currentLeader(wal.ID{Topic: t.TopicID, Partition: p.Partition})
				nodes = append(nodes, p.CurrentLeader.LeaderID)
			}
		}
	}
	for _, n := range c.leaderEndpoints(nodes) {
		resp.NodeEndpoints = append(resp.NodeEndpoints, kmsg.ShareAcknowledgeResponseNodeEndpoint(n))
	}
	c.Reply(resp)
}

// countdown does something when as many have said done as were added.
type countdown struct {
	n    atomic.Int64
	then func()
}

func (c *countdown) add() { c.n.Add(1) }

func (c *countdown) done() {
	if c.n.Add(-1) == 0 {
		c.then()
	}
}
