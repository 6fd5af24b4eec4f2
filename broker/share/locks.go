package share

import "time"

// expire ends the locks that have run out of time. It reports whether any did.
func (s *inFlight) expire(now time.Time) (any bool) {
	if s.expiry.IsZero() || now.Before(s.expiry) {
		return false
	}
	s.expiry = time.Time{}
	for i := range s.spans {
		p := &s.spans[i]
		switch {
		case p.state != Acquired || p.pending != 0:
		case p.deadline.After(now):
			s.watch(p.deadline)
		default:
			s.unlock(p, p.count)
			any = true
		}
	}
	if any {
		s.trim()
		s.urgent = true
	}
	return any
}

// release gives back what a member has acquired, because it will not get to see it or
// is gone. As in Kafka that was no delivery. It reports whether there was anything.
func (s *inFlight) release(member string) (any bool) {
	for i := range s.spans {
		if p := &s.spans[i]; p.state == Acquired && p.member == member && p.pending == 0 {
			s.unlock(p, p.count-1)
			any = true
		}
	}
	if any {
		s.trim()
		s.urgent = true
	}
	return any
}

// unlock gives a span back, as delivered count times.
func (s *inFlight) unlock(p *span, count int16) {
	p.state, p.count, p.member, p.deadline, p.dirty = s.released(count), count, "", time.Time{}, s.next
}

// watch sees to it that a lock's end is noticed.
func (s *inFlight) watch(deadline time.Time) {
	if s.expiry.IsZero() || deadline.Before(s.expiry) {
		s.expiry = deadline
	}
}
