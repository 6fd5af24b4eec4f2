package txn

import (
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/tidelinehq/tideline/broker/coordinator"
)

// initFencedSince is the first version of InitProducerId that knows PRODUCER_FENCED.
const initFencedSince = 4

// initProducerID is an InitProducerId request with a transactional id. freshID is a producer
// id that nobody has, or none; without one it may be answered with needsID.
type initProducerID struct {
	req     *kmsg.InitProducerIDRequest
	freshID int64
	call    *coordinator.Call
}

func initError(version, code int16) *kmsg.InitProducerIDResponse {
	r := kmsg.NewPtrInitProducerIDResponse()
	r.Version, r.ErrorCode = version, fencedCode(code, version, initFencedSince)
	r.ProducerID, r.ProducerEpoch = noProducerID, noEpoch
	return r
}

func initResponse(version int16, t *transaction) *kmsg.InitProducerIDResponse {
	r := initError(version, 0)
	r.ProducerID, r.ProducerEpoch = t.producerID, t.epoch
	return r
}

// checkInit is what can be refused without knowing the id's state.
func checkInit(cfg *Config, req *kmsg.InitProducerIDRequest) int16 {
	switch {
	case *req.TransactionalID == "", len(*req.TransactionalID) > cfg.MaxIDBytes,
		(req.ProducerID < 0) != (req.ProducerEpoch < 0): // both, or neither
		return kerr.InvalidRequest.Code
	case req.TransactionTimeoutMillis <= 0, time.Duration(req.TransactionTimeoutMillis)*time.Millisecond > cfg.MaxTimeout:
		return kerr.InvalidTransactionTimeout.Code
	}
	return 0
}

func (q *initProducerID) decide(m *machine, now time.Time) coordinator.Outcome {
	id := *q.req.TransactionalID
	t := m.txns[id]
	refuse := func(code int16) coordinator.Outcome { return answer(q.call, initError(q.req.Version, code)) }
	initialized := func(n *transaction) coordinator.Outcome {
		return m.change(id, n, coordinator.Reply{To: q.call, Body: initResponse(q.req.Version, n)})
	}
	if t == nil {
		switch {
		case len(m.txns) >= m.cfg.MaxIDs:
			return refuse(kerr.CoordinatorNotAvailable.Code)
		case q.freshID < 0:
			return answer(q.call, needsID{})
		}
		born := &transaction{producerID: q.freshID, nextID: noProducerID, epoch: noEpoch, started: noTime}
		return initialized(born.initialize(q.freshID, 0, noEpoch, q.req.TransactionTimeoutMillis, now))
	}
	if code := q.fenced(t); code != 0 {
		return refuse(code)
	}
	switch {
	case t.state.decided():
		return refuse(kerr.ConcurrentTransactions.Code)
	case t.state == Ongoing:
		// Another instance, or this one after a failure: what is open is aborted, and the
		// client asks again. So it gets an epoch that no marker has.
		if t.exhausted() && m.level() >= epochBump && q.freshID < 0 {
			return answer(q.call, needsID{})
		}
		m.metrics.fenced.Inc()
		return m.change(id, t.fence(m.level(), q.freshID, now),
			coordinator.Reply{To: q.call, Body: initError(q.req.Version, kerr.ConcurrentTransactions.Code)})
	case q.retried(t):
		return initialized(t.initialize(t.producerID, t.epoch, t.lastEpoch, q.req.TransactionTimeoutMillis, now))
	}
	last := int16(noEpoch)
	if q.expects() {
		last = t.epoch
	}
	if t.exhausted() {
		if q.freshID < 0 {
			return answer(q.call, needsID{})
		}
		return initialized(t.initialize(q.freshID, 0, last, q.req.TransactionTimeoutMillis, now))
	}
	return initialized(t.initialize(t.producerID, t.epoch+1, last, q.req.TransactionTimeoutMillis, now))
}

// expects says that the producer goes on after an error, as the instance that it names (KIP-360).
func (q *initProducerID) expects() bool { return q.req.ProducerID >= 0 }

// retried says that the request was carried out before, and that its answer was lost. A new
// instance that came meanwhile would have left no last epoch.
func (q *initProducerID) retried(t *transaction) bool {
	return q.expects() && q.req.ProducerEpoch == t.lastEpoch && q.req.ProducerEpoch != t.epoch
}

// fenced says why the instance that the request names must not go on.
//
// Here this broker is stricter than Kafka, which lets any instance with the right producer
// id have an open transaction aborted, whatever its epoch.
func (q *initProducerID) fenced(t *transaction) int16 {
	if !q.expects() {
		return 0
	}
	again := t.state != Ongoing && q.retried(t)
	is := q.req.ProducerID == t.producerID && (q.req.ProducerEpoch == t.epoch || again)
	rotated := q.req.ProducerID == t.previousID && q.req.ProducerEpoch >= maxEpoch && again
	if is || rotated || t.state.decided() && q.req.ProducerID == t.producerID {
		return 0
	}
	return kerr.ProducerFenced.Code
}
