package partition

import (
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/tidelinehq/tideline/internal/record"
)

// Errors of the protocol of idempotent and transactional producers (KIP-98, KIP-360, KIP-890).
var (
	// ErrOutOfOrderSequence means that a batch does not follow the last one of its
	// producer: something between them was lost.
	ErrOutOfOrderSequence = errors.New("out of order sequence number")
	// ErrInvalidProducerEpoch means that a newer instance of the producer exists, or
	// that the transaction which a marker would end has ended.
	ErrInvalidProducerEpoch = errors.New("producer epoch is older than the current one")
	// ErrTransactionOpen means that a producer with an open transaction sent a batch
	// that is not part of it.
	ErrTransactionOpen = errors.New("producer has an open transaction and the batch is not part of it")
	// ErrTransactionUnverified means that nobody has asked the coordinator of the
	// transaction whether the partition is part of it.
	ErrTransactionUnverified = errors.New("batch is not part of an ongoing transaction")
	// ErrTooManyTransactions means that the partition has as many open transactions as
	// it may have, or as many aborted ones that are not in the object store.
	ErrTooManyTransactions = errors.New("too many transactions on one partition")
)

// retainedBatches is how many batches of a producer are remembered, so that a
// retry of any request that a client may have in flight is recognised. Kafka's
// protocol fixes it: max.in.flight.requests.per.connection is at most five.
const retainedBatches = 5

// noSequence marks a producer without batches, none an offset or an epoch that is not there.
const (
	noSequence = -1
	none       = -1
)

// batchMeta is what is remembered of one appended batch.
type batchMeta struct {
	baseSequence, lastSequence int32
	baseOffset, lastOffset     int64
	timestamp                  int64 // max timestamp of the batch, ms
}

// producerEntry is the state of one producer id. Its batches are in log order,
// oldest first, and all of the same epoch.
type producerEntry struct {
	epoch            int16
	count            int8
	forgotten        bool  // there were batches of this epoch, of which none is known: any sequence may follow
	coordinatorEpoch int32 // of the last marker; none: there was none
	batches          [retainedBatches]batchMeta
	lastSeen         int64 // ms, by the batch's own timestamp or the append time, whichever is later
	timestamp        int64 // ms, of the last batch or marker itself
	first            int64 // first offset of the open transaction, or none
}

func newProducerEntry(epoch int16) *producerEntry {
	return &producerEntry{epoch: epoch, coordinatorEpoch: none, timestamp: none, first: none}
}

func (e *producerEntry) lastSequence() int32 {
	if e.count == 0 {
		return noSequence
	}
	return e.batches[e.count-1].lastSequence
}

func (e *producerEntry) push(m batchMeta) {
	if e.count == retainedBatches {
		copy(e.batches[:], e.batches[1:])
		e.count--
	}
	e.batches[e.count] = m
	e.count++
	e.forgotten = false
}

// setEpoch takes over another epoch, whose sequences begin anew. An open transaction goes on:
// only a marker ends one.
func (e *producerEntry) setEpoch(epoch int16) {
	if e.epoch != epoch {
		e.epoch, e.count, e.forgotten = epoch, 0, false
	}
}

// open reports whether a transaction is open that this epoch of the producer began.
func (e *producerEntry) open(epoch int16) bool { return e.first != none && e.epoch == epoch }

// producers holds the entries of one partition by producer id, and the transactions. It is
// guarded by the partition's mutex.
type producers struct {
	entries map[int64]*producerEntry
	ongoing openTransactions
	ended   decisions
	pending verifications
	crowded bool // too many aborted transactions are not in the object store: none begins
}

// check decides about a client's batch of an idempotent or transactional producer. duplicate
// is not nil when exactly this batch was appended before: the caller answers with its
// offsets and appends nothing.
//
// The rules are those of Kafka's ProducerAppendInfo: an unknown producer may
// start with any sequence, because its state may have been deleted by retention;
// a new epoch must start at zero, also the one that a marker has begun.
func (p *producers) check(b record.Batch, g Guard) (duplicate *batchMeta, err error) {
	e, first, last := p.entries[b.ProducerID()], b.BaseSequence(), b.LastSequence()
	if e != nil && b.ProducerEpoch() == e.epoch {
		for i := int8(0); i < e.count; i++ {
			if m := &e.batches[i]; m.baseSequence == first && m.lastSequence == last {
				return m, nil
			}
		}
	}
	if err := p.checkTransaction(b, e, g); err != nil {
		return nil, err
	}
	if err := p.checkVerified(b, e); err != nil {
		return nil, err
	}
	if e == nil {
		return nil, nil
	}
	if epoch := b.ProducerEpoch(); epoch > e.epoch {
		if first != 0 {
			return nil, fmt.Errorf("%w: a new epoch starts at sequence 0: producer_id=%d epoch=%d sequence=%d",
				ErrOutOfOrderSequence, b.ProducerID(), epoch, first)
		}
		return nil, nil
	}
	if !e.forgotten && !follows(e.lastSequence(), first) {
		return nil, fmt.Errorf("%w: producer_id=%d epoch=%d sequence=%d last=%d",
			ErrOutOfOrderSequence, b.ProducerID(), e.epoch, first, e.lastSequence())
	}
	return nil, nil
}

// checkTransaction decides whether a batch may be appended as far as epochs and transactions
// go; that is all there is to check of what a coordinator writes, which has no sequences.
func (p *producers) checkTransaction(b record.Batch, e *producerEntry, g Guard) error {
	id, epoch := b.ProducerID(), b.ProducerEpoch()
	if e != nil && epoch < e.epoch {
		return fmt.Errorf("%w: producer_id=%d epoch=%d current=%d", ErrInvalidProducerEpoch, id, epoch, e.epoch)
	}
	if !b.Transactional() {
		if e != nil && e.first != none {
			return fmt.Errorf("%w: producer_id=%d first_offset=%d", ErrTransactionOpen, id, e.first)
		}
		return nil
	}
	if e != nil && e.open(epoch) {
		return nil
	}
	if !p.pending.verified(id, g) {
		return fmt.Errorf("%w: producer_id=%d epoch=%d", ErrTransactionUnverified, id, epoch)
	}
	if (e == nil || e.first == none) && (p.crowded || p.ongoing.len() >= maxOpenTransactions) {
		return fmt.Errorf("%w: open=%d aborted_not_tiered=%v", ErrTooManyTransactions, p.ongoing.len(), p.crowded)
	}
	return nil
}

// follows reports whether next is the sequence after last; sequences wrap from
// the greatest int32 to zero.
func follows(last, next int32) bool {
	if last == math.MaxInt32 {
		return next == 0
	}
	return next == last+1
}

// maxProducers bounds the producers of a partition, so that their state fits into
// a state frame of the smallest write-ahead log file. Those that were not seen for
// longest are forgotten first; they may go on with any sequence. Who has an open transaction
// is not forgotten.
const maxProducers = 32 << 10

// maxOpenTransactions bounds the producers that can not be forgotten. Each is there no longer
// than its coordinator lets a transaction be open.
const maxOpenTransactions = maxProducers / 2

// update remembers an appended batch, at append and at replay alike; m is the marker in a control
// batch. now is the time of either in ms. It returns what a marker decided, nil for none.
func (p *producers) update(b record.Batch, m marker, now int64) *decision {
	id := b.ProducerID()
	if id < 0 || b.Control() && !m.ends() {
		return nil
	}
	e := p.entries[id]
	known := e != nil
	if !known {
		switch {
		case p.entries == nil:
			p.entries = make(map[int64]*producerEntry)
		case len(p.entries) >= maxProducers:
			p.thin()
		}
		e = newProducerEntry(b.ProducerEpoch())
		p.entries[id] = e
	}
	if b.Transactional() {
		p.pending.done(id)
	}
	e.timestamp = b.MaxTimestamp()
	e.lastSeen = max(e.lastSeen, e.timestamp, now)
	if b.Control() {
		return p.end(e, known, b, m)
	}
	e.setEpoch(b.ProducerEpoch())
	if b.BaseSequence() >= 0 {
		e.push(batchMeta{
			baseSequence: b.BaseSequence(), lastSequence: b.LastSequence(),
			baseOffset: b.BaseOffset(), lastOffset: b.LastOffset(), timestamp: b.MaxTimestamp(),
		})
	}
	if b.Transactional() && e.first == none {
		e.first = b.BaseOffset()
		p.ongoing.add(e.first, id)
	}
	return nil
}

// end has a marker end the producer's transaction, if it has one.
func (p *producers) end(e *producerEntry, known bool, b record.Batch, m marker) *decision {
	d := decision{
		id: b.ProducerID(), marker: b.BaseOffset(), first: e.first, stable: b.NextOffset(),
		epoch: e.epoch, coordinatorEpoch: e.coordinatorEpoch, known: known, aborted: m.kind == record.Abort,
	}
	if e.first != none {
		p.ongoing.remove(e.first)
		d.stable = min(d.stable, p.ongoing.first())
	}
	e.setEpoch(b.ProducerEpoch())
	e.coordinatorEpoch, e.first = m.coordinatorEpoch, none
	p.ended.add(d)
	return &d
}

// truncate goes back to what was known when the log ended at end, which must not lie below what
// the decisions go back to: a retry of a batch beyond it must be appended, not taken for a
// duplicate, and a transaction whose marker lies beyond it is open. It is exact but for
// producers of which nothing is left below end, or who were of another epoch there: they count as
// unknown.
func (p *producers) truncate(end int64) {
	for id, e := range p.entries {
		had := e.count
		for e.count > 0 && e.batches[e.count-1].lastOffset >= end {
			e.count--
		}
		if e.first >= end {
			e.first = none
		}
		if had > 0 && e.count == 0 {
			e.forgotten = true
			if e.first == none {
				delete(p.entries, id)
			}
		}
	}
	p.ended.undo(end, p.reopen)
	p.ongoing.rebuild(p.entries)
	p.pending = verifications{}
}

// reopen undoes a marker at or above end.
func (p *producers) reopen(d *decision, end int64) {
	e := p.entries[d.id]
	if !d.known || d.first >= end && (e == nil || e.count == 0) {
		delete(p.entries, d.id) // it began at or above end
		return
	}
	if e == nil {
		if p.entries == nil {
			p.entries = make(map[int64]*producerEntry)
		}
		e = newProducerEntry(d.epoch)
		p.entries[d.id] = e
	}
	e.setEpoch(d.epoch)
	e.forgotten = e.count == 0
	e.coordinatorEpoch = d.coordinatorEpoch
	if e.first = none; d.first < end {
		e.first = d.first
	}
}

// below returns a copy without what lies at or above end.
func (p *producers) below(end int64) *producers {
	out := &producers{entries: make(map[int64]*producerEntry, len(p.entries)), ended: p.ended}
	for id, e := range p.entries {
		kept := *e
		out.entries[id] = &kept
	}
	out.truncate(end)
	return out
}

// thin forgets the quarter of the producers that was not seen for longest.
func (p *producers) thin() {
	seen := make([]int64, 0, len(p.entries))
	for _, e := range p.entries {
		if e.first == none {
			seen = append(seen, e.lastSeen)
		}
	}
	if len(seen) == 0 {
		return
	}
	slices.Sort(seen)
	limit, left := seen[len(seen)/4], len(seen)/4+1
	for id, e := range p.entries {
		if e.first == none && e.lastSeen <= limit && left > 0 {
			delete(p.entries, id)
			left--
		}
	}
}

// expire removes producers that were not seen since before (ms) and have no open transaction.
func (p *producers) expire(before int64) {
	for id, e := range p.entries {
		if e.lastSeen < before && e.first == none {
			delete(p.entries, id)
		}
	}
}
