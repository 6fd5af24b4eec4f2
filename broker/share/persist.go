package share

import (
	"math"
	"time"
)

// write is what a persister is told.
type write struct {
	id       uint64
	start    int64
	complete int32 // offsets above start that are done
	batches  []StateBatch
}

// flush returns what the persister does not know, if somebody waits for that; nil
// otherwise. Until written is called for it there must be no other.
//
// The start offset in it is the confirmed one, which never goes back. One that the write
// itself makes possible would have to go back when the write fails, and a persister that
// did make it would have forgotten meanwhile what was done above.
func (s *inFlight) flush() *write {
	if !s.urgent {
		return nil
	}
	s.urgent = false
	w := &write{id: s.next, start: s.start}
	s.next++
	complete := int64(0)
	for i := range s.spans {
		p := &s.spans[i]
		to := p.after(w.id)
		if terminal(to) {
			complete += p.length()
		}
		if p.pending != w.id && p.dirty != w.id {
			continue
		}
		b := StateBatch{First: p.first, Last: p.last, State: to, DeliveryCount: p.count}
		if to == Acquired {
			// A lock is not kept: whoever leads next does not know of the delivery.
			b.State, b.DeliveryCount = Available, p.count-1
		}
		if n := len(w.batches); n > 0 && w.batches[n-1].Last+1 == b.First && w.batches[n-1].State == b.State && w.batches[n-1].DeliveryCount == b.DeliveryCount {
			w.batches[n-1].Last = b.Last
			continue
		}
		w.batches = append(w.batches, b)
	}
	w.complete = int32(min(complete, math.MaxInt32))
	return w
}

// after is the state of a span when a write is confirmed.
func (p *span) after(id uint64) RecordState {
	if p.pending == id {
		return p.to
	}
	return p.state
}

// written takes the outcome of a write. When it failed, acknowledgements in it are as
// if they had not been made, and what is known here without the persister goes into
// the next write.
func (s *inFlight) written(w *write, ok bool, now time.Time) {
	for i := range s.spans {
		p := &s.spans[i]
		if p.dirty == w.id {
			p.dirty = 0
			if !ok {
				p.dirty = s.next
			}
		}
		if p.pending != w.id {
			continue
		}
		p.pending = 0
		switch {
		case ok && p.to == Available && p.count >= s.limits.Deliveries: // the limit went down meanwhile
			p.state, p.member, p.deadline, p.dirty = Archived, "", time.Time{}, s.next
		case ok:
			p.state, p.member, p.deadline = p.to, "", time.Time{}
		case p.deadline.After(now):
			s.watch(p.deadline)
		default:
			s.unlock(p, p.count)
			s.urgent = true
		}
		p.to = 0
	}
	if s.startDirty == w.id {
		s.startDirty = 0
		if !ok {
			s.startDirty = s.next
		}
	}
	s.trim()
}
