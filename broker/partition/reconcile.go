package partition

import (
	"fmt"
	"slices"

	"github.com/tidelinehq/tideline/internal/record"
	"github.com/tidelinehq/tideline/wal"
)

// Plan is how a follower comes into line with its leader's log.
type Plan struct {
	// To is where it goes on. All that it has at and above is dropped.
	To int64
	// Restart says that it drops what is below, too, and takes State, because the
	// leader has no more on its own disk, or all below To is in the object store: then
	// it need not be copied.
	Restart bool
	State   []byte
}

// Reconcile compares the leader epochs of a follower's log with those of this one
// (KIP-101, KIP-279): within an epoch two logs have the same records, as far as both
// have any, so they are alike up to where the newest epoch that both have ends in the
// one that ends first.
//
// It is ErrUnfit for a member of the ISR that would have to drop what is committed: it counts
// as a copy until it has left the ISR, which is asked for; then the plan is as for any other.
func (p *Partition) Reconcile(epoch, broker int32, h History) (Plan, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.Leads() || p.epoch.Load() != epoch {
		return Plan{}, fmt.Errorf("%w: epoch=%d current=%d", ErrFencedEpoch, epoch, p.epoch.Load())
	}
	seam := p.begin()
	to, alike := p.epochs.common(p.end.Load(), h)
	// Below the log start, where the batch begins that contains it, nobody cuts: the follower gets that batch anew.
	if alike && h.End > h.Start && to >= max(seam, p.logStart.Load(), h.Start) {
		return Plan{To: to}, nil
	}
	if max(seam, p.logStart.Load()) < min(h.End, p.highWater.Load()) && p.unfit(broker) {
		return Plan{}, fmt.Errorf("%w: broker=%d from=%d end=%d", ErrUnfit, broker, seam, h.End)
	}
	state, err := p.stateAt(seam)
	return Plan{To: seam, Restart: true, State: state}, err
}

// begin is where a follower begins anew: all below is in the object store or deleted, and all above on this disk.
// The log start may lie within a batch, which the follower gets whole. The caller holds the mutex.
func (p *Partition) begin() int64 {
	tiered, start := p.tiered.Load(), p.logStart.Load()
	if start <= tiered {
		return tiered
	}
	if base, ok := p.baseOf(start); ok {
		return max(base, tiered)
	}
	return start
}

// baseOf returns the base offset of the local batch that contains offset; false at the log end.
func (p *Partition) baseOf(offset int64) (int64, bool) {
	chunk, err := p.log.Read(offset, p.end.Load(), 1, true)
	if err != nil {
		return 0, false
	}
	defer chunk.Release()
	if len(chunk.Buffers) == 0 {
		return 0, false
	}
	b, _, err := record.Next(chunk.Buffers[0])
	return b.BaseOffset(), err == nil
}

// unfit marks a follower that is in the ISR, or may be, and has to leave it first.
func (p *Partition) unfit(broker int32) bool {
	p.acks.Lock()
	defer p.acks.Unlock()
	l := p.acks.lead
	if l == nil || !slices.Contains(l.isr, broker) && !slices.Contains(l.asked, broker) {
		return false
	}
	if f := l.follower(broker); f != nil {
		f.unfit = true
		if l.keeper != nil {
			l.keeper.CaughtUp(p)
		}
	}
	return true
}

// Rejoin is the plan for a follower that wants what this log does not have any more.
func (p *Partition) Rejoin() (Plan, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	seam := p.begin()
	state, err := p.stateAt(seam)
	return Plan{To: seam, Restart: true, State: state}, err
}

// common returns the offset up to which a log that ends at end and has these epochs is
// the same as another. It is false when they have no epoch in common.
func (e epochs) common(end int64, h History) (int64, bool) {
	theirs := h.End
	for i := len(h.Epochs) - 1; i >= 0; i-- {
		x := h.Epochs[i]
		for j := len(e) - 1; j >= 0 && e[j].Epoch >= x.Epoch; j-- {
			if e[j].Epoch != x.Epoch {
				continue
			}
			ours := end
			if j+1 < len(e) {
				ours = e[j+1].Start
			}
			return min(ours, theirs), true
		}
		theirs = x.Start
	}
	return 0, false
}

// ReplicaLacks reports whether there is anything for a follower from offset on.
func (p *Partition) ReplicaLacks(offset int64) bool { return offset < p.log.AheadEnd() }

// ReadReplica returns batches for a follower, from offset on, whether or not they are
// committed: from the local log, or from the memory that is just being written to it. It
// is nil when there is nothing yet. wal.ErrBelowStart and *wal.CorruptError mean that this
// disk does not have them.
func (p *Partition) ReadReplica(offset int64, maxBytes int) (*wal.Chunk, error) {
	if offset >= p.log.End() {
		if ahead := p.log.ReadAhead(offset, maxBytes); ahead != nil {
			return ahead, nil
		}
	}
	// Who appends may not have noted the end yet when the log says that it is durable, and nobody would ask again.
	end := p.log.End()
	if offset >= end {
		return nil, nil
	}
	if start := p.log.Start(); offset < start {
		if base, ok := p.baseOf(start); ok && base == offset {
			offset = start // the log begins within that batch
		}
	}
	return p.log.Read(offset, end, maxBytes, true)
}
