package api

import (
	"context"
	"errors"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/tidelinehq/tideline/metadata/quorum"
)

// TxnCoordinator answers the requests about transactions that this broker coordinates. It is
// implemented by txn.Coordinator.
type TxnCoordinator interface {
	// Handle answers a request exactly once, without blocking; false: not a request about a
	// transactional id, and not answered.
	Handle(req kmsg.Request, reply func(kmsg.Response)) bool
}

// toTransactions hands a request to the transaction coordinator, which replies later.
func toTransactions(c *Call) kmsg.Response {
	if !c.API.TxnCoordinator.Handle(c.Request, c.Reply) {
		panic("api: the transaction coordinator does not know an api key of the table")
	}
	return nil
}

// verifyVersion is the version of AddPartitionsToTxn that brokers ask each other in.
const verifyVersion = 5

// Coordinators is the way to the coordinators of transactions over the brokers of a cluster.
type Coordinators struct{ API *API }

var _ Transactions = Coordinators{}

// Verify implements Transactions.
func (t Coordinators) Verify(ctx context.Context, v Verification) []int16 {
	all := func(code int16) []int16 { return repeated(code, len(v.Partitions)) }
	b, err := t.API.coordinator(ctx, coordinatorKind(transactionCoordinator), v.TransactionalID)
	if err != nil {
		return all(kerr.CoordinatorNotAvailable.Code)
	}
	resp, err := t.API.Ask(ctx, b.ID, verification(&v))
	switch {
	case errors.Is(err, quorum.ErrNotLeader):
		return all(kerr.CoordinatorNotAvailable.Code)
	case err != nil:
		return all(kerr.NetworkException.Code)
	}
	r := resp.(*kmsg.AddPartitionsToTxnResponse)
	if r.ErrorCode != 0 {
		return all(r.ErrorCode)
	}
	answers := make(map[TopicPartition]int16, len(v.Partitions))
	for _, one := range r.Transactions {
		for _, topic := range one.Topics {
			for _, p := range topic.Partitions {
				answers[TopicPartition{topic.Topic, p.Partition}] = p.ErrorCode
			}
		}
	}
	codes := all(kerr.CoordinatorNotAvailable.Code)
	for i, tp := range v.Partitions {
		if code, ok := answers[tp]; ok {
			codes[i] = code
		}
	}
	return codes
}

// verification is the request for v.
func verification(v *Verification) *kmsg.AddPartitionsToTxnRequest {
	one := kmsg.NewAddPartitionsToTxnRequestTransaction()
	one.TransactionalID, one.ProducerID, one.ProducerEpoch, one.VerifyOnly = v.TransactionalID, v.ProducerID, v.ProducerEpoch, !v.Add
	of := make(map[string]int)
	for _, tp := range v.Partitions {
		i, ok := of[tp.Topic]
		if !ok {
			i = len(one.Topics)
			of[tp.Topic] = i
			topic := kmsg.NewAddPartitionsToTxnRequestTransactionTopic()
			topic.Topic = tp.Topic
			one.Topics = append(one.Topics, topic)
		}
		one.Topics[i].Partitions = append(one.Topics[i].Partitions, tp.Index)
	}
	req := kmsg.NewPtrAddPartitionsToTxnRequest()
	req.Version, req.Transactions = verifyVersion, append(req.Transactions, one)
	return req
}
