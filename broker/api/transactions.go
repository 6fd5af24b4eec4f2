package api

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/tidelinehq/tideline/broker/partition"
	"github.com/tidelinehq/tideline/broker/wire"
	"github.com/tidelinehq/tideline/internal/record"
)

// Transactions is the way to the coordinator of a transactional id, whichever broker that is.
type Transactions interface {
	// Verify asks whether partitions are part of a producer's open transaction, with Add to make them
	// part of it. It returns one of Kafka's codes for each, as AddPartitionsToTxn of version 4 and later
	// has it, and waits no longer than ctx.
	Verify(ctx context.Context, v Verification) []int16
}

// Verification is the question whether a transactional batch may be appended (KIP-890).
type Verification struct {
	TransactionalID string
	ProducerID      int64
	ProducerEpoch   int16
	Add             bool // the client relies on it: Produce from version 12 on
	Partitions      []TopicPartition
}

// TopicPartition names a partition.
type TopicPartition struct {
	Topic string
	Index int32
}

// Versions of Produce that differ in transactions.
const (
	abortableSince     = 11 // TRANSACTION_ABORTABLE is known
	addsPartitionSince = 12 // the first batch adds the partition, and the epoch changes with each transaction
)

// A coordinator that still ends the transaction before is asked again: a producer that begins the next
// one meets that all the time, and would come back later than the coordinator takes.
const (
	concurrentPause = 20 * time.Millisecond  // add.partitions.to.txn.retry.backoff.ms
	concurrentWait  = 100 * time.Millisecond // add.partitions.to.txn.retry.backoff.max.ms
)

// maxVerifyWait bounds how long a request waits for the coordinator: its connection is not read
// meanwhile.
const maxVerifyWait = 30 * time.Second

var errMixedProducers = fmt.Errorf("%w: a request has transactional batches of more than one producer", kerr.InvalidProducerIDMapping)

// verify asks the coordinator about the partitions whose transaction is not open here, all at once, before
// anything is appended. What must not be appended is refused. The connection waits, so that no later
// batch of the producer overtakes.
func (op *produceOp) verify() {
	v := Verification{TransactionalID: string(op.req.TransactionalID), ProducerID: -1, Add: op.r.Version >= addsPartitionSince}
	var asked []unverified // in the order of v.Partitions
	i := 0
	for t := range op.req.Topics {
		topic := &op.req.Topics[t]
		for j := range topic.Partitions {
			x := unverified{i, op.target(topic, &topic.Partitions[j]), topic.Partitions[j].Records}
			if op.parts[i].ErrorCode == 0 && op.begins(&v, x) {
				asked = append(asked, x)
			}
			i++
		}
	}
	if len(asked) == 0 {
		return
	}
	for k, code := range op.ask(v, asked) {
		if code != 0 {
			op.fail(asked[k].part, verifyError(code, op.r.Version))
		}
	}
}

// unverified is a part about which the coordinator may have to be asked.
type unverified struct {
	part  int
	p     *partition.Partition
	batch record.Batch
}

// renew takes the guard of a question that is put again: the marker of the transaction before may
// have come meanwhile, and made the first one void. What speaks against it the append says.
func (op *produceOp) renew(x unverified, bumps bool) {
	if guard, needed, err := x.p.VerificationGuard(x.batch.ProducerID(), x.batch.ProducerEpoch(), x.batch.BaseSequence(), bumps); err == nil && needed {
		op.appends[x.part].Guard = guard
	}
}

// target is the partition of a batch that can be appended, nil otherwise: the append says why.
func (op *produceOp) target(topic *wire.ProduceTopic, part *wire.ProducePartition) *partition.Partition {
	p, err := op.api.produceTarget(op.r.Version, topic, part.Index)
	if err != nil || checkProduce(op.r.Version, op.req, p.Topic(), part.Records) != nil {
		return nil
	}
	return p
}

// begins reports whether the coordinator must be asked about a part, and adds it to the question.
func (op *produceOp) begins(v *Verification, x unverified) bool {
	i, p, b := x.part, x.p, x.batch
	if p == nil || !b.Transactional() || b.ProducerID() < 0 {
		return false
	}
	if v.ProducerID < 0 {
		v.ProducerID, v.ProducerEpoch = b.ProducerID(), b.ProducerEpoch()
	}
	if v.ProducerID != b.ProducerID() || v.ProducerEpoch != b.ProducerEpoch() {
		op.fail(i, errMixedProducers)
		return false
	}
	guard, needed, err := p.VerificationGuard(b.ProducerID(), b.ProducerEpoch(), b.BaseSequence(), v.Add)
	if err != nil {
		op.fail(i, err)
		return false
	}
	if !needed {
		return false
	}
	op.appends[i].Guard = guard
	v.Partitions = append(v.Partitions, TopicPartition{p.Topic(), p.ID().Partition})
	return true
}

// ask puts the question, again while the coordinator is busy with the transaction before.
func (op *produceOp) ask(v Verification, asked []unverified) []int16 {
	a := op.api
	if a.Transactions == nil {
		return repeated(kerr.InvalidTxnState.Code, len(v.Partitions))
	}
	wait := min(max(time.Duration(op.req.TimeoutMillis)*time.Millisecond, time.Second), maxVerifyWait)
	ctx, cancel := context.WithTimeout(a.ctx, wait)
	defer cancel()
	for end := a.now().Add(concurrentWait); ; {
		codes := a.Transactions.Verify(ctx, v)
		if len(codes) != len(v.Partitions) {
			return repeated(kerr.CoordinatorNotAvailable.Code, len(v.Partitions))
		}
		if !v.Add || !contains(codes, kerr.ConcurrentTransactions.Code) || !a.now().Before(end) {
			return codes
		}
		again := time.NewTimer(concurrentPause)
		select {
		case <-again.C:
		case <-ctx.Done():
			again.Stop()
			return codes
		}
		for _, x := range asked {
			op.renew(x, v.Add)
		}
	}
}

func repeated(code int16, n int) []int16 {
	codes := make([]int16, n)
	for i := range codes {
		codes[i] = code
	}
	return codes
}

func contains(codes []int16, code int16) bool {
	for _, c := range codes {
		if c == code {
			return true
		}
	}
	return false
}

// verifyError says what a producer is told of a coordinator's answer, as Apache Kafka does: what older
// clients would not send again becomes a code that they do.
func verifyError(code, version int16) error {
	err := kerr.ErrorForCode(code)
	switch {
	case errors.Is(err, kerr.ProducerFenced):
		return kerr.InvalidProducerEpoch // the client aborts and goes on
	case errors.Is(err, kerr.TransactionAbortable) && version < abortableSince, errors.Is(err, kerr.InvalidTxnState):
		return fmt.Errorf("%w: the partition was not added to the transaction", kerr.InvalidTxnState)
	case errors.Is(err, kerr.NetworkException), errors.Is(err, kerr.CoordinatorLoadInProgress),
		errors.Is(err, kerr.CoordinatorNotAvailable), errors.Is(err, kerr.NotCoordinator),
		errors.Is(err, kerr.ConcurrentTransactions) && version < addsPartitionSince:
		return fmt.Errorf("%w: it could not be verified that the partition was added to the transaction: %w", kerr.NotEnoughReplicas, err)
	}
	return err
}
