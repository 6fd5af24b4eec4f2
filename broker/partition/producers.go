package partition

import (
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/tidelinehq/tideline/internal/record"
)

// Errors of the idempotent producer protocol (KIP-98, KIP-360).
var (
	// ErrOutOfOrderSequence means that a batch does not follow the last one of its
	// producer: something between them was lost.
	ErrOutOfOrderSequence = errors.New("out of order sequence number")
	// ErrInvalidProducerEpoch means that a newer instance of the producer exists.
	ErrInvalidProducerEpoch = errors.New("producer epoch is older than the current one")
)

// retainedBatches is how many batches of a producer are remembered, so that a
// retry of any request that a client may have in flight is recognised. Kafka's
// protocol fixes it: max.in.flight.requests.per.connection is at most five.
const retainedBatches = 5

// noSequence marks a producer without batches.
const noSequence = -1

// batchMeta is what is remembered of one appended batch.
type batchMeta struct {
	baseSequence, lastSequence int32
	baseOffset, lastOffset     int64
	timestamp                  int64 // max timestamp of the batch, ms
}

// producerEntry is the state of one producer id. Its batches are in log order,
// oldest first, and all of the same epoch.
type producerEntry struct {
	epoch    int16
	count    int8
	batches  [retainedBatches]batchMeta
	lastSeen int64 // ms, by the batch's own timestamp or the append time, whichever is later
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
}

// producers holds the entries of one partition by producer id. It is guarded by
// the partition's mutex.
type producers struct {
	entries map[int64]*producerEntry
}

// check decides about a batch of an idempotent producer. duplicate is not nil
// when exactly this batch was appended before: the caller answers with its
// offsets and appends nothing.
//
// The rules are those of Kafka's ProducerAppendInfo: an unknown producer may
// start with any sequence, because its state may have been deleted by retention;
// a new epoch must start at zero.
func (p *producers) check(b record.Batch) (duplicate *batchMeta, err error) {
	e := p.entries[b.ProducerID()]
	if e == nil {
		return nil, nil
	}
	epoch, first, last := b.ProducerEpoch(), b.BaseSequence(), b.LastSequence()
	if epoch < e.epoch {
		return nil, fmt.Errorf("%w: producer_id=%d epoch=%d current=%d", ErrInvalidProducerEpoch, b.ProducerID(), epoch, e.epoch)
	}
	if epoch > e.epoch {
		if first != 0 {
			return nil, fmt.Errorf("%w: a new epoch starts at sequence 0: producer_id=%d epoch=%d sequence=%d",
				ErrOutOfOrderSequence, b.ProducerID(), epoch, first)
		}
		return nil, nil
	}
	for i := int8(0); i < e.count; i++ {
		if m := &e.batches[i]; m.baseSequence == first && m.lastSequence == last {
			return m, nil
		}
	}
	if e.count > 0 && !follows(e.lastSequence(), first) {
		return nil, fmt.Errorf("%w: producer_id=%d epoch=%d sequence=%d last=%d",
			ErrOutOfOrderSequence, b.ProducerID(), epoch, first, e.lastSequence())
	}
	return nil, nil
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
// longest are forgotten first; they may go on with any sequence.
const maxProducers = 32 << 10

// update remembers an appended batch, at append and at replay alike. now is the
// time of either in ms.
func (p *producers) update(b record.Batch, now int64) {
	id := b.ProducerID()
	if id < 0 {
		return
	}
	e := p.entries[id]
	if e == nil {
		switch {
		case p.entries == nil:
			p.entries = make(map[int64]*producerEntry)
		case len(p.entries) >= maxProducers:
			p.thin()
		}
		e = &producerEntry{epoch: b.ProducerEpoch()}
		p.entries[id] = e
	}
	if b.ProducerEpoch() != e.epoch {
		*e = producerEntry{epoch: b.ProducerEpoch()}
	}
	e.lastSeen = max(e.lastSeen, b.MaxTimestamp(), now)
	if b.Control() || b.BaseSequence() < 0 {
		return // markers carry no sequence
	}
	e.push(batchMeta{
		baseSequence: b.BaseSequence(), lastSequence: b.LastSequence(),
		baseOffset: b.BaseOffset(), lastOffset: b.LastOffset(), timestamp: b.MaxTimestamp(),
	})
}

// truncate forgets what lies at or above end: a state frame may describe batches
// that did not reach the disk before a crash, and a retry of them must be
// appended, not taken for a duplicate.
func (p *producers) truncate(end int64) {
	for id, e := range p.entries {
		had := e.count
		for e.count > 0 && e.batches[e.count-1].lastOffset >= end {
			e.count--
		}
		if had > 0 && e.count == 0 {
			delete(p.entries, id)
		}
	}
}

// below returns a copy without what lies at or above end.
func (p *producers) below(end int64) *producers {
	out := &producers{entries: make(map[int64]*producerEntry, len(p.entries))}
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
		seen = append(seen, e.lastSeen)
	}
	slices.Sort(seen)
	limit, left := seen[len(seen)/4], len(seen)/4+1
	for id, e := range p.entries {
		if e.lastSeen <= limit && left > 0 {
			delete(p.entries, id)
			left--
		}
	}
}

// expire removes producers that were not seen since before (ms).
func (p *producers) expire(before int64) {
	for id, e := range p.entries {
		if e.lastSeen < before {
			delete(p.entries, id)
		}
	}
}
