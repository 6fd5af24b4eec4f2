package api

import (
	"context"
	"errors"
	"time"

	"github.com/tidelinehq/tideline/broker/coordinator"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// Versions of TxnOffsetCommit that differ in transactions.
const (
	commitAbortable = 4 // TRANSACTION_ABORTABLE is known
	commitAdds      = 5 // the commit adds the partition of the group's offsets to the transaction
)

// commitWait bounds how long a commit waits for the coordinator of its transaction.
const commitWait = 5 * time.Second

// txnOffsetCommit answers TxnOffsetCommit. The offsets are records of the transaction in the
// partition of __consumer_offsets that the group belongs to, so that is verified like
// any other: the transaction's coordinator is asked, unless it is open there (KIP-890).
func txnOffsetCommit(c *Call) kmsg.Response {
	req := c.Request.(*kmsg.TxnOffsetCommitRequest)
	refuse := func(err error) kmsg.Response { return refuseTxnOffsets(req, err) }
	topic, ok := c.API.Metadata.Image().Topic(OffsetsTopic)
	if !ok || req.Group == "" {
		c.API.Groups.CommitTransactional(req, 0, c.Reply) // which says what is wrong
		return nil
	}
	index := coordinator.PartitionFor(req.Group, topic.Partitions)
	p := c.API.Partitions.Get(OffsetsTopic, index)
	if !leads(p) {
		return refuse(kerr.NotCoordinator)
	}
	guard, needed, err := p.VerificationGuard(req.ProducerID, req.ProducerEpoch, 0, req.Version >= commitAdds)
	if err != nil {
		return refuse(err)
	}
	if needed {
		if c.API.Transactions == nil {
			return refuse(kerr.InvalidTxnState)
		}
		ctx, cancel := context.WithTimeout(c.Context, commitWait)
		defer cancel()
		codes := c.API.Transactions.Verify(ctx, Verification{
			TransactionalID: req.TransactionalID, ProducerID: req.ProducerID, ProducerEpoch: req.ProducerEpoch,
			Add: req.Version >= commitAdds, Partitions: []TopicPartition{{Topic: OffsetsTopic, Index: index}},
		})
		if len(codes) != 1 {
			return refuse(kerr.CoordinatorNotAvailable)
		}
		if codes[0] != 0 {
			return refuse(kerr.ErrorForCode(codes[0]))
		}
	}
	c.API.Groups.CommitTransactional(req, uint64(guard), c.Reply)
	return nil
}

// refuseTxnOffsets answers all partitions with an error, as far as possible one that clients
// of the group coordinator expect.
func refuseTxnOffsets(req *kmsg.TxnOffsetCommitRequest, err error) kmsg.Response {
	code := errorCode(err)
	switch {
	case errors.Is(err, kerr.ProducerFenced):
		code = kerr.InvalidProducerEpoch.Code // the client aborts and goes on
	case errors.Is(err, kerr.TransactionAbortable) && req.Version < commitAbortable:
		code = kerr.InvalidTxnState.Code
	case errors.Is(err, kerr.NetworkException):
		code = kerr.CoordinatorLoadInProgress.Code // the client asks again without looking for another coordinator
	case errors.Is(err, kerr.NotLeaderForPartition), errors.Is(err, kerr.NotCoordinator) && len(req.Topics) == 0:
		code = kerr.NotCoordinator.Code
	}
	resp := kmsg.NewPtrTxnOffsetCommitResponse()
	for _, t := range req.Topics {
		rt := kmsg.NewTxnOffsetCommitResponseTopic()
		rt.Topic = t.Topic
		for _, p := range t.Partitions {
			rp := kmsg.NewTxnOffsetCommitResponseTopicPartition()
			rp.Partition, rp.ErrorCode = p.Partition, code
			rt.Partitions = append(rt.Partitions, rp)
		}
		resp.Topics = append(resp.Topics, rt)
	}
	return resp
}
