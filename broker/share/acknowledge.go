package share

import (
	"errors"
	"fmt"
	"time"
)

// AckType is what a member says of a record. The values are those of the wire.
type AckType int8

// What a member may say of a record.
const (
	Gap     AckType = 0 // there is no such record
	Accept  AckType = 1
	Release AckType = 2
	Reject  AckType = 3
	Renew   AckType = 4 // it takes longer: lock it once more
)

// AckBatch says something of a range of records.
type AckBatch struct {
	Range
	// Types has one entry for all offsets, or one for each.
	Types []AckType
}

// Errors of an acknowledgement.
var (
	// ErrRecordState means that records are not acquired, or by another member, or that
	// they are being acknowledged already.
	ErrRecordState = errors.New("records are not acquired by this member")
	// ErrInvalidAck means that an acknowledgement makes no sense.
	ErrInvalidAck = errors.New("acknowledgement is not valid")
)

// CheckAcks refuses acknowledgements of one partition that make no sense, whatever the
// state.
func CheckAcks(batches []AckBatch, renew bool) error {
	end := int64(-1)
	for _, b := range batches {
		switch n := len(b.Types); {
		case b.First < 0 || b.First > b.Last || b.Last >= maxEnd:
			return fmt.Errorf("%w: first=%d last=%d", ErrInvalidAck, b.First, b.Last)
		case b.First <= end:
			return fmt.Errorf("%w: first=%d is not behind=%d", ErrInvalidAck, b.First, end)
		case n == 0 || n > 1 && int64(n) != b.Last-b.First+1:
			return fmt.Errorf("%w: first=%d last=%d types=%d", ErrInvalidAck, b.First, b.Last, n)
		}
		for _, t := range b.Types {
			if t < Gap || t > Renew || t == Renew && !renew {
				return fmt.Errorf("%w: first=%d type=%d", ErrInvalidAck, b.First, t)
			}
		}
		end = b.Last
	}
	return nil
}

// acknowledge takes what a member says of its records, which passed CheckAcks: all of
// it or nothing. It returns the write that is to confirm it, 0 if none is needed.
func (s *inFlight) acknowledge(member string, batches []AckBatch, now time.Time) (uint64, error) {
	s.expire(now)
	for _, b := range batches {
		if err := s.mayAcknowledge(member, b); err != nil {
			return 0, err
		}
	}
	write := uint64(0)
	for _, b := range batches {
		runs(b, func(first, last int64, t AckType) {
			s.each(max(first, s.start), last, func(p *span) bool {
				switch {
				case p.gap:
				case t == Renew:
					p.deadline = now.Add(s.limits.LockDuration)
				default:
					p.pending, p.to = s.next, s.outcome(t, p.count)
					write = s.next
				}
				return true
			})
		})
	}
	s.merge()
	if write != 0 {
		s.urgent = true
	}
	return write, nil
}

// outcome is the state that an acknowledgement leads to.
func (s *inFlight) outcome(t AckType, count int16) RecordState {
	switch t {
	case Accept:
		return Acknowledged
	case Release:
		return s.released(count)
	default:
		return Archived
	}
}

// released is the state of a record that its member gives back after so many
// deliveries.
func (s *inFlight) released(count int16) RecordState {
	if count >= s.limits.Deliveries {
		return Archived
	}
	return Available
}

// mayAcknowledge checks that all records of a batch are the member's. Below the start
// offset nothing is known any more, and nothing is wrong.
func (s *inFlight) mayAcknowledge(member string, b AckBatch) error {
	if b.Last < s.start {
		return nil
	}
	if len(s.spans) == 0 {
		return fmt.Errorf("%w: first=%d last=%d start=%d", ErrRecordState, b.First, b.Last, s.start)
	}
	if b.Last >= s.end {
		return fmt.Errorf("%w: first=%d last=%d end=%d", ErrInvalidAck, b.First, b.Last, s.end)
	}
	for i := s.find(max(b.First, s.start)); i < len(s.spans) && s.spans[i].first <= b.Last; i++ {
		if p := &s.spans[i]; !p.gap && (p.state != Acquired || p.member != member || p.pending != 0) {
			return fmt.Errorf("%w: offset=%d state=%d", ErrRecordState, max(p.first, b.First), p.state)
		}
	}
	return nil
}

// runs calls visit with the ranges of a batch of which the same is said.
func runs(b AckBatch, visit func(first, last int64, t AckType)) {
	if len(b.Types) == 1 {
		visit(b.First, b.Last, b.Types[0])
		return
	}
	for i := 0; i < len(b.Types); {
		j := i + 1
		for j < len(b.Types) && b.Types[j] == b.Types[i] {
			j++
		}
		visit(b.First+int64(i), b.First+int64(j)-1, b.Types[i])
		i = j
	}
}
