package partition

import (
	"fmt"
	"math"

	"github.com/tidelinehq/tideline/internal/record"
)

// Guard says on whose word a transactional batch belongs to an open transaction: the number of
// a question to the coordinator, which was answered with yes. While it is under way a marker may end
// the transaction that was asked about: then the guard is void (KIP-890). The zero Guard says
// nothing, which is enough for a transaction that is open on the partition.
type Guard uint64

// Trusted is the guard of a caller who knows that the transaction is open: the coordinator itself.
const Trusted Guard = math.MaxUint64

// verification is a question to a coordinator under way, about one producer.
type verification struct {
	guard  Guard
	lowest int32 // sequence: none above may be appended before it
	epoch  int16
	bumps  bool // the client knows of epochs that change with each transaction
	since  int64
}

// verifications are guarded by the partition's mutex.
type verifications struct {
	byID map[int64]*verification
}

// maxVerifications bounds them. The oldest goes for a new one; its batch is refused and sent again.
const maxVerifications = 4096

// start returns the guard of the question about a producer, a new one if there is none.
func (v *verifications) start(id int64, epoch int16, sequence int32, bumps bool, now int64, next func() Guard) Guard {
	x := v.byID[id]
	switch {
	case x == nil:
		if v.byID == nil {
			v.byID = make(map[int64]*verification)
		}
		if len(v.byID) >= maxVerifications {
			v.dropOldest()
		}
		x = &verification{guard: next(), lowest: sequence, epoch: epoch, bumps: bumps, since: now}
		v.byID[id] = x
	case epoch > x.epoch:
		x.epoch, x.lowest = epoch, sequence
	case epoch == x.epoch:
		x.lowest = min(x.lowest, sequence)
	}
	return x.guard
}

func (v *verifications) dropOldest() {
	oldest, since := int64(0), int64(math.MaxInt64)
	for id, x := range v.byID {
		if x.since < since || x.since == since && id < oldest {
			oldest, since = id, x.since
		}
	}
	delete(v.byID, oldest)
}

// verified reports whether a guard is that of the question about a producer.
func (v *verifications) verified(id int64, g Guard) bool {
	if g == Trusted {
		return true
	}
	x := v.byID[id]
	return x != nil && g == x.guard
}

// done ends the question: the transaction has begun here, or ended.
func (v *verifications) done(id int64) { delete(v.byID, id) }

// checkVerified keeps a batch back whose predecessor could not be appended, because it was not
// verified in time: else the predecessor never could be. A client that changes the epoch with each
// transaction begins each at sequence 0.
func (p *producers) checkVerified(b record.Batch, e *producerEntry) error {
	x := p.pending.byID[b.ProducerID()]
	if x == nil {
		return nil
	}
	first := b.BaseSequence()
	if x.bumps && first != 0 && (e == nil || e.count == 0) || first > x.lowest {
		return fmt.Errorf("%w: producer_id=%d epoch=%d sequence=%d lowest_unverified=%d",
			ErrOutOfOrderSequence, b.ProducerID(), b.ProducerEpoch(), first, x.lowest)
	}
	return nil
}

// VerificationGuard begins the verification of a transactional batch (KIP-890). needed is false where
// the producer's transaction is open on this partition: then the batch can be appended without. Else the
// coordinator must be asked, and after its yes the batch be appended with the guard. supportsEpochBump says that
// the client's epoch changes with each transaction.
func (p *Partition) VerificationGuard(producerID int64, epoch int16, baseSequence int32, supportsEpochBump bool) (guard Guard, needed bool, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.Leads() {
		return 0, false, ErrStopped
	}
	if p.lost {
		p.recallSoon()
		return 0, false, ErrNotRecalled
	}
	e := p.producers.entries[producerID]
	if e != nil && epoch < e.epoch {
		return 0, false, fmt.Errorf("%w: producer_id=%d epoch=%d current=%d", ErrInvalidProducerEpoch, producerID, epoch, e.epoch)
	}
	if e != nil && e.open(epoch) {
		return 0, false, nil
	}
	next := func() Guard { p.guards++; return p.guards }
	return p.producers.pending.start(producerID, epoch, baseSequence, supportsEpochBump, p.now().UnixMilli(), next), true, nil
}
