package share

import (
	"errors"
	"fmt"
	"math"
	"time"
)

// inFlight is the state of a share partition and the rules that change it. It reads
// no clock and starts nothing: its owner tells it what happened and when, writes what
// it says must be written, and tells it how that went.
//
// Every method leaves the invariants of check.
type inFlight struct {
	limits     Limits
	start, end int64  // start offset; the first offset that was never fetched
	spans      []span // of [start, end)

	next       uint64    // the id of the next write
	startDirty uint64    // the write that tells the persister the start offset, 0: none
	urgent     bool      // somebody waits for the next write, or it ought not wait
	expiry     time.Time // no lock ends before; zero: there is none
}

// errState means that a persister gave back what cannot be.
var errState = errors.New("state of a share partition is corrupt")

// maxEnd bounds offsets, so that the next one is always an offset.
const maxEnd = math.MaxInt64 - 1

// load takes up what the persister has. The log start may have moved meanwhile. Ranges
// that the persister does not know were never delivered, or to members that are
// forgotten; in either case they are available.
func load(st State, logStart int64, limits Limits) (*inFlight, error) {
	s := &inFlight{limits: limits, start: st.Start, end: st.Start, next: 1}
	for _, b := range st.Batches {
		if b.First > b.Last || b.Last >= maxEnd || b.First < 0 || b.DeliveryCount < 0 {
			return nil, fmt.Errorf("%w: first=%d last=%d delivery_count=%d", errState, b.First, b.Last, b.DeliveryCount)
		}
		switch b.State {
		case Available, Acknowledged, Archived:
		case Acquired:
			b.State = Available // its member is not known any more
		default:
			return nil, fmt.Errorf("%w: first=%d state=%d", errState, b.First, b.State)
		}
		if b.Last < s.start {
			continue // done with, and not yet forgotten
		}
		first := max(b.First, s.start)
		if first < s.end {
			return nil, fmt.Errorf("%w: first=%d overlaps with what ends at=%d", errState, b.First, s.end)
		}
		if first > s.end {
			s.add(span{first: s.end, last: first - 1, state: Available})
		}
		p := span{first: first, last: b.Last, state: b.State, count: b.DeliveryCount}
		if p.state == Available && p.count >= limits.Deliveries {
			p.state, p.dirty = Archived, s.next
		}
		s.add(p)
	}
	s.advance(logStart)
	s.trim()
	return s, nil
}

// begin makes the state of a group that begins at an offset, which the persister does
// not know yet.
func begin(start int64, limits Limits) *inFlight {
	return &inFlight{limits: limits, start: start, end: start, next: 1, startDirty: 1, urgent: true}
}

// configure takes over new limits. What was delivered as often as they allow is done.
func (s *inFlight) configure(l Limits) {
	if l == s.limits {
		return
	}
	s.limits = l
	for i := range s.spans {
		if p := &s.spans[i]; p.state == Available && p.count >= l.Deliveries {
			p.state, p.dirty = Archived, s.next
		}
		if p := &s.spans[i]; p.pending == s.next && p.to == Available && p.count >= l.Deliveries {
			p.to = Archived
		}
	}
	s.trim()
}

// add appends a span at the end.
func (s *inFlight) add(p span) {
	p.fetched, p.size = p.first, int(min(p.length(), math.MaxInt32))
	s.spans = append(s.spans, p)
	s.end = p.last + 1
}

// fetchFrom returns where the next fetch is to read: at the first available record,
// else at the end. It reports false when there is none and as many records are in
// flight as may be.
func (s *inFlight) fetchFrom() (int64, bool) {
	for i := range s.spans {
		if s.spans[i].state == Available {
			return s.spans[i].first, true
		}
	}
	return s.end, s.room() > 0
}

// stale reports whether there is anything that the persister does not know.
func (s *inFlight) stale() bool {
	if s.startDirty != 0 {
		return true
	}
	for i := range s.spans {
		if s.spans[i].dirty != 0 || s.spans[i].pending != 0 {
			return true
		}
	}
	return false
}

// room is how many offsets more may be in flight.
func (s *inFlight) room() int64 { return int64(s.limits.RecordLocks) - (s.end - s.start) }

// advance moves the start offset up to the log start: what is deleted is done.
func (s *inFlight) advance(logStart int64) {
	if logStart <= s.start {
		return
	}
	s.spans = append(s.spans[:0], s.spans[s.cut(logStart):]...)
	s.start, s.end = logStart, max(s.end, logStart)
	s.startDirty = s.next
	s.trim()
}

// trim moves the start offset over what is done.
func (s *inFlight) trim() {
	n := 0
	for n < len(s.spans) && s.spans[n].done() {
		n++
	}
	if n > 0 {
		s.start = s.spans[n-1].last + 1
		s.startDirty = s.next
		rest := copy(s.spans, s.spans[n:])
		clear(s.spans[rest:])
		s.spans = s.spans[:rest]
	}
	s.merge()
}

// check returns what is wrong with the state, which is a bug.
func (s *inFlight) check() error {
	at := s.start
	for i := range s.spans {
		p := &s.spans[i]
		switch {
		case p.first != at || p.last < p.first:
			return fmt.Errorf("span %d is [%d, %d], want it from %d on", i, p.first, p.last, at)
		case (p.state == Acquired) != (p.member != ""):
			return fmt.Errorf("span at %d is in state %d and has member %q", p.first, p.state, p.member)
		case p.pending != 0 && p.state != Acquired, p.pending > s.next, p.dirty > s.next:
			return fmt.Errorf("span at %d in state %d waits for write %d, %d of %d", p.first, p.state, p.pending, p.dirty, s.next)
		case p.state == Acquired && p.pending == 0 && (s.expiry.IsZero() || p.deadline.Before(s.expiry)):
			return fmt.Errorf("lock at %d ends at %v, nobody looks before %v", p.first, p.deadline, s.expiry)
		case p.state == Available && p.count >= s.limits.Deliveries:
			return fmt.Errorf("span at %d is available after %d deliveries", p.first, p.count)
		case p.gap && p.state != Archived:
			return fmt.Errorf("gap at %d is in state %d", p.first, p.state)
		}
		at = p.last + 1
	}
	if at != s.end {
		return fmt.Errorf("spans end at %d, want %d", at, s.end)
	}
	if len(s.spans) > 0 && s.spans[0].done() {
		return fmt.Errorf("the start offset %d is done", s.start)
	}
	return nil
}
