package partition

import (
	"fmt"
	"slices"

	"github.com/tidelinehq/tideline/internal/record"
	"github.com/tidelinehq/tideline/wal"
)

// A follower takes what its leader pushes, in the order: describe, cut or restart,
// then append after append. Every call names the leader epoch; ErrFencedEpoch and
// ErrUnknownEpoch answer one that is not the current one.

// Follow makes the replica follow whoever leads under epoch. An older epoch changes
// nothing.
func (p *Partition) Follow(epoch int32) {
	p.mu.Lock()
	if p.stopped.Load() || epoch < p.epoch.Load() || epoch == p.epoch.Load() && !p.leads.Load() {
		p.mu.Unlock()
		return
	}
	p.forgetful = p.forgetful || p.lost // not all that this log holds is known: it starts over
	p.epoch.Store(epoch)
	p.leads.Store(false)
	told := p.demote()
	p.mu.Unlock()
	tell(told, ErrStopped)
}

// follows checks that the replica follows under epoch. The caller holds the mutex.
func (p *Partition) follows(epoch int32) error {
	switch current := p.epoch.Load(); {
	case p.stopped.Load():
		return ErrStopped
	case epoch < current || epoch == current && p.leads.Load():
		return fmt.Errorf("%w: epoch=%d current=%d", ErrFencedEpoch, epoch, current)
	case epoch > current:
		return fmt.Errorf("%w: epoch=%d current=%d", ErrUnknownEpoch, epoch, current)
	}
	return nil
}

// maxEpochs bounds the leader epochs that a replica tells of itself, newest last. Where
// none of so many is the leader's, the replica starts over.
const maxEpochs = 1024

// History is what a replica says of its log.
type History struct {
	Start, End int64 // End is the next offset, durable or about to be
	Epochs     []EpochStart
}

// Describe returns what the log holds.
func (p *Partition) Describe(epoch int32) (History, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if err := p.follows(epoch); err != nil {
		return History{}, err
	}
	es := p.epochs
	if p.forgetful {
		es = nil // none of the leader's epochs: the replica starts over
	}
	if len(es) > maxEpochs {
		es = es[len(es)-maxEpochs:]
	}
	return History{Start: p.log.Start(), End: p.end.Load(), Epochs: slices.Clone(es)}, nil
}

// Cut drops all at and above to, which the leader does not have. done is told the end
// of the log when that is durable; it must not block.
func (p *Partition) Cut(epoch int32, to, leaderHW int64, done func(end int64, err error)) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if err := p.follows(epoch); err != nil {
		return err
	}
	if end := p.end.Load(); to > end || to < p.log.Start() {
		return fmt.Errorf("%w: cut to=%d start=%d end=%d", ErrOffsetOutOfRange, to, p.log.Start(), end)
	}
	if err := p.overtaken(to); err != nil {
		return err
	}
	if floor := p.producers.ended.floor; to < floor {
		p.forgetful = true
		return fmt.Errorf("%w: cut to=%d: the transactions that were open there are not known any more, from=%d", ErrOffsetOutOfRange, to, floor)
	}
	p.cut(to, leaderHW)
	p.log.Truncate(to, p.encodeState(), func(err error) { p.cutDone(to, err, done) })
	return nil
}

// overtaken refuses to end the log below what is in the object store: the leader does not know
// yet how far that is. It asks again when it does. The caller holds the mutex.
func (p *Partition) overtaken(to int64) error {
	if seam := max(p.tiered.Load(), p.wantStart.Load()); to < seam {
		return fmt.Errorf("%w: to=%d tiered=%d", ErrOffsetOutOfRange, to, seam)
	}
	return nil
}

// cut forgets what describes offsets at and above to. The high watermark stands until
// cutDone. The caller holds the mutex.
func (p *Partition) cut(to, leaderHW int64) {
	p.trail.Forget(p.id.Topic, p.id.Partition, to)
	p.truncate(to)
	p.acks.Lock()
	defer p.acks.Unlock()
	p.acks.cuts++
	p.acks.leaderHW = leaderHW
	if to < p.highWater.Load() {
		// Only after an unclean election.
		p.logger.Warn("records that were committed are not in the new leader's log", "topic", p.topic, "partition", p.id.Partition, "from", to, "to", p.highWater.Load())
		p.stable.Store(min(p.stable.Load(), to)) // first: it is never seen above the high watermark
		p.highWater.Store(to)
	}
	p.end.Store(to)
	p.saved = to
	p.resettle()
}

// cutDone ends a cut, on the write-ahead log's goroutine.
func (p *Partition) cutDone(to int64, err error, done func(int64, error)) {
	var told *Append
	p.acks.Lock()
	if err == nil {
		p.acks.cuts--
		p.acks.durable = to
		// Not before: appends that were on their way to the disk have left marks meanwhile.
		high := p.highWater.Load()
		p.acks.marks, _ = p.acks.marks.truncate(high, to).take(high, high)
		told = p.settle()
	}
	p.acks.Unlock()
	tell(told, nil)
	done(to, err)
}

// Restart empties the log, which goes on at offset at with the epochs and producers of
// state, as StateAt of the leader gave it. done is told when that is durable; it must
// not block.
func (p *Partition) Restart(epoch int32, at, leaderHW int64, state []byte, done func(end int64, err error)) error {
	s, err := decodeState(state)
	if err != nil {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if err := p.follows(epoch); err != nil {
		return err
	}
	// What is deleted may be in the first batch: the log start is no bound here.
	if tiered := p.tiered.Load(); at < tiered {
		return fmt.Errorf("%w: to=%d tiered=%d", ErrOffsetOutOfRange, at, tiered)
	}
	p.lost, p.forgetful = false, false
	p.epochs, p.producers = s.epochs, s.producers
	p.beginAt(at, leaderHW, done)
	return nil
}

// beginAt empties the log, which goes on at offset at, all below it being committed. The state is that of
// epochs and producers as they are. The caller holds the mutex.
func (p *Partition) beginAt(at, leaderHW int64, done func(end int64, err error)) {
	p.trail.Forget(p.id.Topic, p.id.Partition, at)
	p.acks.Lock()
	p.acks.cuts++
	p.acks.leaderHW = leaderHW
	p.stable.Store(min(p.stable.Load(), at))
	p.highWater.Store(at) // of what is committed above, nothing is here any more
	p.logStart.Store(min(p.wantStart.Load(), at))
	p.end.Store(at)
	p.saved = at
	p.producers.ended = decisions{floor: at}
	p.aborted.reset(at, nil)
	p.resettle()
	p.acks.Unlock()
	// First nothing is left above, then the start is raised over all that is below. The
	// last frame says whose state that is.
	p.log.Truncate(at, nil, nil)
	p.log.SetStart(at)
	p.log.Truncate(at, p.encodeState(), func(err error) { p.cutDone(at, err, done) })
}

// Replicate appends batches as the leader has them. They must begin at the end of the
// log. owner is told when they are durable here.
func (p *Partition) Replicate(a *Append, epoch int32, records []byte, leaderHW int64, owner Owner) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if err := p.follows(epoch); err != nil {
		return err
	}
	base, end, err := contiguous(records)
	if err != nil {
		return err
	}
	if at := p.end.Load(); base != at {
		return fmt.Errorf("%w: base=%d end=%d", ErrOffsetOutOfRange, base, at)
	}
	a.reset(p, owner)
	a.Alone, a.BaseOffset, a.end, a.bytes = true, base, end, len(records)
	a.wal = wal.Append{Batches: records, Done: a, Trace: a.Trace.queued(p, a)}
	transactional := p.hold(records)
	if err := p.log.Append(&a.wal); err != nil {
		a.Trace.refused(p, a)
		if transactional {
			p.release()
		}
		return fmt.Errorf("append topic=%s partition=%d: %w", p.topic, p.id.Partition, err)
	}
	p.end.Store(end)
	p.remember(records, p.now().UnixMilli())
	if transactional {
		p.release()
	}
	p.acks.Lock()
	p.acks.leaderHW = max(p.acks.leaderHW, leaderHW)
	p.settle() // for what came before; nobody waits here for an acknowledgement
	p.acks.Unlock()
	return nil
}

// contiguous checks that records are whole batches without damage that follow one
// another, and returns what they cover.
func contiguous(records []byte) (base, end int64, err error) {
	base = -1
	for b, err := range record.All(records) {
		if err == nil {
			err = b.ValidateCRC()
		}
		if err == nil {
			_, err = parseMarker(b)
		}
		if err != nil {
			return 0, 0, err
		}
		if base < 0 {
			base, end = b.BaseOffset(), b.BaseOffset()
		}
		if b.BaseOffset() != end {
			return 0, 0, fmt.Errorf("%w: base=%d after=%d", ErrInvalidRecord, b.BaseOffset(), end)
		}
		end = b.NextOffset()
	}
	if base < 0 {
		return 0, 0, fmt.Errorf("%w: empty record set", ErrInvalidRecord)
	}
	return base, end, nil
}

// Commit takes over the leader's high watermark.
func (p *Partition) Commit(epoch int32, leaderHW int64) error {
	if current := p.epoch.Load(); epoch != current || p.leads.Load() {
		return fmt.Errorf("%w: epoch=%d current=%d", ErrFencedEpoch, epoch, current)
	}
	p.acks.Lock()
	var told *Append
	// Looked at once more: with the lock held no other epoch begins.
	if p.epoch.Load() == epoch && p.acks.lead == nil {
		p.acks.leaderHW = max(p.acks.leaderHW, leaderHW)
		told = p.settle()
	}
	p.acks.Unlock()
	tell(told, nil)
	return nil
}
