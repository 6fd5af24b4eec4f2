package share

import "time"

// Range is a range of offsets, both ends inclusive.
type Range struct{ First, Last int64 }

// Fetched is what was read from the log for a member.
type Fetched struct {
	// From is where the read began; FetchFrom said so.
	From int64
	// Batches are the offsets of the record batches that were read, ascending. The
	// first may begin below From.
	Batches []Range
	// Hidden are batches among them that the isolation level hides.
	Hidden []Range
}

// Wanted is how much a member wants to acquire.
type Wanted struct {
	Member string
	// Records is how many; more are acquired where a batch ends only later, unless
	// Strict.
	Records int
	Strict  bool
	// BatchSize is the best number of records for one range; less than 1: any.
	BatchSize int
}

// Acquisition is a range of records that was acquired, with the number of this
// delivery.
type Acquisition struct {
	Range
	DeliveryCount int16
}

// acquire locks available records of what was read for a member.
func (s *inFlight) acquire(f Fetched, w Wanted, now time.Time) []Acquisition {
	if len(f.Batches) == 0 || w.Records <= 0 || w.Member == "" {
		return nil
	}
	base, last := f.Batches[0].First, f.Batches[len(f.Batches)-1].Last
	s.skip(f.From, base)
	a := &acquirer{s: s, w: w, left: int64(w.Records), until: now.Add(s.limits.LockDuration)}
	a.again(max(base, s.start), min(last, s.end-1))
	if !a.alone && s.end >= base && s.end <= last {
		a.fresh(f.Batches, last)
	}
	out := s.hide(a.out, f.Hidden)
	s.trim()
	return out
}

// skip archives what a read from an offset on did not find: there is nothing before
// base, where the first batch begins. Compaction leaves such gaps.
func (s *inFlight) skip(from, base int64) {
	from = max(from, s.start)
	if from > s.end || from >= base {
		return
	}
	s.each(from, min(base, s.end)-1, func(p *span) bool {
		if p.state == Available {
			p.state, p.gap = Archived, true
		}
		return true
	})
	if s.end < base {
		s.add(span{first: s.end, last: base - 1, state: Archived, gap: true})
	}
	s.trim()
}

// acquirer is one acquisition under way.
type acquirer struct {
	s     *inFlight
	w     Wanted
	left  int64 // records that are still wanted
	until time.Time
	out   []Acquisition
	alone bool // nothing more is to be acquired
}

// take locks a span.
func (a *acquirer) take(p *span) {
	p.state, p.member, p.deadline = Acquired, a.w.Member, a.until
	p.count++
	a.left -= p.length()
	if n := len(a.out); n > 0 && a.out[n-1].Last+1 == p.first && a.out[n-1].DeliveryCount == p.count && p.first != p.fetched {
		a.out[n-1].Last = p.last
	} else {
		a.out = append(a.out, Acquisition{Range{p.first, p.last}, p.count})
	}
	if a.s.expiry.IsZero() || a.until.Before(a.s.expiry) {
		a.s.expiry = a.until
	}
}

// again acquires records in [lo, hi] that were delivered before, fetch by fetch.
func (a *acquirer) again(lo, hi int64) {
	for lo <= hi && a.left > 0 && !a.alone {
		i := a.s.find(lo)
		if i == len(a.s.spans) {
			return
		}
		// The spans of one fetch are neighbours.
		first, last := max(lo, a.s.spans[i].first), hi
		fetched := a.s.spans[i].fetched
		for j := i; j < len(a.s.spans); j++ {
			if a.s.spans[j].fetched != fetched {
				last = min(last, a.s.spans[j].first-1)
				break
			}
		}
		a.fetch(first, last)
		lo = last + 1
	}
}

// fetch acquires records of [first, last], which were fetched together. Those that
// were delivered often are acquired in ever smaller parts, and without others; the last
// delivery of a record is one of its own.
func (a *acquirer) fetch(first, last int64) {
	if a.most(first, last) >= a.s.limits.isolateFrom() {
		a.alone = true
		if len(a.out) > 0 {
			return
		}
	}
	limit := int64(0) // of records that are isolated; 0: none are
	got := int64(0)
	for at := first; at <= last; {
		i := a.s.find(at)
		if i == len(a.s.spans) || a.s.spans[i].first > last {
			break
		}
		p := a.s.spans[i]
		lo, hi := max(p.first, at), min(p.last, last)
		at = hi + 1
		if p.state != Available {
			continue
		}
		n := hi - lo + 1
		final := a.s.limits.Deliveries > 2 && p.count == a.s.limits.Deliveries-1
		if final {
			if got > 0 {
				break
			}
			n = 1
		}
		if from := a.s.limits.isolateFrom(); p.count >= from && limit == 0 {
			limit = max(1, int64(p.size)>>(p.count-from+1))
		}
		if limit > 0 {
			n = min(n, limit-got)
		}
		if a.w.Strict {
			n = min(n, a.left)
		}
		a.s.each(lo, lo+n-1, func(p *span) bool { a.take(p); return true })
		got += n
		if final || limit > 0 && got >= limit || a.w.Strict && a.left <= 0 {
			break
		}
	}
}

// most returns the highest delivery count of available records in [first, last].
func (a *acquirer) most(first, last int64) (most int16) {
	for i := a.s.find(first); i < len(a.s.spans) && a.s.spans[i].first <= last; i++ {
		if p := &a.s.spans[i]; p.state == Available {
			most = max(most, p.count)
		}
	}
	return most
}

// fresh acquires records that were never fetched, from the end offset to last.
func (a *acquirer) fresh(batches []Range, last int64) {
	first, room := a.s.end, a.s.room()
	if a.left <= 0 || room <= 0 {
		return
	}
	if a.left < last-first+1 {
		last = first + a.left - 1
		if !a.w.Strict {
			last = endOfBatch(batches, last)
		}
	}
	last = min(last, first+room-1)
	if a.w.BatchSize > 0 && !a.w.Strict && last-first+1 > int64(a.w.BatchSize) {
		for _, b := range batches {
			if b.First <= last && b.First-first >= int64(a.w.BatchSize) {
				a.fetchNew(first, b.First-1)
				first = b.First
			}
		}
	}
	a.fetchNew(first, last)
}

func (a *acquirer) fetchNew(first, last int64) {
	a.s.add(span{first: first, last: last, state: Available})
	a.take(&a.s.spans[len(a.s.spans)-1])
}

// endOfBatch returns the last offset of the batch that contains offset, or offset,
// where none does.
func endOfBatch(batches []Range, offset int64) int64 {
	for _, b := range batches {
		if b.First <= offset && offset <= b.Last {
			return b.Last
		}
	}
	return offset
}

// hide archives what was acquired and must not be seen, and returns the rest.
func (s *inFlight) hide(acquired []Acquisition, hidden []Range) []Acquisition {
	if len(hidden) == 0 {
		return acquired
	}
	var out []Acquisition
	for _, a := range acquired {
		at := a.First
		for _, h := range hidden {
			if h.Last < at || h.First > a.Last {
				continue
			}
			if h.First > at {
				out = append(out, Acquisition{Range{at, h.First - 1}, a.DeliveryCount})
			}
			to := min(h.Last, a.Last)
			s.each(max(h.First, at), to, func(p *span) bool {
				p.state, p.member, p.dirty = Archived, "", s.next
				return true
			})
			at = to + 1
		}
		if at <= a.Last {
			out = append(out, Acquisition{Range{at, a.Last}, a.DeliveryCount})
		}
	}
	return out
}
