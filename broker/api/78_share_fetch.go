package api

import (
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/tidelinehq/tideline/broker/partition"
	"github.com/tidelinehq/tideline/broker/share"
	"github.com/tidelinehq/tideline/wal"
)

// Acquire modes of ShareFetch (KIP-1206).
const (
	acquireBatchOptimized = 0
	acquireRecordLimit    = 1
)

// shareFetch answers ShareFetch: it acquires records for a member of a share group, and
// takes its acknowledgements along.
func shareFetch(c *Call) kmsg.Response {
	req := c.Request.(*kmsg.ShareFetchRequest)
	m, err := c.shareRequest(req.GroupID, req.MemberID)
	if err == nil {
		err = checkShareFetch(req)
	}
	op := &shareOp{c: c, shareMember: m, resp: kmsg.NewPtrShareFetchResponse()}
	op.fetchTrace = fetchTrace{api: c.API, r: c.raw, kind: sharedOnes, groupName: m.group, minBytes: req.MinBytes, maxWait: req.MaxWaitMillis}
	if err != nil {
		return op.refuse(errorCode(err), err)
	}
	settings := c.API.Shares.Settings(m.group)
	op.resp.AcquisitionLockTimeoutMillis = int32(settings.LockDuration.Milliseconds())
	code := op.open(req)
	if code == kerr.ShareSessionLimitReached.Code && op.refuseLater(code, req.MaxWaitMillis) {
		return nil
	}
	if code != 0 {
		return op.refuse(code, nil)
	}
	if settings.ReadCommitted {
		op.isolation = partition.ReadCommitted
	}
	op.maxBytes = max(min(req.MaxBytes, c.API.Config.FetchMaxBytes), 0)
	op.minBytes = min(req.MinBytes, op.maxBytes)
	op.wanted = share.Wanted{
		Member: m.member, Records: int(req.MaxRecords), BatchSize: int(req.BatchSize), Strict: req.ShareAcquireMode == acquireRecordLimit,
	}
	op.deadline = c.API.now().Add(min(time.Duration(req.MaxWaitMillis)*time.Millisecond, longestWait))
	op.partitions = len(op.parts)
	op.left.then = op.respond
	op.left.add()
	op.acknowledge(req)
	c.Request = nil // which is not kept while the fetch waits
	switch {
	case req.ShareSessionEpoch == sessionEpochFinal:
		c.API.shareSessions.close(m)
		op.left.done()
	case req.IsRenewAck || len(op.parts) == 0:
		op.left.done()
	default:
		op.serve(false, true)
	}
	return nil
}

// checkShareFetch refuses what makes no sense in any session.
func checkShareFetch(req *kmsg.ShareFetchRequest) error {
	acks := false
	seen := make(map[wal.ID]struct{})
	for i := range req.Topics {
		t := &req.Topics[i]
		for j := range t.Partitions {
			id := wal.ID{Topic: t.TopicID, Partition: t.Partitions[j].Partition}
			if _, twice := seen[id]; twice {
				return fmt.Errorf("%w: partition is there twice: topic=%x partition=%d", kerr.InvalidRequest, id.Topic, id.Partition)
			}
			seen[id] = struct{}{}
			acks = acks || len(t.Partitions[j].AcknowledgementBatches) > 0
		}
	}
	switch {
	case acks && req.ShareSessionEpoch == sessionEpochInitial:
		return fmt.Errorf("%w: the first request of a session acknowledges", kerr.InvalidRequest)
	case req.IsRenewAck && (req.MaxBytes > 0 || req.MinBytes > 0 || req.MaxRecords > 0 || req.MaxWaitMillis > 0):
		return fmt.Errorf("%w: a request that renews locks does not fetch", kerr.InvalidRequest)
	case req.ShareAcquireMode != acquireBatchOptimized && req.ShareAcquireMode != acquireRecordLimit:
		return fmt.Errorf("%w: acquire mode=%d", kerr.InvalidRequest, req.ShareAcquireMode)
	}
	return nil
}

// open finds or makes the session, and the partitions that are to be read.
func (op *shareOp) open(req *kmsg.ShareFetchRequest) (code int16) {
	sessions := op.api.shareSessions
	var ids []wal.ID
	eachShareID(req, func(id wal.ID) { ids = append(ids, id) })
	switch req.ShareSessionEpoch {
	case sessionEpochFinal:
		if op.session = sessions.get(op.shareMember); op.session == nil {
			return kerr.ShareSessionNotFound.Code
		}
		return 0
	case sessionEpochInitial:
		op.session, code = sessions.open(op.shareMember, op.c.raw.Conn, ids)
	default:
		op.session, code = sessions.next(op.shareMember, req.ShareSessionEpoch, func(s *shareSession) {
			for _, id := range ids {
				s.put(id)
			}
			for i := range req.ForgottenTopicsData {
				t := &req.ForgottenTopicsData[i]
				for _, index := range t.Partitions {
					s.forget(wal.ID{Topic: t.TopicID, Partition: index})
				}
			}
		})
	}
	if code != 0 {
		return code
	}
	op.session.mu.Lock()
	defer op.session.mu.Unlock()
	for _, id := range op.session.partitions() {
		op.parts = append(op.parts, sharePart{id: id})
	}
	return 0
}

func eachShareID(req *kmsg.ShareFetchRequest, visit func(wal.ID)) {
	for i := range req.Topics {
		t := &req.Topics[i]
		for j := range t.Partitions {
			visit(wal.ID{Topic: t.TopicID, Partition: t.Partitions[j].Partition})
		}
	}
}

// acknowledge passes on what the request says of records.
func (op *shareOp) acknowledge(req *kmsg.ShareFetchRequest) {
	for i := range req.Topics {
		t := &req.Topics[i]
		for j := range t.Partitions {
			p := &t.Partitions[j]
			if len(p.AcknowledgementBatches) == 0 {
				continue
			}
			a := &shareAck{id: wal.ID{Topic: t.TopicID, Partition: p.Partition}}
			op.acks = append(op.acks, a)
			batches := make([]share.AckBatch, len(p.AcknowledgementBatches))
			for k := range p.AcknowledgementBatches {
				b := &p.AcknowledgementBatches[k]
				batches[k] = share.AckBatch{Range: share.Range{First: b.FirstOffset, Last: b.LastOffset}, Types: ackTypes(b.AcknowledgeTypes)}
			}
			op.left.add()
			op.c.acknowledgeShare(op.shareMember, a.id, batches, req.IsRenewAck, func(err error) {
				a.err = err
				op.left.done()
			})
		}
	}
}

// refuse is the answer to the request as a whole.
func (op *shareOp) refuse(code int16, err error) kmsg.Response {
	op.resp.ErrorCode, op.resp.ErrorMessage = code, message(err)
	return op.resp
}

// refuseLater refuses when the client would have waited anyway, so that one for which
// there is no session does not ask without pause. It reports false when it cannot wait.
func (op *shareOp) refuseLater(code int16, waitMillis int32) bool {
	wait := min(time.Duration(waitMillis)*time.Millisecond, longestWait)
	return wait > 0 && op.api.Purgatory.Park(nil, nil, 1, wait, func(bool) { op.c.Reply(op.refuse(code, nil)) })
}
