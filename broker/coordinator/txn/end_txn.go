package txn

import (
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/tidelinehq/tideline/broker/coordinator"
)

// Versions of EndTxn that changed what the coordinator does.
const (
	endFencedSince = 2
	endBumpsSince  = 5 // the client speaks of transactions with epochs of their own
)

// endTxn is an EndTxn request. freshID as in initProducerID.
//
// Where each transaction has an epoch of its own, a request with the epoch before that of the
// state is a retry, and one with that of the state belongs to the next transaction,
// which may be empty on this side and not on the client's:
//
//	                 abort               commit
//	             retry   current     retry   current
//	Empty        fenced  abort       fenced  invalid
//	Prepare…     wait    fenced      wait    fenced      (invalid if it was decided otherwise)
//	CompleteAbort   ok   abort       invalid invalid
//	CompleteCommit  invalid abort    ok      invalid
//
// Without, the epoch must be that of the state, Empty takes neither, and Complete… is
// answered with ok if it is what is asked for.
type endTxn struct {
	req     *kmsg.EndTxnRequest
	freshID int64
	call    *coordinator.Call
}

func endError(version, code int16) *kmsg.EndTxnResponse {
	r := kmsg.NewPtrEndTxnResponse()
	r.Version, r.ErrorCode = version, fencedCode(code, version, endFencedSince)
	r.ProducerID, r.ProducerEpoch = noProducerID, noEpoch
	return r
}

// endResponse tells the producer who it is in its next transaction.
func endResponse(version int16, producerID int64, epoch int16) *kmsg.EndTxnResponse {
	r := endError(version, 0)
	if version >= endBumpsSince {
		r.ProducerID, r.ProducerEpoch = producerID, epoch
	}
	return r
}

func (e *endTxn) refuse(code int16) coordinator.Outcome {
	return answer(e.call, endError(e.req.Version, code))
}

// wanted are the states that the request leads to.
func (e *endTxn) wanted() (prepare, complete State) {
	if e.req.Commit {
		return PrepareCommit, CompleteCommit
	}
	return PrepareAbort, CompleteAbort
}

func (e *endTxn) decide(m *machine, now time.Time) coordinator.Outcome {
	t := m.txns[e.req.TransactionalID]
	if t == nil {
		return e.refuse(kerr.InvalidProducerIDMapping.Code)
	}
	if e.req.Version >= endBumpsSince {
		return e.decideBumping(m, t, now)
	}
	prepare, complete := e.wanted()
	switch {
	case t.producerID != e.req.ProducerID:
		return e.refuse(kerr.InvalidProducerIDMapping.Code)
	case t.epoch != e.req.ProducerEpoch:
		return e.refuse(kerr.ProducerFenced.Code)
	case t.state == Ongoing:
		return m.change(e.req.TransactionalID, t.end(prepare, 0, noProducerID, now),
			coordinator.Reply{To: e.call, Body: endResponse(e.req.Version, noProducerID, noEpoch)})
	case t.state == prepare:
		return e.refuse(kerr.ConcurrentTransactions.Code)
	case t.state == complete:
		return answer(e.call, endResponse(e.req.Version, noProducerID, noEpoch))
	}
	return e.refuse(kerr.InvalidTxnState.Code)
}

func (e *endTxn) decideBumping(m *machine, t *transaction, now time.Time) coordinator.Outcome {
	prepare, complete := e.wanted()
	// A transaction of the old rules left the epoch as it was: then the one before is a zombie's.
	bumped := t.version >= epochBump
	rotated := bumped && t.previousID == e.req.ProducerID && e.req.ProducerEpoch == maxEpoch && t.epoch == 0
	retry := rotated || bumped && int32(t.epoch) == int32(e.req.ProducerEpoch)+1
	current := t.epoch == e.req.ProducerEpoch
	switch {
	case t.producerID != e.req.ProducerID && !rotated:
		return e.refuse(kerr.InvalidProducerIDMapping.Code)
	case e.req.ProducerEpoch > maxEpoch, // which no client was ever given
		t.state.decided() && (!retry || rotated),
		(t.state == Ongoing || t.state == Empty) && !current,
		!retry && !current:
		return e.refuse(kerr.ProducerFenced.Code)
	case t.state == prepare:
		return e.refuse(kerr.ConcurrentTransactions.Code)
	case t.state == complete && retry:
		return answer(e.call, endResponse(e.req.Version, t.producerID, t.epoch))
	case t.state == Ongoing,
		prepare == PrepareAbort && t.state.idle() && !retry:
		if t.exhausted() && e.freshID < 0 {
			return answer(e.call, needsID{})
		}
		n := t.end(prepare, epochBump, e.freshID, now)
		done := n.complete(now)
		return m.change(e.req.TransactionalID, n,
			coordinator.Reply{To: e.call, Body: endResponse(e.req.Version, done.producerID, done.epoch)})
	}
	return e.refuse(kerr.InvalidTxnState.Code)
}

// timeOut aborts a transaction that is open for longer than its producer wanted. The
// producer is fenced, as it may still be about to write.
type timeOut struct {
	id         string
	producerID int64
	epoch      int16
	freshID    int64
}

func (o timeOut) decide(m *machine, now time.Time) coordinator.Outcome {
	t := m.txns[o.id]
	if t == nil || t.state != Ongoing || t.producerID != o.producerID || t.epoch != o.epoch || now.Before(t.deadline()) {
		return coordinator.Outcome{}
	}
	if t.exhausted() && m.level() >= epochBump && o.freshID < 0 {
		return coordinator.Outcome{
			Apply: func() {
				m.edge.refill(o.id, func(freshID int64) coordinator.Event {
					o.freshID = freshID
					return coordinator.Event{Key: o.id, Access: coordinator.Exclusive, Body: o}
				})
			},
			// Should there be no id, the next round asks again.
			Timers: []coordinator.Timer{{Key: coordinator.TimerKey{Kind: deadlineTimer, Key: o.id}, At: now.Add(m.cfg.AbortInterval)}},
		}
	}
	out := m.change(o.id, t.fence(m.level(), o.freshID, now))
	apply := out.Apply
	out.Apply = func() {
		m.metrics.timedOut.Inc()
		m.log.Info("transaction is aborted: it ran out of time", "transactional_id", o.id, "producer_id", t.producerID,
			"producer_epoch", t.epoch, "timeout_ms", t.timeoutMS, "partitions", len(t.partitions))
		apply()
	}
	return out
}

// markersWritten completes a transaction: what was decided is in all its partitions.
type markersWritten struct {
	id         string
	producerID int64
	epoch      int16
}

func (w markersWritten) decide(m *machine, now time.Time) coordinator.Outcome {
	t := m.txns[w.id]
	if t == nil || !t.state.decided() || t.producerID != w.producerID || t.epoch != w.epoch {
		return coordinator.Outcome{}
	}
	return m.change(w.id, t.complete(now))
}
