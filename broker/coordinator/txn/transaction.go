package txn

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"
)

// topicPartition names a partition that is part of a transaction.
type topicPartition struct {
	topic     string
	partition int32
}

func (a topicPartition) compare(b topicPartition) int {
	return cmp.Or(strings.Compare(a.topic, b.topic), cmp.Compare(a.partition, b.partition))
}

// Kafka's "none" of producer ids, epochs and times.
const (
	noProducerID = -1
	noEpoch      = -1
	noTime       = -1
)

// maxEpoch is the last epoch that a client gets. The one above it is the coordinator's, so
// that it can always fence an instance of the producer.
const maxEpoch = math.MaxInt16 - 1

// Versions of transactions, the levels of the feature transaction.version. From epochBump on
// each transaction has an epoch of its own (KIP-890).
const (
	firstFlexible int16 = 1 // records are of version 1
	epochBump     int16 = 2
)

// transaction is what is known of a transactional id. One that is installed never changes: a
// decision makes the next, which replaces it. So a decision that is not committed
// leaves no trace.
type transaction struct {
	producerID int64
	// previousID is the producer id before the last transition; another than producerID
	// after a rotation only. nextID takes over when a transaction is complete that used up
	// the epochs of producerID.
	previousID, nextID int64
	epoch              int16
	// lastEpoch is the one that the producer had before epoch, by which a retry of
	// InitProducerId is known. The log does not have it: noEpoch after a failover.
	lastEpoch  int16
	timeoutMS  int32
	state      State
	partitions []topicPartition // ordered, each once
	started    int64            // ms; noTime
	updated    int64            // ms
	version    int16            // of transactions, that the client spoke last
}

// exhausted says that the epochs of the producer id are used up.
func (t *transaction) exhausted() bool { return t.epoch >= maxEpoch }

// deadline is when the transaction is aborted.
func (t *transaction) deadline() time.Time { return time.UnixMilli(t.started + int64(t.timeoutMS)) }

func (t *transaction) has(tp topicPartition) bool {
	_, ok := slices.BinarySearchFunc(t.partitions, tp, topicPartition.compare)
	return ok
}

func (t *transaction) hasAll(tps []topicPartition) bool {
	return !slices.ContainsFunc(tps, func(tp topicPartition) bool { return !t.has(tp) })
}

// next is a copy in another state, to be changed. An illegal transition is a broken invariant.
func (t *transaction) next(s State, now time.Time) *transaction {
	if !s.mayFollow(t.state) {
		panic(fmt.Sprintf("txn: transition from %v to %v", t.state, s))
	}
	n := *t
	n.state, n.previousID, n.updated = s, t.producerID, now.UnixMilli()
	return &n
}

// initialize makes the transaction that a producer gets from InitProducerId: no partitions,
// its epoch as given.
func (t *transaction) initialize(producerID int64, epoch, lastEpoch int16, timeoutMS int32, now time.Time) *transaction {
	n := t.next(Empty, now)
	n.producerID, n.epoch, n.lastEpoch = producerID, epoch, lastEpoch
	n.timeoutMS, n.partitions, n.started = timeoutMS, nil, noTime
	return n
}

// add makes the transaction with these partitions, too; it begins with its first.
func (t *transaction) add(tps []topicPartition, version int16, now time.Time) *transaction {
	n := t.next(Ongoing, now)
	if t.state != Ongoing {
		n.started = n.updated
	}
	n.partitions = slices.Concat(t.partitions, tps)
	slices.SortFunc(n.partitions, topicPartition.compare)
	n.partitions = slices.Compact(n.partitions)
	n.version = version
	return n
}

// end makes the decided transaction. Where a transaction has an epoch of its own, the next
// begins here: markers carry the new one, so that a batch that comes late is refused.
// freshID is the producer id that follows when the epochs are used up.
func (t *transaction) end(s State, version int16, freshID int64, now time.Time) *transaction {
	n := t.next(s, now)
	if version >= epochBump {
		n.lastEpoch, n.epoch = t.epoch, t.epoch+1
		n.nextID = noProducerID
		if t.exhausted() {
			n.nextID = freshID
		}
	}
	if t.state != Ongoing {
		n.started = n.updated // it never began, and yet has to have
	}
	n.version = version
	return n
}

// fence makes the aborted transaction of a producer that is not to go on: it gets no answer
// that would tell it the new epoch.
func (t *transaction) fence(version int16, freshID int64, now time.Time) *transaction {
	n := t.end(PrepareAbort, version, freshID, now)
	if version < epochBump {
		n.epoch, n.lastEpoch = t.epoch+1, noEpoch
	}
	return n
}

// complete makes the transaction whose markers are all written.
func (t *transaction) complete(now time.Time) *transaction {
	s := CompleteCommit
	if t.state == PrepareAbort {
		s = CompleteAbort
	}
	n := t.next(s, now)
	if t.version >= epochBump && t.nextID != noProducerID {
		n.producerID, n.epoch = t.nextID, 0
	}
	n.nextID, n.partitions = noProducerID, nil
	return n
}
